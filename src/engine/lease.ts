import {
	busy,
	type Draft,
	note,
	observedOf,
	presenceOf,
	recordOf,
	start,
	wakeBy,
} from '#src/engine/draft.ts';
import { conflictOf, inContact, pairAgreed, together } from '#src/engine/join.ts';
import type { State } from '#src/engine/state.ts';
import {
	arbiterOf,
	claimedByPeer,
	leaseInForce,
	leaseReleased,
	memoryOf,
	saysUnarmed,
	staysPaused,
	voteHeld,
	voteNeeded,
	witnessed,
	witnessRecord,
} from '#src/engine/voters.ts';
import { changeMemory, changeWitness } from '#src/engine/witness.ts';
import { isConnected, lowestDisk } from '#src/drbd/role.ts';
import type { ResourceObservation } from '#src/ports.ts';
import type { EngineVm } from '#src/engine/config.ts';
import { same } from '#src/std/same.ts';
import type { LeaseOrders } from '#src/witness/lease.ts';

/** What votes mean for this host's VMs, and what the heartbeat thread must know for it. */

/** A VM that is still not seen paused so long after the vote's end is not awaited: the host is reset, ms. */
const resetAfterMs = 1000;

/**
 * A run of the agent that has just started takes a moment to hear anybody, and a loop that stood still to be told what
 * the heartbeat thread has counted meanwhile: a hung loop with a live vote is no reason to pause or to reset. If there
 * is no vote, that thread grants nothing, and the watchdog counts on, ms.
 */
const startMs = 2000;

/** From here on this loop knows what its votes are worth. */
const knowsVotesMs = (state: State): number => state.steadySinceMs + startMs;

/** Follows the vote. Its return begins a new round: only what is said after it counts (V3). */
const voteRule = (draft: Draft): void => {
	const { state, nowMs } = draft;
	const held = voteHeld(state, nowMs);
	const { votelessMs, round } = state.witness;
	if (held === (votelessMs === null)) return;
	if (!held && nowMs < knowsVotesMs(state)) {
		wakeBy(draft, knowsVotesMs(state));
		return;
	}
	if (held) {
		// A late echo was sent before much that was written since: only what is asked for from now on is news.
		changeWitness(draft, { votelessMs: null, voteBackMs: nowMs, round: round + 1 });
		if (leaseInForce(state)) note(draft, 'info', 'this host has a vote', {});
	} else {
		changeWitness(draft, { votelessMs: nowMs });
		if (leaseInForce(state)) note(draft, 'warn', 'this host is about to lose its last vote', {});
	}
};

/**
 * This host's own, and not only by what it wrote for itself: that the peer's disk has failed, for instance. A host that
 * has paused for want of a vote acts on nothing that would be lost with it.
 */
const ownAndKnown = (state: State, resource: string, nowMs: number): boolean => {
	if (recordOf(state, resource)?.owner !== state.config.self) return false;
	if (!leaseInForce(state) || leaseReleased(state)) return true;
	if (state.staleAccepted[resource] === true) return true;
	return witnessed(state, resource, nowMs) || (inContact(state) && together(state, resource));
};

/** The record was read after the vote came back, names this host, and nobody claims (V3). */
const recordFresh = (state: State, resource: string, nowMs: number): boolean => {
	if (!voteNeeded(state, resource)) return ownAndKnown(state, resource, nowMs);
	const { view, voteBackMs, round } = state.witness;
	if (!voteHeld(state, nowMs) || claimedByPeer(state)) return false;
	if (witnessed(state, resource, nowMs) && (view?.sentMs ?? 0) >= voteBackMs) return true;
	const theirs = state.peer.document?.witness;
	return (
		inContact(state) &&
		together(state, resource) &&
		theirs?.heardRound === round &&
		!theirs.claiming
	);
};

/** Why a VM may not run here although the record names this host; null when votes do not forbid it. */
export const voteBlocker = (state: State, resource: string, nowMs: number): string | null => {
	if (!voteNeeded(state, resource)) return null;
	if (!voteHeld(state, nowMs))
		return 'this host has no vote: neither its peer nor the witness hears it';
	if (recordFresh(state, resource, nowMs)) return null;
	return 'its record is read again since the vote came back';
};

const instanceOf = (state: State, vm: EngineVm): string | null =>
	state.vms?.value[vm.vm]?.instance ?? null;

/** A pause of ours, which we undo when this host has the vote and the record. */
export const rememberPause = (draft: Draft, vm: EngineVm): void => {
	const instance = instanceOf(draft.state, vm);
	const { paused } = memoryOf(draft.state);
	if (instance !== null) changeMemory(draft, { paused: { ...paused, [vm.vm]: instance } });
};

/** At the vote's end: pauses what needs one, and remembers that it was us, durable before it is done. */
const pauseRule = (draft: Draft): void => {
	const firstMs = knowsVotesMs(draft.state);
	if (draft.nowMs < firstMs) {
		wakeBy(draft, firstMs);
		return;
	}
	for (const vm of draft.state.config.vms) {
		const { state, nowMs } = draft;
		if (presenceOf(state, vm.vm) !== 'running' || !voteNeeded(state, vm.resource)) continue;
		if (voteHeld(state, nowMs)) continue;
		const record = recordOf(state, vm.resource);
		if (record === undefined || instanceOf(state, vm) === null) continue;
		if (!start(draft, { type: 'pause-vm', vm: vm.vm, generation: record.generation })) continue;
		rememberPause(draft, vm);
		note(draft, 'warn', 'a VM is paused: this host has no vote', { vm: vm.vm });
	}
};

/** Undoes our own pauses, and only those, once the vote and the record are back. */
const unpauseRule = (draft: Draft): void => {
	for (const vm of draft.state.config.vms) {
		const { state, nowMs } = draft;
		const { paused } = memoryOf(state);
		const instance = paused[vm.vm];
		if (instance === undefined || state.vms === null || state.vmsUnknownSinceMs !== null) continue;
		const presence = presenceOf(state, vm.vm);
		const over = instanceOf(state, vm) !== instance || presence === 'stopped';
		// Seen before our pause had its effect, it says nothing.
		const runs =
			presence === 'running' &&
			!busy(state, vm.vm, ['pause-vm', 'unpause-vm']) &&
			(state.witness.looked ?? 0) > state.witness.pausesUntilMs;
		if (over || runs) {
			const { [vm.vm]: _gone, ...rest } = paused;
			changeMemory(draft, { paused: rest });
			continue;
		}
		const record = recordOf(state, vm.resource);
		if (presence !== 'paused' || record?.owner !== state.config.self) continue;
		if (conflictOf(state, vm.resource) !== null || !recordFresh(state, vm.resource, nowMs))
			continue;
		if (state.vms.atMs < state.steadySinceMs || state.resourcesUnknownSinceMs !== null) continue;
		if (!usable(observedOf(state, vm.resource))) continue;
		if (start(draft, { type: 'unpause-vm', vm: vm.vm, generation: record.generation }))
			note(draft, 'info', 'a VM goes on: this host has a vote and the record', { vm: vm.vm });
	}
};

/** The guest can read and write: in use here, with a disk of its own or the peer's. */
const usable = (observed: ResourceObservation | undefined): boolean =>
	observed?.role === 'Primary' && (isConnected(observed) || lowestDisk(observed) === 'UpToDate');

/** It needs a vote and there is none. */
const voteDue = (state: State, vm: EngineVm, nowMs: number): boolean =>
	voteNeeded(state, vm.resource) && !voteHeld(state, nowMs);

/** A copy that was last seen running here and is not ours: a host that slept through its takeover has one. */
const strays = (state: State, vm: EngineVm): boolean =>
	leaseInForce(state) &&
	state.vms?.value[vm.vm]?.presence === 'running' &&
	recordOf(state, vm.resource)?.owner !== state.config.self;

/** What must be paused for want of a vote. */
const mustRest = (state: State, vm: EngineVm): boolean =>
	voteNeeded(state, vm.resource) || strays(state, vm);

/** When the look began that showed nothing runnable that needs a vote; null when something is, or may be. */
const verifiedPausedMs = (state: State): number | null => {
	if (state.vms === null || state.vmsUnknownSinceMs !== null) return null;
	const still = state.config.vms.every(
		(vm) =>
			!mustRest(state, vm) ||
			(staysPaused(state, vm.vm) &&
				['paused', 'absent', 'stopped', 'creating'].includes(presenceOf(state, vm.vm))),
	);
	return still ? state.witness.looked : null;
};

/** The witness, where it decides, says that this host's silence proves nothing, and nobody claims there. */
const witnessKnows = (state: State, nowMs: number): boolean => {
	const arbiter = arbiterOf(state);
	if (arbiter === 'changing') return false;
	if (arbiter !== 'witness') return true;
	const record = witnessRecord(state, nowMs);
	return record?.claim === null && (record.hosts[state.config.self]?.watchdogMs ?? null) === null;
};

/**
 * A disarmed pair has no lease, but not before everybody who might act on it knows: the peer by its durable record,
 * and the witness, which would vouch for the watchdog to a peer that has forgotten it (V17).
 */
const disarmRule = (draft: Draft): void => {
	const { state, nowMs } = draft;
	const { pair } = state.persisted;
	if (pair.armed || leaseReleased(state)) return;
	if (!pairAgreed(state) || !witnessKnows(state, nowMs)) return;
	if (memoryOf(state).claiming || state.peer.document?.witness?.claiming === true) return;
	changeMemory(draft, { disarmed: pair.generation });
	note(draft, 'info', 'no lease binds this host, and its watchdog rests: the pair is disarmed', {});
};

/** What the peer says of its watchdog is remembered: the next run of this agent may not hear it again. */
const peerWatchdogRule = (draft: Draft): void => {
	const peerUnarmed = saysUnarmed(draft.state);
	if (peerUnarmed !== null && peerUnarmed !== memoryOf(draft.state).peerUnarmed)
		changeMemory(draft, { peerUnarmed });
};

/** The watchdog that this host vouches for; null: its silence proves nothing. */
export const vouchedWatchdogMs = (state: State): number | null => {
	const { witness } = state.config;
	const { watchdog } = state.witness;
	if (witness === null || watchdog?.armed !== true || !leaseInForce(state)) return null;
	// Disarmed, this host is about to stop it: nobody may reckon with it from now on (V17).
	if (!state.persisted.pair.armed) return null;
	const { timeoutMs } = watchdog;
	return timeoutMs === null || timeoutMs > witness.watchdogMs ? null : timeoutMs;
};

const ordersOf = (draft: Draft): LeaseOrders => {
	const { state } = draft;
	const needs = state.config.vms.some((vm) => mustRest(state, vm));
	return {
		renewal: { watchdogMs: vouchedWatchdogMs(state) },
		confirmedRunId: memoryOf(state).confirmedRunId,
		exempt: !needs,
		// Told only while it matters: it would be news with every look.
		pausedMs: state.witness.votelessMs === null ? null : verifiedPausedMs(state),
		echoing: !memoryOf(state).claiming,
		released: leaseReleased(state),
	};
};

/** The last step: a VM that needs a vote could not be paused. Only a host that others count on does it. */
const resetRule = (draft: Draft): void => {
	const { state, nowMs } = draft;
	const { witness } = state.config;
	const { votedMs, resetAsked } = state.witness;
	const runs = state.config.vms.some(
		(vm) => voteDue(state, vm, nowMs) && presenceOf(state, vm.vm) === 'running',
	);
	if (!runs || witness === null) {
		if (state.witness.overdueMs !== null)
			changeWitness(draft, { overdueMs: null, resetAsked: false });
		return;
	}
	const overdueMs = state.witness.overdueMs ?? nowMs;
	if (state.witness.overdueMs === null) changeWitness(draft, { overdueMs });
	if (resetAsked || vouchedWatchdogMs(state) === null) return;
	// Counted from its first sight, too: what somebody starts by hand long after the vote's end is paused first.
	const leaseEndMs = (votedMs ?? state.startedAtMs) + witness.leaseMs;
	const endMs = Math.max(leaseEndMs, overdueMs, knowsVotesMs(state)) + resetAfterMs;
	if (nowMs < endMs) {
		wakeBy(draft, endMs);
		return;
	}
	changeWitness(draft, { resetAsked: true });
	const reason = 'a VM could not be paused after the last vote';
	note(draft, 'error', 'this host resets itself', { reason });
	draft.actions.push({ type: 'reset-host', reason });
};

/** Votes: pause at their end, go on after their return, and tell the heartbeat thread what it grants on. */
export const leaseRule = (draft: Draft): void => {
	if (draft.state.config.witness === null) return;
	disarmRule(draft);
	peerWatchdogRule(draft);
	const rested = draft.state.witness.orders?.released === true;
	if (rested && !leaseReleased(draft.state)) changeWitness(draft, { restedMs: draft.nowMs });
	voteRule(draft);
	pauseRule(draft);
	unpauseRule(draft);
	resetRule(draft);
};

/** After every rule that changes records: what the heartbeat thread must know. */
export const leaseOrdersRule = (draft: Draft): void => {
	if (draft.state.config.witness === null) return;
	const orders = ordersOf(draft);
	if (!same(orders, draft.state.witness.orders)) {
		changeWitness(draft, { orders });
		draft.actions.push({ type: 'order-lease', orders });
	}
	const closely = !orders.exempt && draft.state.witness.votelessMs !== null;
	if (closely === draft.state.witness.closely) return;
	changeWitness(draft, { closely });
	draft.actions.push({ type: 'watch-closely', closely });
};
