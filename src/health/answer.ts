import type { HealthProbe } from '#src/config/config.ts';
import type { HealthReading } from '#src/ports-load.ts';
import { lastWords, type ToolEnd } from '#src/std/tool.ts';

/** What one run of a check says. */
export type Answer = Pick<HealthReading, 'health' | 'detail'>;

/** A program that ended by itself. */
export type Exited = Extract<ToolEnd, { readonly end: 'exited' }>;

/** Longer ones are cut: they stand in conditions, alerts and the history. */
const detailCharactersMax = 200;

/** An answer in one printable line, whatever a program wrote. */
export const answer = (health: Answer['health'], detail: string): Answer => ({
	health,
	// It must not steer the reader's terminal.
	detail: detail
		.replaceAll(/\p{Cc}+/gu, ' ')
		.trim()
		.slice(0, detailCharactersMax),
});

/** How long one run may take, ms. A board with many sensors takes about 10 s, a disk in trouble as long. */
export const probeLimitMs = (probe: HealthProbe): number =>
	probe.kind === 'command' ? probe.limitMs : 15_000;

/** A check that runs a program. */
export type ProgramProbe = Exclude<HealthProbe, { readonly kind: 'carrier' }>;

interface Program {
	readonly file: string;
	readonly args: readonly string[];
	/** The Debian package that brings it; null: the administrator's own. */
	readonly package: string | null;
}

/** The program of a check. */
export const programOf = (probe: ProgramProbe): Program => {
	switch (probe.kind) {
		case 'command': {
			const [file = '', ...args] = probe.command;
			return { file, args, package: null };
		}
		case 'smart': {
			const args = ['--json', '--health', probe.disk];
			return { file: 'smartctl', args, package: 'smartmontools' };
		}
		case 'ipmi':
			return { file: 'ipmitool', args: ['-c', 'sdr'], package: 'ipmitool' };
	}
};

/** What to do when the program of a check cannot be run. */
export const programRemedy = (check: string, probe: ProgramProbe): string => {
	const { file, package: name } = programOf(probe);
	return name === null
		? `install ${file}, make it executable, or correct health.${check}.command in vmpair.yaml`
		: `install the package ${name}`;
};

/** A run that ended without an answer of its own. */
export const noAnswer = (
	check: string,
	probe: ProgramProbe,
	end: Exclude<ToolEnd, Exited>,
): Answer =>
	answer(
		'unknown',
		end.end === 'not-started' ? `${end.detail}: ${programRemedy(check, probe)}` : end.detail,
	);

/** The last words of a program whose answer is not understood. */
export const notUnderstood = (program: string, end: Exited): Answer => {
	const words = lastWords(end.stdout, end.stderr);
	return answer(
		'unknown',
		`${program} ended with ${end.exitCode}${words === '' ? '' : `: ${words}`}`,
	);
};
