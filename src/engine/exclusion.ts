import {
	adoptRecord,
	busy,
	type Draft,
	dropOutdateRequest,
	countSelfIn,
	excludeSelf,
	joined,
	nextGeneration,
	note,
	observedOf,
	presenceOf,
	recordOf,
	sameRecord,
	selfInSync,
	soleInSync,
	start,
	writeRecord,
} from '#src/engine/draft.ts';
import { conflictOf, inContact, together } from '#src/engine/join.ts';
import type { State } from '#src/engine/state.ts';
import {
	highestDisk,
	isConnected,
	isEstablishedUpToDate,
	isFrozen,
	lowestDisk,
	lowestPeerDisk,
} from '#src/drbd/role.ts';
import type { OutdateAnswer, OutdateRequest } from '#src/heartbeat/document.ts';
import type { DiskState, ResourceName, ResourceObservation } from '#src/ports.ts';

/** Disks that miss writes for certain. `Consistent` may be current; the rest is on its way. */
const behind: ReadonlySet<DiskState> = new Set([
	'Diskless',
	'Detaching',
	'Failed',
	'Inconsistent',
	'Outdated',
]);

/** Counts losses of replication, so that an answer to an earlier loss is not taken for this one (V5). */
export const lossRule = (draft: Draft): void => {
	for (const { resource } of draft.state.config.vms) {
		const observed = observedOf(draft.state, resource);
		const loss = draft.state.losses[resource];
		if (observed === undefined) continue;
		if (isConnected(observed)) {
			if (loss === undefined || loss.over) continue;
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

const putLoss = (draft: Draft, resource: ResourceName, loss: State['losses'][string]): void => {
	draft.state = { ...draft.state, losses: { ...draft.state.losses, [resource]: loss } };
};

/** True when the VM can't go on (or start) here before the peer is taken out of inSync. */
const needsExclusion = (state: State, resource: ResourceName, observed: ResourceObservation) => {
	if (isFrozen(observed)) return true;
	if (state.calls.some((call) => call.resource === resource)) return true;
	const vm = state.config.vms.find((each) => each.resource === resource);
	const record = recordOf(state, resource);
	return (
		vm !== undefined &&
		record?.wanted === 'running' &&
		observed.role !== 'Primary' &&
		(state.persisted.pair.armed || state.vmStates[vm.vm]?.ordered === true)
	);
};

/**
 * True when this host owns the resource, its own copy is current by the record (`Consistent` is DRBD not
 * knowing it after a reboot) and may be the only one that counts.
 */
export const mayExclude = (state: State, resource: ResourceName): boolean => {
	const observed = observedOf(state, resource);
	return (
		recordOf(state, resource)?.owner === state.config.self &&
		selfInSync(state, resource) &&
		observed !== undefined &&
		(lowestDisk(observed) === 'UpToDate' || lowestDisk(observed) === 'Consistent')
	);
};

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
		const request: OutdateRequest = {
			resource,
			loss: loss.number,
			proposal: {
				...record,
				generation: nextGeneration(state, resource),
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

const putAnswer = (draft: Draft, answer: OutdateAnswer): void => {
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
	if (record !== undefined && record.generation > request.proposal.generation)
		return `${self} has a newer record`;
	if (observed === undefined) return 'the resource is down here';
	if (observed.role === 'Primary') return 'the resource is Primary here';
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
		const observed = observedOf(state, resource);
		const record = recordOf(state, resource);
		// A copy that is still connected gets every write; DRBD refuses to outdate it.
		if (observed === undefined || record === undefined || isConnected(observed)) continue;
		if (highestDisk(observed) === 'Outdated' || behind.has(highestDisk(observed))) {
			if (!sameRecord(record, request.proposal)) {
				if (request.proposal.generation <= record.generation) continue;
				adoptRecord(draft, resource, request.proposal, `outdated for ${document.host}`);
			}
			putAnswer(draft, {
				resource,
				loss,
				session: document.session,
				answer: 'outdated',
				reason: `disk reads ${lowestDisk(observed)}`,
			});
		} else {
			start(draft, { type: 'outdate', resource, generation: record.generation });
		}
	}
};

/**
 * A disk below UpToDate leaves inSync at once: DRBD does not freeze when a disk (not the link)
 * fails, so writes are acknowledged on one copy until this is durable (V16).
 */
export const shrinkRule = (draft: Draft): void => {
	for (const { resource } of draft.state.config.vms) {
		const observed = observedOf(draft.state, resource);
		const record = recordOf(draft.state, resource);
		if (observed === undefined || record === undefined) continue;
		noteAttached(draft, resource, observed);
		const { self, peer } = draft.state.config;
		if (record.inSync.includes(self) && diskFailed(draft.state, resource, observed))
			excludeSelf(draft, resource, `its disk is ${lowestDisk(observed)}`);
		if (record.owner !== self || !isConnected(observed)) continue;
		if (record.inSync.includes(peer) && peerBehind(observed) && mayExclude(draft.state, resource))
			writeRecord(
				draft,
				resource,
				{ inSync: [self], uuids: null },
				`the disk on ${peer} is ${lowestPeerDisk(observed)}`,
			);
		else if (
			!selfInSync(draft.state, resource) &&
			record.inSync.includes(self) &&
			record.inSync.includes(peer) &&
			lowestPeerDisk(observed) === 'UpToDate'
		)
			writeRecord(
				draft,
				resource,
				{ inSync: [peer], uuids: null },
				`the own disk is ${lowestDisk(observed)}; the copy on ${peer} is the good one`,
			);
	}
};

/** A connected peer's disk misses writes, or may: a Primary writes on while DRBD still compares the copies. */
const peerBehind = (observed: ResourceObservation): boolean =>
	behind.has(lowestPeerDisk(observed)) ||
	(observed.role === 'Primary' && lowestPeerDisk(observed) === 'Consistent');

const noteAttached = (
	draft: Draft,
	resource: ResourceName,
	observed: ResourceObservation,
): void => {
	if (draft.state.attachedSeen[resource] === true) return;
	const disk = lowestDisk(observed);
	if (disk !== 'UpToDate' && disk !== 'Consistent') return;
	draft.state = {
		...draft.state,
		attachedSeen: { ...draft.state.attachedSeen, [resource]: true },
	};
};

/** Before its first attach a disk is Diskless without having failed. */
const diskFailed = (
	state: State,
	resource: ResourceName,
	observed: ResourceObservation,
): boolean => {
	const disk = lowestDisk(observed);
	if (disk !== 'Diskless' && disk !== 'Detaching') return behind.has(disk);
	if (state.attachedSeen[resource] === true) return true;
	// This run of the agent never saw it attached: a resource that is in use without a disk has lost it.
	return observed.role === 'Primary' || isConnected(observed);
};

/**
 * The peer's copy counts again: both disks UpToDate and replicating, both agents together. The owner
 * writes first: it is the one that loses the right to start alone (V8).
 */
export const growRule = (draft: Draft): void => {
	for (const { resource } of draft.state.config.vms) {
		const { state } = draft;
		const { self, peer } = state.config;
		const record = recordOf(state, resource);
		const observed = observedOf(state, resource);
		if (record?.owner !== self || observed === undefined) continue;
		if (record.inSync.length === 2 && !someoneExcluded(state, resource)) continue;
		if (!together(state, resource) || !isEstablishedUpToDate(observed)) continue;
		if (busy(state, resource, ['outdate', 'resource-connect', 'resource-up'])) continue;
		if (state.leaving || state.peer.document?.leaving === true) continue;
		writeRecord(
			draft,
			resource,
			{ inSync: [self, peer].toSorted(), uuids: null },
			'both copies are current again',
		);
		countSelfIn(draft, resource);
	}
};

/** Both copies rest: neither host has the resource in use, and DRBD does not replicate it. */
const atRest = (state: State, resource: ResourceName): boolean => {
	const observed = observedOf(state, resource);
	const vm = state.config.vms.find((each) => each.resource === resource);
	return (
		observed?.role === 'Secondary' &&
		!isConnected(observed) &&
		vm !== undefined &&
		presenceOf(state, vm.vm) === 'absent' &&
		!busy(state, resource, ['promote', 'resource-up', 'resource-connect'])
	);
};

/**
 * An exclusion that nobody used is handed back: the owner became the sole holder on record, but lost
 * power before it wrote alone. DRBD begins a new data generation before the first lone write, so equal
 * generations on both hosts mean equal acknowledged data, whichever way it resyncs.
 */
export const handBackRule = (draft: Draft): void => {
	for (const { resource } of draft.state.config.vms) {
		const { state } = draft;
		const record = recordOf(state, resource);
		const mine = state.ownGenerations[resource];
		const wanted =
			record?.inSync.length === 1 &&
			record.uuids === null &&
			record.journal === null &&
			together(state, resource) &&
			atRest(state, resource);
		if (!wanted) {
			if (mine === undefined) continue;
			const { [resource]: _old, ...rest } = state.ownGenerations;
			draft.state = { ...state, ownGenerations: rest };
		} else if (mine === undefined) {
			start(draft, { type: 'read-generations', resource, generation: record.generation });
		} else if (record.owner === state.config.self) {
			const sight = state.peer.document?.sights[resource];
			if (sight?.role !== 'Secondary' || sight.presence !== 'absent') continue;
			if (sight.uuids === null || JSON.stringify(sight.uuids) !== JSON.stringify(mine)) continue;
			writeRecord(
				draft,
				resource,
				{ inSync: [state.config.self, state.config.peer].toSorted() },
				'both copies carry the same data generation: neither was written alone',
			);
		}
	}
};

/** A host counts its own copy out although the record does not: its disk failed while the hosts were apart. */
const someoneExcluded = (state: State, resource: ResourceName): boolean =>
	!selfInSync(state, resource) || state.peer.document?.sights[resource]?.excluded === true;

/** Writing alone: DRBD knows that the peer misses writes, and has begun a new data generation for it. */
const writesAlone = (observed: ResourceObservation | undefined): boolean =>
	observed?.role === 'Primary' &&
	!isFrozen(observed) &&
	(!isConnected(observed) || behind.has(lowestPeerDisk(observed)));

/**
 * After an exclusion and the thaw or promote that followed: read the data generation back and keep it
 * (V9). Read again after each later thaw or promote: DRBD begins a new generation with each.
 */
export const generationRule = (draft: Draft): void => {
	for (const { resource } of draft.state.config.vms) {
		const { state, before } = draft;
		const record = recordOf(state, resource);
		const observed = observedOf(state, resource);
		if (record?.owner !== state.config.self || !soleInSync(state, resource)) continue;
		if (!writesAlone(observed)) continue;
		if (!writesAlone(observedOf(before, resource)) && state.generationsRead[resource] === true)
			draft.state = {
				...state,
				generationsRead: { ...state.generationsRead, [resource]: false },
			};
		if (record.uuids !== null && draft.state.generationsRead[resource] === true) continue;
		if (busy(state, resource, ['promote', 'resume-io', 'demote'])) continue;
		start(draft, { type: 'read-generations', resource, generation: record.generation });
	}
};
