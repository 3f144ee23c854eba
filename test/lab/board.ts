/** Each host's watchdog, proven as the product asks for it: by a real reset, once for each time-out. */
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { forgetSsh, ssh, untilUp, type Place } from './host.ts';
import { configureProduct, proofFile, type ProductSettings } from './product.ts';
import { startFromSnapshot, tearDown, type Installed } from './snapshot.ts';
import { progress, until } from './tool.ts';
import { hosts, type LabHost } from './world.ts';

const bootMs = 600_000;

/** Has the board reset the host, and waits for the boot after it and for the feeder's verdict. */
async function prove(place: Place, host: LabHost): Promise<string> {
	const bootId = async (): Promise<string> =>
		(await ssh(place, host, 'cat /proc/sys/kernel/random/boot_id')).stdout;
	const before = await bootId();
	await ssh(place, host, 'systemctl enable --now vmpair-feeder.service');
	const beganMs = Date.now();
	// The connection dies with the host; what the command says stands in its own time limit.
	const told = await ssh(place, host, `vmpair watchdog test --confirm ${host.name}`, {
		anyCode: true,
		timeoutMs: 60_000,
	});
	await forgetSsh(place, host);
	await untilUp(place, host, bootMs);
	if ((await bootId()) === before)
		throw new Error(`${host.name} was not reset: ${told.stdout} ${told.stderr}`);
	const proven = async (): Promise<true | undefined> => {
		const { stdout } = await ssh(place, host, 'vmpair watchdog check', { anyCode: true });
		return stdout.includes('This watchdog counts') ? true : undefined;
	};
	await until(proven, { what: `the proof of ${host.name}`, timeoutMs: 120_000, everyMs: 2000 });
	const { stdout } = await ssh(place, host, `cat ${proofFile}`);
	progress(`${host.name} was reset and booted in ${Math.round((Date.now() - beganMs) / 1000)} s`);
	return stdout;
}

/** The proofs by host name, for the scenario's own time-out; from the cache when they were made before. */
export async function ensureProofs(
	place: Place,
	folder: string,
	installed: Installed,
	settings: ProductSettings,
): Promise<Map<string, string>> {
	const kept = (host: LabHost): string =>
		join(folder, `watchdog-${host.name}-${settings.detectionMs}.json`);
	if (!hosts.every((host) => existsSync(kept(host)))) {
		progress('proving both watchdogs by a reset (3 to 6 minutes)');
		await mkdir(place.folder, { recursive: true });
		try {
			await startFromSnapshot(place, installed.folder);
			const trial = { ...settings, arbiter: 'person', witness: false } as const;
			const all = { ...trial, watchdogs: hosts.map(({ name }) => name) };
			const nothing = { witness: undefined, proofs: new Map<string, string>() };
			await configureProduct(place, all, installed.prints, nothing);
			const proofs = await Promise.all(hosts.map((host) => prove(place, host)));
			for (const [at, host] of hosts.entries()) await writeFile(kept(host), proofs[at] ?? '');
		} finally {
			await tearDown(place);
			await rm(place.folder, { recursive: true, force: true });
		}
	}
	const texts = hosts.map(async (host) => [host.name, await readFile(kept(host), 'utf8')] as const);
	return new Map(await Promise.all(texts));
}
