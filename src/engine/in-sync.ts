import {
	busy,
	countSelfIn,
	type Draft,
	excludeSelf,
	joined,
	observedOf,
	presenceOf,
	recordOf,
	selfInSync,
	soleInSync,
	start,
	writeRecord,
} from '#src/engine/draft.ts';
import type { EngineVm } from '#src/engine/config.ts';
import { together } from '#src/engine/join.ts';
import { mayExclude } from '#src/engine/outdate.ts';
import type { State } from '#src/engine/state.ts';
import {
	isBehind,
	isCompared,
	isConnected,
	isEstablishedUpToDate,
	lowestDisk,
	lowestPeerDisk,
} from '#src/drbd/role.ts';
import type { Sight } from '#src/heartbeat/document.ts';
import type { MonotonicMs, ResourceName, ResourceObservation } from '#src/ports.ts';

/** Follows whether DRBD has compared the two copies, or only calls one of them UpToDate for lack of the other. */
export const comparedRule = (draft: Draft): void => {
	for (const { resource } of draft.state.config.vms) {
		const { state } = draft;
		const observed = observedOf(state, resource);
		if (observed === undefined) continue;
		const compared = isUncompared(draft.before, resource, observed)
			? false
			: isCompared(observed)
				? true
				: state.compared[resource];
		if (compared !== undefined && compared !== state.compared[resource])
			draft.state = { ...state, compared: { ...state.compared, [resource]: compared } };
	}
};

/** Its worth was not known when it was last alone; one that was down may have been so between two looks. */
const isUncompared = (before: State, resource: ResourceName, observed: ResourceObservation) => {
	if (!isConnected(observed)) return ['Consistent', 'Diskless'].includes(lowestDisk(observed));
	const wasDown = before.resources !== null && observedOf(before, resource) === undefined;
	return wasDown && !isCompared(observed);
};

/**
 * A disk below UpToDate leaves inSync at once: DRBD does not freeze when a disk (not the link)
 * fails, so writes are acknowledged on one copy until this is durable (V16).
 */
export const shrinkRule = (draft: Draft): void => {
	for (const { vm, resource } of draft.state.config.vms) {
		const observed = observedOf(draft.state, resource);
		const record = recordOf(draft.state, resource);
		if (observed === undefined || record === undefined) continue;
		const { self, peer } = draft.state.config;
		// A sole holder counts itself out only for a current peer: else nothing newer exists anywhere. DRBD also
		// calls a copy UpToDate that it could compare with nothing.
		const onlyHere = !record.inSync.includes(peer);
		const peerCurrent =
			draft.state.compared[resource] === true &&
			isConnected(observed) &&
			lowestPeerDisk(observed) === 'UpToDate' &&
			(!onlyHere || isMirror(draft.state, { vm, resource }, observed));
		const counted =
			record.inSync.includes(self) && (peerCurrent || !soleInSync(draft.state, resource));
		if (counted && diskFailed(observed))
			excludeSelf(draft, resource, `its disk is ${lowestDisk(observed)}`);
		if (record.owner !== self || !isConnected(observed)) continue;
		// After a boot a record may be older than the peer's, whose bad disk may be the newest.
		const isCurrent = joined(draft.state) || observed.role === 'Primary';
		if (
			record.inSync.includes(peer) &&
			peerBehind(observed) &&
			isCurrent &&
			mayExclude(draft.state, resource)
		)
			writeRecord(
				draft,
				resource,
				{ inSync: [self], uuids: null },
				`the disk on ${peer} is ${lowestPeerDisk(observed)}`,
			);
		else if (!selfInSync(draft.state, resource) && record.inSync.includes(self) && peerCurrent)
			writeRecord(
				draft,
				resource,
				{ inSync: [peer], uuids: null },
				`the own disk is ${lowestDisk(observed)}; the copy on ${peer} is the good one`,
			);
	}
};

/**
 * The connected copy is what the sole holder had: in use by the VM through the network, newer by DRBD's own note, or
 * seen in one data generation with the own one since that last wrote alone. Beside a new disk, or one that has failed,
 * DRBD calls every other copy UpToDate, and the one that the record leaves out may be years old; it lets somebody
 * promote on that, too, so a Primary that the VM does not use says nothing.
 */
const isMirror = (
	state: State,
	{ vm, resource }: Pick<EngineVm, 'vm' | 'resource'>,
	observed: ResourceObservation,
): boolean =>
	(observed.role === 'Primary' && ['running', 'paused'].includes(presenceOf(state, vm))) ||
	lowestDisk(observed) === 'Outdated' ||
	(state.mirroredAtMs[resource] ?? 0) > aloneUntilMs(state, resource);

/** A connected peer's disk misses writes, or may: a Primary writes on while DRBD still compares the copies. */
const peerBehind = (observed: ResourceObservation): boolean =>
	isBehind(lowestPeerDisk(observed)) ||
	(observed.role === 'Primary' && lowestPeerDisk(observed) === 'Consistent');

/** A Secondary without disk and without connection is being attached or detached: it misses no write. */
const diskFailed = (observed: ResourceObservation): boolean => {
	const disk = lowestDisk(observed);
	if (disk !== 'Diskless' && disk !== 'Detaching') return isBehind(disk);
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
		if (busy(state, resource, ['outdate', 'resource-connect', 'resource-up', 'resume-io']))
			continue;
		// A host that leaves is counted in no more; it counts the other one in as long as a VM is its own.
		if (state.peer.document?.leaving === true) continue;
		if ((state.mirroredAtMs[resource] ?? 0) <= aloneUntilMs(state, resource)) {
			if (!busy(state, resource, ['read-generations']))
				start(draft, { type: 'read-generations', resource, generation: record.generation });
			continue;
		}
		writeRecord(
			draft,
			resource,
			{ inSync: [self, peer].toSorted(), uuids: null },
			'both copies are current again',
		);
		countSelfIn(draft, resource);
	}
};

/**
 * Up to now this host may have let writes go on alone without our seeing it yet: a stalled agent sees what was true
 * before the stall, and the kernel takes a moment to act on our answer. Only what is read after it counts.
 */
const aloneUntilMs = (state: State, resource: ResourceName): MonotonicMs => {
	const loss = state.losses[resource];
	return Math.max(state.steadySinceMs, loss?.sinceMs ?? 0, loss?.answeredMs ?? 0);
};

/** A host counts its own copy out although the record does not: its disk failed while the hosts were apart. */
const someoneExcluded = (state: State, resource: ResourceName): boolean =>
	!selfInSync(state, resource) || excludedThere(state.peer.document?.sights[resource]);

/** It says so of a disk that it sees UpToDate and connected: it waits to be counted in. */
const excludedThere = (sight: Sight | undefined): boolean =>
	sight?.excluded === true && sight.disk === 'UpToDate' && sight.connected;
