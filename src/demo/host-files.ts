import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Places } from '#src/agent-drivers.ts';
import { demoIdentity, type DemoIdentity } from '#src/demo/certificate.ts';
import { bmcAddress } from '#src/demo/tool-text.ts';
import type { SimHost } from '#src/sim/model.ts';
import type { ScenarioWorld } from '#src/sim/scenario.ts';
import type { Persisted } from '#src/store/record.ts';
import { decodeState, encodeState, stateFileName } from '#src/store/state-file.ts';

/** A real witness beside the simulated hosts: parts of `vmpair.yaml` as a person writes them. */
export interface WitnessFiles {
	readonly witness: Readonly<Record<string, unknown>>;
	readonly watchdog: Readonly<Record<string, unknown>>;
}

/** What both hosts of the demo have in common: names and ports, keys, the VMs' files. */
export interface SharedFiles {
	readonly folder: string;
	readonly world: ScenarioWorld;
	/** Port on which a host's agent listens, by host and link. */
	readonly ports: Readonly<Record<string, Readonly<Record<string, number>>>>;
	readonly identities: Readonly<Record<string, DemoIdentity>>;
	readonly passwordFile: string;
	readonly third: WitnessFiles | null;
}

/** The files of one host, as an administrator would have written them. */
export interface HostFiles {
	readonly folder: string;
	readonly configFile: string;
	/** What the agent is told of this host instead of the usual places. */
	readonly places: Places;
	readonly logFile: string;
	readonly runFolder: string;
	readonly stateFile: string;
	/** The agent's durable record as it is on disk now; null when there is none. */
	readRecord(): Persisted | 'corrupt' | null;
}

const hash = (text: string): string => createHash('sha256').update(text).digest('hex');

const secret = { mode: 0o600 } as const;

const agreed = { round: 1, now: 'witness', next: null } as const;

const vmFile = (folder: string, vm: string): string => join(folder, `${vm}.cfg`);

/** Writes what both hosts share into `folder`. */
export const writeSharedFiles = (
	folder: string,
	world: ScenarioWorld,
	ports: SharedFiles['ports'],
	third: WitnessFiles | null,
): SharedFiles => {
	const passwordFile = join(folder, 'bmc.password');
	writeFileSync(passwordFile, 'demo\n', secret);
	for (const { name, memoryMib } of world.vms) {
		const lines = [
			`name = "${name}"`,
			'type = "hvm"',
			`memory = ${memoryMib}`,
			`disk = ["phy:/dev/drbd/by-res/${name}/0,xvda,w"]`,
			'on_reboot = "destroy"',
			'on_crash = "destroy"',
		];
		writeFileSync(vmFile(folder, name), `${lines.join('\n')}\n`);
	}
	const identities = Object.fromEntries(world.hosts.map((host) => [host, demoIdentity(host)]));
	return { folder, world, ports, identities, passwordFile, third };
};

const bmcSettings = (shared: SharedFiles, host: string, index: number) => ({
	kind: 'ipmi',
	name: `bmc-of-${host}`,
	limitMs: shared.world.fencing.call,
	lateMs: 0,
	address: bmcAddress(index),
	username: 'demo',
	passwordFile: shared.passwordFile,
});

const hostSettings = (shared: SharedFiles, host: string, index: number) => ({
	certificate: shared.identities[host]?.fingerprint256,
	links: Object.fromEntries(
		Object.entries(shared.ports[host] ?? {}).map(([link, port]) => [
			link,
			{ address: '127.0.0.1', port },
		]),
	),
	fence: { levels: [{ devices: [bmcSettings(shared, host, index)] }] },
	...(shared.third === null ? {} : { watchdog: shared.third.watchdog }),
});

/** `vmpair.yaml` of one host. JSON is YAML, and nobody has to quote anything. */
const configText = (shared: SharedFiles, host: string, own: string): string => {
	const { world } = shared;
	const config = {
		pair: 'pair',
		host,
		...(shared.third === null
			? { arbiter: world.arbiter }
			: { arbiter: 'witness', witness: shared.third.witness }),
		detection: `${world.detection}ms`,
		links: Object.fromEntries(world.networks.map(({ name, switched }) => [name, { switched }])),
		hosts: Object.fromEntries(
			world.hosts.map((name, index) => [name, hostSettings(shared, name, index)]),
		),
		fencing: { afterFence: world.fencing.afterFence },
		balance: { mode: 'off' },
		vms: Object.fromEntries(
			world.vms.map((vm) => [
				vm.name,
				{
					resource: vm.name,
					config: vmFile(shared.folder, vm.name),
					priority: vm.priority,
					after: vm.after,
					preferred: vm.host,
					shutdown: `${vm.shutdown}ms`,
				},
			]),
		),
		tls: { certificate: join(own, 'host.crt'), key: join(own, 'host.key') },
		stateDirectory: join(own, 'state'),
		runtimeDirectory: join(own, 'run'),
	};
	return JSON.stringify(config, null, '\t');
};

/** Writes the files of one host, and the state with which the story begins. */
export const writeHostFiles = (shared: SharedFiles, sim: SimHost): HostFiles => {
	const folder = join(shared.folder, sim.name);
	const runFolder = join(folder, 'run');
	const stateFolder = join(folder, 'state');
	const backendFolder = join(folder, 'backends');
	for (const each of [runFolder, stateFolder, backendFolder])
		mkdirSync(each, { recursive: true, mode: 0o700 });
	const identity = shared.identities[sim.name];
	writeFileSync(join(folder, 'host.crt'), identity?.certificatePem ?? '', secret);
	writeFileSync(join(folder, 'host.key'), identity?.keyPem ?? '', secret);
	const configFile = join(folder, 'vmpair.yaml');
	writeFileSync(configFile, configText(shared, sim.name, folder));
	const places: Places = {
		bootId: join(folder, 'boot_id'),
		xenBackends: backendFolder,
		drbdHandler: join(folder, 'drbd-handler'),
		drbdHelper: join(folder, 'usermode_helper'),
		feeder: join(folder, 'feeder.sock'),
		// Nobody ever starts it: no VM of the demo moves live.
		program: join(folder, 'vmpair'),
		sysrq: join(folder, 'sysrq-trigger'),
		// Nobody reads them: this machine's load says nothing of the simulated hosts.
		proc: join(folder, 'proc'),
		sys: join(folder, 'sys'),
	};
	writeFileSync(places.bootId, `${sim.bootId}\n`);
	// DRBD's kernel side is simulated, and it asks the agent itself: nobody ever runs this file.
	writeFileSync(places.drbdHandler, '', { mode: 0o755 });
	writeFileSync(places.drbdHelper, `${places.drbdHandler}\n`);
	const stateFile = join(stateFolder, stateFileName);
	const { content } = sim.store;
	if (content !== null && content !== 'corrupt') {
		// Both hosts have agreed on the witness long ago: nobody waits for them to settle on it.
		const arbiter = shared.third === null ? content.arbiter : agreed;
		writeFileSync(stateFile, encodeState({ ...content, arbiter }, hash), secret);
	}
	return {
		folder,
		configFile,
		places,
		logFile: join(folder, 'agent.log'),
		runFolder,
		stateFile,
		readRecord: recordReader(stateFile),
	};
};

/** Reads the record anew only when the file has changed. */
const recordReader = (path: string): (() => Persisted | 'corrupt' | null) => {
	let lastText = '';
	let last: Persisted | 'corrupt' | null = null;
	return () => {
		let text: string;
		try {
			text = readFileSync(path, 'utf8');
		} catch {
			return null;
		}
		if (text === lastText) return last;
		lastText = text;
		const decoded = decodeState(text, hash);
		last = decoded.kind === 'record' ? decoded.record : 'corrupt';
		return last;
	};
};
