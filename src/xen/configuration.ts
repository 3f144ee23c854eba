import type { ResourceName, VmName } from '#src/ports.ts';
import { parseXlSettings } from '#src/xen/syntax.ts';
import type { XlMistake, XlSetting } from '#src/xen/syntax.ts';

interface ConfiguredDisk {
	/** As written. */
	readonly text: string;
	readonly line: number;
	/** The path without a deprecated prefix such as `phy:`; empty for an empty drive. */
	readonly target: string;
	/** What makes Xen use anything else than the block device itself: a script, another format or back end. */
	readonly detours: readonly string[];
}

/** What vmpair reads of a VM's `xl.cfg`. */
export interface VmConfiguration {
	readonly name: string | null;
	/** MiB the VM starts with; null when not given or no number. */
	readonly memoryMib: number | null;
	readonly disks: readonly ConfiguredDisk[];
	/** `on_poweroff`, `on_reboot`, `on_crash`, `on_watchdog` as written. */
	readonly actions: Readonly<Record<string, string>>;
	/** Files of the host that a start needs: kernel, ramdisk and the like. */
	readonly localFiles: readonly { readonly path: string; readonly line: number }[];
	/** The line of each key. */
	readonly lines: Readonly<Record<string, number>>;
	readonly mistakes: readonly XlMistake[];
}

/**
 * `refused`: vmpair does not arm with it. `advice`: it works, but a person should know. `message` is what
 * is wrong, `remedy` what to do, both as sentences.
 */
export interface ConfigurationFinding {
	readonly severity: 'refused' | 'advice';
	readonly line: number;
	readonly message: string;
	readonly remedy: string;
}

/** `FILE:LINE: message remedy`, as editors and people read it. */
export const findingText = (file: string, finding: ConfigurationFinding): string =>
	`${file}:${finding.line}: ${finding.message} ${finding.remedy}`;

const textOf = (setting: XlSetting | undefined): string | null =>
	typeof setting?.value === 'string' ? setting.value : null;

const mebibytes = (setting: XlSetting | undefined): number | null => {
	const text = textOf(setting);
	if (text === null || !/^(0x[0-9a-f]{1,8}|\d{1,9})$/i.test(text)) return null;
	return Number(text);
};

/** Reads the text of an `xl.cfg` file. Never throws; what cannot be read is in `mistakes`. */
export const readConfiguration = (text: string): VmConfiguration => {
	const { settings, mistakes } = parseXlSettings(text);
	const setting = (key: string): XlSetting | undefined => settings.find((each) => each.key === key);
	const actions: Record<string, string> = {};
	for (const { key, value } of settings) {
		if (key.startsWith('on_') && typeof value === 'string') actions[key] = value;
	}
	return {
		name: textOf(setting('name')),
		memoryMib: mebibytes(setting('memory')),
		disks: disksOf(setting('disk')),
		actions,
		localFiles: settings
			.filter(({ key }) => localFileKeys.has(key))
			.flatMap(({ value, line }) =>
				typeof value === 'string' && value.startsWith('/') ? [{ path: value, line }] : [],
			),
		lines: Object.fromEntries(settings.map(({ key, line }) => [key, line])),
		mistakes,
	};
};

const localFileKeys = new Set([
	'kernel',
	'ramdisk',
	'bootloader',
	'firmware_override',
	'device_tree',
]);

const disksOf = (setting: XlSetting | undefined): readonly ConfiguredDisk[] => {
	if (setting === undefined) return [];
	const values = typeof setting.value === 'string' ? [setting.value] : setting.value;
	return values.map((value, index) => {
		const line = setting.elementLines[index] ?? setting.line;
		// A list inside the list is no disk; as an unreadable target it is refused below.
		return typeof value === 'string'
			? diskOf(value, line)
			: { text: '[…]', line, target: '[…]', detours: [] };
	});
};

/** Prefixes that change nothing when the target is a block device (libxlu_disk_l.l). */
const plainPrefix = /^(?:phy|raw|file|tapdisk|tap2?|aio|ioemu):(?=\/|[a-z0-9]+:)/;
const scriptPrefix = /^(iscsi|e?nbd|drbd):/;
const formatPrefix = /^(qcow2?|vhd|qed):/;

/** A disk specification of xl: parameters `key=value` or by position: target, format, device, access. */
const diskOf = (text: string, line: number): ConfiguredDisk => {
	const detours: string[] = [];
	let target: string | null = null;
	let format: string | null = null;
	let rest = text.trim();
	while (rest !== '') {
		if (rest.startsWith('target=')) {
			// This one takes the rest of the text, commas too.
			target = rest.slice('target='.length);
			break;
		}
		const comma = rest.indexOf(',');
		const part = (comma < 0 ? rest : rest.slice(0, comma)).trim();
		rest = comma < 0 ? '' : rest.slice(comma + 1).trim();
		const detour = /^(?:script|backend|backendtype|format)=(.*)$/.exec(part);
		if (detour !== null) {
			if (!['raw', 'phy', '', 'empty'].includes(detour[1] ?? '')) detours.push(part);
		} else if (!/^[a-z][-a-z0-9]*=/.test(part)) {
			if (target === null) target = part;
			else if (format === null) format = part;
		}
	}
	if (format !== null && /^(qcow2?|vhd|qed)$/.test(format)) detours.push(`format ${format}`);
	let path = target ?? '';
	for (let found = plainPrefix.exec(path); found !== null; found = plainPrefix.exec(path)) {
		path = path.slice(found[0].length);
	}
	for (const prefix of [scriptPrefix, formatPrefix]) {
		const found = prefix.exec(path);
		if (found !== null) detours.push(found[0]);
	}
	return { text, line, target: path, detours };
};

/** What the configuration is held against. */
export interface ExpectedVm {
	readonly vm: VmName;
	readonly resource: ResourceName;
	/** Minor numbers of the resource's devices on this host; null when they are not known. */
	readonly minors: readonly number[] | null;
}

/** Everything that stands against running this VM on either host, in the order of the lines. */
export const checkConfiguration = (
	configuration: VmConfiguration,
	expected: ExpectedVm,
): readonly ConfigurationFinding[] =>
	[
		...configuration.mistakes.map(({ line, message }): ConfigurationFinding => ({
			severity: 'refused',
			line,
			message: `This line cannot be read: ${message}.`,
			remedy: 'Correct it; "xl create -n FILE" shows what xl makes of the file.',
		})),
		...nameFindings(configuration, expected),
		...diskFindings(configuration, expected),
		...otherFindings(configuration),
	].toSorted((a, b) => a.line - b.line);

const nameFindings = (
	{ name, lines }: VmConfiguration,
	{ vm }: ExpectedVm,
): readonly ConfigurationFinding[] => {
	if (name === vm) return [];
	return [
		{
			severity: 'refused',
			line: lines['name'] ?? 1,
			message:
				name === null
					? `The VM has no name, so its domain would not be found as ${vm}.`
					: `The domain would be named ${name}, but vmpair manages it as ${vm}.`,
			remedy: `Write name = "${vm}".`,
		},
	];
};

const diskFindings = (
	configuration: VmConfiguration,
	expected: ExpectedVm,
): readonly ConfigurationFinding[] => {
	const remedy = `Name a device of the resource, such as 'phy:/dev/drbd/by-res/${expected.resource}/0,xvda,w'.`;
	const refused = (line: number, message: string): ConfigurationFinding => ({
		severity: 'refused',
		line,
		message,
		remedy,
	});
	const disks = configuration.disks.filter((disk) => disk.target !== '');
	if (disks.length === 0) {
		const line = configuration.lines['disk'] ?? 1;
		return [refused(line, `${expected.vm} has no disk that is replicated by DRBD.`)];
	}
	return disks.flatMap((disk) => {
		const problem = diskProblem(disk, expected);
		return problem === null ? [] : [refused(disk.line, problem)];
	});
};

const diskProblem = (disk: ConfiguredDisk, expected: ExpectedVm): string | null => {
	const [detour] = disk.detours;
	if (detour === 'drbd:') {
		// Its hotplug script promotes on its own, past every rule that keeps two copies from running.
		return `The disk "${disk.text}" lets Xen's block-drbd script promote the resource by itself.`;
	}
	if (detour !== undefined) {
		return `The disk "${disk.text}" is not used as a plain block device ("${detour}").`;
	}
	const problem = diskPathProblem(disk.target, expected);
	return problem === null ? null : `The disk "${disk.text}" ${problem}.`;
};

/** What is wrong with a path as a disk of this VM, as the end of a sentence; null when it is right. */
export const diskPathProblem = (path: string, expected: ExpectedVm): string | null => {
	const byResource = /^\/dev\/drbd\/by-res\/([^/]+)(?:\/\d{1,5})?$/.exec(path);
	const byMinor = /^\/dev\/drbd(\d{1,7})$/.exec(path);
	if (byResource !== null) {
		return byResource[1] === expected.resource
			? null
			: `belongs to the resource ${byResource[1]}, not to ${expected.resource}`;
	}
	if (byMinor === null) return 'is not replicated by DRBD';
	if (expected.minors === null || expected.minors.includes(Number(byMinor[1]))) return null;
	return `is not a device of the resource ${expected.resource}`;
};

/** What `xl` does by default when a guest ends (xl.cfg(5)); `destroy` leaves it to vmpair. */
const actionDefaults = {
	on_reboot: 'restart',
	on_crash: 'destroy',
	on_watchdog: 'destroy',
} as const;

const otherFindings = (configuration: VmConfiguration): readonly ConfigurationFinding[] => {
	const { lines, actions, memoryMib } = configuration;
	const findings: ConfigurationFinding[] = [];
	if (memoryMib === null) {
		findings.push({
			severity: 'refused',
			line: lines['memory'] ?? 1,
			message:
				'The memory of the VM is not given in MiB, so nobody can tell whether a host has room.',
			remedy: 'Write memory = 2048, for instance.',
		});
	}
	for (const [key, byDefault] of Object.entries(actionDefaults)) {
		const action = actions[key] ?? byDefault;
		if (action === 'destroy') continue;
		findings.push({
			severity: 'advice',
			line: lines[key] ?? 1,
			message: `${key} is "${action}": who starts this VM by hand leaves a process that acts on it behind vmpair's back.`,
			remedy: `Write ${key} = "destroy"; vmpair restarts the VM itself.`,
		});
	}
	for (const key of ['pci', 'usbdev']) {
		if (lines[key] === undefined) continue;
		findings.push({
			severity: 'advice',
			line: lines[key],
			message: `"${key}" ties the VM to a device of one host.`,
			remedy: 'Make sure that both hosts have this device at the same address.',
		});
	}
	return findings;
};
