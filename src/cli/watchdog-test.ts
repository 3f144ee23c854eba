import { execFile } from 'node:child_process';
import { apiClient, unreachableCode } from '#src/api/driver-client.ts';
import { monotonicMs } from '#src/cli/board-at.ts';
import { askName } from '#src/cli/ask.ts';
import { exit, type Surroundings } from '#src/cli/surroundings.ts';
import { messageOf, VmpairError } from '#src/std/error.ts';
import {
	type BoardFacts,
	type HoldSettings,
	judge,
	type Proof,
	resetGraceMs,
	settle,
} from '#src/watchdog/board.ts';
import type { WatchdogBoard } from '#src/watchdog/driver-board.ts';

const feedingMs = 3000;
const feedMs = 250;
const markMs = 200;
const syncMs = 30_000;

const wait = async (ms: number): Promise<void> =>
	await new Promise((resolve) => setTimeout(resolve, ms));

const refusal = (message: string, next: string): VmpairError =>
	new VmpairError('watchdog-test-refused', message, { next });

/** Nothing may run here that a reset would hurt, and nobody else may hold the board. */
const checkAgent = async (host: string, around: Surroundings): Promise<void> => {
	let status;
	try {
		status = await apiClient(around.socketPath).status();
	} catch (error) {
		if (!(error instanceof VmpairError) || error.code !== unreachableCode) throw error;
		around.warn('The agent does not run: make sure yourself that no VM runs on this host.');
		return;
	}
	if (status.armed.armed)
		throw refusal(
			'The pair is armed: the reset of this host would be taken for its death.',
			'vmpair disarm --reason "watchdog test"',
		);
	const here = status.vms.filter(({ runsOn }) => runsOn === host).map(({ vm }) => vm);
	if (here.length > 0)
		throw refusal(
			`VMs run on ${host}: ${here.join(', ')}.`,
			'move them away first: vmpair move VM, then run this again',
		);
};

const begin = (facts: BoardFacts, device: string, timeoutMs: number): Proof => ({
	format: 1,
	device,
	identity: facts.identity ?? '',
	machine: facts.machine,
	timeoutMs,
	bootId: facts.bootId,
	closedMs: monotonicMs(),
	markMs: monotonicMs(),
	state: 'open',
	detail: 'under way',
	at: new Date().toISOString(),
});

const failedTest = (board: WatchdogBoard, proof: Proof, detail: string): VmpairError => {
	board.keepProof({ ...proof, state: 'failed', detail });
	return new VmpairError('watchdog-test-failed', `The reset test failed: ${detail}.`, {
		next: 'this board cannot be relied on: try another one (hosts.NAME.watchdog.device), or leave it out',
	});
};

/** Holds the board like the feeder, then lets go of it like one that died, and writes how long this host lives. */
const run = async (
	board: WatchdogBoard,
	settings: HoldSettings,
	facts: BoardFacts,
): Promise<never> => {
	try {
		board.open(settings.device);
	} catch (error) {
		throw refusal(
			`${settings.device} cannot be opened: ${messageOf(error)}.`,
			'look for who holds it: RuntimeWatchdogSec in /etc/systemd/system.conf, the package "watchdog", a feeder that is armed',
		);
	}
	for (let fedMs = 0; fedMs < feedingMs; fedMs += feedMs) {
		board.feed();
		await wait(feedMs);
	}
	let proof = begin(facts, settings.device, facts.timeoutMs ?? settings.timeoutMs);
	board.keepProof(proof);
	board.abandon();
	proof = { ...proof, closedMs: monotonicMs(), markMs: monotonicMs() };
	board.keepProof(proof);
	if (board.facts(settings).active === false)
		throw failedTest(board, proof, 'the board stops when the program that feeds it dies');
	while (settle(proof, facts, monotonicMs()).state === 'open') {
		await wait(markMs);
		proof = { ...proof, markMs: monotonicMs() };
		board.keepProof(proof);
	}
	// It may still come: better now than later.
	board.open(settings.device);
	board.stop();
	throw failedTest(board, proof, settle(proof, facts, monotonicMs()).detail);
};

/**
 * `vmpair watchdog test [--confirm HOST]`: has the watchdog reset this host for real. It does not return when the
 * board works; the next start of the feeder records the proof.
 */
export const watchdogTest = async (
	wish: {
		readonly host: string;
		readonly confirm: string | undefined;
		readonly settings: HoldSettings;
		readonly board: WatchdogBoard;
	},
	around: Surroundings,
): Promise<number> => {
	const { host, board, settings } = wish;
	await checkAgent(host, around);
	const facts = await board.prepare(settings);
	const { fit, code, detail } = judge(facts, settings, null);
	if (!fit || facts.active === true)
		throw refusal(
			fit ? `${settings.device} counts already: somebody held it.` : `${detail} (${code}).`,
			'vmpair watchdog check; then see /usr/share/doc/vmpair/watchdog.md',
		);
	const limitMs = (facts.timeoutMs ?? settings.timeoutMs) + resetGraceMs;
	around.warn(`This resets ${host} as a power cut would, without shutting anything down:`);
	around.warn(`  board     ${settings.device}: ${facts.identity}, time-out ${facts.timeoutMs} ms`);
	around.warn(`  expected  reset within ${limitMs / 1000} s after the last feeding, then a boot`);
	around.warn('  proof     recorded by the feeder at the next boot; see "vmpair watchdog check"');
	if (wish.confirm === undefined) await askName(host, 'host');
	else if (wish.confirm !== host)
		throw new VmpairError('not-confirmed', `"${wish.confirm}" is not "${host}": nothing was done`, {
			next: 'run the command again when you are sure',
		});
	await new Promise<void>((resolve) => {
		execFile('sync', { timeout: syncMs, killSignal: 'SIGKILL' }, () => resolve());
	});
	around.warn(`The watchdog is fed for ${feedingMs / 1000} s and then no more.`);
	await run(board, settings, facts);
	return exit.failed;
};
