import { replicationPath, settle } from '#src/sim/data.ts';
import type { Replica, SimVm, Simulation } from '#src/sim/model.ts';
import { count, delay, newUuid, onHost, otherReplica, tell, violate } from '#src/sim/model.ts';
import { schedule } from '#src/sim/queue.ts';
import { atMost, changed, dropConnection, losePeerData, thaw } from '#src/sim/replica.ts';
import { mayBothBePrimary } from '#src/sim/two-primaries.ts';

/** How two kernels find each other, compare data generations, resync, and notice that the other is gone. */

/** Whose data wins: `source` or `target` from this replica's point of view (drbd_uuid_compare). */
type Verdict = 'equal' | 'source' | 'target' | 'split-brain' | 'unrelated';

/** The rules of drbd_uuid_compare in drbd_receiver.c that this world can meet, by their numbers. */
const compareGenerations = (mine: Replica, peer: Replica): Verdict => {
	if (mine.current === '' && peer.current === '') return 'equal';
	if (mine.current === '') return 'target';
	if (peer.current === '') return 'source';
	if (mine.current === peer.current) {
		// 34, 35: the end of a resync was missed by one side.
		if (peer.bitmap === '' && mine.bitmap !== '') return 'source';
		if (mine.bitmap === '' && peer.bitmap !== '') return 'target';
		// 40: common power failure; a crashed Primary has the newest blocks.
		if (mine.crashedPrimary && !peer.crashedPrimary) return 'source';
		if (!mine.crashedPrimary && peer.crashedPrimary) return 'target';
		return 'equal';
	}
	if (mine.current === peer.bitmap) return 'target'; // 50
	if (mine.bitmap === peer.current) return 'source'; // 70
	if (mine.bitmap !== '' && mine.bitmap === peer.bitmap) return 'split-brain'; // 90
	if (peer.history.includes(mine.current)) return 'target'; // 60
	if (mine.history.includes(peer.current)) return 'source'; // 80
	return 'unrelated';
};

/** Connects two replicas that look for each other, or lets them notice that they cannot any more. */
export const refreshReplication = (simulation: Simulation, vm: SimVm): void => {
	const path = replicationPath(simulation);
	for (const replica of vm.replicas) refreshLoss(simulation, replica, path);
	const [one, other] = vm.replicas;
	const looking =
		path &&
		one.up &&
		other.up &&
		one.stuck !== 'connecting' &&
		other.stuck !== 'connecting' &&
		one.connection === 'Connecting' &&
		other.connection === 'Connecting';
	if (!looking) {
		if (vm.connectTimer !== null) vm.connectTimer.callback = null;
		vm.connectTimer = null;
		return;
	}
	vm.connectTimer ??= schedule(
		simulation.queue,
		simulation.queue.nowMs + delay(simulation, 100, 3000),
		() => {
			vm.connectTimer = null;
			connect(simulation, vm);
		},
	);
};

export const refreshAllReplication = (simulation: Simulation): void => {
	for (const vm of simulation.vms) refreshReplication(simulation, vm);
};

/** A connected kernel whose peer no longer answers drops the connection after its ping time-outs. */
const refreshLoss = (simulation: Simulation, replica: Replica, path: boolean): void => {
	if (!replica.up || replica.connection !== 'Connected') return;
	const peer = otherReplica(replica);
	const partner = path && peer.up && peer.connection === 'Connected';
	if (partner) {
		if (replica.lossTimer !== null) replica.lossTimer.callback = null;
		replica.lossTimer = null;
		return;
	}
	if (replica.lossTimer !== null) return;
	// A peer that is there but not connected to us resets the connection; silence takes ping-int and ping-timeout.
	const ms = path
		? delay(simulation, 10, 100)
		: replica.role === 'Primary'
			? delay(simulation, 800, 1900)
			: delay(simulation, 1100, 2500);
	replica.lossTimer = onHost(simulation, replica.host, ms, () => {
		replica.lossTimer = null;
		dropConnection(simulation, replica, 'Connecting');
		refreshReplication(simulation, replica.vm);
	});
};

const connect = (simulation: Simulation, vm: SimVm): void => {
	const [one, other] = vm.replicas;
	settle(simulation, vm);
	if (one.twoPrimaries !== other.twoPrimaries) {
		// The settings are compared before anything else: the connection is never made.
		bothStandAlone(simulation, vm, 'incompatible allow-two-primaries settings');
		return;
	}
	vm.metMs = simulation.queue.nowMs;
	for (const replica of vm.replicas) {
		replica.connection = 'Connected';
		replica.connects += 1;
		replica.replication = 'Established';
	}
	one.peerRole = other.role;
	other.peerRole = one.role;
	if (atMost(one.disk, 'Failed') || atMost(other.disk, 'Failed')) {
		connectDiskless(simulation, one, other);
		return;
	}
	const verdict = compareGenerations(one, other);
	tell(simulation, 'world', `drbd ${vm.name}: connected, ${verdict} seen from ${one.host.name}`);
	if (one.role === 'Primary' && other.role === 'Primary' && !mayBothBePrimary(one))
		bothStandAlone(simulation, vm, 'two Primaries');
	else if (verdict === 'equal') established(simulation, one, other);
	else if (verdict === 'source') beginResync(simulation, ...direction(simulation, one, other));
	else if (verdict === 'target') beginResync(simulation, ...direction(simulation, other, one));
	else splitBrain(simulation, vm, verdict);
};

const direction = (
	{ mutation }: Simulation,
	source: Replica,
	target: Replica,
): [Replica, Replica] =>
	mutation === 'resync-backwards' && source.role === 'Secondary'
		? [target, source]
		: [source, target];

/** A diskless Primary connects only to the very data its users have seen. */
const refusesData = (replica: Replica, peer: Replica): boolean =>
	replica.role === 'Primary' &&
	atMost(replica.disk, 'Failed') &&
	!atMost(peer.disk, 'Failed') &&
	peer.current !== replica.exposed;

const connectDiskless = (simulation: Simulation, one: Replica, other: Replica): void => {
	if (refusesData(one, other) || refusesData(other, one)) {
		const { vm } = one;
		tell(simulation, 'world', `drbd ${vm.name}: can only connect to the data that was in use`);
		dropConnection(simulation, one, refusesData(one, other) ? 'StandAlone' : 'Connecting');
		dropConnection(simulation, other, refusesData(other, one) ? 'StandAlone' : 'Connecting');
		return;
	}
	one.vm.wentOnAloneMs = simulation.queue.nowMs;
	for (const [replica, peer] of [
		[one, other],
		[other, one],
	] as const) {
		if (replica.disk === 'Consistent') replica.disk = 'UpToDate';
		const had = replica.peerDisk;
		replica.peerDisk = peer.disk === 'Consistent' ? 'UpToDate' : peer.disk;
		// lost_contact_to_peer_data in drbd_state.c: a Primary goes on with this copy alone.
		if (had === 'DUnknown' && atMost(peer.disk, 'Failed')) losePeerData(simulation, replica);
	}
	for (const replica of [one, other]) {
		// Frozen I/O goes on over the network or alone: the connection is back.
		if (replica.frozen) thaw(simulation, replica, !atMost(replica.peerDisk, 'Failed'));
		changed(simulation, replica);
	}
};

/** Same data on both: `Consistent` and `Outdated` vanish when connected; a frozen Primary goes on, same generation. */
const established = (simulation: Simulation, one: Replica, other: Replica): void => {
	const usable = !atMost(one.disk, 'Inconsistent') && !atMost(other.disk, 'Inconsistent');
	if (usable && one.head !== other.head && one.role !== other.role) {
		violate(
			simulation,
			'silent-divergence',
			`${one.vm.name}: equal generations with different data`,
		);
	}
	for (const [replica, peer] of [
		[one, other],
		[other, one],
	] as const) {
		if (!atMost(replica.disk, 'Inconsistent')) replica.disk = 'UpToDate';
		replica.peerDisk = atMost(peer.disk, 'Inconsistent') ? peer.disk : 'UpToDate';
		replica.crashedPrimary = false;
	}
	if (one.head === other.head) equalAgain(one.vm);
	for (const replica of [one, other]) thaw(simulation, replica, true);
	for (const replica of [one, other]) changed(simulation, replica);
};

/** What happened to the copies before they were equal excuses nothing that happens later. */
const equalAgain = (vm: SimVm): void => {
	vm.wentOnAloneMs = Number.NEGATIVE_INFINITY;
	vm.buried.clear();
};

const beginResync = (simulation: Simulation, source: Replica, target: Replica): void => {
	const { vm } = source;
	if (target.role === 'Primary') {
		bothStandAlone(simulation, vm, `${target.host.name} shall become SyncTarget, but is Primary`);
		return;
	}
	source.disk = atMost(source.disk, 'Inconsistent') ? source.disk : 'UpToDate';
	if (source.disk !== 'UpToDate') {
		bothStandAlone(simulation, vm, 'no UpToDate copy');
		return;
	}
	// The source keeps what the target's disk was: if the resync is refused, a Primary freezes again.
	source.peerDisk = atMost(target.disk, 'Outdated') ? target.disk : 'Consistent';
	target.disk = atMost(target.disk, 'Inconsistent') ? target.disk : 'Outdated';
	target.replication = 'WFBitMapT';
	source.replication = 'WFBitMapS';
	target.peerDisk = 'UpToDate';
	// Its writes go on with one current copy before anybody could count the other one out.
	if (source.frozen) vm.wentOnAloneMs = simulation.queue.nowMs;
	// On both sides: a connection that is there again ends the freeze (drbd_state.c), also of a host that was demoted.
	thaw(simulation, source, true);
	thaw(simulation, target, true);
	changed(simulation, source);
	changed(simulation, target);
	if (source.stuck === 'bitmap' || target.stuck === 'bitmap') return;
	const { connects } = target;
	// The before-resync-target handler runs now, on the target.
	vm.resyncTimer = onHost(simulation, target.host, delay(simulation, 50, 400), () => {
		if (target.connects !== connects || target.connection !== 'Connected') return;
		// It begins by the source's word (P_SYNC_UUID), and a kernel that has dropped the connection gives none.
		if (source.connection !== 'Connected') return;
		if (!resyncAllowed(simulation, target)) {
			count(simulation, 'resyncs refused');
			tell(simulation, target.host.name, `drbd ${vm.name}: before-resync-target refused`);
			dropConnection(simulation, target, 'StandAlone');
			dropConnection(simulation, source, 'Connecting');
			refreshReplication(simulation, vm);
			return;
		}
		resync(simulation, source, target);
	});
};

/** Reads the record file as the handler does: the source must count, and I not be the only one that does. */
const resyncAllowed = (simulation: Simulation, target: Replica): boolean => {
	if (simulation.mutation === 'resync-backwards') return true;
	const { content } = target.host.store;
	if (content === null || content === 'corrupt') return false;
	const local = content.resources[target.vm.engine.resource];
	if (local === undefined) return false;
	const { inSync } = local.record;
	const source = otherReplica(target).host.name;
	return inSync.includes(source) && !(inSync.length === 1 && inSync[0] === target.host.name);
};

const resync = (simulation: Simulation, source: Replica, target: Replica): void => {
	const { vm } = source;
	settle(simulation, vm);
	simulation.hooks.resyncBegins(source, target);
	target.discards = false;
	target.disk = 'Inconsistent';
	target.head = -1;
	target.replication = 'SyncTarget';
	source.peerDisk = 'Inconsistent';
	source.replication = 'SyncSource';
	source.bitmap = newUuid(simulation);
	target.current = source.bitmap;
	target.bitmap = '';
	changed(simulation, source);
	changed(simulation, target);
	const { resyncMs } = simulation.timings;
	const { connects } = target;
	vm.resyncTimer = schedule(
		simulation.queue,
		simulation.queue.nowMs + delay(simulation, Math.floor(resyncMs / 2), resyncMs * 2),
		() => {
			endResync(simulation, source, target, connects);
		},
	);
};

const endResync = (
	simulation: Simulation,
	source: Replica,
	target: Replica,
	connects: number,
): void => {
	const { vm } = source;
	const going =
		target.connects === connects &&
		target.connection === 'Connected' &&
		source.connection === 'Connected' &&
		target.replication === 'SyncTarget' &&
		source.replication === 'SyncSource';
	if (!going) return;
	if (!replicationPath(simulation)) {
		// Nothing passes at the moment: look again; a real loss will have ended the connection by then.
		vm.resyncTimer = schedule(simulation.queue, simulation.queue.nowMs + 500, () => {
			endResync(simulation, source, target, connects);
		});
		return;
	}
	settle(simulation, vm);
	target.head = source.head;
	target.disk = 'UpToDate';
	source.peerDisk = 'UpToDate';
	target.history = [target.current, ...target.history].slice(0, 2);
	source.history = [source.bitmap, ...source.history].slice(0, 2);
	source.bitmap = '';
	target.bitmap = '';
	target.current = source.current;
	equalAgain(vm);
	for (const replica of [source, target]) {
		replica.replication = 'Established';
		replica.crashedPrimary = false;
	}
	count(simulation, 'resyncs');
	changed(simulation, source);
	changed(simulation, target);
};

/** `after-sb-0pri discard-zero-changes`; everything else stays StandAlone for a person. */
const splitBrain = (
	simulation: Simulation,
	vm: SimVm,
	verdict: 'split-brain' | 'unrelated',
): void => {
	const [one, other] = vm.replicas;
	count(simulation, 'split brains');
	const secondaries = one.role === 'Secondary' && other.role === 'Secondary';
	if (verdict === 'split-brain' && secondaries && one.changed !== other.changed) {
		beginResync(simulation, one.changed ? one : other, one.changed ? other : one);
		return;
	}
	const [givesUp] = [one, other].filter((each) => each.discards && each.role === 'Secondary');
	if (verdict === 'split-brain' && givesUp !== undefined && one.discards !== other.discards) {
		tell(simulation, 'world', `drbd ${vm.name}: ${givesUp.host.name} discards its data`);
		beginResync(simulation, otherReplica(givesUp), givesUp);
		return;
	}
	for (const replica of vm.replicas) simulation.hooks.splitFound(replica);
	bothStandAlone(simulation, vm, verdict);
};

const bothStandAlone = (simulation: Simulation, vm: SimVm, why: string): void => {
	tell(simulation, 'world', `drbd ${vm.name}: ${why}: both StandAlone`);
	for (const replica of vm.replicas) {
		replica.discards = false;
		dropConnection(simulation, replica, 'StandAlone');
	}
};
