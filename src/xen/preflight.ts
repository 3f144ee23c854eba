import type { ResourceName, VmName } from '#src/ports.ts';
import {
	checkConfiguration,
	diskPathProblem,
	findingText,
	readConfiguration,
} from '#src/xen/configuration.ts';
import type { DomainConfiguration } from '#src/xen/domain.ts';
import { parseXlSettings } from '#src/xen/syntax.ts';

/** A VM as the hypervisor's driver needs it. */
export interface ManagedVm {
	readonly vm: VmName;
	readonly resource: ResourceName;
	/** Absolute path of its `xl.cfg`. */
	readonly configurationFile: string;
}

/** Text of a file: null when there is none, `error` when it could not be read. */
export type FileText = string | null | { readonly error: string };

/** What `systemctl is-enabled` and `is-active` said of a unit; null when they could not be asked. */
export interface UnitState {
	readonly unit: string;
	readonly enabled: string | null;
	readonly active: string | null;
}

/** What was found on this host, gathered by the driver. */
export interface HostFindings {
	/** Null when `xl list -v` worked, else why not. */
	readonly toolstack: string | null;
	readonly units: readonly UnitState[];
	/** `/etc/xen/xl.conf`. */
	readonly xlConf: FileText;
	/** Xen's own command line; null when unknown. */
	readonly xenCommandLine: string | null;
	/** File names in `/etc/xen/auto`, each with the file it stands for and its text. */
	readonly autostarts: readonly {
		readonly path: string;
		readonly target: string;
		readonly text: FileText;
	}[];
	/** File names in the folder where `xendomains` keeps the memory of VMs. */
	readonly saved: readonly string[];
	readonly configurations: ReadonlyMap<VmName, FileText>;
	/** Minor numbers of each resource's devices, as far as udev named them. */
	readonly minors: ReadonlyMap<ResourceName, readonly number[]>;
	/** Domains as they were configured when they were started; null when xl did not say. */
	readonly running: readonly DomainConfiguration[] | null;
	/** Those of the files named in configurations that do not exist here. */
	readonly missingFiles: ReadonlySet<string>;
}

/** Units that start VMs or promote resources by themselves, with what is wrong about it. */
export const watchedUnits: Readonly<Record<string, string>> = {
	'xendomains.service':
		'xendomains saves the memory of running VMs at shutdown and restores it at boot, on disks that may have changed since, and it starts VMs by itself.',
	'drbd.service':
		'drbd.service brings resources up at boot and waits for the peer, outside of the boot rules.',
};

const off: ReadonlySet<string> = new Set([
	'disabled',
	'masked',
	'masked-runtime',
	'static',
	'indirect',
	'not-found',
]);

const unitFinding = ({ unit, enabled, active }: UnitState): readonly string[] => {
	const harm = watchedUnits[unit] ?? '';
	if (enabled === null || active === null) {
		return [`systemctl did not say whether ${unit} is enabled. Check "systemctl status ${unit}".`];
	}
	if (!off.has(enabled)) {
		return [`${unit} is enabled (${enabled}). ${harm} Run "systemctl disable ${unit}".`];
	}
	// A unit that is disabled but still active acts once more when the host shuts down.
	if (unit === 'xendomains.service' && active === 'active') {
		return [
			`${unit} is disabled but still active, so it would act on the VMs at the next shutdown. ` +
				`Run "systemctl stop ${unit}" while no VM runs on this host.`,
		];
	}
	return [];
};

/** xl takes memory from dom0 for a new VM unless this is off; Xen's free memory then means nothing. */
const ballooning = (xlConf: FileText, xenCommandLine: string | null): readonly string[] => {
	const text = typeof xlConf === 'string' ? xlConf : '';
	const setting =
		parseXlSettings(text).settings.find(({ key }) => key === 'autoballoon')?.value ?? 'auto';
	const isOff = setting === 'off' || setting === '0';
	const isAuto = setting === 'auto';
	if (isOff || (isAuto && (xenCommandLine === null || /(^|\s)dom0_mem=/.test(xenCommandLine))))
		return [];
	return [
		'xl shrinks dom0 to make room for VMs (autoballoon), so free memory cannot be told beforehand. ' +
			'Set autoballoon="off" in /etc/xen/xl.conf and give dom0 a fixed size with dom0_mem=SIZE,max:SIZE on Xen\'s command line.',
	];
};

const autostartFindings = (vms: readonly ManagedVm[], found: HostFindings): readonly string[] =>
	found.autostarts.flatMap(({ path, target, text }) => {
		const name = typeof text === 'string' ? readConfiguration(text).name : null;
		const managed = vms.find(
			({ vm, configurationFile }) => target === configurationFile || name === vm,
		);
		if (managed === undefined) return [];
		return [
			`${path} starts ${managed.vm} at boot, whichever host owns it. Remove it: vmpair starts ${managed.vm}.`,
		];
	});

const savedFindings = (vms: readonly ManagedVm[], found: HostFindings): readonly string[] =>
	found.saved
		.filter((file) => vms.some(({ vm }) => vm === file))
		.map(
			(file) =>
				`The saved memory of ${file} lies on this host; resumed, it would not match its disk any more. ` +
				'Remove that file from the folder in XENDOMAINS_SAVE, /var/lib/xen/save by default.',
		);

const configurationFindings = (vm: ManagedVm, found: HostFindings): readonly string[] => {
	const file = vm.configurationFile;
	const text = found.configurations.get(vm.vm) ?? null;
	if (text === null) {
		return [`${file} of ${vm.vm} does not exist on this host. Copy it from the other host.`];
	}
	if (typeof text !== 'string') {
		return [`${file} of ${vm.vm} cannot be read: ${text.error}. Make it readable by root.`];
	}
	const configuration = readConfiguration(text);
	const minors = found.minors.get(vm.resource) ?? null;
	const refused = checkConfiguration(configuration, { ...vm, minors }).filter(
		({ severity }) => severity === 'refused',
	);
	const missing = configuration.localFiles
		.filter(({ path }) => found.missingFiles.has(path))
		.map(
			({ path, line }) =>
				`${file}:${line}: ${path} does not exist on this host. Copy it from the other host.`,
		);
	return [...refused.map((finding) => findingText(file, finding)), ...missing];
};

/** A VM that was started by hand from another file may write where nothing is mirrored. */
const runningFindings = (vm: ManagedVm, found: HostFindings): readonly string[] => {
	const minors = found.minors.get(vm.resource) ?? null;
	return (found.running ?? [])
		.filter(({ name }) => name === vm.vm)
		.flatMap(({ disks }) => disks)
		.filter(({ path }) => path !== '' && diskPathProblem(path, { ...vm, minors }) !== null)
		.map(
			({ path }) =>
				`${vm.vm} runs on this host with the disk ${path}, which is not one of the resource ${vm.resource}. ` +
				`Shut it down; vmpair starts it from ${vm.configurationFile}.`,
		);
};

/** What forbids arming with these VMs on this host, as sentences with remedies. */
export const hypervisorFindings = (
	vms: readonly ManagedVm[],
	found: HostFindings,
): readonly string[] => [
	...(found.toolstack === null
		? []
		: [
				`The Xen toolstack does not work: ${found.toolstack}. Check that this host booted under Xen and that "xl list" answers.`,
			]),
	...found.units.flatMap((state) => unitFinding(state)),
	...ballooning(found.xlConf, found.xenCommandLine),
	...autostartFindings(vms, found),
	...savedFindings(vms, found),
	...vms.flatMap((vm) => configurationFindings(vm, found)),
	...vms.flatMap((vm) => runningFindings(vm, found)),
];
