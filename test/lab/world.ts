/** The lab's fixed facts: hosts, networks, virtual machines. Names of hosts are free, see `hostNames`. */

export type LabHost = {
	readonly name: string;
	/** 1 or 2: every address, tap and MAC follows from it. */
	readonly index: number;
	readonly management: string;
	readonly replication: string;
	/** The runner's own way in: never cut, unknown to the product. */
	readonly control: string;
	readonly bmc: string;
};

export type LabVm = {
	readonly name: string;
	readonly minor: number;
	readonly port: number;
	readonly address: string;
	readonly mac: string;
	/** The disk inside both hosts whose volume group holds the backing volume, with room for a snapshot of it. */
	readonly disk: string;
	readonly group: string;
	/** The logical volume below DRBD. */
	readonly backing: string;
};

export const networks = ['management', 'replication', 'guest', 'control'] as const;
export type Network = (typeof networks)[number];

/** The outer machine's address on each network. */
export const outerAddress: Record<Network, string> = {
	management: '10.77.0.1',
	replication: '10.77.1.1',
	guest: '10.77.2.1',
	control: '10.77.3.1',
};

export const witnessAddress = '10.77.0.30';
export const pairName = 'lab';
export const recorderPort = 7000;
export const alertPort = 7001;
export const vmMemoryMiB = 160;
export const diskMiB = 84;
/** LVM's first extent on a disk begins here, and with it the only volume. */
export const volumeStartMiB = 1;
export const volumeMiB = 36;
export const hostMemoryMiB = 2816;
export const dom0MemoryMiB = 1152;
export const snapshotName = 'booted';
export const bmcUser = 'vmpair';
export const bmcPassword = 'lab-secret';

const hostNames = (process.env['VMPAIR_LAB_HOSTS'] ?? 'alpha,beta').split(',');

export const hosts: readonly LabHost[] = hostNames.slice(0, 2).map((name, at) => ({
	name,
	index: at + 1,
	management: `10.77.0.${11 + at}`,
	replication: `10.77.1.${11 + at}`,
	control: `10.77.3.${11 + at}`,
	bmc: `10.77.0.${101 + at}`,
}));

export const vms: readonly LabVm[] = [1, 2, 3].map((number) => ({
	name: `ledger${number}`,
	minor: number,
	port: 7788 + number,
	address: `10.77.2.${20 + number}`,
	mac: `00:16:3e:77:02:${20 + number}`,
	disk: `/dev/vd${'abcd'[number]}`,
	group: `lab${number}`,
	backing: `/dev/lab${number}/disk`,
}));

/** Looks a host up by name; an unknown name is a mistake in a scenario. */
export function hostNamed(name: string): LabHost {
	const host = hosts.find((candidate) => candidate.name === name);
	if (host === undefined) throw new Error(`no host is called '${name}' in this lab`);
	return host;
}

/** The other one of the two. */
export function peerOf(host: LabHost): LabHost {
	const peer = hosts.find((candidate) => candidate.index !== host.index);
	if (peer === undefined) throw new Error('the lab needs two hosts');
	return peer;
}
