import {
	busy,
	type Draft,
	observedOf,
	presenceOf,
	recordOf,
	soleInSync,
	start,
	writeRecord,
} from '#src/engine/draft.ts';
import { together } from '#src/engine/join.ts';
import type { State } from '#src/engine/state.ts';
import { isBehind, isConnected, isFrozen, lowestDisk, lowestPeerDisk } from '#src/drbd/role.ts';
import type { DiskState, ResourceName, ResourceObservation } from '#src/ports.ts';
import type { ResourceRecord } from '#src/store/record.ts';
import { same } from '#src/std/same.ts';

/** Disks whose data is whole: an interrupted resync may carry an equal generation and is not. */
const comparable: ReadonlySet<DiskState> = new Set(['Consistent', 'Outdated', 'UpToDate']);

/** Both copies rest: neither host has the resource in use, and DRBD does not replicate it. */
const atRest = (state: State, resource: ResourceName): boolean => {
	const observed = observedOf(state, resource);
	const vm = state.config.vms.find((each) => each.resource === resource);
	return (
		observed?.role === 'Secondary' &&
		!isConnected(observed) &&
		comparable.has(lowestDisk(observed)) &&
		vm !== undefined &&
		presenceOf(state, vm.vm) === 'absent' &&
		!busy(state, resource, ['promote', 'resource-up', 'resource-connect'])
	);
};

/** One host counts alone on record; whether it ever wrote alone is for the data generations to say. */
const soleOnRecord = (record: ResourceRecord): boolean =>
	record.inSync.length === 1 && record.journal === null;

/**
 * Compares the data generations of two copies at rest. DRBD begins a new generation before the first
 * lone write, so equal ones mean equal acknowledged data. That verifies a `Consistent` copy, and an
 * exclusion that was never used (its owner lost power before it wrote alone) is handed back.
 */
export const compareRule = (draft: Draft): void => {
	for (const { resource } of draft.state.config.vms) {
		const { state } = draft;
		const record = recordOf(state, resource);
		const observed = observedOf(state, resource);
		const mine = state.ownGenerations[resource];
		dropVerified(draft, resource);
		const wanted =
			record !== undefined &&
			observed !== undefined &&
			(soleOnRecord(record) || lowestDisk(observed) === 'Consistent') &&
			together(state, resource) &&
			atRest(state, resource);
		if (!wanted) {
			if (mine === undefined) continue;
			const { [resource]: _old, ...rest } = draft.state.ownGenerations;
			draft.state = { ...draft.state, ownGenerations: rest };
		} else if (mine === undefined) {
			start(draft, { type: 'read-generations', resource, generation: record.generation });
		} else compared(draft, record, resource, mine);
	}
};

const compared = (
	draft: Draft,
	record: ResourceRecord,
	resource: ResourceName,
	mine: readonly string[],
): void => {
	const { state } = draft;
	const { self, peer } = state.config;
	const sight = state.peer.document?.sights[resource];
	const equal =
		mine.length > 0 &&
		sight?.role === 'Secondary' &&
		sight.disk !== null &&
		comparable.has(sight.disk) &&
		sight.presence === 'absent' &&
		same(sight.uuids, mine);
	if (equal && state.verified[resource] !== true)
		draft.state = { ...state, verified: { ...state.verified, [resource]: true } };
	if (equal && record.owner === self && soleOnRecord(record))
		writeRecord(
			draft,
			resource,
			{ inSync: [self, peer].toSorted(), uuids: null },
			'both copies carry the same data generation: neither was written alone',
		);
};

/** Once connected or in use DRBD itself says what the disk is worth. */
const dropVerified = (draft: Draft, resource: ResourceName): void => {
	if (draft.state.verified[resource] !== true) return;
	const observed = observedOf(draft.state, resource);
	if (observed !== undefined && observed.role === 'Secondary' && !isConnected(observed)) return;
	const { [resource]: _old, ...rest } = draft.state.verified;
	draft.state = { ...draft.state, verified: rest };
};

/** Writing alone: DRBD knows that the peer misses writes, and has begun a new data generation for it. */
const writesAlone = (observed: ResourceObservation | undefined): boolean =>
	observed?.role === 'Primary' &&
	!isFrozen(observed) &&
	(!isConnected(observed) || isBehind(lowestPeerDisk(observed)));

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
