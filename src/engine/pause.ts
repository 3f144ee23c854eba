import { changePersisted, type Draft, note, wakeBy } from '#src/engine/draft.ts';
import { hostsTogether } from '#src/engine/join.ts';
import type { State } from '#src/engine/state.ts';
import type { Pause, PairRecord, Persisted } from '#src/store/record.ts';

/**
 * A pause: automatic action rests for a while. Everything that protects data goes on - lease and watchdog, exclusions,
 * refusals - so that neither its beginning nor its end needs the other host's consent. By the clock it ends only while
 * both hosts are together: nobody is fenced by a timer, perhaps in the middle of a person's work (ADR 0021).
 */

/** What is left is made durable so often: a reboot makes the pause longer by no more than this, ms. */
const countMs = 60_000;

/** The pause that is in force, or null. A disarmed pair has none. */
export const pauseOf = ({ persisted: { pair } }: State): Pause | null =>
	pair.armed ? (pair.pause ?? null) : null;

/** The pair record without its pause. */
export const unpaused = ({ pause: _over, ...pair }: PairRecord): PairRecord => pair;

/** The time of the pause is over, and it lasts because the hosts are not together. */
export const isOverdue = (state: State): boolean => {
	const { pair, pauseClock: clock } = state.persisted;
	return pauseOf(state) !== null && clock?.generation === pair.generation && clock.leftMs === 0;
};

/** Who paused the pair, until when and why, for people. */
export const pauseWords = (state: State, { by, until, reason }: Pause): string => {
	const longer = isOverdue(state) ? `, and on until ${state.config.peer} is back` : '';
	return `paused by ${by} until ${until}${longer}: ${reason}`;
};

/** What keeps the hosts apart, as the predicate of a sentence about the peer. */
const apartWords = ({ peer: { status }, config }: State): string => {
	switch (status) {
		case 'online':
			return `has not joined with ${config.self} yet`;
		case 'unknown':
			return 'was not heard yet';
		case 'suspect':
			return 'is not heard';
		case 'agent-down':
			return 'is silent, but lives';
		case 'left':
			return 'has left';
		case 'lost':
		case 'out':
			return `is ${status}`;
	}
};

/** What an overdue pause waits for, as a sentence. */
export const overdueWords = (state: State): string => {
	const { peer } = state.config;
	return `the time of the pause is over, but ${peer} ${apartWords(state)}: the pair stays paused until ${peer} is back, or until vmpair resume`;
};

/** What to do about an overdue pause. */
export const overdueNext = ({ config }: State): string =>
	`look at ${config.peer}; if the work is done: vmpair resume`;

/** Why this pair does nothing by itself, as a sentence; null when it acts. */
export const idleReason = (state: State): string | null => {
	if (!state.persisted.pair.armed) return 'the pair is disarmed';
	const pause = pauseOf(state);
	return pause === null ? null : `the pair is ${pauseWords(state, pause)}`;
};

/** What is left of the time of the pause, ms, 0 also when it is overdue; null when there is none. */
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

/** The time is over: it ends for both hosts, or lasts until they are together. */
const endRule = (draft: Draft): void => {
	const { state } = draft;
	const { pair } = state.persisted;
	if (hostsTogether(state)) {
		// The same content on both hosts, so that it does not matter which one is first.
		changePersisted(draft, {
			pair: { ...unpaused(pair), generation: pair.generation + 1 },
			pauseClock: null,
		});
		note(draft, 'info', 'the pause is over: the pair acts by itself again', {});
		return;
	}
	if (isOverdue(state)) return;
	// Durable as the end of the count: no reboot makes it last longer once the hosts are together.
	setClock(draft, 0);
	note(draft, 'warn', overdueWords(state), {});
};

/**
 * Counts the pause down, and ends it for both hosts. The one that has been up all the time knows best: what the other
 * one says counts when it is less.
 */
export const pauseRule = (draft: Draft): void => {
	const { state, nowMs } = draft;
	const { pair, pauseClock: clock } = state.persisted;
	const ownMs = pauseLeftMs(state, nowMs);
	if (ownMs === null) {
		if (clock !== null) changePersisted(draft, { pauseClock: null });
		return;
	}
	const theirsMs = peerLeftMs(state);
	const late = theirsMs !== null && theirsMs + countMs < ownMs;
	const leftMs = late ? theirsMs : ownMs;
	if (leftMs <= 0) {
		endRule(draft);
		return;
	}
	const known = clock?.generation === pair.generation && clock.bootId === state.bootId;
	const set = late || !known || nowMs - clock.atMs >= countMs;
	if (set) setClock(draft, leftMs);
	wakeBy(draft, (set ? nowMs : clock.atMs) + countMs);
	wakeBy(draft, nowMs + leftMs);
};
