import { access, constants, readFile } from 'node:fs/promises';
import { type ConfiguredResource, parseConfiguration } from '#src/drbd/configuration.ts';
import {
	type DrbdExpectations,
	type DrbdFacts,
	type DrbdFindings,
	drbdFindings,
} from '#src/drbd/preflight.ts';
import type { ResourceName } from '#src/ports.ts';
import { lastWords, type ToolEnd, type Tools } from '#src/std/tool.ts';

export interface DrbdPreflightOptions extends Omit<DrbdExpectations, 'handlerFile'> {
	readonly tools: Tools;
	readonly handlerFile?: string;
	readonly drbdadm?: string;
	readonly drbdsetup?: string;
	/** Limit of each call in ms. */
	readonly limitMs?: number;
	/** Where the kernel names the program it calls; absent while the module is not loaded. */
	readonly helperFile?: string;
}

type Configuration = ReadonlyMap<ResourceName, ConfiguredResource>;

const words = (end: ToolEnd): string =>
	end.end === 'exited'
		? lastWords(end.stdout, end.stderr) || `exit code ${end.exitCode}`
		: end.detail;

const configurationOf = (end: ToolEnd): Configuration | { readonly error: string } => {
	if (end.end !== 'exited' || end.exitCode !== 0) return { error: words(end) };
	return parseConfiguration(end.stdout) ?? { error: 'its syntax is not understood' };
};

const versionOf = (end: ToolEnd): number | null => {
	if (end.end !== 'exited') return null;
	const match = /^DRBD_KERNEL_VERSION_CODE=0x([0-9a-f]{1,8})$/im.exec(end.stdout);
	return match === null ? null : Number.parseInt(match[1] ?? '', 16);
};

const isExecutable = async (file: string): Promise<boolean> => {
	try {
		await access(file, constants.X_OK);
		return true;
	} catch {
		return false;
	}
};

const readHelper = async (file: string): Promise<string | null> => {
	try {
		return (await readFile(file, 'utf8')).trim();
	} catch {
		// Without the module there is no such file; that the module is missing is found by its version.
		return null;
	}
};

/** Reads this host's DRBD and judges it. Never rejects; what cannot be read is a finding. */
export const drbdPreflight = async (options: DrbdPreflightOptions): Promise<DrbdFindings> => {
	const {
		tools,
		handlerFile = '/usr/lib/vmpair/drbd-handler',
		drbdadm = 'drbdadm',
		drbdsetup = 'drbdsetup',
		limitMs = 10_000,
		helperFile = '/sys/module/drbd/parameters/usermode_helper',
	} = options;
	const [version, dump, show, helper] = await Promise.all([
		tools.run({ file: drbdadm, args: ['--version'], limitMs }),
		tools.run({ file: drbdadm, args: ['dump'], limitMs }),
		tools.run({ file: drbdsetup, args: ['show', 'all'], limitMs }),
		readHelper(helperFile),
	]);
	const running = configurationOf(show);
	const needed = [handlerFile, ...(helper === null || !helper.startsWith('/') ? [] : [helper])];
	const executable = await Promise.all(needed.map(isExecutable));
	const facts: DrbdFacts = {
		kernelVersion: versionOf(version),
		configured: configurationOf(dump),
		running: 'error' in running ? null : running,
		helper,
		notExecutable: needed.filter((_, index) => executable[index] === false),
	};
	return drbdFindings(facts, { ...options, handlerFile });
};
