/** Faults on the way between the hosts that a bridge cannot make: inside dom0, by its own packet filter. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ssh, type Place } from './host.ts';
import { setPath } from './network.ts';
import {
	hostNamed,
	hosts,
	peerOf,
	vms,
	witnessAddress,
	type LabHost,
	type LabVm,
	type Network,
} from './world.ts';

export const heartbeatPort = 7400;

type Traffic = 'all' | 'replication' | 'heartbeat';

export type Cut = {
	readonly network: Network;
	/** Only what this host sends is lost; undefined: both ways. */
	readonly from: string | undefined;
	readonly traffic: Traffic;
};

type Wire = { readonly device: string; readonly address: (host: LabHost) => string };

const wires: { readonly [Name in Network]?: Wire } = {
	management: { device: 'eth0', address: ({ management }) => management },
	replication: { device: 'eth1', address: ({ replication }) => replication },
};

const portsOf: Readonly<Record<Traffic, string>> = {
	all: '',
	replication: vms.map(({ port }) => port).join(', '),
	heartbeat: String(heartbeatPort),
};

/** The packet filter's rules for what `host` sends to its peer. */
function rules(host: LabHost, { network, traffic }: Cut): string {
	const wire = wires[network];
	if (wire === undefined) throw new Error(`the lab cannot cut '${network}' inside the hosts`);
	const match = `oifname ${wire.device} ip daddr ${wire.address(peerOf(host))}`;
	const ports = portsOf[traffic];
	const matches =
		ports === '' ? [match] : ['sport', 'dport'].map((side) => `${match} tcp ${side} { ${ports} }`);
	return matches.map((each) => `${each} drop;`).join(' ');
}

/** Cuts or mends the way between the hosts. A whole network is cut at its bridge, the rest inside the sending hosts. */
export async function setCut(place: Place, cut: Cut, state: 'cut' | 'whole'): Promise<void> {
	if (cut.from === undefined && cut.traffic === 'all') {
		await setPath(place.namespace, cut.network, state);
		return;
	}
	const table = `inet lab_${cut.network}_${cut.traffic}`;
	const from = cut.from === undefined ? hosts : [hostNamed(cut.from)];
	const command = (host: LabHost): string =>
		state === 'whole'
			? `nft delete table ${table}`
			: `nft -f - <<'END'\ntable ${table} { chain out { type filter hook output priority 0; ${rules(host, cut)} } }\nEND`;
	await Promise.all(from.map((host) => ssh(place, host, command(host))));
}

export type Impairment = {
	/** Percent of the packets that are lost. */
	readonly loss: number;
	/** A packet comes up to this much later, ms. */
	readonly jitterMs: number;
};

/** Packets to one address go through a band of their own, so that everything else on the device is left alone. */
async function shape(
	place: Place,
	host: LabHost,
	way: { readonly device: string; readonly band: number; readonly to: string },
	how: Impairment | null,
): Promise<void> {
	const { device, band, to } = way;
	const qdisc = `tc qdisc replace dev ${device}`;
	const filter = `dev ${device} parent 1: pref ${band} protocol ip`;
	const half = (how?.jitterMs ?? 0) / 2;
	const make = [
		`tc qdisc show dev ${device} | grep -q 'prio 1:' || ${qdisc} root handle 1: prio bands 5 priomap${' 0'.repeat(16)}`,
		`${qdisc} parent 1:${band} netem loss ${how?.loss ?? 0}% delay ${half}ms ${half}ms`,
		`tc filter replace ${filter} u32 match ip dst ${to}/32 flowid 1:${band}`,
	];
	const remove = [`tc filter del ${filter}`, `tc qdisc del dev ${device} parent 1:${band}`];
	await ssh(place, host, (how === null ? remove : make).join('\n'));
}

const sending = (from: string | undefined): readonly LabHost[] =>
	from === undefined ? hosts : [hostNamed(from)];

/** Loses and delays what the hosts send to each other over a network; null: no more. */
export async function impair(
	place: Place,
	network: Network,
	from: string | undefined,
	how: Impairment | null,
): Promise<void> {
	const wire = wires[network];
	if (wire === undefined) throw new Error(`the lab cannot impair '${network}'`);
	const { device, address } = wire;
	const one = (host: LabHost): Promise<void> =>
		shape(place, host, { device, band: 4, to: address(peerOf(host)) }, how);
	await Promise.all(sending(from).map(one));
}

/** The same for what the hosts send to the witness. */
export async function impairWitness(
	place: Place,
	from: string | undefined,
	how: Impairment | null,
): Promise<void> {
	const way = { device: 'eth0', band: 5, to: witnessAddress };
	await Promise.all(sending(from).map((host) => shape(place, host, way, how)));
}

/** From the next loss on the VM's DRBD connection hangs, until it is disconnected on this host. */
export async function stickConnection(
	place: Place,
	host: LabHost,
	slot: LabVm,
	where: 'connecting' | 'bitmap',
): Promise<void> {
	const script = `/run/lab-stuck-${slot.name}.pl`;
	await ssh(place, host, `cat > ${script}`, {
		input: await readFile(join(import.meta.dirname, 'stuck.pl'), 'utf8'),
	});
	const words = `perl ${script} ${slot.minor} ${slot.port} ${where}`;
	await ssh(place, host, `systemd-run -q --unit=lab-stuck-${slot.name} --collect ${words}`);
	// The rules of a bitmap have to be there before the loss.
	if (where === 'bitmap')
		await ssh(place, host, 'until iptables -S | grep -q hex-string; do sleep 0.1; done');
}
