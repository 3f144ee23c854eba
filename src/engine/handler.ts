import {
	changeLoss,
	type Draft,
	joined,
	note,
	observedOf,
	recordOf,
	selfInSync,
	soleInSync,
	start,
	wakeBy,
} from '#src/engine/draft.ts';
import { proofOf } from '#src/engine/peer.ts';
import type { PendingCall, Proof, State } from '#src/engine/state.ts';
import { arbiterOf, excludedForLoss, leaseInForce } from '#src/engine/voters.ts';
import { highestPeerDisk, isConnected, isFrozen } from '#src/drbd/role.ts';
import type { ResourceName } from '#src/ports.ts';

/** The kernel thaws by itself after a 4 or 7; only when it has not after this long do we. */
const thawPatienceMs = 5000;

interface Answer {
	readonly exitCode: 1 | 4 | 7;
	readonly reason: string;
}

/**
 * May this host go on alone with the resource right now, and by which exit code? 7: the peer is out by
 * proof. 4: the peer's disk was read back Outdated for this very loss and both records say so. Only for
 * the recorded owner whose record already counts the peer out (V5, V19); null when neither holds (yet).
 */
const permission = (state: State, resource: ResourceName, nowMs: number): Answer | null => {
	if (recordOf(state, resource)?.owner !== state.config.self) return null;
	if (!soleInSync(state, resource)) return null;
	if (!joined(state) && state.aloneAllowed[resource] !== true) return null;
	const proof = proofOf(state, nowMs);
	if (proof !== null && proofSuffices(state, resource, proof))
		return { exitCode: 7, reason: `${state.config.peer} is out (${proof.kind}): ${proof.by}` };
	if (outdatedForThisLoss(state, resource))
		return { exitCode: 4, reason: `${state.config.peer} outdated its copy for this loss` };
	return arbiterOf(state) === 'witness' && excludedForLoss(state, resource)
		? { exitCode: 4, reason: `${state.config.peer} is out in the witness for this loss` }
		: null;
};

/** Under a third voter a proof alone is none: the peer may have acted through the witness before it died. */
const proofSuffices = (state: State, resource: ResourceName, proof: Proof): boolean =>
	!leaseInForce(state) || proof.kind === 'left' || state.staleAccepted[resource] === true;

const outdatedForThisLoss = (state: State, resource: ResourceName): boolean => {
	const loss = state.losses[resource];
	const answer = state.peer.document?.outdateAnswers.find((each) => each.resource === resource);
	return (
		loss !== undefined &&
		!loss.over &&
		answer?.answer === 'outdated' &&
		answer.loss === loss.number &&
		answer.session === state.session
	);
};

/** Why the call can never be granted as things are, or null while waiting may help. */
const refusal = (state: State, call: PendingCall): string | null => {
	const record = recordOf(state, call.resource);
	const observed = observedOf(state, call.resource);
	const { self } = state.config;
	if (record === undefined) return `${call.resource} has no record on this host`;
	if (record.owner !== self) return `${record.owner ?? 'nobody'} owns the VM, not ${self}`;
	if (!selfInSync(state, call.resource)) return `the copy on ${self} is not known to be current`;
	if (observed?.role === 'Secondary' && !promoteOpen(state, call.resource))
		return 'no promote of this generation was decided (V19)';
	return null;
};

/** A promote that we started and whose end we still await; a late one of an earlier decision is none. */
const promoteOpen = (state: State, resource: ResourceName): boolean =>
	state.inFlight.some(
		({ action }) =>
			action.type === 'promote' &&
			action.resource === resource &&
			action.generation <= (recordOf(state, resource)?.generation ?? 0),
	);

/** Answers the fence-peer handlers that wait: 4 or 7 when permitted, 1 when it can't be or after the bounded wait. */
export const handlerRule = (draft: Draft): void => {
	for (const call of draft.state.calls) {
		const { state, nowMs } = draft;
		const answer = permission(state, call.resource, nowMs);
		const no = refusal(state, call);
		const limitMs = call.sinceMs + state.config.timing.handlerMs;
		if (no !== null) answerCall(draft, call, { exitCode: 1, reason: no });
		else if (answer !== null) answerCall(draft, call, answer);
		else if (nowMs >= limitMs)
			answerCall(draft, call, {
				exitCode: 1,
				reason: `neither a proof nor the consent of ${state.config.peer} within the time DRBD waits`,
			});
		else wakeBy(draft, limitMs);
	}
};

const answerCall = (draft: Draft, call: PendingCall, answer: Answer): void => {
	draft.state = {
		...draft.state,
		calls: draft.state.calls.filter((each) => each.id !== call.id),
	};
	draft.actions.push({ type: 'answer-handler', call: call.id, ...answer });
	if (answer.exitCode !== 1) changeLoss(draft, call.resource, { answeredMs: draft.nowMs });
	note(draft, answer.exitCode === 1 ? 'warn' : 'info', 'fence-peer handler answered', {
		resource: call.resource,
		exitCode: answer.exitCode,
		reason: answer.reason,
	});
};

/**
 * A Primary that stayed frozen after its handler was answered 1 (or whose handler died) is not asked
 * again by the kernel: thaw it under the very test of 4 and 7 (L8).
 */
export const thawRule = (draft: Draft): void => {
	for (const { resource } of draft.state.config.vms) {
		const { state, nowMs } = draft;
		const observed = observedOf(state, resource);
		const record = recordOf(state, resource);
		if (observed === undefined || record === undefined || !isFrozen(observed)) continue;
		if (observed.role !== 'Primary' || isConnected(observed)) continue;
		if (state.calls.some((call) => call.resource === resource)) continue;
		// DRBD knows already that the peer is out; it thaws by itself.
		if (highestPeerDisk(observed) === 'Outdated') continue;
		if (permission(state, resource, nowMs) === null) continue;
		// The kernel asks its handler first and thaws by itself after the answer; both take their time.
		const loss = state.losses[resource];
		const dueMs = (loss?.answeredMs ?? loss?.sinceMs ?? nowMs) + thawPatienceMs;
		if (nowMs < dueMs) {
			wakeBy(draft, dueMs);
			continue;
		}
		start(draft, { type: 'resume-io', resource, generation: record.generation });
	}
};
