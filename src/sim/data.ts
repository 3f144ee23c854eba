import type { Network, Replica, SimHost, SimVm, Simulation } from '#src/sim/model.ts';
import { kernelAnswers, otherReplica, replicaOf, violate } from '#src/sim/model.ts';

/**
 * The guests' acknowledged writes. A guest that can write does so all the time, so writes are counted
 * when something changes: one write stands for all since the last change. A copy is current when its
 * last write is the last acknowledged one.
 */

/** Both directions of a network's path between the hosts, for one kind of traffic. */
export const pathOpen = (
	network: Network,
	from: 0 | 1,
	kind: 'replication' | 'heartbeat',
): boolean =>
	!network.cutAll[from] &&
	!(kind === 'replication' ? network.cutReplication[from] : network.cutHeartbeat[from]) &&
	!network.carrierLost[0] &&
	!network.carrierLost[1];

/** True when the two kernels can talk about their resources. */
export const replicationPath = (simulation: Simulation): boolean => {
	const network = simulation.networks.find((each) => each.replication);
	return (
		network !== undefined &&
		!network.wire.replicationWaits &&
		pathOpen(network, 0, 'replication') &&
		pathOpen(network, 1, 'replication') &&
		kernelAnswers(simulation.hosts[0]) &&
		kernelAnswers(simulation.hosts[1])
	);
};

/** Where a write of this Primary would be acknowledged now; null when it would wait or fail. */
const writeGoesTo = (
	simulation: Simulation,
	replica: Replica,
): { alone: boolean; copies: readonly Replica[] } | null => {
	if (replica.role !== 'Primary' || replica.frozen || !replica.up) return null;
	const own = replica.disk === 'UpToDate' ? [replica] : [];
	if (replica.connection !== 'Connected')
		return own.length > 0 ? { alone: true, copies: own } : null;
	const peer = otherReplica(replica);
	// Protocol C: the peer must acknowledge, whatever its disk is; one that has dropped the connection does not.
	if (!replicationPath(simulation) || peer.connection !== 'Connected') return null;
	const copies = peer.disk === 'UpToDate' ? [...own, peer] : own;
	return copies.length === 0 ? null : { alone: copies.length === 1, copies };
};

/** True while writes of the VM's guest on this host are acknowledged. */
export const isWriting = (simulation: Simulation, host: SimHost, vm: SimVm): boolean =>
	kernelAnswers(host) &&
	host.domains.get(vm.name)?.presence === 'running' &&
	writeGoesTo(simulation, replicaOf(host, vm)) !== null;

/** The data that a guest on this host sees: its own disk's, or the peer's when its own is not usable. */
export const visibleHead = (replica: Replica): number => {
	if (replica.disk === 'UpToDate') return replica.head;
	const peer = otherReplica(replica);
	return replica.connection === 'Connected' && peer.disk !== 'Diskless' ? peer.head : -1;
};

/** A person's word counted out each host, and one was alive: two histories, which a person is asked to settle. */
export const hasTwoHistories = ({ buried }: SimVm): boolean =>
	buried.size === 2 && [...buried.values()].includes('alive');

/** Who has the newest data was known to one host: its file was replaced by another, and its disk has failed. */
export const isForgotten = ({ witness }: Simulation, vm: SimVm): boolean => {
	const newest = vm.replicas.filter(({ head }) => head === vm.acknowledged);
	const gone = newest.every(({ broken, host }) => broken && host.fileReplacedMs > 0);
	return witness === null && newest.length > 0 && gone;
};

/** Counts the writes since the last change. Call it before anything changes that decides about writes. */
export const settle = (simulation: Simulation, vm: SimVm): void => {
	const { nowMs } = simulation.queue;
	simulation.changes += 1;
	if (vm.settledMs >= nowMs) return;
	vm.settledMs = nowMs;
	for (const host of simulation.hosts) {
		if (!isWriting(simulation, host, vm)) continue;
		writeOnce(simulation, replicaOf(host, vm));
	}
};

/** One write of this Primary, acknowledged where it goes now; nothing happens when it would wait or fail. */
export const writeOnce = (simulation: Simulation, replica: Replica): void => {
	const { host, vm } = replica;
	const target = writeGoesTo(simulation, replica);
	if (target === null) return;
	const excused = hasTwoHistories(vm) || isForgotten(simulation, vm);
	if (visibleHead(replica) !== vm.acknowledged && !excused) {
		violate(
			simulation,
			'no-loss',
			`${vm.name} on ${host.name} writes to a copy without acknowledged writes`,
		);
	}
	vm.acknowledged += 1;
	for (const copy of target.copies) {
		if (simulation.mutation === 'writes-not-mirrored' && copy !== replica) continue;
		copy.head = vm.acknowledged;
		if (copy.bitmap !== '') copy.changed = true;
	}
	const [only] = target.copies;
	if (target.alone && only !== undefined) simulation.hooks.loneWrite(replica, only);
};

export const settleAll = (simulation: Simulation): void => {
	for (const vm of simulation.vms) settle(simulation, vm);
};
