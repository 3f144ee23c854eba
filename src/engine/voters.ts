import { busy, localOf, observedOf, recordOf } from '#src/engine/draft.ts';
import type { Proof, State } from '#src/engine/state.ts';
import { isConnected } from '#src/drbd/role.ts';
import type { MonotonicMs, ResourceName } from '#src/ports.ts';
import type { WitnessHost, WitnessRecord } from '#src/ports-witness.ts';
import type { WitnessMemory } from '#src/store/record.ts';
import { outAtMs, renewMs } from '#src/witness/lease.ts';

/** What is known of arbiter, witness and votes, as the rules ask for it. Nothing here changes anything. */

/**
 * The arbiter in force. `changing`: both hosts are on their way to another one; such a host obeys the
 * lease and never acts alone (V10). A pair that is configured for a witness begins with a person, until
 * both hosts have agreed on more.
 */
export const arbiterOf = (state: State): 'witness' | 'fencing' | 'person' | 'changing' => {
	const { arbiter } = state.persisted;
	if (arbiter === null) return state.config.arbiter === 'witness' ? 'person' : state.config.arbiter;
	if (arbiter.next !== null) return 'changing';
	return arbiter.now === 'witness' && state.config.witness === null ? 'person' : arbiter.now;
};

export const memoryOf = (state: State): WitnessMemory =>
	state.persisted.witness ?? {
		confirmedRunId: null,
		version: 0,
		generations: {},
		voidBelow: 0,
		peerUnarmed: false,
		reserved: {},
		claiming: false,
		disarmed: null,
		paused: {},
	};

/** Why what the witness last said can not be the truth, as a sentence; null when it can. */
export const misfit = (state: State): string | null => {
	const { view } = state.witness;
	if (view === null) return 'it has not answered yet';
	if (view.trouble === 'other-pair') return 'its key holds the record of another pair';
	if (view.trouble === 'unreadable') return 'its key holds something that is no record of vmpair';
	if (view.record === null) return 'it holds no record of this pair';
	const { version, generations, voidBelow } = memoryOf(state);
	if (view.record.version < voidBelow)
		return 'both hosts gave its record up with a claim that could not be withdrawn';
	if (view.record.version < version)
		return `its record has version ${view.record.version}, this host has seen ${version}`;
	const lost = Object.entries(generations).find(
		([resource, generation]) => (view.record?.resources[resource]?.generation ?? 0) < generation,
	);
	return lost === undefined
		? null
		: `its record of ${lost[0]} is older than what this host has seen`;
};

/** An answer that is older than this says nothing of now, ms. */
const freshMs = 3000;

/** The witness answered a moment ago. */
export const witnessAnswers = (state: State, nowMs: MonotonicMs): boolean =>
	state.witness.view !== null && nowMs - state.witness.view.sentMs <= freshMs;

/** Why the witness grants nothing, as a sentence. */
export const witnessReason = (state: State): string => {
	const { view } = state.witness;
	if (view === null) return 'it has not answered yet';
	const wrong = misfit(state);
	if (wrong !== null) return wrong;
	return view.runId === memoryOf(state).confirmedRunId
		? 'it does not answer'
		: 'it was restarted, and both hosts have not confirmed it yet';
};

/** True when the witness answers and grants: its run confirmed by both hosts, its record not below our marks. */
export const witnessGrants = (state: State, nowMs: MonotonicMs): boolean => {
	const { view } = state.witness;
	return (
		view !== null &&
		witnessAnswers(state, nowMs) &&
		view.runId === memoryOf(state).confirmedRunId &&
		misfit(state) === null
	);
};

/** The record of the witness, when it grants anything now. */
export const witnessRecord = (state: State, nowMs: MonotonicMs): WitnessRecord | null =>
	witnessGrants(state, nowMs) ? (state.witness.view?.record ?? null) : null;

/** What the peer last said of itself in the witness. */
const peerInWitness = (state: State): WitnessHost | undefined =>
	state.witness.view?.record?.hosts[state.config.peer];

/** The witness holds this host's record of the resource: a third voter stands behind it. */
export const witnessed = (state: State, resource: ResourceName, nowMs: MonotonicMs): boolean => {
	const theirs = witnessRecord(state, nowMs)?.resources[resource];
	const mine = recordOf(state, resource);
	return theirs !== undefined && mine !== undefined && theirs.generation === mine.generation;
};

/** The peer claims: this host may only pause and release. A claim that both hosts gave up bars nobody. */
export const claimedByPeer = (state: State): boolean => {
	const record = state.witness.view?.record ?? null;
	return (
		record?.claim?.against === state.config.self && record.version >= memoryOf(state).voidBelow
	);
};

/** The claim is in the witness, it is ours, and no beat has been echoed since before it was sent (V2). */
export const claimHeld = (state: State, nowMs: MonotonicMs): boolean =>
	witnessRecord(state, nowMs)?.claim?.by === state.config.self &&
	memoryOf(state).claiming &&
	state.witness.echo?.echoing === false;

/** True while a lease binds this host's VMs: also while the arbiter changes (V10). */
export const leaseInForce = (state: State): boolean => {
	if (state.config.witness === null) return false;
	const arbiter = arbiterOf(state);
	return arbiter === 'witness' || arbiter === 'changing';
};

/** The pair is disarmed, and whoever might have reckoned with this host's lease and watchdog knows it (V17). */
export const leaseReleased = ({ persisted }: State): boolean =>
	!persisted.pair.armed && persisted.witness?.disarmed === persisted.pair.generation;

/** The VM may run here only under a vote: the lease binds only while the peer is in its inSync (L1). */
export const voteNeeded = (state: State, resource: ResourceName): boolean => {
	const record = recordOf(state, resource);
	return (
		leaseInForce(state) &&
		!leaseReleased(state) &&
		record?.owner === state.config.self &&
		record.inSync.includes(state.config.peer)
	);
};

/** A vote that is in force, and not so near its end that everything is being paused. */
export const voteHeld = (state: State, nowMs: MonotonicMs): boolean => {
	const { vote, votedMs } = state.witness;
	const { witness } = state.config;
	if (vote !== 'held' || votedMs === null || witness === null) return false;
	// What the heartbeat thread said is old when this loop was stalled.
	return nowMs < votedMs + witness.leaseMs - witness.pauseLeadMs;
};

/** From then on the peer counts as one that renews no more, unless it is read to have renewed. */
export const silentFromMs = ({ atMs }: { readonly atMs: MonotonicMs }): MonotonicMs =>
	atMs + 2 * renewMs;

/**
 * When the vote ends, the witness's answer is none any more, and the peer has not renewed its vote for too long, unless
 * they are renewed: the earliest of those that are after `nowMs`. That happens all the time, so no rule announces them.
 */
export const lapseMs = (
	{ config, witness: { view, votedMs, peerRead } }: State,
	nowMs: MonotonicMs,
): MonotonicMs => {
	if (config.witness === null) return Number.POSITIVE_INFINITY;
	const { leaseMs, pauseLeadMs } = config.witness;
	const ends = [
		view === null ? 0 : view.sentMs + freshMs + 1,
		votedMs === null ? 0 : votedMs + leaseMs - pauseLeadMs,
		...(peerRead === null ? [] : [silentFromMs(peerRead), peerRead.atMs + 3 * renewMs]),
	];
	return Math.min(...ends.filter((endMs) => endMs > nowMs));
};

/** The peer's present number of renewals was first read so long ago (V1), ms; null when it never was. */
export const silentInWitnessMs = (state: State, nowMs: MonotonicMs): number | null => {
	const { peerRead, view } = state.witness;
	if (peerRead === null || view === null || peerRead.runId !== view.runId) return null;
	return nowMs - peerRead.atMs;
};

/** The peer was seen to renew a moment ago: it lives, wherever it is. */
export const aliveInWitness = (state: State, nowMs: MonotonicMs): boolean => {
	const silentMs = silentInWitnessMs(state, nowMs);
	return (
		witnessGrants(state, nowMs) &&
		state.witness.peerRead?.renewals !== null &&
		silentMs !== null &&
		silentMs < 3 * renewMs
	);
};

/**
 * The same by the witness's last answer, when that is not older than L: so long the vote lasts that the peer was seen
 * to get, and a witness that is silent for a moment does not make its VMs look down.
 */
export const aliveAtLastLook = (state: State, nowMs: MonotonicMs): boolean => {
	const { view } = state.witness;
	const leaseMs = state.config.witness?.leaseMs ?? 0;
	return view !== null && nowMs - view.sentMs < leaseMs && aliveInWitness(state, view.sentMs);
};

/**
 * The peer's watchdog, as it last said on every path, is armed and short enough. What it said to an earlier run of this
 * agent counts as well: a peer that the witness cannot hear tells only its peer that it lost its watchdog.
 */
const watchdogVouches = (state: State): boolean => {
	const { witness, digest } = state.config;
	const written = peerInWitness(state)?.watchdogMs ?? null;
	if (witness === null || written === null || written > witness.watchdogMs) return false;
	if (memoryOf(state).peerUnarmed) return false;
	return state.peer.document === null || state.peer.document.configDigest === digest;
};

/** What the peer tells of its watchdog is no reason to count on its silence. */
export const saysUnarmed = (state: State): boolean | null => {
	const { document } = state.peer;
	if (document === null || state.config.witness === null) return null;
	const told = document.witness?.watchdogMs ?? null;
	return told === null || told > state.config.witness.watchdogMs;
};

/**
 * Nothing lets the VM go on behind this look: no unpause of ours is under way, or may come late, and no xl that sends
 * it may resume a guest that it has suspended.
 */
export const staysPaused = (state: State, vm: string): boolean =>
	!busy(state, vm, ['unpause-vm', 'send-vm']) &&
	state.twins[vm]?.underWay !== true &&
	(state.witness.looked ?? 0) >= state.witness.unpausesUntilMs;

const anyConnected = (state: State): boolean =>
	state.config.vms.some(({ resource }) => {
		const observed = observedOf(state, resource);
		return observed !== undefined && isConnected(observed);
	});

/** When silence proves that the peer has reset itself (P3); null while nothing makes it a proof. */
export const selfFencedAtMs = (state: State, nowMs: MonotonicMs): MonotonicMs | null => {
	const { witness } = state.config;
	const { peerRead, echo } = state.witness;
	if (witness === null || arbiterOf(state) !== 'witness' || !claimHeld(state, nowMs)) return null;
	if (peerRead === null || echo === null || silentInWitnessMs(state, nowMs) === null) return null;
	if (state.peer.hearing === 'online') return null;
	if (!watchdogVouches(state) || anyConnected(state)) return null;
	const heardMs = echo.heardMs ?? state.startedAtMs;
	return outAtMs({ readMs: peerRead.atMs, heardMs }, witness.takeMs);
};

/** P3: nothing of the peer for T_take, under our claim, and its watchdog was armed. */
export const selfFenced = (state: State, nowMs: MonotonicMs): Proof | null => {
	const atMs = selfFencedAtMs(state, nowMs);
	if (atMs === null || nowMs < atMs) return null;
	return {
		kind: 'self-fenced',
		atMs,
		by: 'silent everywhere for longer than its lease and its armed watchdog last',
	};
};

/** The claim was written for this loss of replication, or an exclusion was (V5). */
export const excludedForLoss = (state: State, resource: ResourceName): boolean => {
	const exclusion = state.witness.exclusions[resource];
	const loss = state.losses[resource];
	const record = recordOf(state, resource);
	return (
		exclusion?.landed === true &&
		loss !== undefined &&
		!loss.over &&
		exclusion.loss === loss.number &&
		record !== undefined &&
		record.generation >= exclusion.generation &&
		// A change of this host's own may have passed the command on its way: then it is sent anew.
		record.inSync.every((host) => host === state.config.self)
	);
};

/** Generation of a record that a command writes: above all that this host wrote or may have written. */
export const nextGeneration = (state: State, resource: ResourceName, by: number): number =>
	Math.max(
		localOf(state, resource)?.record.generation ?? 0,
		state.witness.view?.record?.resources[resource]?.generation ?? 0,
		memoryOf(state).reserved[resource] ?? 0,
	) + by;
