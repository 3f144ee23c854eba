/** The product on both hosts, installed and configured as an administrator would. */
import { readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { Scenario } from '#src/sim/scenario.ts';
import { heartbeatPort } from './cable.ts';
import { guestConfig } from './guest-config.ts';
import { putFile, ssh, type Place } from './host.ts';
import { until } from './tool.ts';
import type { WitnessAccess } from './witness.ts';
import {
	alertPort,
	bmcPassword,
	bmcUser,
	hosts,
	outerAddress,
	pairName,
	witnessAddress,
	type LabHost,
	type LabVm,
} from './world.ts';

/** A VM of the scenario in its slot of the lab: the slot has the DRBD resource, the disk and the address. */
export type ProductVm = {
	readonly name: string;
	readonly slot: LabVm;
	readonly host: string;
	readonly priority: number;
	readonly after: readonly string[];
	readonly shutdownMs: number;
	readonly writeEveryMs: number;
	readonly balance: Scenario['world']['vms'][number]['balance'];
};

export type ProductSettings = {
	readonly arbiter: 'witness' | 'fencing' | 'person';
	readonly detectionMs: number;
	readonly afterFence: 'on' | 'off';
	readonly perHour: number;
	readonly attempts: number;
	/** The pair has a witness. */
	readonly witness: boolean;
	/** Hosts whose watchdog counts. */
	readonly watchdogs: readonly string[];
	readonly balance: Scenario['world']['balance'];
	readonly vms: readonly ProductVm[];
};

/** The lab's hosts are emulated: a call that takes 0.2 s on hardware takes seconds here. */
const fenceLimitMs = 20_000;

const passwordFile = (host: LabHost): string => `/etc/vmpair/${host.name}-bmc.password`;
const alertSecret = `whsec_${Buffer.from('vmpair lab alert secret').toString('base64')}`;

function device(host: LabHost): Record<string, unknown> {
	const common = { name: `${host.name}-bmc`, limitMs: fenceLimitMs, lateMs: 10_000 };
	if (process.env['VMPAIR_LAB_FENCE'] !== 'agent') {
		const login = { username: bmcUser, passwordFile: passwordFile(host) };
		return { kind: 'ipmi', ...common, address: host.bmc, ...login };
	}
	return {
		kind: 'agent',
		...common,
		agent: 'fence_ipmilan',
		parameters: { ip: host.bmc, username: bmcUser, lanplus: '1', cipher: '3' },
		secretParameters: { password: passwordFile(host) },
	};
}

/** The first host is reset by its board alone; the other one by its kernel before that, as is usual. */
const watchdogOf = (host: LabHost): Record<string, unknown> => ({
	device: '/dev/watchdog0',
	sysrq: host !== hosts[0],
});

const witnessPassword = '/etc/vmpair/witness.password';
const witnessCa = '/etc/vmpair/witness-ca.crt';
const witnessSettings = {
	address: witnessAddress,
	passwordFile: witnessPassword,
	tls: { ca: witnessCa },
};

/** What a run adds to the hosts' files, by path. */
export type Extras = {
	readonly witness: WitnessAccess | undefined;
	/** The proof of each host's watchdog, by host name: what a real reset test left behind. */
	readonly proofs: ReadonlyMap<string, string>;
};

const extraFiles = (host: LabHost, { witness, proofs }: Extras): Record<string, string> => {
	const proof = proofs.get(host.name);
	return {
		...(witness === undefined
			? {}
			: { [witnessPassword]: `${witness.password}\n`, [witnessCa]: witness.ca }),
		...(proof === undefined ? {} : { [proofFile]: proof }),
	};
};

/** Where the product keeps the result of the reset test. */
export const proofFile = '/var/lib/vmpair/watchdog.json';

const hostSettings = (
	host: LabHost,
	certificate: string,
	{ attempts, watchdogs }: ProductSettings,
): Record<string, unknown> => ({
	certificate,
	links: {
		management: { address: host.management, port: heartbeatPort, device: 'eth0' },
		replication: { address: host.replication, port: heartbeatPort, device: 'eth1' },
	},
	fence: { levels: [{ attempts, devices: [device(host)] }] },
	...(watchdogs.includes(host.name) ? { watchdog: watchdogOf(host) } : {}),
});

/** The settings as a person writes them: durations with their unit. */
const written = ({ hold, cooldown, ...balance }: ProductSettings['balance']) => ({
	...balance,
	hold: `${hold}ms`,
	cooldown: { vm: `${cooldown.vm}ms`, pair: `${cooldown.pair}ms` },
});

/** The text of `vmpair.yaml`, equal on both hosts. `certificates` are fingerprints by host name. */
function productConfig(
	settings: ProductSettings,
	certificates: ReadonlyMap<string, string>,
): string {
	const vms = settings.vms.map((vm): [string, unknown] => [
		vm.name,
		{
			resource: vm.slot.name,
			config: `/etc/xen/${vm.name}.cfg`,
			priority: vm.priority,
			after: vm.after,
			preferred: vm.host,
			shutdown: `${vm.shutdownMs}ms`,
			balance: vm.balance,
		},
	]);
	const webhook = {
		name: 'lab',
		url: `http://${outerAddress.management}:${alertPort}/`,
		secretFile: '/etc/vmpair/lab.secret',
	};
	return stringify({
		pair: pairName,
		arbiter: settings.arbiter,
		detection: `${settings.detectionMs}ms`,
		links: { management: { switched: true }, replication: { switched: false } },
		hosts: Object.fromEntries(
			hosts.map((host) => [
				host.name,
				hostSettings(host, certificates.get(host.name) ?? '', settings),
			]),
		),
		...(settings.witness ? { witness: witnessSettings } : {}),
		fencing: {
			perHour: settings.perHour,
			afterFence: settings.afterFence,
		},
		balance: written(settings.balance),
		vms: Object.fromEntries(vms),
		alerts: { webhooks: [webhook] },
	});
}

/** The newest package in `dist/`; throws with the command that makes one. */
export async function findPackage(root: string): Promise<string> {
	const folder = join(root, 'dist');
	const names = (await readdir(folder).catch(() => [])).filter((name) =>
		/^vmpair_.*_amd64\.deb$/u.test(name),
	);
	const files = await Promise.all(
		names.map(async (name) => ({
			path: join(folder, name),
			age: (await stat(join(folder, name))).mtimeMs,
		})),
	);
	const newest = files.toSorted((a, b) => b.age - a.age)[0];
	if (newest === undefined) throw new Error('there is no package in dist/: run "npm run package"');
	return newest.path;
}

/**
 * Machine code that is made while it runs is what an emulated CPU is slowest at: the agent's first minute
 * took 65 s of CPU with Node's compilers and 20 s without. Real hosts keep Node's own choice.
 */
const plainNode = '/usr/lib/vmpair/node --no-opt --no-sparkplug --no-maglev';
const slowUnit = (unit: string, verb: string): string =>
	`mkdir -p /etc/systemd/system/${unit}.service.d && printf '%s\\n' '[Service]' 'ExecStart=' \
'ExecStart=${plainNode} /usr/lib/vmpair/main.js ${verb}' \
> /etc/systemd/system/${unit}.service.d/emulated.conf`;

/** So does every command, and both ends of a migration's transport. */
const slowCommands = `sed -i 's|exec /usr/lib/vmpair/node|exec ${plainNode}|' /usr/bin/vmpair`;

/**
 * On an emulated host that boots, LVM's own activation by udev leaves out a group now and then. It is in no order to
 * the agent on purpose: a disk that comes late is attached all the same.
 */
const volumes =
	"printf '%s\\n' '[Service]' 'Type=oneshot' 'ExecStart=/sbin/vgchange -q -aay' '[Install]' 'WantedBy=multi-user.target' " +
	'> /etc/systemd/system/lab-volumes.service && systemctl enable -q lab-volumes.service';

export const emulated = `${volumes} && ${slowCommands} && ${slowUnit('vmpair', 'agent')} && ${slowUnit('vmpair-feeder', 'feeder')} && systemctl daemon-reload`;

async function installOn(place: Place, host: LabHost, deb: string): Promise<string> {
	await putFile(place, host, deb, '/root/vmpair.deb');
	await ssh(place, host, 'dpkg --force-unsafe-io -i /root/vmpair.deb && rm /root/vmpair.deb', {
		timeoutMs: 300_000,
	});
	await ssh(place, host, emulated, { timeoutMs: 60_000 });
	const keygen = `vmpair keygen --host ${host.name} --out /etc/vmpair`;
	const { stdout } = await ssh(place, host, keygen, { timeoutMs: 120_000 });
	const fingerprint = /^fingerprint\s+(\S+)$/mu.exec(stdout)?.[1];
	if (fingerprint === undefined) throw new Error(`keygen on ${host.name} said: ${stdout}`);
	return fingerprint;
}

async function configureOn(
	place: Place,
	host: LabHost,
	settings: ProductSettings,
	config: string,
	extras: Extras,
): Promise<void> {
	const files: Record<string, string> = {
		'/etc/vmpair/vmpair.yaml': config,
		'/etc/vmpair/lab.secret': `${alertSecret}\n`,
		...Object.fromEntries(hosts.map((each) => [passwordFile(each), `${bmcPassword}\n`])),
		...Object.fromEntries(
			settings.vms.map((vm) => [
				`/etc/xen/${vm.name}.cfg`,
				guestConfig(vm.slot, vm.name, vm.writeEveryMs),
			]),
		),
		...extraFiles(host, extras),
	};
	await ssh(place, host, 'mkdir -p -m 700 /var/lib/vmpair');
	for (const [path, text] of Object.entries(files)) {
		const local = join(place.folder, host.name, 'upload');
		await writeFile(local, text);
		await putFile(place, host, local, path);
	}
	await ssh(place, host, 'chmod 600 /etc/vmpair/*.password /etc/vmpair/*.secret && sync');
}

/** Installs the package on both hosts; returns the fingerprints of their new certificates. */
export async function installPackage(place: Place, deb: string): Promise<Map<string, string>> {
	const prints = await Promise.all(
		hosts.map(async (host) => [host.name, await installOn(place, host, deb)] as const),
	);
	return new Map(prints);
}

/** Writes the configuration on both hosts, and has the product check it. */
export async function configureProduct(
	place: Place,
	settings: ProductSettings,
	prints: ReadonlyMap<string, string>,
	extras: Extras,
): Promise<void> {
	const config = productConfig(settings, prints);
	await writeFile(join(place.folder, 'vmpair.yaml'), config);
	await Promise.all(hosts.map((host) => configureOn(place, host, settings, config, extras)));
	const check = async (host: LabHost): Promise<void> => {
		const told = await ssh(place, host, 'vmpair config check', {
			anyCode: true,
			timeoutMs: 60_000,
		});
		if (told.code === 0) return;
		throw new Error(`"vmpair config check" on ${host.name}: ${told.stdout} ${told.stderr}`);
	};
	await Promise.all(hosts.map(check));
}

/** Has the product try the witness from both hosts; throws with what it said. */
export async function checkWitness(place: Place): Promise<void> {
	const check = async (host: LabHost): Promise<void> => {
		const told = await ssh(place, host, 'vmpair witness check', { anyCode: true });
		if (told.code === 0) return;
		throw new Error(`"vmpair witness check" on ${host.name}: ${told.stdout} ${told.stderr}`);
	};
	await Promise.all(hosts.map(check));
}

/** Starts the agents, and the feeders where a watchdog counts, for this boot and later ones. */
export async function startAgents(place: Place, { watchdogs }: ProductSettings): Promise<void> {
	const units = `${watchdogs.length > 0 ? 'vmpair-feeder.service ' : ''}vmpair.service`;
	const start = `systemctl enable --now ${units}`;
	await Promise.all(hosts.map((host) => ssh(place, host, start, { timeoutMs: 120_000 })));
}

/** Runs a vmpair command on a host and returns what it printed; its exit code does not matter here. */
export async function vmpair(
	place: Place,
	host: LabHost,
	command: string,
	input?: string,
): Promise<string> {
	const options = input === undefined ? {} : { input };
	const told = await ssh(place, host, `vmpair ${command}`, {
		anyCode: true,
		timeoutMs: 200_000,
		...options,
	});
	return `${told.stdout}${told.stderr === '' ? '' : `\n${told.stderr}`}`.trim();
}

/** Arms the pair as its administrator would, as soon as the agents accept it; throws with their last reason. */
export async function armPair(place: Place, timeoutMs: number): Promise<void> {
	const [host] = hosts;
	if (host === undefined) throw new Error('the lab has no hosts');
	let last = '';
	const arm = async (): Promise<true | undefined> => {
		const told = await ssh(place, host, 'vmpair arm --reason lab', {
			anyCode: true,
			timeoutMs: 120_000,
		});
		last = `${told.stdout} ${told.stderr}`.trim();
		return told.code === 0 ? true : undefined;
	};
	try {
		await until(arm, { what: 'the pair to be armed', timeoutMs, everyMs: 15_000 });
	} catch (cause) {
		throw new Error(`the pair could not be armed: ${last}`, { cause });
	}
}

/** What `vmpair status --json` says on a host: the verdict and why. */
export async function verdictOf(place: Place, host: LabHost): Promise<string> {
	const { stdout } = await ssh(place, host, 'vmpair status --json', {
		anyCode: true,
		timeoutMs: 60_000,
	});
	const view = JSON.parse(stdout) as { readonly verdict: string; readonly reason: string };
	return `${view.verdict}: ${view.reason}`;
}
