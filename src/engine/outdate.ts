import {
	adoptRecord,
	busy,
	type Draft,
	dropOutdateRequest,
	excludeSelf,
	joined,
	localOf,
	proposedGeneration,
	note,
	observedOf,
	recordOf,
	sameRecord,
	selfInSync,
	start,
	wakeBy,
	forgetSettling,
	freshSight,
} from '#src/engine/draft.ts';
import { conflictOf, inContact } from '#src/engine/join.ts';
import { mayDiscard } from '#src/engine/resolve.ts';
import type { State } from '#src/engine/state.ts';
import { memoryOf } from '#src/engine/voters.ts';
import { currentDisk } from '#src/engine/takeover.ts';
import {
	highestDisk,
	isBehind,
	isConnected,
	isFrozen,
	isOutdated,
	lowestDisk,
	lowestPeerDisk,
} from '#src/drbd/role.ts';
import type { OutdateAnswer, OutdateRequest } from '#src/heartbeat/document.ts';
import type { ResourceName, ResourceObservation } from '#src/ports.ts';

/** Counts losses of replication, so that an answer to an earlier loss is not taken for this one (V5). */
export const lossRule = (draft: Draft): void => {
	for (const { resource } of draft.state.config.vms) {
		const observed = observedOf(draft.state, resource);
		const loss = draft.state.losses[resource];
		if (observed === undefined) continue;
		if (isConnected(observed)) {
			dropOutdating(draft, resource);
			if (loss === undefined || loss.over) continue;
			// DRBD called after this was seen: it shows the time before the loss.
			if (draft.state.resources !== null && draft.state.resources.atMs <= loss.sinceMs) continue;
			putLoss(draft, resource, { ...loss, over: true });
			dropOutdateRequest(draft, resource);
			note(draft, 'info', 'replication link is back', { resource });
		} else if (loss === undefined || loss.over) {
			putLoss(draft, resource, {
				number: (loss?.number ?? 0) + 1,
				sinceMs: draft.nowMs,
				over: false,
				answeredMs: null,
			});
			note(draft, 'warn', 'replication link lost', { resource, frozen: isFrozen(observed) });
		}
	}
};

/**
 * DRBD calls the handler once for each loss, so a call is always about a loss of its own: an agent that
 * was stalled may have missed that the link came back in between. Nothing answered before counts (V5).
 */
export const lossCalled = (draft: Draft, resource: ResourceName): void => {
	putLoss(draft, resource, {
		number: (draft.state.losses[resource]?.number ?? 0) + 1,
		sinceMs: draft.nowMs,
		over: false,
		answeredMs: null,
	});
	dropOutdateRequest(draft, resource);
};

/** A copy that is connected again may have taken every write since: its mark is gone. */
const dropOutdating = (draft: Draft, resource: ResourceName): void => {
	if (draft.state.outdating[resource] === undefined) return;
	const { [resource]: _over, ...outdating } = draft.state.outdating;
	draft.state = { ...draft.state, outdating };
};

const putLoss = (draft: Draft, resource: ResourceName, loss: State['losses'][string]): void => {
	draft.state = { ...draft.state, losses: { ...draft.state.losses, [resource]: loss } };
};

/** DRBD's connect-int is seconds, and the other host may still be attaching its disks, ms. */
const reconnectPatienceMs = 15_000;

/** True while a fence-peer handler of the resource waits for an answer. */
const called = (state: State, resource: ResourceName): boolean =>
	state.calls.some((call) => call.resource === resource);

/** True when the VM can't go on (or start) here before the peer is taken out of inSync. */
export const needsExclusion = (
	state: State,
	resource: ResourceName,
	observed: ResourceObservation,
) => {
	if (isFrozen(observed)) return true;
	if (called(state, resource)) return true;
	// In use and not frozen: whoever thawed it, its writes go to one copy while the record counts both.
	if (observed.role === 'Primary') return true;
	const vm = state.config.vms.find((each) => each.resource === resource);
	return (
		vm !== undefined &&
		recordOf(state, resource)?.wanted === 'running' &&
		(state.persisted.pair.armed || state.vmStates[vm.vm]?.ordered === true)
	);
};

/** True when this host owns the resource, its own copy is current and may be the only one that counts. */
export const mayExclude = (state: State, resource: ResourceName): boolean =>
	recordOf(state, resource)?.owner === state.config.self &&
	selfInSync(state, resource) &&
	currentDisk(state, resource);

/**
 * Replication lost, agents in contact: the owner asks the peer to outdate its copy. The request
 * carries the record that follows; the peer makes it durable first (the loser first, V8).
 */
export const outdateRequestRule = (draft: Draft): void => {
	for (const { resource } of draft.state.config.vms) {
		const { state } = draft;
		const loss = state.losses[resource];
		const record = recordOf(state, resource);
		const observed = observedOf(state, resource);
		if (record === undefined || observed === undefined || loss === undefined || loss.over) continue;
		if (state.outdateRequests[resource] !== undefined) continue;
		if (!inContact(state) || !joined(state) || conflictOf(state, resource) !== null) continue;
		if (!mayExclude(state, resource) || !needsExclusion(state, resource, observed)) continue;
		if (record.inSync.length === 1 && observed.role === 'Primary' && !isFrozen(observed)) continue;
		if (observed.role !== 'Primary' && !called(state, resource)) {
			// Nothing waits in the kernel: hosts that have just met reconnect by themselves in a moment.
			const dueMs = Math.max(loss.sinceMs, state.peer.statusSinceMs) + reconnectPatienceMs;
			if (draft.nowMs < dueMs) {
				wakeBy(draft, dueMs);
				continue;
			}
		}
		const request: OutdateRequest = {
			resource,
			loss: loss.number,
			proposal: {
				...record,
				generation: proposedGeneration(record),
				inSync: [state.config.self],
				uuids: null,
			},
		};
		draft.state = {
			...state,
			outdateRequests: { ...state.outdateRequests, [resource]: request },
		};
		note(draft, 'info', 'asking the peer to outdate its copy', {
			resource,
			loss: loss.number,
			generation: request.proposal.generation,
		});
	}
};

/** The peer answered this very loss: its disk was read back Outdated and the record is durable there. */
export const outdateAnswerRule = (draft: Draft): void => {
	for (const { resource } of draft.state.config.vms) {
		const { state } = draft;
		const request = state.outdateRequests[resource];
		const loss = state.losses[resource];
		if (request === undefined || loss === undefined || loss.over) continue;
		const answer = state.peer.document?.outdateAnswers.find(
			(each) =>
				each.resource === resource && each.loss === request.loss && each.session === state.session,
		);
		if (answer === undefined || request.loss !== loss.number) continue;
		const theirs = state.peer.document?.records[resource];
		if (answer.answer === 'refused') {
			// Told once for each document that says so.
			if (draft.before.peer.document === state.peer.document) continue;
			note(draft, 'debug', 'the peer refuses to outdate its copy', {
				resource,
				reason: answer.reason,
			});
			continue;
		}
		if (theirs === undefined || !sameRecord(theirs, request.proposal)) continue;
		adoptRecord(draft, resource, request.proposal, `${state.config.peer} outdated its copy`);
	}
};

const putAnswer = (draft: Draft, whole: OutdateAnswer): void => {
	const answer = { ...whole, reason: whole.reason.slice(0, 512) };
	draft.state = {
		...draft.state,
		outdateAnswers: { ...draft.state.outdateAnswers, [answer.resource]: answer },
	};
};

/** Why this host won't outdate its copy for the peer, or null when it will. */
const refusal = (state: State, request: OutdateRequest): string | null => {
	const { self, peer } = state.config;
	const record = recordOf(state, request.resource);
	const observed = observedOf(state, request.resource);
	if (request.proposal.owner !== peer) return 'only the owner may ask';
	if (record?.owner === self) return `${self} owns the VM`;
	// A takeover of ours may be on its way: a consent is a promise not to act, as an echo is (V2).
	if (memoryOf(state).claiming) return `${self} claims ${peer} and has not withdrawn it yet`;
	if (record !== undefined && record.generation > request.proposal.generation)
		return `${self} has a newer record`;
	if (state.resources === null || state.resourcesUnknownSinceMs !== null)
		return 'DRBD does not answer here';
	if (observed?.role === 'Primary') return 'the resource is Primary here';
	// The records may come from a restored file; DRBD's own note of who missed writes does not. A person may know better.
	if (
		!mayDiscard(state, request.resource) &&
		observed !== undefined &&
		lowestDisk(observed) === 'UpToDate' &&
		isBehind(lowestPeerDisk(observed))
	)
		return `DRBD on ${self} knows that the copy on ${peer} is the older one`;
	return null;
};

/** The other side of `outdateRequestRule`: outdate the own Secondary, read it back, make the record durable, answer. */
export const outdateForPeerRule = (draft: Draft): void => {
	const document = draft.state.peer.document;
	if (document === null || !inContact(draft.state)) return;
	for (const request of document.outdateRequests) {
		const { state } = draft;
		const { resource, loss } = request;
		const answered = state.outdateAnswers[resource];
		const current = answered?.loss === loss && answered.session === document.session;
		if (current && answered.answer === 'outdated') continue;
		const reason = refusal(state, request);
		if (reason !== null) {
			if (!current || answered.reason !== reason)
				putAnswer(draft, { resource, loss, session: document.session, answer: 'refused', reason });
			continue;
		}
		consent(draft, request, document.session);
	}
};

/** No disk is seen, and one may just have been attached: it comes up with the mark that it had, maybe as current. */
const isAttaching = (
	draft: Draft,
	resource: ResourceName,
	observed: ResourceObservation,
): boolean => {
	if (highestDisk(observed) !== 'Diskless') return false;
	if (busy(draft.state, resource, ['resource-up'])) return true;
	const up = draft.state.retries[`resource-up/${resource}`];
	if (up === undefined || up.failures > 0 || draft.nowMs >= up.notBeforeMs) return false;
	wakeBy(draft, up.notBeforeMs);
	return true;
};

/** The copy is, or was, outdated for this very request. */
const isAskedAlready = (state: State, { resource, loss }: OutdateRequest, session: string) =>
	state.outdating[resource]?.loss === loss && state.outdating[resource].session === session;

/**
 * The own copy misses writes, and that was read after this request came: a mark seen before may be of an earlier loss,
 * while DRBD here shows nothing new (V5). What has no disk takes no mark; that it is gone is all that can be seen.
 */
const isOutdatedFor = (state: State, request: OutdateRequest, session: string): boolean => {
	const { resource } = request;
	const observed = observedOf(state, resource);
	const asked = isAskedAlready(state, request, session) ? state.outdating[resource] : undefined;
	const done = asked?.done === true;
	// A resource that is down shows no mark.
	if (observed === undefined) return done;
	return isBehind(highestDisk(observed)) && (done || asked?.anew === true || !isOutdated(observed));
};

/** Outdates the own copy, makes the record durable and answers; a step at a time, as far as things are. */
const consent = (draft: Draft, request: OutdateRequest, session: string): void => {
	const { resource, loss, proposal } = request;
	const observed = observedOf(draft.state, resource);
	const record = recordOf(draft.state, resource);
	// A copy that is still connected gets every write; DRBD refuses to outdate it.
	if (record === undefined || (observed !== undefined && isConnected(observed))) return;
	// A disk that the release took away still carries its mark as current: it is outdated when it is back.
	if (localOf(draft.state, resource)?.detached === true) return;
	if (observed !== undefined && isAttaching(draft, resource, observed)) return;
	// What was read before this host stood still may be long over: the copy may have been connected since.
	if (!freshSight(draft.state)) return;
	if (!isOutdatedFor(draft.state, request, session)) {
		// A resource that is coming up is asked again when it is; one that can't come up is outdated in its metadata.
		const failing = (draft.state.retries[`resource-up/${resource}`]?.failures ?? 0) > 0;
		if (observed === undefined && !failing) return;
		if (!isAskedAlready(draft.state, request, session)) forgetSettling(draft, 'outdate', resource);
		if (!start(draft, { type: 'outdate', resource, generation: record.generation })) return;
		// A disk without the mark shows it only when it is made; one that has it, or is down, when this has ended.
		const anew = observed !== undefined && !isOutdated(observed);
		const { outdating } = draft.state;
		draft.state = {
			...draft.state,
			outdating: { ...outdating, [resource]: { loss, session, anew, done: false } },
		};
		return;
	}
	excludeSelf(draft, resource, `outdated for ${draft.state.config.peer}`);
	if (!sameRecord(record, proposal)) {
		if (proposal.generation <= record.generation) return;
		adoptRecord(draft, resource, proposal, `outdated for ${draft.state.config.peer}`);
	}
	putAnswer(draft, {
		resource,
		loss,
		session,
		answer: 'outdated',
		reason:
			observed === undefined ? 'the resource is down here' : `disk reads ${lowestDisk(observed)}`,
	});
};
