import {
	changeVmState,
	type Draft,
	joined,
	leap,
	localOf,
	note,
	observedOf,
	recordOf,
	selfInSync,
	start,
	writeRecord,
} from '#src/engine/draft.ts';
import { conflictOf } from '#src/engine/join.ts';
import { idleReason } from '#src/engine/pause.ts';
import { proofOf } from '#src/engine/peer.ts';
import type { Proof, State } from '#src/engine/state.ts';
import { leaseInForce } from '#src/engine/voters.ts';
import { lowestDisk } from '#src/drbd/role.ts';
import type { ResourceName, VolumeGeneration } from '#src/ports.ts';

/** A disk that may hold the newest data; which it does is for the record to say. */
export const promotableDisk = (state: State, resource: ResourceName): boolean => {
	const observed = observedOf(state, resource);
	if (observed === undefined) return false;
	const disk = lowestDisk(observed);
	return disk === 'UpToDate' || disk === 'Consistent';
};

/**
 * A disk whose data is as current as the record says. `Consistent` is DRBD not knowing it after a reboot, and
 * UpToDate beside a host without a disk is no more: then the data generation must have been compared, or a
 * restored state file could pass for the truth (V9).
 */
export const currentDisk = (state: State, resource: ResourceName): boolean => {
	const observed = observedOf(state, resource);
	if (observed === undefined) return false;
	const disk = lowestDisk(observed);
	if (state.verified[resource] === true || state.aloneAllowed[resource] === true)
		return disk === 'UpToDate' || disk === 'Consistent';
	return disk === 'UpToDate' && state.compared[resource] !== false;
};

/** True when this host could run the VM with every acknowledged write, once the peer is proven out. */
export const couldTakeOver = (state: State, resource: ResourceName): boolean =>
	selfInSync(state, resource) &&
	conflictOf(state, resource) === null &&
	currentDisk(state, resource);

/** True when this host takes VMs over without being asked by a person. */
export const takesOver = (state: State): boolean =>
	idleReason(state) === null && state.persisted.standby === null;

/** Why the copy here may not be used, as a person needs it; for a resource that this host could not take over. */
export const copyBlocker = (state: State, resource: ResourceName): string => {
	const { self } = state.config;
	const inSync = recordOf(state, resource)?.inSync ?? [];
	if (!selfInSync(state, resource)) {
		const others = inSync.filter((host) => host !== self).join(' and ');
		return `the copy on ${self} is not known to hold every write${others === '' ? '' : `: only ${others} has it`}`;
	}
	return conflictOf(state, resource) === null
		? `the copy on ${self} may be old: its disk is ${lowestDiskName(state, resource)}`
		: 'the records of the two hosts conflict';
};

/**
 * With a proof that the peer is out: count it out of our own VMs, and take over the others whose data
 * here is current. Durable before anything is promoted; the owner then starts its VMs.
 */
export const takeoverRule = (draft: Draft): void => {
	const proof = proofOf(draft.state, draft.nowMs);
	if (proof === null || !joined(draft.state)) return;
	// A third voter: nothing is taken before it is written there (`exclude.ts`).
	if (leaseInForce(draft.state)) return;
	const { self, peer } = draft.state.config;
	const by = `${peer} is proven out (${proof.kind}): ${proof.by}`;
	for (const { vm, resource } of draft.state.config.vms) {
		const { state } = draft;
		const record = recordOf(state, resource);
		if (record === undefined) continue;
		if (record.owner === self) {
			// A live migration is turned back by its own rule, which takes away what is left of it.
			const migration = record.journal?.kind === 'migration' ? record.journal : null;
			if (!record.inSync.includes(peer) && record.journal === migration) continue;
			if (!couldTakeOver(state, resource)) continue;
			writeRecord(draft, resource, { inSync: [self], uuids: null, journal: migration }, by);
			if (record.journal?.start === true && migration === null)
				changeVmState(draft, vm, { ordered: true });
		} else if (mayTakeOver(state, resource, proof)) {
			writeRecord(
				draft,
				resource,
				{ owner: self, inSync: [self], uuids: null, journal: null },
				by,
				leap.takeover,
			);
			note(draft, 'warn', 'takeover', { vm, resource, from: record.owner, proof: proof.kind });
			if (proof.kind === 'person' || record.journal?.start === true)
				changeVmState(draft, vm, { ordered: true, gaveUp: null });
		}
	}
};

const mayTakeOver = (state: State, resource: ResourceName, proof: Proof): boolean =>
	couldTakeOver(state, resource) && (takesOver(state) || proof.kind === 'person');

/** Why this host does not start the resource alone before it has joined (section 8); null when it may. */
export const aloneBlocker = (
	state: State,
	resource: ResourceName,
	nowMs: number,
): string | null => {
	const local = localOf(state, resource);
	const { self, peer } = state.config;
	if (local === undefined)
		return state.stateFileFound
			? `this host has no record of ${resource}`
			: 'this host has no state file: it must learn the records from its peer';
	if (local.selfExcludedAt !== null) return `the copy on ${self} is known to miss writes`;
	const { record } = local;
	if (!soleRecord(state, resource))
		return record.inSync.includes(self)
			? `its record says ${record.inSync.join(' and ')} were in sync: ${peer} may have newer data`
			: `the newest data is on ${record.inSync.join(' and ')}`;
	if (record.owner !== self) return `its record says ${record.owner ?? 'nobody'} owns the VM`;
	if (!promotableDisk(state, resource)) return `its disk is ${lowestDiskName(state, resource)}`;
	if (proofOf(state, nowMs) === null) return `there is no proof that ${peer} is off`;
	if (state.aloneAllowed[resource] !== true)
		return 'the DRBD metadata has not confirmed that this copy is the newest';
	return null;
};

const lowestDiskName = (state: State, resource: ResourceName): string => {
	const observed = observedOf(state, resource);
	return observed === undefined ? 'not attached' : lowestDisk(observed);
};

/** True when the record counts only this host in. */
export const soleRecord = (state: State, resource: ResourceName): boolean => {
	const record = recordOf(state, resource);
	return record?.inSync.length === 1 && record.inSync[0] === state.config.self;
};

/** Reads the metadata of what could be started alone, once a proof is there. */
export const aloneRule = (draft: Draft): void => {
	if (joined(draft.state) || proofOf(draft.state, draft.nowMs) === null) return;
	if (leaseInForce(draft.state)) return;
	for (const { resource } of draft.state.config.vms) {
		const { state } = draft;
		const record = recordOf(state, resource);
		if (record === undefined || state.aloneAllowed[resource] === true) continue;
		if (record.owner !== state.config.self || !soleRecord(state, resource)) continue;
		if (!selfInSync(state, resource) || !promotableDisk(state, resource)) continue;
		start(draft, { type: 'read-generations', resource, generation: record.generation });
	}
};

/**
 * Does the DRBD metadata agree that this copy is the newest (V9)? Either the disk attached UpToDate by
 * DRBD's own note that the peer is outdated, or its data generation is the one stored after the last
 * exclusion and was not resynced since: a resync keeps the UUID on both copies but clears the bitmap's
 * base. A restored state file fails both.
 */
export const metadataAgrees = (
	state: State,
	resource: ResourceName,
	generations: readonly VolumeGeneration[],
): boolean => {
	const observed = observedOf(state, resource);
	const uuids = recordOf(state, resource)?.uuids ?? null;
	if (observed === undefined || generations.length !== observed.volumes.length) return false;
	const byFlag = lowestDisk(observed) === 'UpToDate' && generations.every((g) => g.peerOutdated);
	const byUuid =
		uuids !== null &&
		uuids.length === generations.length &&
		generations
			.toSorted((one, other) => one.volume - other.volume)
			.every((generation, index) => generation.alone && uuids[index] === generation.uuid);
	return byFlag || byUuid;
};
