import { diskStates, type DiskState, type ResourceObservation } from '#src/ports.ts';
import { settle, writeOnce } from '#src/sim/data.ts';
import type { Replica, Simulation } from '#src/sim/model.ts';
import { count, newUuid, otherReplica, tell } from '#src/sim/model.ts';

/**
 * DRBD 8.4 of one resource on one host, as its kernel module behaves under `fencing resource-and-stonith`:
 * states, metadata, data generations, freeze. The rules are those of drbd_state.c and of the captured
 * transcripts.
 */

/** True for a disk state that is `limit` or worse. */
export const atMost = (disk: DiskState, limit: DiskState): boolean =>
	diskStates.indexOf(disk) <= diskStates.indexOf(limit);

/** Writes the metadata flags that follow from the present state; a detached disk keeps its last ones. */
export const writeMetadata = (replica: Replica): void => {
	if (!replica.up || replica.broken || atMost(replica.disk, 'Failed')) return;
	const { flags } = replica;
	flags.consistent = !atMost(replica.disk, 'Inconsistent');
	flags.upToDate = !atMost(replica.disk, 'Outdated');
	flags.primary =
		replica.role === 'Primary' ||
		(atMost(replica.peerDisk, 'Negotiating') && replica.peerRole === 'Primary');
	flags.peerOutdated =
		atMost(replica.peerDisk, 'Outdated') && !atMost(replica.peerDisk, 'Negotiating');
};

/** After every change of a replica: metadata, what the agent sees, one line of the trace. */
export const changed = (simulation: Simulation, replica: Replica): void => {
	writeMetadata(replica);
	simulation.changes += 1;
	simulation.hooks.replicationChanged(replica.host);
	if (simulation.trace === null) return;
	const { name } = replica.vm;
	const text = replica.up
		? `${replica.role} ${replica.disk}/${replica.peerDisk} ${replica.connection}` +
			` ${replica.replication}${replica.frozen ? ' frozen' : ''}`
		: 'down';
	tell(simulation, replica.host.name, `drbd ${name}: ${text}`);
};

/** A new data generation begins: what is written from now on, the peer does not have. */
export const rotate = (simulation: Simulation, replica: Replica): void => {
	if (replica.bitmap === '') {
		replica.bitmap = replica.current;
		replica.changed = false;
	} else {
		replica.history = [replica.current, ...replica.history].slice(0, 2);
	}
	replica.current = newUuid(simulation);
	replica.exposed = replica.current;
	const peer = otherReplica(replica);
	// A diskless Primary learns the generation of the copy it uses over the network.
	if (peer.connection === 'Connected' && peer.disk === 'Diskless') peer.exposed = replica.current;
};

/** Frozen I/O goes on: without the peer in a new data generation, with it in the old one. */
export const thaw = (simulation: Simulation, replica: Replica, withPeer: boolean): void => {
	if (replica.newGenerationDue && !withPeer) rotate(simulation, replica);
	replica.newGenerationDue = false;
	if (replica.frozen) {
		count(simulation, 'thawed');
		replica.frozenChangedMs = simulation.queue.nowMs;
	}
	replica.frozen = false;
	// A guest that was paused meanwhile does not take it back: what the kernel holds is carried out or fails.
	if (replica.pending) writeOnce(simulation, replica);
	replica.pending = false;
};

/** The peer's copy is lost to a Primary: new generation at once, or when its frozen I/O goes on. */
export const losePeerData = (simulation: Simulation, replica: Replica): void => {
	if (replica.bitmap !== '' || replica.disk !== 'UpToDate') return;
	if (replica.role !== 'Primary' && replica.peerRole !== 'Primary') return;
	if (replica.frozen) replica.newGenerationDue = true;
	else rotate(simulation, replica);
};

/** This kernel notices that the connection is gone; a Primary freezes and asks the handler. */
export const dropConnection = (
	simulation: Simulation,
	replica: Replica,
	next: 'Connecting' | 'StandAlone',
): void => {
	const { vm } = replica;
	settle(simulation, vm);
	if (replica.lossTimer !== null) replica.lossTimer.callback = null;
	replica.lossTimer = null;
	if (!replica.up) return;
	const was = replica.connection;
	replica.connection = next;
	// The settings of a connection go with it; a new one takes those of the file.
	if (next === 'StandAlone') replica.twoPrimaries = false;
	if (was !== 'Connected') {
		changed(simulation, replica);
		return;
	}
	const peerHadData = replica.peerDisk === 'UpToDate' || replica.peerDisk === 'Consistent';
	replica.replication = 'Off';
	replica.peerRole = 'Unknown';
	if (!atMost(replica.peerDisk, 'DUnknown') || atMost(replica.peerDisk, 'Negotiating')) {
		replica.peerDisk = 'DUnknown';
	}
	const attached = !atMost(replica.disk, 'Failed');
	const primary = replica.role === 'Primary';
	const freezes = simulation.mutation !== 'no-freeze';
	if (freezes && primary && attached && !atMost(replica.peerDisk, 'Outdated')) {
		replica.frozen = true;
		replica.frozenChangedMs = simulation.queue.nowMs;
		count(simulation, 'frozen');
	}
	if (primary && peerHadData) losePeerData(simulation, replica);
	changed(simulation, replica);
	if (replica.frozen) askHandler(simulation, replica);
};

/** The kernel calls the handler after a Primary lost its peer, and takes its answer if it still fits. */
const askHandler = (simulation: Simulation, replica: Replica): void => {
	const { connects } = replica;
	const { life } = replica.host;
	simulation.hooks.callHandler(replica, (exitCode) => {
		if (replica.host.life !== life || !replica.up) return;
		if (replica.connects !== connects || replica.connection === 'Connected') return;
		applyHandler(simulation, replica, exitCode);
	});
};

/** True when the exit code means that the peer is out: its disk counts as Outdated from now on. */
export const applyHandler = (
	simulation: Simulation,
	replica: Replica,
	exitCode: number,
): boolean => {
	simulation.hooks.handlerAnswered(replica, exitCode);
	if (exitCode !== 4 && exitCode !== 7) return false;
	settle(simulation, replica.vm);
	replica.peerDisk = 'Outdated';
	if (replica.frozen) thaw(simulation, replica, false);
	changed(simulation, replica);
	return true;
};

/** `on-io-error detach`: the host goes on without its own disk, over the network if it can. */
export const failDisk = (simulation: Simulation, replica: Replica): void => {
	settle(simulation, replica.vm);
	replica.vm.wentOnAloneMs = simulation.queue.nowMs;
	replica.broken = true;
	if (!replica.up) return;
	replica.disk = 'Diskless';
	// A resync ends without its source or its target.
	if (replica.vm.resyncTimer !== null) replica.vm.resyncTimer.callback = null;
	replica.vm.resyncTimer = null;
	if (replica.replication !== 'Off') replica.replication = 'Established';
	changed(simulation, replica);
	const peer = otherReplica(replica);
	if (replica.connection !== 'Connected' || peer.connection !== 'Connected') return;
	const had = peer.peerDisk;
	peer.peerDisk = 'Diskless';
	if (peer.replication !== 'Off') peer.replication = 'Established';
	if (had === 'UpToDate') losePeerData(simulation, peer);
	changed(simulation, peer);
};

export const observeReplica = (replica: Replica): ResourceObservation => ({
	resource: replica.vm.engine.resource,
	role: replica.role,
	suspended: replica.frozen ? ['fencing'] : [],
	connection: replica.connection,
	peerRole: replica.peerRole,
	volumes: [
		{
			volume: 0,
			disk: replica.shownOutdated ? 'Outdated' : replica.disk,
			peerDisk: replica.peerDisk,
			replication: replica.replication,
			outOfSyncKib: /^Sync(Source|Target)$/.test(replica.replication) ? 4096 : 0,
		},
	],
});

/** What the attach of a disk gives, from its metadata flags (drbd_nl.c, drbd_adm_attach). */
export const attachedDisk = (replica: Replica): void => {
	const { flags } = replica;
	replica.crashedPrimary ||= flags.primary;
	const disk = !flags.consistent ? 'Inconsistent' : flags.upToDate ? 'Consistent' : 'Outdated';
	if (replica.connection !== 'Connected') {
		replica.peerDisk = flags.peerOutdated ? 'Outdated' : 'DUnknown';
	}
	replica.disk = disk === 'Consistent' && replica.peerDisk === 'Outdated' ? 'UpToDate' : disk;
};
