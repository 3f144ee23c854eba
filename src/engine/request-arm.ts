import type { Reply, Request } from '#src/api/request.ts';
import {
	busy,
	changePersisted,
	type Draft,
	joined,
	note,
	recordOf,
	wakeBy,
} from '#src/engine/draft.ts';
import { conflictOf, inContact, pairAgreed } from '#src/engine/join.ts';
import { someLevelWorks } from '#src/engine/ladder.ts';
import { pauseOf, pauseWords, unpaused } from '#src/engine/pause.ts';
import { deviceWrong } from '#src/engine/peer.ts';
import { done, refused } from '#src/engine/reply.ts';
import type { PendingRequest, State } from '#src/engine/state.ts';
import { leaseInForce, leaseReleased, memoryOf } from '#src/engine/voters.ts';
import type { PairRecord } from '#src/store/record.ts';

/** Automatic action of the pair, switched on, off, and off for a while. */

/** A change waits this long for the peer, or for what is under way, before it is refused, ms. */
const patienceMs = 15_000;

/** Two requests that wait would undo each other for ever. */
const overtaken = refused(
	'busy',
	'a newer request has changed it again meanwhile',
	'vmpair status',
);

const markWritten = (draft: Draft, pending: PendingRequest): void => {
	draft.state = {
		...draft.state,
		requests: draft.state.requests.map((each) =>
			each.id === pending.id ? { ...each, written: true } : each,
		),
	};
};

/** An armed pair may still be paused: who arms it wants to know. */
const armedReply = (state: State): Reply => {
	const pause = pauseOf(state);
	return pause === null
		? done('the pair is armed')
		: done(`the pair is armed, and ${pauseWords(state, pause)}`, 'vmpair resume');
};

/** Why the pair can't be armed now, as a sentence; null when it can. */
const armBlocker = (state: State, nowMs: number): string | null => {
	const { peer, self } = state.config;
	if (!inContact(state) || !joined(state) || state.peer.document?.joined !== true)
		return `${self} and ${peer} must be in contact to arm the pair`;
	if (state.peer.document.configDigest !== state.config.digest)
		return 'the configurations of the two hosts differ where they must be equal';
	const { fencing } = state.config;
	if (fencing !== null && !someLevelWorks(state, nowMs))
		return `the fence devices of ${peer} do not answer`;
	if (deviceWrong(state)) return `the fence device of ${peer} belongs to another host`;
	if (state.armBlockers === null) return 'the preflight has not finished yet';
	const blockers = [...state.armBlockers, ...state.peer.document.armBlockers];
	if (blockers.length > 0) return blockers.join('; ');
	const conflict = state.config.vms.find((vm) => conflictOf(state, vm.resource) !== null);
	if (conflict !== undefined) return `${conflict.vm}: the records of the two hosts conflict`;
	return null;
};

/** What an answer to a change of the arm state still waits for; null when both hosts, and the witness, know it. */
const unconfirmed = (state: State, armed: boolean): Reply | null => {
	const { self, peer } = state.config;
	const released = leaseReleased(state) && state.peer.document?.witness?.released === true;
	if (pairAgreed(state))
		return armed || !leaseInForce(state) || released
			? null
			: refused(
					'unconfirmed',
					'both hosts are disarmed, but the witness has not confirmed it: lease and watchdog stay in force',
					'see the runbook witness-unusable; do not stop the agent before they rest',
				);
	return refused(
		'unconfirmed',
		armed
			? `${peer} has not confirmed it: ${self} is armed, and ${peer} follows when it is in contact`
			: `${peer} has not confirmed it: ${self} is disarmed, but ${peer} may still switch ${self} off and take its VMs over`,
		armed ? 'vmpair status' : `run "vmpair disarm" on ${peer} too before any work begins`,
	);
};

/** A change of the arm state waits for what is under way, and is done when the peer's record is equal (V17). */
export const arm = (draft: Draft, pending: PendingRequest, armed: boolean): Reply | null => {
	const { state, nowMs } = draft;
	const { request } = pending;
	const reason = 'reason' in request ? request.reason : '';
	const { pair } = state.persisted;
	wakeBy(draft, pending.sinceMs + patienceMs);
	const changed = pair.armed === armed;
	if (changed) {
		const missing = unconfirmed(state, armed);
		if (missing === null) return armed ? armedReply(state) : done('the pair is disarmed');
		return nowMs - pending.sinceMs < patienceMs ? null : missing;
	}
	if (pending.written === true) return overtaken;
	const blocker = armed ? armBlocker(state, nowMs) : disarmBlocker(state);
	if (blocker !== null) {
		if (!armed && nowMs - pending.sinceMs < patienceMs) return null;
		return refused(armed ? 'not-ready' : 'busy', blocker, 'vmpair status');
	}
	changePersisted(draft, {
		pair: { generation: pair.generation + 1, armed, by: request.by, reason, at: pending.at },
	});
	markWritten(draft, pending);
	note(draft, 'info', armed ? 'pair armed' : 'pair disarmed', { by: request.by, reason });
	return null;
};

const disarmBlocker = (state: State): string | null => {
	if (busy(state, state.config.peer, ['power-off'])) return 'a fence is under way';
	const { peer } = state.config;
	if (memoryOf(state).claiming) return `a takeover from ${peer} is under way`;
	if (state.peer.document?.witness?.claiming === true) return `${peer} is about to take over`;
	const moving = state.config.vms.find(
		(vm) => (recordOf(state, vm.resource)?.journal ?? null) !== null,
	);
	return moving === undefined ? null : `${moving.vm} is being handed over`;
};

const writePair = (draft: Draft, pending: PendingRequest, pair: PairRecord): void => {
	changePersisted(draft, { pair: { ...pair, generation: pair.generation + 1 } });
	markWritten(draft, pending);
};

/** The peer is proven to do nothing, and learns of it when it is back. */
const isAway = ({ peer }: State): boolean => peer.status === 'out' || peer.status === 'left';

/** What the answer to a pause that is written still waits for; null while it may come. */
const pauseReply = (
	{ state, nowMs }: Draft,
	pending: PendingRequest,
	{ by, until }: Extract<Request, { verb: 'pause' }>,
): Reply | null => {
	const { self, peer } = state.config;
	const now = pauseOf(state);
	if (now?.at !== pending.at || now.by !== by) return overtaken;
	if (pairAgreed(state)) return done(`the pair is paused until ${until}`);
	if (isAway(state))
		return done(`${self} is paused until ${until}, or until ${peer} is back if that is later`);
	if (nowMs - pending.sinceMs < patienceMs) return null;
	return refused(
		'unconfirmed',
		`${peer} has not confirmed it: ${self} is paused, but ${peer} may still switch ${self} off and take its VMs over`,
		`run "vmpair pause" on ${peer} too before any work begins`,
	);
};

/**
 * Automatic action rests for a while. What is under way ends first; the peer's consent is only waited for, because
 * nothing that protects data rests (ADR 0021).
 */
export const pause = (
	draft: Draft,
	pending: PendingRequest,
	request: Extract<Request, { verb: 'pause' }>,
): Reply | null => {
	const { state, nowMs } = draft;
	const { pair } = state.persisted;
	wakeBy(draft, pending.sinceMs + patienceMs);
	if (pending.written !== true) {
		if (!pair.armed)
			return refused(
				'disarmed',
				'the pair is disarmed: it does nothing by itself, and that has no end',
				'vmpair status',
			);
		const blocker = disarmBlocker(state);
		if (blocker !== null)
			return nowMs - pending.sinceMs < patienceMs
				? null
				: refused('busy', blocker, 'vmpair status');
		const { by, reason, until, forMs } = request;
		writePair(draft, pending, { ...pair, pause: { by, reason, at: pending.at, until, forMs } });
		note(draft, 'info', 'pair paused', { by, reason, until });
	}
	return pauseReply(draft, pending, request);
};

/** Ends a pause. A peer that is not there, or does not answer, learns of it later: it only acts less until then. */
export const resume = (draft: Draft, pending: PendingRequest): Reply | null => {
	const { pair } = draft.state.persisted;
	wakeBy(draft, pending.sinceMs + patienceMs);
	if (!pair.armed) return refused('disarmed', 'the pair is disarmed, not paused', 'vmpair arm');
	if (pauseOf(draft.state) === null) {
		if (pending.written !== true) return done('the pair is not paused');
	} else if (pending.written === true) return overtaken;
	else {
		writePair(draft, pending, unpaused(pair));
		note(draft, 'info', 'pair resumed', { by: pending.request.by });
	}
	const { state, nowMs } = draft;
	if (pairAgreed(state)) return done('the pair acts by itself again');
	if (inContact(state) && nowMs - pending.sinceMs < patienceMs) return null;
	const { self, peer } = state.config;
	return done(`${self} acts by itself again; ${peer} follows when it is in contact`);
};
