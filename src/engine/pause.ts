import { changePersisted, type Draft, note, wakeBy } from '#src/engine/draft.ts';
import type { State } from '#src/engine/state.ts';
import type { Pause, PairRecord, Persisted } from '#src/store/record.ts';

/**
 * A pause: automatic action rests for a while. Everything that protects data goes on - lease and watchdog, exclusions,
 * refusals - so that neither its beginning nor its end needs the other host's consent (ADR 0021).
 */

/** What is left is made durable so often: a reboot makes the pause longer by no more than this, ms. */
const countMs = 60_000;

/** The pause that is in force, or null. A disarmed pair has none. */
export const pauseOf = ({ persisted: { pair } }: State): Pause | null =>
	pair.armed ? (pair.pause ?? null) : null;

/** The pair record without its pause. */
export const unpaused = ({ pause: _over, ...pair }: PairRecord): PairRecord => pair;

/** Who paused the pair, until when and why, for people. */
export const pauseWords = ({ by, until, reason }: Pause): string =>
	`paused by ${by} until ${until}: ${reason}`;

/** Why this pair does nothing by itself, as a sentence; null when it acts. */
export const idleReason = (state: State): string | null => {
	if (!state.persisted.pair.armed) return 'the pair is disarmed';
	const pause = pauseOf(state);
	return pause === null ? null : `the pair is ${pauseWords(pause)}`;
};

/** How long the pause still lasts, ms; null when there is none. */
export const pauseLeftMs = (state: State, nowMs: number): number | null => {
	const pause = pauseOf(state);
	if (pause === null) return null;
	const { pauseClock: clock, pair } = state.persisted;
	if (clock?.generation !== pair.generation) return pause.forMs;
	// Time in which this host was off is not known to it.
	const passedMs = clock.bootId === state.bootId ? nowMs - clock.atMs : 0;
	return Math.max(0, clock.leftMs - passedMs);
};

/** What the other host says is left of this very pause, ms; null when it says nothing. */
const peerLeftMs = ({ peer: { document }, persisted: { pair } }: State): number | null =>
	document?.pair.generation === pair.generation ? (document.pauseLeftMs ?? null) : null;

const setClock = (draft: Draft, leftMs: number): void => {
	const { bootId, persisted } = draft.state;
	const { generation } = persisted.pair;
	const clock: Persisted['pauseClock'] = { generation, bootId, atMs: draft.nowMs, leftMs };
	changePersisted(draft, { pauseClock: clock });
};

/**
 * Counts the pause down, and ends it for both hosts. The one that has been up all the time knows best: what the other
 * one says counts when it is less.
 */
export const pauseRule = (draft: Draft): void => {
	const { state, nowMs } = draft;
	const { pair, pauseClock: clock } = state.persisted;
	const leftMs = pauseLeftMs(state, nowMs);
	if (leftMs === null) {
		if (clock !== null) changePersisted(draft, { pauseClock: null });
		return;
	}
	if (leftMs <= 0) {
		// The same content on both hosts, so that it does not matter which one is first.
		changePersisted(draft, {
			pair: { ...unpaused(pair), generation: pair.generation + 1 },
			pauseClock: null,
		});
		note(draft, 'info', 'the pause is over: the pair acts by itself again', {});
		return;
	}
	const theirsMs = peerLeftMs(state);
	const late = theirsMs !== null && theirsMs + countMs < leftMs;
	const known = clock?.generation === pair.generation && clock.bootId === state.bootId;
	const set = late || !known || nowMs - clock.atMs >= countMs;
	if (set) setClock(draft, late ? theirsMs : leftMs);
	wakeBy(draft, (set ? nowMs : clock.atMs) + countMs);
	wakeBy(draft, nowMs + (late ? theirsMs : leftMs));
};
