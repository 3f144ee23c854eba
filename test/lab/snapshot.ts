/** Booted hosts, kept: each is booted once for an image, then every scenario starts from `savevm`'s snapshot. */
import { existsSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { killBmc, startBmc } from './bmc.ts';
import {
	copyDisks,
	createDisks,
	cutPower,
	forgetSsh,
	hostPid,
	qemuArguments,
	qmpSocket,
	ssh,
	startHost,
	untilUp,
	writeStartScript,
	type Place,
} from './host.ts';
import { measureClock } from './clock.ts';
import type { Image } from './image.ts';
import { createNetwork, removeNetwork } from './network.ts';
import { emulated, installPackage } from './product.ts';
import { monitor, qmp } from './qmp.ts';
import { keyOf, progress, run, until } from './tool.ts';
import { stopWitness } from './witness.ts';
import { hosts, snapshotName, vms, volumeMiB, type LabHost } from './world.ts';

const metadata = vms.map((vm) => `drbdadm create-md --force ${vm.name}`).join(' && ');
const current = vms
	.map((vm) => `drbdadm new-current-uuid --clear-bitmap ${vm.name}/0`)
	.join(' && ');

const volumes = vms
	.map(
		({ disk, group }) =>
			`vgcreate -q ${group} ${disk} && lvcreate -q -y -Wn -Zn -L ${volumeMiB}M -n disk ${group}`,
	)
	.join(' && ');

/** Makes new DRBD resources on both hosts, declared equal: their disks are new and empty. */
async function prepareDrbd(place: Place): Promise<void> {
	const [first] = hosts;
	if (first === undefined) throw new Error('the lab needs hosts');
	const up = `modprobe drbd && (${volumes} && ${metadata}) >/dev/null 2>&1 && drbdadm up all`;
	await Promise.all(hosts.map((host) => ssh(place, host, up, { timeoutMs: 180_000 })));
	const states = async (word: string): Promise<true | undefined> => {
		const { stdout } = await ssh(place, first, 'cat /proc/drbd');
		return stdout.split(word).length - 1 === vms.length ? true : undefined;
	};
	await until(() => states('cs:Connected'), { what: 'DRBD to connect', timeoutMs: 120_000 });
	await ssh(place, first, current, { timeoutMs: 120_000 });
	const equal = 'ds:UpToDate/UpToDate';
	await until(() => states(equal), { what: 'DRBD to be in sync', timeoutMs: 60_000 });
}

async function bootOnce(place: Place): Promise<void> {
	await createNetwork(place.namespace);
	for (const host of hosts) {
		await createDisks(place, host);
		await writeStartScript(place, host);
		await startBmc(place, host);
		await startHost(place, host);
	}
	progress('booting both hosts for the first time (2 to 5 minutes, emulated)');
	await Promise.all(hosts.map((host) => untilUp(place, host)));
	progress('both hosts answer');
	const settled = 'systemctl is-system-running --wait; xl info >/dev/null';
	await Promise.all(hosts.map((host) => ssh(place, host, settled, { timeoutMs: 300_000 })));
	await prepareDrbd(place);
}

/** Takes the snapshot on both hosts, and ends them. */
async function save(place: Place): Promise<void> {
	await Promise.all(hosts.map((host) => ssh(place, host, 'sync')));
	await Promise.all(hosts.map((host) => forgetSsh(place, host)));
	await Promise.all(hosts.map((host) => qmp(qmpSocket(place, host), 'stop')));
	for (const host of hosts) {
		// The disks may hold an earlier snapshot of the same name: it would only take space.
		await monitor(qmpSocket(place, host), `delvm ${snapshotName}`).catch(() => {});
		await monitor(qmpSocket(place, host), `savevm ${snapshotName}`);
	}
	for (const host of hosts) await quit(place, host);
}

async function quit(place: Place, host: LabHost): Promise<void> {
	await qmp(qmpSocket(place, host), 'quit');
	const gone = async (): Promise<true | undefined> =>
		(await hostPid(place, host)) === undefined ? true : undefined;
	await until(gone, { what: `${host.name} to quit`, timeoutMs: 60_000 });
}

/** Ends everything that runs in a place: hosts, BMCs, namespace. Safe to repeat. */
export async function tearDown(place: Place): Promise<void> {
	await stopWitness(place).catch((thrown: unknown) => progress(`clean-up: ${String(thrown)}`));
	for (const host of hosts) {
		// The BMC first: it could switch its host on again. One step that fails must not spare the others.
		for (const step of [killBmc, cutPower, forgetSsh]) {
			await step(place, host).catch((thrown: unknown) => progress(`clean-up: ${String(thrown)}`));
		}
	}
	await removeNetwork(place.namespace);
}

/** A snapshot fits only the very same emulated machine. */
async function snapshotKey(image: Image): Promise<string> {
	const place: Place = { folder: '', namespace: '', image };
	const machines = hosts.map((host) => qemuArguments(place, host));
	const how = [prepareDrbd, bootOnce, volumes].join('\n');
	const { stdout } = await run('qemu-system-x86_64', ['--version']);
	return keyOf(JSON.stringify(machines), how, stdout);
}

type OnCleanup = (cleanup: () => Promise<void>) => void;

/** Makes a folder with both hosts' disks and a snapshot of them running; its place is torn down in any case. */
async function makeSnapshot(
	place: Place,
	folder: string,
	onCleanup: OnCleanup,
	make: () => Promise<void>,
): Promise<void> {
	await tearDown(place);
	await rm(place.folder, { recursive: true, force: true });
	await mkdir(place.folder, { recursive: true });
	onCleanup(() => tearDown(place));
	try {
		await make();
		await save(place);
	} finally {
		await tearDown(place);
	}
	await rename(place.folder, folder);
}

/** The folder with both hosts' disks and their snapshot; made when it is not there yet. */
export async function ensureSnapshot(
	image: Image,
	namespace: string,
	onCleanup: OnCleanup,
): Promise<string> {
	const folder = join(image.folder, `booted-${await snapshotKey(image)}`);
	if (existsSync(folder)) return folder;
	const place: Place = { folder: `${folder}.partial`, namespace, image };
	await makeSnapshot(place, folder, onCleanup, () => bootOnce(place));
	return folder;
}

const printsFile = 'fingerprints.json';

export type Installed = {
	readonly folder: string;
	/** Fingerprints of the hosts' certificates, by host name. */
	readonly prints: ReadonlyMap<string, string>;
};

/** The same with the package installed on both hosts, before it is configured; kept for one package at a time. */
export async function ensureInstalled(
	image: Image,
	golden: string,
	deb: string,
	namespace: string,
	onCleanup: OnCleanup,
): Promise<Installed> {
	const packageKey = createHash('sha256')
		.update(await readFile(deb))
		.digest('hex')
		.slice(0, 16);
	const key = keyOf(golden, packageKey, emulated, installPackage.toString());
	const folder = join(image.folder, `installed-${key}`);
	if (!existsSync(folder)) {
		for (const name of await readdir(image.folder)) {
			if (!name.startsWith('installed-')) continue;
			await rm(join(image.folder, name), { recursive: true, force: true });
		}
		const place: Place = { folder: `${folder}.partial`, namespace, image };
		await makeSnapshot(place, folder, onCleanup, async () => {
			await startFromSnapshot(place, golden);
			progress('installing the package on both hosts');
			const prints = await installPackage(place, deb);
			await writeFile(join(place.folder, printsFile), JSON.stringify([...prints]));
		});
	}
	const text = await readFile(join(folder, printsFile), 'utf8');
	return { folder, prints: new Map(JSON.parse(text) as [string, string][]) };
}

/** Starts both hosts from the snapshot, at the same instant, and sets their clocks. */
export async function startFromSnapshot(place: Place, golden: string): Promise<void> {
	await createNetwork(place.namespace);
	for (const host of hosts) {
		await copyDisks({ ...place, folder: golden }, place, host);
		await writeStartScript(place, host);
		await startBmc(place, host);
	}
	await Promise.all(hosts.map((host) => startHost(place, host, '-loadvm', snapshotName, '-S')));
	await Promise.all(hosts.map((host) => qmp(qmpSocket(place, host), 'cont')));
	await Promise.all(hosts.map((host) => untilUp(place, host, 120_000)));
	await Promise.all(hosts.map((host) => setClock(place, host)));
}

/** Gives dom0 the outer machine's time: a snapshot wakes up in the past, and TLS minds. */
export async function setClock(place: Place, host: LabHost): Promise<void> {
	const offset = await measureClock(place, host, 3);
	const seconds = (offset.addMs / 1000).toFixed(3);
	await ssh(place, host, `date -s '${seconds} seconds' >/dev/null`);
}
