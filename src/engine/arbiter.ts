import { changePersisted, type Draft, note, wakeBy } from '#src/engine/draft.ts';
import { inContact, together } from '#src/engine/join.ts';
import { answerLapsesMs, powerOf, someLevelWorks } from '#src/engine/ladder.ts';
import { deviceWrong } from '#src/engine/peer.ts';
import type { State } from '#src/engine/state.ts';
import { memoryOf, witnessed, witnessGrants, witnessRecord } from '#src/engine/voters.ts';
import { changeWitness } from '#src/engine/witness.ts';
import type { ArbiterRecord } from '#src/store/record.ts';

/** The arbiter changes only while both hosts are together, in two rounds (V10, L2). */

/** The witness grants nothing for so long while the hosts are together: another arbiter, ms. */
const unusableMs = 10_000;
/** ... and grants without a break for so long: back to it, ms. */
const usableMs = 60_000;

type Name = ArbiterRecord['now'];

const ownOf = (state: State): ArbiterRecord =>
	state.persisted.arbiter ?? {
		round: 0,
		now: state.config.arbiter === 'witness' ? 'person' : state.config.arbiter,
		next: null,
	};

/** As the peer published it; it wrote none yet when it has none. */
const theirsOf = (state: State): ArbiterRecord =>
	state.peer.document?.arbiter ?? { ...ownOf(state), round: 0, next: null };

/** Follows whether the witness is good, or bad, for long enough to change the arbiter. */
const settledRule = (draft: Draft): void => {
	const { state, nowMs } = draft;
	const { usable, usableSinceMs, settled } = state.witness;
	const dueMs = usableSinceMs + (usable ? usableMs : unusableMs);
	const now = nowMs < dueMs ? null : usable ? 'usable' : 'unusable';
	if (now === null) wakeBy(draft, dueMs);
	// Whether the devices answer decides about the arbiter that follows the witness, and is told to the peer.
	for (const power of state.peer.power) if (power !== null) wakeBy(draft, answerLapsesMs(power));
	if (now !== settled) changeWitness(draft, { settled: now });
};

/** The peer's fence devices answer this host. */
export const monitored = (state: State): boolean =>
	someLevelWorks(state, state.steppedAtMs) && powerOf(state)?.state === 'on' && !deviceWrong(state);

/** Without a witness: fencing when the devices of both hosts answer, else a person. */
const fallback = (state: State): Name =>
	monitored(state) && state.peer.document?.witness?.monitored === true ? 'fencing' : 'person';

/** The arbiter that should be in force now; the present one when nothing is to change. */
const wished = (state: State, now: Name): Name => {
	if (state.config.arbiter !== 'witness') return state.config.arbiter;
	const mine = state.witness.settled;
	const theirs = state.peer.document?.witness?.settled ?? null;
	if (mine === 'usable' && theirs === 'usable') return 'witness';
	if (mine !== 'unusable' || theirs !== 'unusable') return now;
	if (now === 'witness') return fallback(state);
	return now === 'person' && fallback(state) === 'fencing' ? 'fencing' : now;
};

const put = (draft: Draft, arbiter: ArbiterRecord): void => {
	changePersisted(draft, { arbiter });
	note(draft, 'warn', arbiter.next === null ? 'arbiter change' : 'the arbiter is being changed', {
		round: arbiter.round,
		now: arbiter.now,
		next: arbiter.next,
	});
};

const same = (one: ArbiterRecord, other: ArbiterRecord): boolean =>
	one.round === other.round && one.now === other.now && one.next === other.next;

/** Everything the new arbiter rests on is the same for both hosts. */
const allTogether = (state: State): boolean =>
	!memoryOf(state).claiming &&
	state.peer.document?.witness?.claiming !== true &&
	state.peer.document?.configDigest === state.config.digest &&
	state.config.vms.every(({ resource }) => together(state, resource));

/** The witness holds every record as both hosts do, and nobody claims. */
const caughtUp = (draft: Draft): boolean => {
	const { state, nowMs } = draft;
	return (
		witnessGrants(state, nowMs) &&
		witnessRecord(state, nowMs)?.claim === null &&
		!memoryOf(state).claiming &&
		state.peer.document?.witness?.usable === true &&
		!state.peer.document.witness.claiming &&
		state.config.vms.every(({ resource }) => witnessed(state, resource, nowMs))
	);
};

/** Second round: the peer's `changing` is durable, so each writes the new arbiter. */
const finish = (draft: Draft, own: ArbiterRecord, next: Name): void => {
	const { state } = draft;
	if (!allTogether(state)) return;
	if (next !== 'witness' || caughtUp(draft)) {
		put(draft, { round: own.round + 1, now: next, next: null });
		return;
	}
	// The witness is gone again on the way to it: both go to another one instead.
	const other = wished(state, own.now === 'witness' ? 'witness' : own.now);
	const instead = other === 'witness' ? fallback(state) : other;
	if (state.witness.settled === 'unusable' && state.config.self < state.config.peer)
		put(draft, { round: own.round + 1, now: own.now, next: instead });
};

/** Changes the arbiter in two rounds; the first host by name proposes. */
export const arbiterRule = (draft: Draft): void => {
	if (draft.state.config.witness !== null) settledRule(draft);
	const { state } = draft;
	if (state.config.witness === null && state.persisted.arbiter === null) return;
	if (!inContact(state)) return;
	const own = ownOf(state);
	const theirs = theirsOf(state);
	if (theirs.round > own.round) {
		// The first round needs equal records; whatever else the peer wrote, it wrote after our consent.
		if (theirs.next === null || theirs.round > own.round + 1 || allTogether(state))
			put(draft, theirs);
		return;
	}
	if (theirs.round === own.round && !same(own, theirs)) {
		if (theirs.next !== null && own.next === null) put(draft, theirs);
		return;
	}
	if (theirs.round < own.round) return;
	if (own.next !== null) {
		finish(draft, own, own.next);
		return;
	}
	if (state.config.self > state.config.peer || !allTogether(state)) return;
	const next = wished(state, own.now);
	if (next !== own.now) put(draft, { round: own.round + 1, now: own.now, next });
};
