import type { HostName, VmName } from '#src/ports.ts';
import { lastWords } from '#src/std/tool.ts';

/**
 * The commands of a live migration, both ends in units of their own: nothing of it lives in the agent's control group.
 * xl is never ended by us: while the guest is suspended nobody else can let it go on. What is ended is its transport.
 */

/** How this host runs vmpair itself, and where to. */
export interface MigrationPlan {
	readonly peer: HostName;
	/** The program and its first arguments. */
	readonly program: readonly string[];
	readonly configurationFile: string;
	/** Where the transport's processes say what they do. */
	readonly runtimeDirectory: string;
}

/** Nobody migrates a VM for longer; what takes longer loses its transport. */
const migrationSeconds = 4 * 3600;

const unitName = /^(vmpair-(send|receive)-(.+)-\d+-\d+)\.service$/;

/** A unit of a migration. */
export interface MigrationUnit {
	readonly unit: string;
	readonly end: 'send' | 'receive';
	readonly vm: VmName;
}

/** Which migration a unit belongs to; null when to none. */
export const migrationUnitOf = (name: string): MigrationUnit | null => {
	const [, unit, end, vm] = unitName.exec(name) ?? [];
	if (unit === undefined || vm === undefined) return null;
	return { unit, end: end === 'send' ? 'send' : 'receive', vm };
};

/** A word for a shell, as it is. */
const quoted = (word: string): string =>
	/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;

const common = (unit: string): readonly string[] => [
	'--collect',
	'--quiet',
	`--unit=${unit}`,
	// A host that is shutting down refuses new units, and ends running ones, unless they are made for it. Its own
	// slices are among those that it ends; this one stays.
	'--property=DefaultDependencies=no',
	'--slice=system.slice',
	'--setenv=LC_ALL=C',
];

/** Arguments of `systemd-run` for the source. */
export const sendArguments = (unit: string, vm: VmName, plan: MigrationPlan): readonly string[] => {
	const { program, configurationFile, peer } = plan;
	const own = ['--config', configurationFile, '--vm', vm, '--limit', String(migrationSeconds)];
	// xl appends the host and its own command for the other side; after "--" they are left unread.
	const transport = [...program, 'migrate-send', ...own, '--'].map(quoted).join(' ');
	return [
		...common(unit),
		'--wait',
		'--',
		'xl',
		'migrate',
		// The agent, not xl, decides when the copy at the target may run.
		'-p',
		'-s',
		transport,
		vm,
		peer,
	];
};

/** Arguments of `systemd-run` for the target. */
export const receiveArguments = (
	unit: string,
	vm: VmName,
	{ program, configurationFile }: MigrationPlan,
): readonly string[] => [
	...common(unit),
	// A device model that xl leaves behind belongs to the VM; and a limit ends the transport alone, never xl.
	'--property=KillMode=process',
	`--property=RuntimeMaxSec=${migrationSeconds}`,
	'--',
	...program,
	'migrate-receive',
	'--config',
	configurationFile,
	'--vm',
	vm,
];

/** `libxl: error: …`, and the words of vmpair's own transport. */
const telling = /^(?:libxl|xc|xl): error|^vmpair: |^refused: |fail|Error/i;

/** Why a migration failed, from what its unit wrote: the first two errors and xl's last word. */
export const migrationFailure = (text: string): string => {
	const lines = text
		.split('\n')
		.map((line) => line.trim())
		.filter((line) => line !== '');
	const errors = lines.filter((line) => telling.test(line)).slice(0, 2);
	const last = lines.at(-1) ?? 'no reason was given';
	return lastWords(errors.includes(last) ? errors.join('\n') : [...errors, last].join('\n'), '');
};
