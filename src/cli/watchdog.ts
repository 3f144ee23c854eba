import { boardAt, monotonicMs } from '#src/cli/board-at.ts';
import { parseOptions, usageError } from '#src/cli/options.ts';
import { exit, type Surroundings } from '#src/cli/surroundings.ts';
import { watchdogTest } from '#src/cli/watchdog-test.ts';
import type { Config } from '#src/config/config.ts';
import { defaultConfigFile, loadConfig } from '#src/config/driver.ts';
import { watchdogSettings } from '#src/config/policy.ts';
import { VmpairError } from '#src/std/error.ts';
import { type BoardFacts, type HoldSettings, judge, settle } from '#src/watchdog/board.ts';
import type { WatchdogBoard } from '#src/watchdog/driver-board.ts';

const settingsOf = (config: Config): HoldSettings => {
	const settings = watchdogSettings(config);
	if (settings === null)
		throw new VmpairError(
			'watchdog-not-configured',
			`No watchdog is configured for ${config.host}.`,
			{
				next: `add hosts.${config.host}.watchdog to vmpair.yaml (/usr/share/doc/vmpair/watchdog.md)`,
			},
		);
	return settings;
};

const yesNo = (value: boolean | null): string =>
	value === null ? 'unknown' : value ? 'yes' : 'no';

/** What is known of the board, and whether it would count. Sets nothing. */
const check = (
	board: WatchdogBoard,
	settings: HoldSettings,
	json: boolean,
	around: Surroundings,
): number => {
	const facts: BoardFacts = board.facts(settings);
	const kept = board.proof();
	const proof = kept === null ? null : settle(kept, facts, monotonicMs());
	// The time-out is set when the board is held: what it is now only has to be known.
	const at = { ...facts, timeoutMs: facts.timeoutMs === null ? null : settings.timeoutMs };
	const fitness = judge(at, settings, proof);
	if (json) around.print(JSON.stringify({ ...fitness, facts, settings, proof }));
	else {
		around.print(`device    ${settings.device}: ${facts.identity ?? 'not there'}`);
		around.print(
			`time-out  ${facts.timeoutMs === null ? 'unknown' : `${facts.timeoutMs} ms now`}, ${settings.timeoutMs} ms when it is held`,
		);
		around.print(`counting  ${yesNo(facts.active)}`);
		around.print(
			proof === null
				? 'test      none'
				: `test      ${proof.state}, ${proof.at}, with ${proof.timeoutMs} ms: ${proof.detail}`,
		);
		around.print(
			fitness.counts
				? 'This watchdog counts.'
				: `This watchdog does not count (${fitness.code}): ${fitness.detail}.`,
		);
	}
	return fitness.counts ? exit.done : exit.failed;
};

/** `vmpair watchdog check|test [--config FILE]` */
export const watchdog = async (argv: string[], around: Surroundings): Promise<number> => {
	const [what, ...rest] = argv;
	if (what !== 'check' && what !== 'test')
		throw usageError('"vmpair watchdog" knows only "check" and "test"', 'watchdog');
	const { values } = parseOptions('watchdog', rest, {
		config: { type: 'string', default: defaultConfigFile },
		confirm: { type: 'string' },
		json: { type: 'boolean', default: false },
		place: { type: 'string', multiple: true, default: [] },
	});
	const { config } = await loadConfig(values.config);
	const settings = settingsOf(config);
	const board = boardAt(values.place);
	if (what === 'check') return check(board, settings, values.json, around);
	return await watchdogTest(
		{ host: config.host, confirm: values.confirm, settings, board },
		around,
	);
};
