import { failed, succeeded, unknown } from '#src/ports-outcome.ts';
import type { Outcome } from '#src/ports.ts';
import { lastWords, type ToolEnd } from '#src/std/tool.ts';

/**
 * What the exit of `drbdadm` and `drbdsetup` means. The kernel's own reason stands in the error
 * output, because one exit code covers many reasons.
 */

/** `State change failed: (-N)`: enum drbd_state_rv in drbd.h. */
const stateChangeCodes: ReadonlyMap<number, string> = new Map([
	[-1, 'drbd-multiple-primaries'],
	[-2, 'drbd-needs-up-to-date'],
	[-4, 'drbd-no-local-disk'],
	[-6, 'drbd-connected'],
	[-7, 'drbd-peer-not-outdated'],
	[-10, 'drbd-refused-by-peer'],
	[-11, 'drbd-no-local-disk'],
	[-12, 'drbd-held-open'],
	[-13, 'drbd-not-connected'],
	[-16, 'drbd-lower-than-outdated'],
	[-18, 'drbd-in-transition'],
	[-19, 'drbd-in-transition'],
	[-20, 'drbd-multiple-primaries'],
]);

/** `Failure: (N)`: enum drbd_ret_code in drbd.h. */
const failureCodes: ReadonlyMap<number, string> = new Map([
	[124, 'drbd-already-attached'],
	[125, 'drbd-already-connected'],
	[127, 'drbd-not-up'],
	[138, 'drbd-no-local-disk'],
	[158, 'drbd-not-up'],
	[162, 'drbd-not-connected'],
]);

const codeOf = (exitCode: number, stderr: string): string => {
	const refused = /State change failed: \((-\d+)\)/.exec(stderr);
	if (refused !== null) return stateChangeCodes.get(Number(refused[1])) ?? 'drbd-refused';
	const failure = /Failure: \((\d+)\)/.exec(stderr);
	if (failure !== null) return failureCodes.get(Number(failure[1])) ?? 'drbd-refused';
	if (/not defined in your config/.test(stderr)) return 'drbd-unknown-resource';
	// drbdadm suppresses the kernel's words for some verbs; the exit code alone still says this much.
	if (exitCode === 5) return 'drbd-lower-than-outdated';
	if (exitCode === 16) return 'drbd-no-local-disk';
	if (exitCode === 17) return 'drbd-needs-up-to-date';
	return 'drbd-refused';
};

/**
 * The outcome of one call that changes state. Exit code 20 is also drbdadm's own time-out, after which
 * the kernel was seen to go on and finish ten seconds later: it is unknown, never failed.
 */
export const outcomeOf = (end: ToolEnd): Outcome<null> => {
	if (end.end === 'not-started') return failed('drbd-tool-missing', end.detail);
	if (end.end === 'unknown') return unknown(end.detail);
	if (end.exitCode === 0) return succeeded(null);
	const words = lastWords(end.stdout, end.stderr);
	const detail = words === '' ? `exit code ${end.exitCode}` : words;
	if (end.exitCode === 20 || end.exitCode > 128) return unknown(detail);
	return failed(codeOf(end.exitCode, end.stderr), detail);
};
