import {
	busy,
	type Draft,
	joined,
	localOf,
	note,
	observedOf,
	presenceOf,
	recordOf,
	selfInSync,
	soleInSync,
	start,
	vmStateOf,
	wakeBy,
	leavingOf,
} from '#src/engine/draft.ts';
import { conflictOf, inContact, together } from '#src/engine/join.ts';
import { rememberPause } from '#src/engine/lease.ts';
import { splitOf } from '#src/engine/split.ts';
import type { State } from '#src/engine/state.ts';
import { currentDisk } from '#src/engine/takeover.ts';
import { arbiterOf, witnessed } from '#src/engine/voters.ts';
import {
	isConnected,
	isEstablishedUpToDate,
	highestDisk,
	isFrozen,
	lowestDisk,
} from '#src/drbd/role.ts';
import type { EngineVm } from '#src/engine/config.ts';
import type { ResourceName, ResourceObservation } from '#src/ports.ts';

/** True when something (armed, a person, a hand-over) lets this host start the VM. */
export const startAllowed = (state: State, vm: EngineVm): boolean => {
	const record = recordOf(state, vm.resource);
	if (record === undefined || record.owner !== state.config.self) return false;
	const { journal } = record;
	if (journal !== null) return journal.to === state.config.self && journal.start;
	if (record.wanted !== 'running' || vmStateOf(state, vm.vm).gaveUp !== null) return false;
	return state.persisted.pair.armed || vmStateOf(state, vm.vm).ordered;
};

/** Why the resource can't be Primary here now, as a sentence; null when it may be promoted. */
export const promoteBlocker = (state: State, resource: ResourceName): string | null => {
	const observed = observedOf(state, resource);
	const record = recordOf(state, resource);
	const { self, peer } = state.config;
	if (record === undefined) return 'there is no record of it yet';
	if (record.owner !== self) return `${record.owner ?? 'nobody'} owns it`;
	if (observed === undefined) return 'its DRBD resource is not up on this host';
	const conflict = conflictOf(state, resource);
	if (conflict !== null) return conflict;
	if (!selfInSync(state, resource)) return `the copy on ${self} is not known to be current`;
	if (!currentDisk(state, resource)) return `a disk of it on ${self} is not usable`;
	if (!joined(state) && state.aloneAllowed[resource] !== true)
		return `${self} has not met ${peer} since it booted`;
	const voter = voterBlocker(state, resource);
	if (voter !== null) return voter;
	if (isConnected(observed)) {
		if (observed.peerRole === 'Primary' && state.peer.status !== 'out')
			return `it is still Primary on ${peer}`;
		if (inContact(state) && !together(state, resource))
			return `the records on ${self} and ${peer} are being made equal`;
		return replicationBlocker(state, resource, observed);
	}
	if (!soleInSync(state, resource))
		return `replication to ${peer} is down and ${peer} is not yet counted out of the data`;
	return null;
};

/** With a third voter the witness stands between the one that loses a VM and the one that gains it (V8). */
const voterBlocker = (state: State, resource: ResourceName): string | null => {
	if (state.staleAccepted[resource] === true) return null;
	const arbiter = arbiterOf(state);
	if (arbiter === 'changing' && !together(state, resource)) return 'the arbiter is being changed';
	if (arbiter !== 'witness' || witnessed(state, resource, state.steppedAtMs)) return null;
	return 'the witness does not hold this record yet';
};

/** Connected: the disks must be what the record says before a guest writes, or it would write to one copy only. */
const replicationBlocker = (
	state: State,
	resource: ResourceName,
	observed: ResourceObservation,
): string | null => {
	if (soleInSync(state, resource))
		return lowestDisk(observed) === 'UpToDate' ? null : 'its disk is not UpToDate yet';
	// The peer is proven out although DRBD has not noticed: the kernel will, inside the promote.
	if (state.peer.status === 'out') return null;
	return isEstablishedUpToDate(observed) ? null : 'the two copies are being made equal';
};

/** Brings resources up (never promotes) and connects again what a refused resync left StandAlone. */
export const attachRule = (draft: Draft): void => {
	if (draft.state.resources === null || draft.state.left) return;
	for (const { resource } of draft.state.config.vms) {
		const { state } = draft;
		const observed = observedOf(state, resource);
		const generation = recordOf(state, resource)?.generation ?? 0;
		const detached = localOf(state, resource)?.detached === true;
		if (observed !== undefined && (detached || !isHalfUp(observed)))
			reconnect(draft, resource, observed);
		else if (state.resourcesUnknownSinceMs === null && leavingOf(state) === null)
			start(draft, { type: 'resource-up', resource, generation });
	}
};

/**
 * As `drbdadm up` leaves it when the disk below is not there: after a boot the volume manager may bring that later.
 * One that is attached, or connected, was up, and what became of it since is for other rules.
 */
const isHalfUp = (observed: ResourceObservation): boolean =>
	observed.role === 'Secondary' &&
	observed.connection === 'StandAlone' &&
	observed.volumes.length > 0 &&
	highestDisk(observed) === 'Diskless';

const reconnectsMax = 3;
const reconnectPauseMs = 10_000;

/** A few times under each record: a refused resync goes through once joined, a real split brain only repeats itself. */
const reconnect = (draft: Draft, resource: ResourceName, observed: ResourceObservation): void => {
	const { state, nowMs } = draft;
	const tried = state.reconnects[resource];
	const generation = recordOf(state, resource)?.generation ?? 0;
	// A resync that was refused passed through its first states: only equal copies end the count.
	if (isEstablishedUpToDate(observed)) {
		if (tried === undefined) return;
		const { [resource]: _cleared, ...rest } = state.reconnects;
		draft.state = { ...state, reconnects: rest };
		return;
	}
	if (observed.connection !== 'StandAlone' || busy(state, resource, ['resource-up'])) return;
	if (!inContact(state) || !joined(state)) return;
	if (conflictOf(state, resource) !== null || state.peer.document?.joined !== true) return;
	// A split brain only repeats itself; whoever gives a copy up connects by that order.
	if (splitOf(state, resource) === 'certain' || underOrder(state, resource)) return;
	if (wouldDrop(state, resource, observed)) return;
	const failures = tried?.detail === `${generation}` ? tried.failures : 0;
	if (failures >= reconnectsMax) return;
	if (tried !== undefined && nowMs < tried.notBeforeMs) {
		wakeBy(draft, tried.notBeforeMs);
		return;
	}
	if (!start(draft, { type: 'resource-connect', resource, generation })) return;
	draft.state = {
		...draft.state,
		reconnects: {
			...draft.state.reconnects,
			[resource]: {
				failures: failures + 1,
				unknowns: 0,
				notBeforeMs: nowMs + reconnectPauseMs,
				detail: `${generation}`,
			},
		},
	};
};

/** A person's order to give up a copy is under way on either side. */
const underOrder = (state: State, resource: ResourceName): boolean =>
	state.resolves[resource] !== undefined ||
	state.peer.document?.resolveOrders.some((each) => each.resource === resource) === true;

/** Two Primaries drop each other at once; one that was replaced is released first and connects when it is. */
const wouldDrop = (
	state: State,
	resource: ResourceName,
	observed: ResourceObservation,
): boolean => {
	if (observed.role !== 'Primary') return false;
	if (recordOf(state, resource)?.owner !== state.config.self) return true;
	return state.peer.document?.sights[resource]?.role === 'Primary';
};

const roleActions = ['promote', 'demote', 'resource-up', 'resource-down', 'outdate'] as const;

/** Roles follow the VMs: Primary where the VM is to run, Secondary where it neither runs nor shall. */
export const roleRule = (draft: Draft): void => {
	for (const vm of draft.state.config.vms) {
		const { state } = draft;
		const { resource } = vm;
		const observed = observedOf(state, resource);
		const record = recordOf(state, resource);
		if (observed === undefined || record === undefined) continue;
		if (busy(state, resource, roleActions)) continue;
		if (observed.role === 'Secondary' && startAllowed(state, vm) && leavingOf(state) === null) {
			if (promoteBlocker(state, resource) === null)
				start(draft, { type: 'promote', resource, generation: record.generation });
		} else if (observed.role === 'Primary' && keepsPrimary(state, vm)) {
			continue;
		} else if (observed.role === 'Primary' && demoteDue(state, vm)) {
			start(draft, { type: 'demote', resource, generation: record.generation });
		}
	}
};

/** The copy that a person keeps stays in use until the other one is given up. */
const keepsPrimary = (state: State, { resource }: EngineVm): boolean =>
	state.resolves[resource] !== undefined && recordOf(state, resource)?.owner === state.config.self;

const demoteDue = (state: State, vm: EngineVm): boolean => {
	const record = recordOf(state, vm.resource);
	const observed = observedOf(state, vm.resource);
	if (record === undefined || observed === undefined) return false;
	// A late promote that met the returning peer: in use with a disk that can't be used, and nobody needs it.
	const disk = lowestDisk(observed);
	const useless = disk === 'Inconsistent' || disk === 'Outdated';
	if (isFrozen(observed) && !useless) return false;
	if (presenceOf(state, vm.vm) !== 'absent') return false;
	if (busy(state, vm.vm, ['create-vm', 'unpause-vm'])) return false;
	const { self } = state.config;
	// The saga decides when a host of a live migration is Primary.
	if (record.journal?.kind === 'migration') return false;
	if (record.owner !== self) return true;
	if (record.journal !== null) return record.journal.from === self && record.journal.to !== self;
	if (useless && !isConnected(observed)) return true;
	return (
		record.wanted === 'stopped' || leavingOf(state) !== null || !selfInSync(state, vm.resource)
	);
};

/** A Primary that the record gave to the other host: stopped and frozen for good, never resumed (V15). */
export const supersededRule = (draft: Draft): void => {
	for (const each of draft.state.config.vms) {
		const { vm, resource } = each;
		const { state } = draft;
		const record = recordOf(state, resource);
		const presence = presenceOf(state, vm);
		if (record === undefined || record.owner === state.config.self) continue;
		if (presence === 'absent' || presence === 'unknown' || presence === 'dying') continue;
		const observed = observedOf(state, resource);
		if (presence === 'running') {
			if (!start(draft, { type: 'pause-vm', vm, generation: record.generation })) continue;
			// Nobody's VM: if this host takes it back, it goes on.
			if (record.owner === null) rememberPause(draft, each);
			note(draft, 'error', 'a VM runs here that belongs to the other host: it is paused', {
				vm,
				owner: record.owner,
			});
			continue;
		}
		// Let go for want of a vote: whoever takes the VM decides about the paused domain.
		if (record.owner === null) continue;
		// A whole copy that waits for its turn; when there will be none, the saga destroys it.
		if (record.journal?.kind === 'migration') continue;
		// While DRBD holds back its writes the domain can't go: `releaseRule` takes the disk away first.
		if (observed !== undefined && isFrozen(observed)) continue;
		start(draft, { type: 'destroy-vm', vm, generation: record.generation });
	}
};

/** True when a copy of the VM on this host waits for its release although the other host owns it. */
export const superseded = (state: State, vm: EngineVm): boolean => {
	const record = localOf(state, vm.resource)?.record;
	// As it was last seen: that the hypervisor does not answer makes nothing better.
	const presence = state.vms?.value[vm.vm]?.presence;
	if (record === undefined || record.owner === state.config.self) return false;
	// The copy of a live migration waits for its turn.
	if (record.journal?.kind === 'migration') return presence === 'running';
	return presence === 'running' || presence === 'paused';
};
