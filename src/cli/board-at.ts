import { usageError } from '#src/cli/options.ts';
import { type BoardPlaces, usualBoardPlaces, WatchdogBoard } from '#src/watchdog/driver-board.ts';

/** Milliseconds of CLOCK_MONOTONIC, which all programs of this host share. */
export const monotonicMs = (): number => Number(process.hrtime.bigint() / 1000n) / 1000;

/** The watchdogs of this host; `words` such as `sysfs=/tmp/tree` move what the kernel shows, for tests. */
export const boardAt = (words: readonly string[]): WatchdogBoard => {
	const places: Record<string, string> = {};
	for (const word of words) {
		const [name = '', path = ''] = word.split('=');
		if (!Object.hasOwn(usualBoardPlaces, name) || path === '')
			throw usageError(`expected NAME=PATH, found "${word}"`, 'feeder');
		places[name] = path;
	}
	const moved: BoardPlaces = { ...usualBoardPlaces, ...places };
	return new WatchdogBoard(moved);
};
