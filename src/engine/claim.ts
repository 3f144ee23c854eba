import {
	type Draft,
	joined,
	note,
	observedOf,
	recordOf,
	wakeBy,
	leavingOf,
} from '#src/engine/draft.ts';
import { proofOf } from '#src/engine/peer.ts';
import type { State } from '#src/engine/state.ts';
import { inContact } from '#src/engine/join.ts';
import { couldTakeOver, takesOver } from '#src/engine/takeover.ts';
import {
	arbiterOf,
	claimHeld,
	memoryOf,
	selfFencedAtMs,
	silentFromMs,
	silentInWitnessMs,
	witnessGrants,
	witnessRecord,
} from '#src/engine/voters.ts';
import { changeMemory, changeWitness, send } from '#src/engine/witness.ts';
import { isConnected } from '#src/drbd/role.ts';
import type { EngineVm } from '#src/engine/config.ts';
import { renewMs } from '#src/witness/lease.ts';

/** A claim that found no proof for so long is given back, so that a peer that only lost its links may renew, ms. */
const patienceMs = 60_000;
/** ... and is not made again before, ms. */
const restMs = 30_000;

/** The peer's kernel still holds the resource in use: only a power-off lifts that veto. */
const vetoed = (state: State, resource: string, nowMs: number): boolean => {
	const observed = observedOf(state, resource);
	return (
		observed !== undefined &&
		isConnected(observed) &&
		observed.peerRole === 'Primary' &&
		proofOf(state, nowMs)?.kind !== 'power-off'
	);
};

/** The VM could run here with every acknowledged write if the peer were out. */
export const takeable = (state: State, vm: EngineVm, nowMs: number): boolean => {
	const record = recordOf(state, vm.resource);
	return (
		record?.owner === state.config.peer &&
		record.wanted === 'running' &&
		couldTakeOver(state, vm.resource) &&
		!vetoed(state, vm.resource, nowMs)
	);
};

/** A claim must win something: a VM of the peer that can run here (L5). */
export const claimGain = (state: State, nowMs: number): string | null => {
	const person = state.peer.proof?.kind === 'person';
	if (!takesOver(state) && !person) return null;
	const vm = state.config.vms.find((each) => takeable(state, each, nowMs));
	return vm === undefined ? null : `${vm.vm} can run here`;
};

/**
 * The peer renews no more: unchanged for two intervals since the first read, or for T_take when this run of the
 * agent has not met it: it may be on its way up (section 8). Its power-off says as much.
 */
const renewsNoMore = (draft: Draft): boolean => {
	const { state, nowMs } = draft;
	if (state.peer.proof?.kind === 'power-off') return true;
	const silentMs = silentInWitnessMs(state, nowMs);
	const { view, peerRead } = state.witness;
	if (silentMs === null || view === null || peerRead === null) return false;
	const takenMs = peerRead.atMs + (state.config.witness?.takeMs ?? 0);
	if (!state.peer.met) wakeBy(draft, takenMs);
	if (nowMs < (state.peer.met ? silentFromMs(peerRead) : takenMs)) return false;
	// Both hosts may renew at the same moment: then every other read just misses a renewal, and only a read that
	// was asked for more than an interval after the first one says that none came.
	return view.sentMs - peerRead.atMs > 1.5 * renewMs;
};

/** What the witness holds was given up, and both hosts have not agreed on a record there since. */
const voids = (state: State): boolean => {
	const { voidBelow, version } = memoryOf(state);
	return voidBelow > version;
};

const claimWanted = (draft: Draft): boolean => {
	const { state, nowMs } = draft;
	const { status } = state.peer;
	if (arbiterOf(state) !== 'witness' || !joined(state) || leavingOf(state) !== null) return false;
	if (voids(state)) return false;
	if (status !== 'lost' && status !== 'out') return false;
	if (claimGain(state, nowMs) === null) return false;
	const { claimSinceMs, claimRestUntilMs } = state.witness;
	if (memoryOf(state).claiming) {
		// Unknown is no reason to give up: what was claimed is claimed until the witness says otherwise.
		if (!witnessGrants(state, nowMs)) return true;
		if (witnessRecord(state, nowMs)?.claim?.by === state.config.peer) return false;
		wakeBy(draft, (claimSinceMs ?? nowMs) + patienceMs);
		return nowMs - (claimSinceMs ?? nowMs) < patienceMs || proofOf(state, nowMs) !== null;
	}
	wakeBy(draft, claimRestUntilMs);
	if (nowMs < claimRestUntilMs) return false;
	return witnessRecord(state, nowMs)?.claim === null && renewsNoMore(draft);
};

/** The witness names this host as owner of something that is not adopted yet: a takeover of ours landed late. */
const unadopted = (state: State): boolean =>
	state.config.vms.some(({ resource }) => {
		const theirs = state.witness.view?.record?.resources[resource];
		return (
			theirs?.owner === state.config.self &&
			theirs.generation > (recordOf(state, resource)?.generation ?? 0)
		);
	});

/** The witness holds no claim of ours any more, and none of its commands is under way. */
export const claimWithdrawn = (draft: Draft): void => changeWitness(draft, { claimSent: false });

/** Above every version that the record in the witness reaches by itself: it grows by one with each renewal. */
const voidStep = 1_000_000_000;

/**
 * The witness is gone while a claim stands in it, and a takeover may still land there unseen. Both hosts then give
 * its record up, durably, the claimer first: what this host believes no more it cannot act on, whatever lands.
 */
const voidRecord = (draft: Draft): void => {
	const { state } = draft;
	const theirs = state.peer.document?.witness ?? null;
	const memory = memoryOf(state);
	if (!inContact(state) || theirs === null) return;
	const stuck = memory.claiming && !voids(state) && state.witness.settled === 'unusable';
	// A takeover of ours that the other host cannot learn of stands in the way just as the claim does.
	const standing = state.witness.claimSent || unadopted(state);
	if (theirs.voidBelow <= memory.voidBelow && !(stuck && standing)) return;
	const seen = Math.max(memory.version, theirs.version, state.witness.view?.record?.version ?? 0);
	const voidBelow = theirs.voidBelow > memory.voidBelow ? theirs.voidBelow : voidStep + seen;
	changeMemory(draft, { voidBelow, confirmedRunId: null });
	const why = 'a claim in it cannot be withdrawn';
	note(draft, 'warn', 'the record in the witness is given up', { why, below: voidBelow });
};

/** Neither host believes the record any more that the claim stands in. */
const claimVoid = (state: State): boolean =>
	voids(state) &&
	inContact(state) &&
	(state.peer.document?.witness?.voidBelow ?? 0) >= memoryOf(state).voidBelow;

const withdraw = (draft: Draft, claimVersion: number): boolean =>
	send(draft, { op: 'withdraw', host: draft.state.config.self, claimVersion });

/** Echoes may begin again only when no command of the claim can still take effect. */
const giveUp = (draft: Draft): void => {
	const { state, nowMs } = draft;
	if (claimVoid(state)) claimWithdrawn(draft);
	else if (state.witness.claimSent) {
		// Whatever was read last: a claim that has landed since makes it void, and the refusal shows it.
		if (withdraw(draft, state.witness.view?.record?.claimVersion ?? 0))
			note(draft, 'info', 'the claim is withdrawn', { against: state.config.peer });
		return;
	} else if (unadopted(state)) return;
	changeMemory(draft, { claiming: false });
	changeWitness(draft, { claimSinceMs: null, claimRestUntilMs: nowMs + restMs });
};

/** A claim of ours that nobody knows of any more: it landed late, or came back with a restored record. */
const forgetStale = (draft: Draft): void => {
	const { state, nowMs } = draft;
	const record = witnessRecord(state, nowMs);
	if (record?.claim?.by === state.config.self) withdraw(draft, record.claimVersion);
};

/**
 * Claims a peer that is lost and renews no more. Before anything is sent the decision is durable and no
 * beat is echoed any more: an echo is a promise not to act (V2).
 */
export const claimRule = (draft: Draft): void => {
	if (draft.state.config.witness === null) return;
	voidRecord(draft);
	const { state, nowMs } = draft;
	const { claiming } = memoryOf(state);
	const wanted = claimWanted(draft);
	if (!claiming) {
		if (!wanted) {
			forgetStale(draft);
			return;
		}
		changeMemory(draft, { claiming: true });
		changeWitness(draft, { claimSinceMs: nowMs });
		note(draft, 'warn', 'the peer is claimed: no beat is echoed from now on', {
			against: state.config.peer,
			gain: claimGain(state, nowMs),
		});
		return;
	}
	if (!wanted) {
		giveUp(draft);
		return;
	}
	if (state.witness.claimSinceMs === null) changeWitness(draft, { claimSinceMs: nowMs });
	const atMs = selfFencedAtMs(state, nowMs);
	if (atMs !== null) wakeBy(draft, atMs);
	const record = witnessRecord(state, nowMs);
	if (record === null || record.claim !== null || claimHeld(state, nowMs)) return;
	const { echo } = state.witness;
	if (echo?.echoing !== false) return;
	// The heartbeat thread has heard the peer since this loop was told of the silence: that is not told yet.
	const silentMs = (echo.heardMs ?? Number.NEGATIVE_INFINITY) + state.config.timing.suspectMs;
	if (nowMs < silentMs) {
		wakeBy(draft, silentMs);
		return;
	}
	// A claim that was refused because the peer renewed is not sent again before it is silent once more.
	if (!renewsNoMore(draft)) return;
	const { self, peer } = state.config;
	const expectedRenewals = state.witness.peerRead?.renewals ?? null;
	const { claimVersion } = record;
	if (send(draft, { op: 'claim', host: self, claimVersion, against: peer, expectedRenewals }))
		changeWitness(draft, { claimSent: true });
};
