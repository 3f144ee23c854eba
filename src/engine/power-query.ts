import { busy, type Draft, start, wakeBy } from '#src/engine/draft.ts';
import type { State } from '#src/engine/state.ts';

/** When the peer's fence devices are asked for its power. */

/** A question that took long is followed by a rest this many times as long. */
export const restFactor = 3;
/** While the peer is out its power is read this often, so that the proof lapses when it reads on. */
const outQueryMs = 10_000;
/** While the peer is online its devices are read this often, to know that they would answer. */
const monitorQueryMs = 60_000;

const queryIntervalMs = (state: State): number => {
	const { status } = state.peer;
	if (status === 'online' || status === 'left') return monitorQueryMs;
	return status === 'out' ? outQueryMs : state.config.timing.powerQueryMs;
};

/** Asks the peer's fence devices: at once when it becomes suspect, then at the pace of its status. */
export const powerQueryRule = (draft: Draft): void => {
	const { fencing, peer: host } = draft.state.config;
	if (fencing === null || busy(draft.state, host, ['power-off', 'power-on'])) return;
	fencing.levels.forEach(({ callMs }, level) => queryLevel(draft, level, callMs));
};

/** Every level has its own pace and one question in flight: a device that hangs does not hold up another level. */
const queryLevel = (draft: Draft, level: number, callMs: number): void => {
	const { state, nowMs } = draft;
	const power = state.peer.power[level] ?? null;
	const lastMs = power?.atMs ?? null;
	const changed = lastMs !== null && lastMs < state.peer.statusSinceMs;
	const settled = state.peer.status === 'online' || state.peer.status === 'left';
	// What was asked while nobody waited for the answer must not hold back the question for which somebody does.
	const { powerStaleMs } = state.peer;
	const owed = lastMs !== null && powerStaleMs !== null && lastMs <= powerStaleMs && !settled;
	// Slow devices and slow hosts are asked more slowly, or the questions alone would load the host.
	const tookMs = power?.tookMs ?? 0;
	// A reading `off` from before it came back would look like a device of another host.
	const restedMs = (lastMs ?? 0) + (1 + restFactor) * tookMs;
	const rested = lastMs === null || nowMs > restedMs;
	const urgent = owed || (rested && changed && (!settled || power?.state === 'off'));
	const pauseMs = Math.max(queryIntervalMs(state), restFactor * tookMs);
	const dueMs = lastMs === null || urgent ? nowMs : lastMs + tookMs + pauseMs;
	const host = state.config.peer;
	if (dueMs <= nowMs) {
		const started = start(draft, { type: 'query-power', host, level }, callMs);
		if (started && settled)
			draft.state = { ...draft.state, peer: { ...draft.state.peer, powerStaleMs: nowMs } };
	} else {
		wakeBy(draft, dueMs);
		if (changed) wakeBy(draft, restedMs + 1);
	}
};
