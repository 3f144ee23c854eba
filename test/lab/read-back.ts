/** Reads a VM's records back from the copy that holds every acknowledged write, at the end of a run. */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { hostFolder, ssh, type Place } from './host.ts';
import { parseDisk, type DiskRecord } from './ledger.ts';
import type { ProductVm } from './product.ts';
import { run } from './tool.ts';
import type { HostWatch } from './watch.ts';
import { volumeStartMiB, type LabHost } from './world.ts';

/** Reads the first sectors of a device in dom0, past dom0's cache. */
async function readDevice(
	place: Place,
	host: LabHost,
	device: string,
	records: number,
): Promise<Uint8Array> {
	const blocks = Math.ceil((records + 64) / 8);
	const read = `dd if=${device} bs=4096 count=${blocks} iflag=direct status=none`;
	const told = await ssh(place, host, `${read} | gzip -1 | base64 -w0`, { timeoutMs: 120_000 });
	return gunzipSync(Buffer.from(told.stdout, 'base64'));
}

/** The disk of a host without power, from its image file. */
async function readImage(place: Place, host: LabHost, vm: ProductVm): Promise<Uint8Array> {
	const source = join(hostFolder(place, host), `${vm.slot.name}.qcow2`);
	const target = `${source}.raw`;
	await run('qemu-img', ['convert', '-U', '-f', 'qcow2', '-O', 'raw', source, target]);
	try {
		// The volume lies in one piece behind LVM's own sectors.
		return (await readFile(target)).subarray(volumeStartMiB * 1024 * 1024);
	} finally {
		await rm(target, { force: true });
	}
}

/**
 * The records of the VM's current copy: through DRBD where a host is Primary; else of every host that some record
 * calls in sync, the one with the most. Undefined when no copy can be read.
 */
export async function readBack(
	place: Place,
	watches: readonly HostWatch[],
	vm: ProductVm,
	records: number,
): Promise<DiskRecord[] | undefined> {
	const { slot, name } = vm;
	const primary = watches.find(
		({ view }) => view.powered && !view.hung && view.drbd.get(slot.minor)?.role === 'Primary',
	);
	if (primary !== undefined) {
		const device = `/dev/drbd${slot.minor}`;
		return parseDisk(await readDevice(place, primary.host, device, records), name);
	}
	const inSync = new Set(
		watches.flatMap(({ view }) => view.state?.resources[slot.name]?.record.inSync ?? []),
	);
	const copies = await Promise.all(
		watches
			.filter(({ host }) => inSync.has(host.name))
			.map(async ({ host, view }) => {
				const bytes =
					view.powered && !view.hung
						? await readDevice(place, host, slot.backing, records)
						: await readImage(place, host, vm);
				return parseDisk(bytes, name);
			}),
	);
	return copies.toSorted((a, b) => b.length - a.length)[0];
}
