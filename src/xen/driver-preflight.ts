import { access, readdir, readFile, realpath } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { ResourceName, VmName } from '#src/ports.ts';
import { messageOf } from '#src/std/error.ts';
import type { Tools } from '#src/std/tool.ts';
import { readConfiguration } from '#src/xen/configuration.ts';
import { parseConfigurations, parseDomainList } from '#src/xen/domain.ts';
import { wordsOf } from '#src/xen/outcome.ts';
import { hypervisorFindings, watchedUnits } from '#src/xen/preflight.ts';
import type { FileText, HostFindings, ManagedVm, UnitState } from '#src/xen/preflight.ts';

export interface XenPreflightOptions {
	readonly tools: Tools;
	/** Time limit of each call in ms. */
	readonly limitMs?: number;
	/** Put before every path, so that another tree can be looked at. */
	readonly root?: string;
}

/** More of these in one folder are not looked at. */
const filesMax = 256;

const codeOf = (thrown: unknown): string | undefined =>
	thrown instanceof Error && 'code' in thrown ? String(thrown.code) : undefined;

const readText = async (path: string): Promise<FileText> => {
	try {
		return await readFile(path, 'utf8');
	} catch (thrown) {
		return codeOf(thrown) === 'ENOENT' ? null : { error: messageOf(thrown) };
	}
};

const readFolder = async (path: string): Promise<readonly string[]> => {
	try {
		return (await readdir(path)).filter((name) => !name.startsWith('.')).slice(0, filesMax);
	} catch {
		// No such folder, nothing in it.
		return [];
	}
};

const isMissing = async (path: string): Promise<boolean> => {
	try {
		await access(path);
		return false;
	} catch {
		return true;
	}
};

const systemctlWord = async (
	tools: Tools,
	verb: string,
	unit: string,
	limitMs: number,
): Promise<string | null> => {
	const ended = await tools.run({ file: 'systemctl', args: [verb, unit], limitMs });
	if (ended.end !== 'exited') return null;
	// The state is the first line; for a SysV script systemctl tells of a redirection on the other stream.
	const word = ended.stdout.split('\n')[0]?.trim() ?? '';
	if (word !== '') return word;
	return /no such file|not found|could not be found/i.test(ended.stderr) ? 'not-found' : null;
};

const unitState = async (tools: Tools, unit: string, limitMs: number): Promise<UnitState> => {
	const [enabled, active] = await Promise.all([
		systemctlWord(tools, 'is-enabled', unit, limitMs),
		systemctlWord(tools, 'is-active', unit, limitMs),
	]);
	return { unit, enabled, active };
};

/** Minor numbers from udev's names `/dev/drbd/by-res/RESOURCE/VOLUME -> ../../../drbdN`; null without any. */
const minorsOf = async (
	root: string,
	resource: ResourceName,
): Promise<readonly number[] | null> => {
	const folder = join(root, '/dev/drbd/by-res', resource);
	const volumes = await readFolder(folder);
	// A resource with one volume may be named by the link alone.
	const paths = volumes.length === 0 ? [folder] : volumes.map((volume) => join(folder, volume));
	const minors: number[] = [];
	for (const path of paths) {
		try {
			const match = /^drbd(\d{1,7})$/.exec(basename(await realpath(path)));
			if (match !== null) minors.push(Number(match[1]));
		} catch {
			// Without udev's names the minor is not known, and only names by resource can be judged.
		}
	}
	return minors.length === 0 ? null : minors;
};

const autostartsOf = async (root: string): Promise<HostFindings['autostarts']> => {
	const folder = '/etc/xen/auto';
	const names = await readFolder(join(root, folder));
	return Promise.all(
		names.map(async (name) => {
			const path = join(folder, name);
			const real = await realpath(join(root, path)).catch(() => join(root, path));
			const target = root !== '' && real.startsWith(root) ? real.slice(root.length) : real;
			return { path, target, text: await readText(join(root, path)) };
		}),
	);
};

const toolstackOf = async (
	tools: Tools,
	limitMs: number,
): Promise<Pick<HostFindings, 'toolstack' | 'xenCommandLine' | 'running'>> => {
	const [list, commandLine, long] = await Promise.all([
		tools.run({ file: 'xl', args: ['list', '-v'], limitMs }),
		tools.run({ file: 'xl', args: ['info', 'xen_commandline'], limitMs }),
		tools.run({ file: 'xl', args: ['list', '-l'], limitMs }),
	]);
	const works =
		list.end === 'exited' && list.exitCode === 0 && parseDomainList(list.stdout) !== null;
	return {
		running: long.end === 'exited' ? parseConfigurations(long.stdout) : null,
		toolstack: works ? null : `xl list: ${wordsOf(list)}`,
		xenCommandLine:
			commandLine.end === 'exited' && commandLine.exitCode === 0 ? commandLine.stdout.trim() : null,
	};
};

/** Looks at this host for what forbids arming with the given VMs. Never rejects. */
export const xenPreflight =
	({ tools, limitMs = 10_000, root = '' }: XenPreflightOptions) =>
	async (vms: readonly ManagedVm[]): Promise<string[]> => {
		const configurations = new Map<VmName, FileText>();
		const minors = new Map<ResourceName, readonly number[]>();
		const missingFiles = new Set<string>();
		for (const { vm, resource, configurationFile } of vms) {
			const text = await readText(join(root, configurationFile));
			configurations.set(vm, text);
			const found = await minorsOf(root, resource);
			if (found !== null) minors.set(resource, found);
			if (typeof text !== 'string') continue;
			for (const { path } of readConfiguration(text).localFiles) {
				if (await isMissing(join(root, path))) missingFiles.add(path);
			}
		}
		const units = await Promise.all(
			Object.keys(watchedUnits).map((unit) => unitState(tools, unit, limitMs)),
		);
		return [
			...hypervisorFindings(vms, {
				...(await toolstackOf(tools, limitMs)),
				units,
				xlConf: await readText(join(root, '/etc/xen/xl.conf')),
				autostarts: await autostartsOf(root),
				saved: await readFolder(join(root, '/var/lib/xen/save')),
				configurations,
				minors,
				missingFiles,
			}),
		];
	};
