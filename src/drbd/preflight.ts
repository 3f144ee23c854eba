import type { ConfiguredResource, Options } from '#src/drbd/configuration.ts';
import type { HostName, ResourceName } from '#src/ports.ts';

/** What was read of this host's DRBD. */
export interface DrbdFacts {
	/** `DRBD_KERNEL_VERSION_CODE`; null when it could not be read, 0 when the module is not loaded. */
	readonly kernelVersion: number | null;
	/** What `drbdadm dump` says; a text says why there is nothing. */
	readonly configured: ReadonlyMap<ResourceName, ConfiguredResource> | { readonly error: string };
	/** What the kernel runs now; resources that are down are not in it. Null when it was not read. */
	readonly running: ReadonlyMap<ResourceName, ConfiguredResource> | null;
	/** The kernel's `usermode_helper`; null when the module is not loaded. */
	readonly helper: string | null;
	/** Of the kernel's helper and of our handler: those that cannot be executed. */
	readonly notExecutable: readonly string[];
}

export interface DrbdExpectations {
	readonly resources: readonly { readonly resource: ResourceName; readonly peer: HostName }[];
	/** The handler as DRBD's files must name it. */
	readonly handlerFile: string;
	/** The detection time D in ms. */
	readonly detectionMs: number;
	/** True when a person allowed arming on DRBD 9. */
	readonly unverified: boolean;
	/** Of these the kernel lets both hosts be Primary for the moment, for a live migration. */
	readonly migrating: ReadonlySet<ResourceName>;
}

export interface DrbdFindings {
	/** What forbids arming, as sentences with the remedy. */
	readonly blockers: readonly string[];
	/** What is allowed but worth knowing. */
	readonly advice: readonly string[];
}

/** DRBD's own defaults, where a missing line matters (drbd_limits.h of 8.4 and 9). */
const defaults: ReadonlyMap<string, string> = new Map([
	['protocol', 'C'],
	['fencing', 'dont-care'],
	['ping-int', '10'],
	['ping-timeout', '5'],
	['timeout', '60'],
	['connect-int', '10'],
	['allow-two-primaries', 'no'],
	['after-sb-0pri', 'disconnect'],
	['after-sb-1pri', 'disconnect'],
	['after-sb-2pri', 'disconnect'],
	['rr-conflict', 'disconnect'],
	['on-io-error', 'detach'],
	['auto-promote', 'yes'],
]);

const valueOf = (options: Options, key: string): string =>
	options.get(key) ?? defaults.get(key) ?? '';

/** After a split brain only these throw nothing away. */
const harmless: ReadonlyMap<string, readonly string[]> = new Map([
	['after-sb-0pri', ['discard-zero-changes', 'disconnect']],
	['after-sb-1pri', ['disconnect']],
	['after-sb-2pri', ['disconnect']],
	['rr-conflict', ['disconnect']],
]);

/** `ping-int` is in seconds, `ping-timeout` and `timeout` in tenths of a second. */
const pingIntMax = 2;
const pingTimeoutMin = 10;
const pingTimeoutMax = 30;

const nine = 0x09_00_00;

type Find = (found: string, why: string, line: string, section: string) => void;

/** Collects findings about one resource, each with the line to write. */
interface Writer {
	readonly blockers: string[];
	readonly advice: string[];
	readonly block: Find;
	readonly advise: Find;
}

const fileOf = (resource: ConfiguredResource): string =>
	resource.file ?? `/etc/drbd.d/${resource.resource}.res`;

const createWriter = (resource: ConfiguredResource, isRunning: boolean): Writer => {
	const file = fileOf(resource);
	const adjust = `run "drbdadm adjust ${resource.resource}" on both hosts`;
	const sentence: (...words: Parameters<Find>) => string = (found, why, line, section) =>
		isRunning
			? `The kernel runs resource ${resource.resource} with ${found}: ${why}. ` +
				`${file} says otherwise: ${adjust}.`
			: `Resource ${resource.resource} (${file}) has ${found}: ${why}. ` +
				`Write "${line}" into its ${section} section on both hosts, then ${adjust}.`;
	const blockers: string[] = [];
	const advice: string[] = [];
	return {
		blockers,
		advice,
		block: (...words) => blockers.push(sentence(...words)),
		advise: (...words) => advice.push(sentence(...words)),
	};
};

const checkFencing = (writer: Writer, resource: ConfiguredResource, isNine: boolean): void => {
	const sections = isNine
		? resource.connections
		: resource.hosts.flatMap(({ volumes }) =>
				// The kernel shows no options for a volume without a disk.
				volumes.flatMap(({ disk, options }) => (disk === null ? [] : [options])),
			);
	const found = sections.map((options) => valueOf(options, 'fencing'));
	const wrong = found.find((value) => value !== 'resource-and-stonith');
	if (wrong === undefined) return;
	writer.block(
		`"fencing ${wrong}"`,
		'a VM would go on writing without knowing that the other copy is out of use',
		'fencing resource-and-stonith;',
		isNine ? 'net' : 'disk',
	);
};

const checkTimes = (writer: Writer, net: Options): void => {
	const pingInt = Number(valueOf(net, 'ping-int'));
	const pingTimeout = Number(valueOf(net, 'ping-timeout'));
	if (!(pingInt >= 1 && pingInt <= pingIntMax)) {
		const why = 'DRBD would notice a dead peer long after vmpair does';
		writer.block(`"ping-int ${pingInt}"`, why, 'ping-int 1;', 'net');
	}
	if (!(pingTimeout <= pingTimeoutMax)) {
		const why = 'DRBD would notice a dead peer long after vmpair does';
		writer.block(`"ping-timeout ${pingTimeout}"`, why, 'ping-timeout 10;', 'net');
	}
	if (pingTimeout < pingTimeoutMin) {
		const why = 'a few lost packets are enough to take a healthy copy out of use';
		writer.advise(`"ping-timeout ${pingTimeout}"`, why, 'ping-timeout 10;', 'net');
	}
	const timeout = Number(valueOf(net, 'timeout'));
	const shortest = 10 * Math.min(pingInt, Number(valueOf(net, 'connect-int')));
	if (timeout >= shortest) {
		const why = 'it has to be shorter than ping-int and connect-int';
		writer.advise(`"timeout ${timeout}"`, why, `timeout ${Math.max(shortest - 1, 1)};`, 'net');
	}
};

const checkNet = (writer: Writer, net: Options): void => {
	if (valueOf(net, 'protocol') !== 'C') {
		const why = 'a write would be acknowledged before it is on both disks';
		writer.block(`"protocol ${valueOf(net, 'protocol')}"`, why, 'protocol C;', 'net');
	}
	if (valueOf(net, 'allow-two-primaries') !== 'no') {
		const why = 'both hosts could write to the disk at the same time';
		writer.block('"allow-two-primaries"', why, 'allow-two-primaries no;', 'net');
	}
	for (const [key, allowed] of harmless) {
		const value = valueOf(net, key);
		if (allowed.includes(value)) continue;
		const why = 'DRBD would throw data away by itself after a split brain';
		writer.block(`"${key} ${value}"`, why, `${key} ${allowed[0]};`, 'net');
	}
	checkTimes(writer, net);
};

const checkHandlers = (writer: Writer, resource: ConfiguredResource, handlerFile: string): void => {
	for (const handler of ['fence-peer', 'before-resync-target']) {
		const wanted = `${handlerFile} ${handler}`;
		const found = resource.handlers.get(handler);
		if (found === wanted) continue;
		writer.block(
			found === undefined ? `no ${handler} handler` : `the ${handler} handler "${found}"`,
			handler === 'fence-peer'
				? 'vmpair could not tell DRBD that the peer is out, and VMs would stay frozen'
				: 'an old copy could overwrite the good one',
			`${handler} "${wanted}";`,
			'handlers',
		);
	}
};

/** What the kernel does not know and only the files say. */
const checkFiles = (
	writer: Writer,
	resource: ConfiguredResource,
	expected: DrbdExpectations,
	isNine: boolean,
): void => {
	checkHandlers(writer, resource, expected.handlerFile);
	if (resource.startup.has('become-primary-on')) {
		writer.blockers.push(
			`Resource ${resource.resource} (${fileOf(resource)}) has "become-primary-on": DRBD's own start would promote it without ` +
				`asking. Remove that line from its startup section on both hosts.`,
		);
	}
	if (isNine && valueOf(resource.options, 'auto-promote') !== 'no') {
		const why = 'opening the device would promote it without asking';
		writer.block('"auto-promote yes"', why, 'auto-promote no;', 'options');
	}
};

const checkHosts = (resource: ConfiguredResource): string[] => {
	const { resource: name, hosts } = resource;
	const file = fileOf(resource);
	if (hosts.length !== 2) {
		return [
			`Resource ${name} is configured for ${hosts.length} hosts; vmpair manages exactly two. ` +
				`Leave one "on" section for each of the two hosts in ${file}.`,
		];
	}
	if (resource.isIgnored) {
		return [
			`Resource ${name} is not for this host: no "on" section in ${file} carries its name ("uname -n"). Correct the name.`,
		];
	}
	const [here, there] = hosts.map(({ volumes }) => volumes.map(({ volume }) => volume).join(', '));
	if (here === '' || here !== there) {
		return [
			`Resource ${name} has the volumes ${here || 'none'} on one host and ${there || 'none'} on the other. ` +
				`Give both "on" sections in ${file} the same volumes.`,
		];
	}
	const diskless = hosts.some(({ volumes }) => volumes.some(({ disk }) => disk === null));
	return diskless
		? [
				`Resource ${name} has a volume without a disk on one host: it is not mirrored. Name its disk in ${file}.`,
			]
		: [];
};

const checkKernel = (facts: DrbdFacts, expected: DrbdExpectations): string[] => {
	const { kernelVersion } = facts;
	const findings: string[] = [];
	if (kernelVersion === null) {
		findings.push(
			'The version of DRBD could not be read: "drbdadm --version" did not answer. Install drbd-utils, and look at its output.',
		);
	} else if (kernelVersion === 0) {
		findings.push(
			'The DRBD kernel module is not loaded. Run "modprobe drbd" and write "drbd" into /etc/modules-load.d/drbd.conf.',
		);
	} else if (kernelVersion < 0x08_04_00) {
		findings.push('This DRBD is older than 8.4, which vmpair does not drive. Update the kernel.');
	} else if (kernelVersion >= nine && !expected.unverified) {
		const version = `${kernelVersion >> 16}.${(kernelVersion >> 8) & 255}.${kernelVersion & 255}`;
		findings.push(
			`This host runs DRBD ${version}; vmpair was proven on 8.4 alone. Write "unverified: true" into the section "drbd" of vmpair.yaml to arm it anyway.`,
		);
	}
	if (facts.helper === '' || facts.helper === 'disabled') {
		findings.push(
			'DRBD calls no handlers: /sys/module/drbd/parameters/usermode_helper is off, and VMs would stay frozen. Load the module without the option usermode_helper.',
		);
	}
	for (const file of facts.notExecutable) {
		findings.push(
			`${file} cannot be executed, so DRBD's handlers cannot run and VMs would stay frozen. Install it with the mode 0755.`,
		);
	}
	return findings;
};

/** How long DRBD takes to notice a dead, idle peer, in ms: two pings and the time-out of the second. */
const drbdDetectionMs = (net: Options): number =>
	2 * 1000 * Number(valueOf(net, 'ping-int')) + 100 * Number(valueOf(net, 'ping-timeout'));

/** Judges what was read: what forbids arming and what is worth knowing. */
export const drbdFindings = (facts: DrbdFacts, expected: DrbdExpectations): DrbdFindings => {
	const blockers = checkKernel(facts, expected);
	const advice: string[] = [];
	if ('error' in facts.configured) {
		blockers.push(
			`DRBD's configuration cannot be read: ${facts.configured.error}. Run "drbdadm dump" and correct what it says.`,
		);
		return { blockers, advice };
	}
	const isNine = (facts.kernelVersion ?? 0) >= nine;
	for (const { resource: name } of expected.resources) {
		const configured = facts.configured.get(name);
		if (configured === undefined) {
			blockers.push(
				`Resource ${name} is not in DRBD's configuration. Write /etc/drbd.d/${name}.res on both hosts.`,
			);
			continue;
		}
		const writer = createWriter(configured, false);
		blockers.push(...checkHosts(configured));
		checkFencing(writer, configured, isNine);
		for (const net of configured.connections) checkNet(writer, net);
		checkFiles(writer, configured, expected, isNine);
		const detectionMs = Math.max(0, ...configured.connections.map(drbdDetectionMs));
		if (detectionMs > expected.detectionMs && writer.blockers.length === 0) {
			writer.advise(
				`a detection time of ${detectionMs / 1000} s (2 x ping-int + ping-timeout)`,
				`vmpair's own is ${expected.detectionMs / 1000} s and would wait for DRBD`,
				'ping-int 1;',
				'net',
			);
		}
		const running = facts.running?.get(name);
		// The same mistake is told once: what the files say wrongly the kernel usually runs, too.
		if (running !== undefined && writer.blockers.length === 0) {
			const kernel = createWriter({ ...running, file: configured.file }, true);
			checkFencing(kernel, running, isNine);
			for (const net of running.connections) {
				const asConfigured = new Map([...net, ['allow-two-primaries', 'no']]);
				checkNet(kernel, expected.migrating.has(name) ? asConfigured : net);
			}
			blockers.push(...kernel.blockers);
		}
		blockers.push(...writer.blockers);
		advice.push(...writer.advice);
	}
	return { blockers: [...new Set(blockers)], advice: [...new Set(advice)] };
};
