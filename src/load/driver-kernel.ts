import { access, readdir, readFile, readlink, realpath } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { basename, dirname, join } from 'node:path';
import {
	parseBusyMs,
	parseCapacity,
	parseCount,
	parseDom0Ticks,
	parseMemoryUse,
} from '#src/load/counters.ts';
import type { KernelReading, LinkEnd } from '#src/load/sample.ts';

/**
 * What dom0's kernel shows in /proc and /sys, and which physical devices are below others. Everything is read one after
 * the other: it has time, and what decides about VMs must not wait for it.
 */

/** Stacks are two to four levels high: VLAN on bond, DRBD on LVM on RAID. */
const depthMax = 8;

const isThere = async (path: string): Promise<boolean> =>
	await access(path).then(
		() => true,
		() => false,
	);

/** The names in a folder; none when it is not there. */
const namesIn = async (folder: string): Promise<readonly string[]> =>
	await readdir(folder).catch(() => []);

/** Network devices that Xen made for a VM are on a bus as well. */
const isOfVm = async (folder: string): Promise<boolean> =>
	basename(await readlink(join(folder, 'device/subsystem')).catch(() => '')) === 'xen-backend';

/**
 * The physical network devices below one, itself when it is one: the members of a bridge or bond, what a VLAN is on.
 * VMs' ends of a bridge are none.
 */
export const physicalBelow = async (
	sys: string,
	device: string,
	depth = 0,
): Promise<readonly string[]> => {
	const folder = join(sys, 'class/net', device);
	const names = await namesIn(folder);
	const lower = names.filter((name) => name.startsWith('lower_')).map((name) => name.slice(6));
	if (lower.length === 0)
		return names.includes('device') && !(await isOfVm(folder)) ? [device] : [];
	const found: string[] = [];
	if (depth < depthMax)
		for (const each of lower) found.push(...(await physicalBelow(sys, each, depth + 1)));
	return [...new Set(found)];
};

/** The network devices that have one of these addresses. */
const devicesWith = (addresses: readonly string[]): readonly string[] =>
	Object.entries(networkInterfaces()).flatMap(([name, list]) =>
		list?.some(({ address }) => addresses.includes(address)) === true ? [name] : [],
	);

/** The physical devices of the pair's links and of all bridges, which VMs are on. */
export const watchedNetwork = async (
	sys: string,
	links: readonly LinkEnd[],
): Promise<readonly string[]> => {
	const folder = join(sys, 'class/net');
	const tops = new Set(links.flatMap(({ device }) => (device === null ? [] : [device])));
	const rest = links.filter(({ device }) => device === null).map(({ address }) => address);
	for (const device of devicesWith(rest)) tops.add(device);
	for (const name of await namesIn(folder)) {
		// Of Open vSwitch the kernel shows one device for all its bridges.
		if (name === 'ovs-system' || (await isThere(join(folder, name, 'bridge')))) tops.add(name);
	}
	const found = new Set<string>();
	for (const top of tops) for (const each of await physicalBelow(sys, top)) found.add(each);
	return [...found];
};

/**
 * The whole disks below all DRBD devices: DRBD, LVM, RAID and multipath show what they are on as `slaves`. A diskless
 * DRBD device is on none.
 */
const disksBelowDrbd = async (sys: string): Promise<readonly string[]> => {
	const disks = new Set<string>();
	const seen = new Set<string>();
	const look = async (name: string, depth: number): Promise<void> => {
		if (seen.has(name)) return;
		seen.add(name);
		const folder = join(sys, 'class/block', name);
		const below = await namesIn(join(folder, 'slaves'));
		for (const each of depth < depthMax ? below : []) await look(each, depth + 1);
		if (below.length > 0 || depth === 0) return;
		// The work of a partition is counted with its disk's.
		const isPart = await isThere(join(folder, 'partition'));
		disks.add(isPart ? basename(dirname(await realpath(folder))) : name);
	};
	for (const name of await namesIn(join(sys, 'class/block')))
		if (/^drbd\d+$/.test(name)) await look(name, 0);
	return [...disks];
};

/** Where the kernel shows itself. */
export interface KernelPlaces {
	/** `/proc` */
	readonly proc: string;
	/** `/sys` */
	readonly sys: string;
	/** The folder of Xen's back-end devices. */
	readonly xenBackends: string;
}

/** Sectors of the block layer have this size on every disk. */
const sectorBytes = 512;

const textOf = async (path: string): Promise<string | null> =>
	await readFile(path, 'latin1').catch(() => null);

const read = async <Value>(
	path: string,
	parse: (text: string) => Value | null,
): Promise<Value | null> => {
	const text = await textOf(path);
	return text === null ? null : parse(text);
};

const disksOf = async (sys: string): Promise<KernelReading['disksMs']> => {
	const found = new Map<string, number>();
	for (const disk of await disksBelowDrbd(sys)) {
		const busyMs = await read(join(sys, 'class/block', disk, 'stat'), parseBusyMs);
		if (busyMs === null) return null;
		found.set(disk, busyMs);
	}
	return found;
};

const networkOf = async (
	sys: string,
	links: readonly LinkEnd[],
): Promise<KernelReading['network']> => {
	const found: Map<string, { rxBytes: number; txBytes: number; bytesPerS: number }> = new Map();
	for (const device of await watchedNetwork(sys, links)) {
		const folder = join(sys, 'class/net', device);
		const bytesPerS = await read(join(folder, 'speed'), parseCapacity);
		// Without a link it carries nothing, and without a known speed nobody can tell how full it is.
		if (bytesPerS === null) continue;
		const rxBytes = await read(join(folder, 'statistics/rx_bytes'), parseCount);
		const txBytes = await read(join(folder, 'statistics/tx_bytes'), parseCount);
		if (rxBytes === null || txBytes === null) return null;
		found.set(device, { rxBytes, txBytes, bytesPerS });
	}
	return found;
};

/** What one back end has put into its domain's memory: what was read from a disk, what was sent to the VM. */
const backendBytes = async (folder: string, kind: 'vbd' | 'vif'): Promise<number | null> => {
	if (kind === 'vbd') {
		const sectors = await read(join(folder, 'statistics/rd_sect'), parseCount);
		return sectors === null ? null : sectors * sectorBytes;
	}
	const [device] = await readdir(join(folder, 'net')).catch(() => []);
	return device === undefined
		? null
		: await read(join(folder, 'net', device, 'statistics/tx_bytes'), parseCount);
};

/** By domain. Null: one of its devices could not be read; a domain without a disk of dom0's kernel is not in it. */
const inflowsOf = async (
	folder: string,
	domids: ReadonlySet<number>,
): Promise<KernelReading['inflowBytes']> => {
	const sums = new Map<number, number | null>();
	const names = await readdir(folder).catch(() => []);
	// Disks first: a VM whose disks another program serves has more inflow than can be seen here.
	for (const kind of ['vbd', 'vif'] as const) {
		for (const name of names) {
			const domid = Number(new RegExp(`^${kind}-(\\d+)-`).exec(name)?.[1] ?? Number.NaN);
			if (!domids.has(domid) || (kind === 'vif' && !sums.has(domid))) continue;
			const bytes = await backendBytes(join(folder, name), kind);
			const sum = sums.get(domid);
			sums.set(domid, sum === null || bytes === null ? null : (sum ?? 0) + bytes);
		}
	}
	return sums;
};

/** Reads all of it, one file after the other; never rejects. `domids`: the domains whose inflow is wanted. */
export const readKernel = async (
	places: KernelPlaces,
	links: readonly LinkEnd[],
	domids: ReadonlySet<number>,
): Promise<KernelReading> => {
	const { proc, sys, xenBackends } = places;
	const atMs = performance.now();
	return {
		atMs,
		dom0: await read(join(proc, 'stat'), parseDom0Ticks),
		memory: await read(join(proc, 'meminfo'), parseMemoryUse),
		disksMs: await disksOf(sys).catch(() => null),
		network: await networkOf(sys, links).catch(() => null),
		inflowBytes: await inflowsOf(xenBackends, domids),
	};
};
