import type { Status } from '#src/api/view.ts';
import { conditions } from '#src/engine/conditions.ts';
import { statusView } from '#src/engine/view.ts';
import { noCounts } from '#src/heartbeat/tally.ts';
import { hostClock, type SimAgent, type Simulation } from '#src/sim/model.ts';

/** The status of an agent of a simulated pair, as a real one would answer it. `ageMs`: how long a condition stands. */
export const simulatedStatus = (
	simulation: Simulation,
	{ host, loop: { state }, session }: SimAgent,
	ageMs: (key: string) => number,
): Status => {
	const nowMs = hostClock(simulation, host);
	return {
		...statusView(state, nowMs),
		at: '2026-01-01T00:00:00.000Z',
		conditions: conditions(state, nowMs).map((each) => ({
			...each,
			ageMs: ageMs(each.key),
			acknowledged: null,
		})),
		advice: [],
		heartbeat: noCounts(),
		receivers: [],
		deadman: null,
		agent: {
			version: '0.1.0',
			pid: 1,
			session,
			uptimeMs: nowMs - state.startedAtMs,
			alertsPending: 0,
			historyLost: 0,
		},
	};
};
