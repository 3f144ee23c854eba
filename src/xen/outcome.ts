import { lastWords } from '#src/std/tool.ts';
import type { ToolEnd } from '#src/std/tool.ts';

/** What an ended call says when it was not the success hoped for. */
export const wordsOf = (ended: ToolEnd): string =>
	ended.end === 'exited'
		? `exit code ${ended.exitCode}: ${lastWords(ended.stdout, ended.stderr)}`
		: ended.detail;

/**
 * Arguments of `systemd-run` for one start of a VM, in a unit of its own: nothing of the VM then lives in
 * the agent's control group, so that the agent can be restarted, updated or ended at any moment.
 * Output goes to the journal, not to us: a pipe to an agent that ends would end `xl` in the middle.
 */
export const createArguments = (
	unit: string,
	configurationFile: string,
	limitMs: number,
): readonly string[] => [
	'--collect',
	'--wait',
	'--quiet',
	`--unit=${unit}`,
	'--slice=machine.slice',
	// A device model that `xl` leaves behind belongs to the VM and outlives the unit.
	'--property=KillMode=process',
	// What takes longer counts as unknown; it must not go on for ever and appear much later.
	`--property=RuntimeMaxSec=${Math.max(1, Math.ceil(limitMs / 1000))}`,
	'--setenv=LC_ALL=C',
	'--',
	'xl',
	'create',
	// Paused: whether it may run is decided by the agent when it exists. -e: no process of xl stays to
	// restart it behind the agent's back.
	'-p',
	'-e',
	configurationFile,
];

/** Why `xl create` failed, from what it wrote. */
export interface CreateFailure {
	readonly code: 'domain-exists' | 'memory-short' | 'create-failed';
	/** The first two errors: what follows them are consequences. */
	readonly detail: string;
}

/** `libxl: error: libxl_domain.c:81:libxl__domain_rename: Domain 2:TEXT`, the place in the source cut off. */
const sourcePlace =
	/^(?:libxl|xc|xl): (?:error|warning|panic): (?:panic: )?(?:[\w.]+:\s?\d+:\s?[\w]+: )?/;

const isError = (line: string): boolean =>
	/^(?:libxl|xc|xl): error/.test(line) || /^(?:Failed|Error|Invalid|config|.*: error)/i.test(line);

/** Reads the lines that `xl create` and systemd wrote for one start that failed. */
export const createFailure = (text: string): CreateFailure => {
	const lines = text.split('\n').map((line) => line.trim());
	const errors = lines.filter((line) => isError(line)).slice(0, 2);
	const last = lines.findLast((line) => line !== '') ?? 'no reason was given';
	const detail = (errors.length === 0 ? [last] : errors)
		.map((line) => line.replace(sourcePlace, ''))
		.join('; ')
		.slice(0, 300);
	if (/already exists/.test(detail)) return { code: 'domain-exists', detail };
	if (/out of memory|cannot allocate memory|free memory/i.test(text)) {
		return { code: 'memory-short', detail };
	}
	return { code: 'create-failed', detail };
};
