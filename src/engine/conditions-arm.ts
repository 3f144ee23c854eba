import type { Raise } from '#src/engine/conditions-replication.ts';
import { inContact } from '#src/engine/join.ts';
import { pauseLeftMs, pauseOf, pauseWords } from '#src/engine/pause.ts';
import type { State } from '#src/engine/state.ts';
import { leaseInForce, leaseReleased } from '#src/engine/voters.ts';
import { span } from '#src/std/span.ts';

/** That a disarmed host still pauses its VMs without a vote, and its watchdog may reset it (V17). */
const leaseRemains = (state: State): string =>
	leaseInForce(state) && !leaseReleased(state)
		? `; lease and watchdog of ${state.config.self} stay in force until ${state.config.peer} and the witness know it`
		: '';

/** A pause that ends with the peer not there is told of so long before, ms; of a short one, in its last quarter. */
const reminderMs = 600_000;

const pauseCondition = (state: State, nowMs: number, raise: Raise): void => {
	const pause = pauseOf(state);
	const leftMs = pauseLeftMs(state, nowMs);
	if (pause === null || leftMs === null) return;
	const { peer } = state.config;
	const soon = leftMs <= Math.min(reminderMs, pause.forMs / 4);
	const alone = !inContact(state) && state.peer.status !== 'left';
	if (soon && alone)
		raise(
			'paused',
			null,
			'critical',
			`the pair is ${pauseWords(pause)}; in ${span(leftMs)} it acts again, and ${peer} is ${state.peer.status}: its VMs are then taken over as after any failure`,
			`vmpair pause --for 1h --reason TEXT, if the work on ${peer} takes longer`,
		);
	else
		raise(
			'paused',
			null,
			'warning',
			`the pair is ${pauseWords(pause)}; nothing is taken over or moved by itself, and alerts about the work are held back`,
			'vmpair resume',
		);
};

/** Whether the pair acts by itself. */
export const armConditions = (state: State, nowMs: number, raise: Raise): void => {
	const { persisted } = state;
	if (!persisted.pair.armed)
		raise(
			'disarmed',
			null,
			'warning',
			`automatic action is off since ${persisted.pair.by} disarmed: ${persisted.pair.reason || 'no reason given'}${leaseRemains(state)}`,
			'vmpair arm',
		);
	pauseCondition(state, nowMs, raise);
};
