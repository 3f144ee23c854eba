/** Faults on the way between the hosts that a bridge cannot make: inside dom0, by its own packet filter. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ssh, type Place } from './host.ts';
import { setPath } from './network.ts';
import { hostNamed, hosts, peerOf, vms, type LabHost, type LabVm, type Network } from './world.ts';

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
