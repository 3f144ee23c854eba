import type { Outcome, VolumeEvidence, VolumeGeneration } from '#src/ports.ts';
import { replicationPath, settle } from '#src/sim/data.ts';
import { refreshReplication } from '#src/sim/handshake.ts';
import type { Replica, Simulation } from '#src/sim/model.ts';
import { count, delay, onHost, otherReplica } from '#src/sim/model.ts';
import {
	applyHandler,
	atMost,
	attachedDisk,
	changed,
	dropConnection,
	losePeerData,
	rotate,
	thaw,
} from '#src/sim/replica.ts';
import { mayBothBePrimary } from '#src/sim/two-primaries.ts';

/** `drbdadm` of one host: each command as the kernel carries it out, with the codes the driver reports. */

type Done = (outcome: Outcome) => void;

const succeeded = (value: unknown = null): Outcome => ({ result: 'succeeded', value });
const failed = (code: string): Outcome => ({ result: 'failed', code, detail: code });

/** A handler answers at most so often inside one promote; the kernel tries four times. */
const promoteTriesMax = 4;

export const up = (simulation: Simulation, replica: Replica, done: Done): void => {
	settle(simulation, replica.vm);
	const attached = replica.up && !atMost(replica.disk, 'Failed');
	if (!replica.up) {
		replica.up = true;
		replica.role = 'Secondary';
		replica.peerRole = 'Unknown';
		replica.connection = 'Connecting';
		replica.replication = 'Off';
		replica.peerDisk = 'DUnknown';
		replica.disk = 'Diskless';
		replica.frozen = false;
		replica.newGenerationDue = false;
		replica.twoPrimaries = false;
	}
	const wrongData = replica.role === 'Primary' && replica.current !== replica.exposed;
	if (!attached && !replica.broken && !wrongData) attach(simulation, replica);
	changed(simulation, replica);
	refreshReplication(simulation, replica.vm);
	if (wrongData) done(failed('drbd-refused'));
	else done(replica.broken ? failed('drbd-no-local-disk') : succeeded());
};

const attach = (simulation: Simulation, replica: Replica): void => {
	if (replica.connection === 'Connected') {
		// Attaching while connected negotiates anew: the two kernels meet as after a new connection.
		dropConnection(simulation, replica, 'Connecting');
	}
	attachedDisk(replica);
};

export const down = (simulation: Simulation, replica: Replica, done: Done): void => {
	if (!replica.up) {
		done(succeeded());
		return;
	}
	if (isHeldOpen(simulation, replica)) {
		done(failed('drbd-held-open'));
		return;
	}
	settle(simulation, replica.vm);
	disconnectInOrder(simulation, replica);
	replica.up = false;
	replica.frozen = false;
	replica.pending = false;
	replica.discards = false;
	replica.stuck = null;
	replica.twoPrimaries = false;
	replica.role = 'Secondary';
	if (replica.lossTimer !== null) replica.lossTimer.callback = null;
	replica.lossTimer = null;
	changed(simulation, replica);
	refreshReplication(simulation, replica.vm);
	done(succeeded());
};

/** An orderly disconnect under a Primary outdates the Secondary, on whichever side it is asked. */
const disconnectInOrder = (simulation: Simulation, replica: Replica): void => {
	if (replica.connection !== 'Connected' || !replicationPath(simulation)) return;
	const peer = otherReplica(replica);
	const primary = peer.role === 'Primary' ? peer : replica.role === 'Primary' ? replica : null;
	if (primary !== null) {
		const secondary = otherReplica(primary);
		if (!atMost(secondary.disk, 'Outdated')) secondary.disk = 'Outdated';
		primary.peerDisk = secondary.disk;
		losePeerData(simulation, primary);
		replica.vm.wentOnAloneMs = simulation.queue.nowMs;
	}
	dropConnection(simulation, replica, 'StandAlone');
	dropConnection(simulation, peer, 'Connecting');
};

export const connectAgain = (simulation: Simulation, replica: Replica, done: Done): void => {
	if (!replica.up) {
		done(failed('drbd-not-up'));
		return;
	}
	if (replica.connection === 'StandAlone') {
		settle(simulation, replica.vm);
		replica.connection = 'Connecting';
		changed(simulation, replica);
		refreshReplication(simulation, replica.vm);
	}
	done(succeeded());
};

/** `disconnect` and `connect` of a Secondary, `discard`: with `--discard-my-data`. */
export const reconnect = (
	simulation: Simulation,
	replica: Replica,
	options: { discard: boolean },
	done: Done,
): void => {
	if (!replica.up) done(failed('drbd-not-up'));
	else if (replica.role === 'Primary') done(failed('drbd-primary'));
	else if (options.discard && replica.connection === 'Connected') done(failed('drbd-connected'));
	else {
		settle(simulation, replica.vm);
		if (replica.connection === 'Connected') disconnectInOrder(simulation, replica);
		replica.connection = 'StandAlone';
		replica.twoPrimaries = false;
		for (const each of replica.vm.replicas) each.stuck = null;
		replica.discards = options.discard;
		if (options.discard) simulation.hooks.dataGivenUp(replica);
		connectAgain(simulation, replica, done);
	}
};

const isHeldOpen = ({ queue }: Simulation, { host, vm, heldOpenUntilMs = 0 }: Replica): boolean =>
	heldOpenUntilMs > queue.nowMs ||
	host.domains.has(vm.name) ||
	host.creating.get(vm.name)?.opened === true ||
	(host.migrations.get(vm.name)?.twin?.disk ?? 'closed') !== 'closed';

export const demote = (simulation: Simulation, replica: Replica, done: Done): void => {
	if (!replica.up) done(failed('drbd-not-up'));
	else if (replica.role !== 'Primary') done(succeeded());
	else if (isHeldOpen(simulation, replica)) done(failed('drbd-held-open'));
	else {
		settle(simulation, replica.vm);
		replica.role = 'Secondary';
		replica.crashedPrimary = false;
		const peer = otherReplica(replica);
		if (peer.connection === 'Connected') peer.peerRole = 'Secondary';
		changed(simulation, replica);
		changed(simulation, peer);
		done(succeeded());
	}
};

export const outdate = (simulation: Simulation, replica: Replica, done: Done): void => {
	if (!replica.up) done(failed('drbd-not-up'));
	else if (replica.role === 'Primary') done(failed('drbd-needs-up-to-date'));
	else if (replica.connection === 'Connected') done(failed('drbd-connected'));
	// The driver takes it for outdated: it is just as durable, and as unusable.
	else if (replica.disk === 'Inconsistent') done(succeeded());
	else if (atMost(replica.disk, 'Inconsistent')) done(failed('drbd-lower-than-outdated'));
	else {
		settle(simulation, replica.vm);
		replica.disk = 'Outdated';
		replica.outdatedMs = simulation.queue.nowMs;
		changed(simulation, replica);
		done(succeeded());
	}
};

export const resumeIo = (simulation: Simulation, replica: Replica, done: Done): void => {
	if (!replica.up) {
		done(failed('drbd-not-up'));
		return;
	}
	settle(simulation, replica.vm);
	if (replica.frozen) thaw(simulation, replica, false);
	if (replica.disk === 'Failed') replica.disk = 'Diskless';
	changed(simulation, replica);
	done(succeeded());
};

/** `detach --force` of a frozen Primary: what it holds back has no disk to go to any more. */
export const detach = (simulation: Simulation, replica: Replica, done: Done): void => {
	const frozen = replica.role === 'Primary' && replica.frozen && replica.connection !== 'Connected';
	if (!replica.up) done(failed('drbd-not-up'));
	else if (atMost(replica.disk, 'Failed')) done(succeeded());
	else if (!frozen) done(failed('drbd-not-frozen'));
	else if (replica.detachFails > 0) {
		replica.detachFails -= 1;
		done(failed('drbd-refused'));
	} else {
		settle(simulation, replica.vm);
		replica.disk = 'Failed';
		replica.newGenerationDue = false;
		changed(simulation, replica);
		done(succeeded());
	}
};

/** `resume-io` without a disk: the held-back writes end with errors, the data generation stays. */
export const failIo = (simulation: Simulation, replica: Replica, done: Done): void => {
	if (!replica.up) done(failed('drbd-not-up'));
	else if (!atMost(replica.disk, 'Failed')) done(failed('drbd-has-disk'));
	else resumeIo(simulation, replica, done);
};

export const readGenerations = (replica: Replica, done: Done): void => {
	if (!replica.up || atMost(replica.disk, 'Failed')) done(failed('drbd-no-local-disk'));
	else {
		const generations: readonly VolumeGeneration[] = [
			{
				volume: 0,
				// DRBD's mark of a disk whose metadata was just created.
				uuid: replica.current === '' ? '0000000000000004' : replica.current,
				alone: replica.bitmap !== '',
				connected: replica.connection === 'Connected',
				peerOutdated: replica.flags.peerOutdated,
			},
		];
		done(succeeded(generations));
	}
};

/** `get-gi` and what DRBD counts as out of sync. */
export const readEvidence = (replica: Replica, done: Done): void => {
	if (!replica.up || atMost(replica.disk, 'Failed')) done(failed('drbd-no-local-disk'));
	else {
		const evidence: readonly VolumeEvidence[] = [
			{
				volume: 0,
				current: replica.current === '' ? '0000000000000004' : replica.current,
				bitmap: replica.bitmap === '' ? null : replica.bitmap,
				history: replica.history.filter((uuid) => uuid !== ''),
				outOfSyncKib: replica.changed ? 4096 : 0,
			},
		];
		done(succeeded(evidence));
	}
};

/** `drbdadm primary [--force]`: asks the peer, or the handler, and tries again as the kernel does. */
export const promote = (
	simulation: Simulation,
	replica: Replica,
	options: { force: boolean; byOperator?: boolean },
	done: Done,
): void => {
	const late = replica.latePromoteMs;
	replica.latePromoteMs = null;
	if (late === null) tryPromote(simulation, replica, { ...options, tries: 1 }, done);
	else {
		onHost(simulation, replica.host, late, () => {
			tryPromote(simulation, replica, { ...options, tries: 1 }, done);
		});
	}
};

interface Attempt {
	readonly force: boolean;
	/** Somebody's own act: no promise of ours. */
	readonly byOperator?: boolean;
	readonly tries: number;
}

const tryPromote = (
	simulation: Simulation,
	replica: Replica,
	attempt: Attempt,
	done: Done,
): void => {
	const again = () => {
		tryPromote(simulation, replica, { ...attempt, tries: attempt.tries + 1 }, done);
	};
	if (!replica.up) {
		done(failed('drbd-not-up'));
		return;
	}
	if (replica.role === 'Primary') {
		done(succeeded());
		return;
	}
	if (replica.connection === 'Connected') {
		promoteConnected(simulation, replica, attempt, again, done);
		return;
	}
	if (attempt.force && !atMost(replica.disk, 'Negotiating')) {
		replica.disk = 'UpToDate';
		becomePrimary(simulation, replica, true, attempt.byOperator === true);
		done(succeeded());
		return;
	}
	if (replica.disk !== 'UpToDate' && replica.disk !== 'Consistent') {
		done(failed('drbd-needs-up-to-date'));
		return;
	}
	if (
		replica.disk === 'UpToDate' &&
		atMost(replica.peerDisk, 'Outdated') &&
		replica.peerDisk !== 'Diskless'
	) {
		// DRBD knows enough and asks nobody: what somebody does then is no promise of ours.
		const askedNobody = attempt.tries === 1;
		becomePrimary(simulation, replica, false, attempt.byOperator === true && askedNobody);
		done(succeeded());
		return;
	}
	if (attempt.tries >= promoteTriesMax) {
		done(failed(replica.disk === 'UpToDate' ? 'drbd-peer-not-outdated' : 'drbd-needs-up-to-date'));
		return;
	}
	askInside(simulation, replica, again);
};

/** The handler, synchronously inside the promote; its answer counts only for this very loss. */
const askInside = (simulation: Simulation, replica: Replica, again: () => void): void => {
	const { connects } = replica;
	const { life } = replica.host;
	simulation.hooks.callHandler(replica, (exitCode) => {
		if (replica.host.life !== life || !replica.up) return;
		if (replica.connects === connects && replica.connection !== 'Connected') {
			const out = applyHandler(simulation, replica, exitCode);
			if (out && replica.disk === 'Consistent') {
				replica.disk = 'UpToDate';
				changed(simulation, replica);
			}
		}
		again();
	});
};

const promoteConnected = (
	simulation: Simulation,
	replica: Replica,
	attempt: Attempt,
	again: () => void,
	done: Done,
): void => {
	const peer = otherReplica(replica);
	const answers = replicationPath(simulation) && peer.up && peer.connection === 'Connected';
	if (!answers) {
		// The kernel pings first; a dead peer is dropped after ping-timeout, a returning path is met again.
		onHost(simulation, replica.host, delay(simulation, 500, 1100), () => {
			const back = replicationPath(simulation) && peer.connection === 'Connected';
			if (replica.connection === 'Connected' && !back) {
				dropConnection(simulation, replica, 'Connecting');
				refreshReplication(simulation, replica.vm);
			}
			if (attempt.tries > promoteTriesMax) done(failed('drbd-in-transition'));
			else again();
		});
		return;
	}
	if (peer.role === 'Primary' && !mayBothBePrimary(replica)) {
		done(failed('drbd-multiple-primaries'));
		return;
	}
	if (replica.disk !== 'UpToDate' && peer.disk !== 'UpToDate') {
		done(failed('drbd-needs-up-to-date'));
		return;
	}
	becomePrimary(simulation, replica, false);
	done(succeeded());
};

const becomePrimary = (
	simulation: Simulation,
	replica: Replica,
	forced: boolean,
	byOperator = false,
): void => {
	settle(simulation, replica.vm);
	replica.role = 'Primary';
	const peer = otherReplica(replica);
	replica.exposed = replica.disk === 'UpToDate' ? replica.current : peer.current;
	const alone = replica.connection !== 'Connected' || atMost(replica.peerDisk, 'Failed');
	if (forced || (alone && replica.bitmap === '')) rotate(simulation, replica);
	if (replica.connection === 'Connected' && peer.connection === 'Connected') {
		peer.peerRole = 'Primary';
		changed(simulation, peer);
	}
	count(simulation, 'promoted');
	changed(simulation, replica);
	if (byOperator) replica.vm.forcedOn.add(replica.host.name);
	else simulation.hooks.promoted(replica);
};
