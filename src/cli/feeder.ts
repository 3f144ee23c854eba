import { boardAt } from '#src/cli/board-at.ts';
import { parseOptions } from '#src/cli/options.ts';
import { exit, type Surroundings } from '#src/cli/surroundings.ts';
import { messageOf } from '#src/std/error.ts';
import { Feeder } from '#src/watchdog/driver-feeder.ts';

/** As journald reads them at the start of a line. */
const levels = { error: 3, warn: 4, info: 6 } as const;

/**
 * `vmpair feeder`: holds the watchdog of this host for the agent, which tells it everything over its socket. It reads
 * no configuration: a mistake there must not reset a host.
 */
export const feeder = async (argv: string[], around: Surroundings): Promise<number> => {
	const { values } = parseOptions('feeder', argv, {
		listen: { type: 'string', default: '/run/vmpair/feeder.sock' },
		// For tests: a host of their own.
		place: { type: 'string', multiple: true, default: [] },
	});
	return await new Promise((resolve, reject) => {
		const log = (level: keyof typeof levels, sentence: string): void =>
			around.print(`<${levels[level]}>${sentence}`);
		const running = new Feeder({
			socketPath: values.listen,
			board: boardAt(values.place),
			log,
			ended: () => resolve(exit.done),
		});
		process.on('SIGTERM', () => running.end());
		process.on('SIGINT', () => running.end());
		// The kernel feeds a board once when its holder ends: with the deadline over, that would put the reset off.
		process.on('uncaughtException', (error) => {
			log('error', `The feeder met a mistake of its own: ${messageOf(error)}.`);
			if (!running.holds) process.exit(exit.software);
		});
		running.start().catch(reject);
	});
};
