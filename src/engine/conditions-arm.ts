import type { Raise } from '#src/engine/conditions-replication.ts';
import { isOverdue, overdueNext, overdueWords, pauseOf, pauseWords } from '#src/engine/pause.ts';
import type { State } from '#src/engine/state.ts';
import { leaseInForce, leaseReleased } from '#src/engine/voters.ts';

/** That a disarmed host still pauses its VMs without a vote, and its watchdog may reset it (V17). */
const leaseRemains = (state: State): string =>
	leaseInForce(state) && !leaseReleased(state)
		? `; lease and watchdog of ${state.config.self} stay in force until ${state.config.peer} and the witness know it`
		: '';

/** A host that has just started has not heard its peer yet: that is news only after this long, ms. */
const settleMs = 15_000;

/** The silence may be over in a moment: missed beats, or a start of this agent. */
const mayPass = ({ peer: { status }, startedAtMs }: State, nowMs: number): boolean =>
	status === 'suspect' || (status !== 'lost' && status !== 'out' && nowMs - startedAtMs < settleMs);

const pauseCondition = (state: State, nowMs: number, raise: Raise): void => {
	const pause = pauseOf(state);
	if (pause === null) return;
	if (isOverdue(state))
		raise(
			'paused',
			null,
			mayPass(state, nowMs) ? 'warning' : 'critical',
			`the pair was paused by ${pause.by} until ${pause.until}: ${pause.reason}; ${overdueWords(state)}`,
			overdueNext(state),
		);
	else
		raise(
			'paused',
			null,
			'warning',
			`the pair is ${pauseWords(state, pause)}; nothing is taken over or moved by itself, and alerts about the work are held back`,
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
