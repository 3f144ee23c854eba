import {
	changeVmState,
	type Draft,
	joined,
	leap,
	note,
	observedOf,
	presenceOf,
	recordOf,
	soleInSync,
	wakeBy,
	writeRecord,
} from '#src/engine/draft.ts';
import { takeable } from '#src/engine/claim.ts';
import { inContact, together } from '#src/engine/join.ts';
import { mayExclude, needsExclusion } from '#src/engine/outdate.ts';
import { proofOf } from '#src/engine/peer.ts';
import type { EngineVm } from '#src/engine/config.ts';
import type { State } from '#src/engine/state.ts';
import { couldTakeOver, takesOver } from '#src/engine/takeover.ts';
import {
	arbiterOf,
	claimedByPeer,
	claimHeld,
	excludedForLoss,
	memoryOf,
	nextGeneration,
	silentInWitnessMs,
	staysPaused,
	witnessRecord,
} from '#src/engine/voters.ts';
import { changeMemory, changeWitness, send } from '#src/engine/witness.ts';
import { isConnected, isFrozen } from '#src/drbd/role.ts';
import type { ResourceName } from '#src/ports.ts';
import type { WitnessCommand, WitnessRecord } from '#src/ports-witness.ts';
import type { ResourceRecord } from '#src/store/record.ts';
import { verifiedMs } from '#src/witness/lease.ts';

/** What one host does without the other's consent: by compare-and-set in the witness, never here first. */

/** A peer that is heard is asked to outdate its copy first; only when that leads to nothing for so long, ms. */
const consentMs = 10_000;

/** Sends a record; its number is used by nothing else from then on, whatever becomes of it (V14). */
const sendRecord = (
	draft: Draft,
	resource: ResourceName,
	change: Partial<Omit<ResourceRecord, 'generation'>>,
	witness: WitnessRecord,
	how: { readonly by: number; readonly takeover: number | null | undefined },
): boolean => {
	const { state } = draft;
	const present = recordOf(state, resource);
	if (present === undefined) return false;
	const generation = nextGeneration(state, resource, how.by);
	const owned = {
		host: state.config.self,
		claimVersion: witness.claimVersion,
		resource,
		expectedGeneration: witness.resources[resource]?.generation ?? 0,
		record: { ...present, ...change, generation },
	};
	const command: WitnessCommand =
		how.takeover === undefined
			? { op: 'change', ...owned }
			: { op: 'takeover', ...owned, expectedRenewals: how.takeover };
	if (!send(draft, command)) return false;
	const { reserved } = memoryOf(draft.state);
	changeMemory(draft, { reserved: { ...reserved, [resource]: generation } });
	return true;
};

/** Nobody but this host can have run it, and the peer is off or silent for T_take: section 8 (L6). */
const mayStartAlone = (draft: Draft): boolean => {
	const { state, nowMs } = draft;
	if (proofOf(state, nowMs) !== null) return true;
	const silentMs = silentInWitnessMs(state, nowMs);
	const takeMs = state.config.witness?.takeMs ?? Number.POSITIVE_INFINITY;
	if (silentMs === null || state.peer.hearing !== 'silent') return false;
	const waitMs = takeMs - Math.min(silentMs, nowMs - state.startedAtMs);
	if (waitMs > 0) wakeBy(draft, nowMs + waitMs);
	return waitMs <= 0;
};

/** Whether the peer has to be taken out of the data now, without its consent. */
const exclusionDue = (draft: Draft, vm: EngineVm): boolean => {
	const { state, nowMs } = draft;
	const { resource } = vm;
	const observed = observedOf(state, resource);
	const loss = state.losses[resource];
	if (observed === undefined || loss === undefined || loss.over) return false;
	// What DRBD does not show now may be a disk that failed meanwhile.
	if (state.resourcesUnknownSinceMs !== null) return false;
	if (isConnected(observed) || !mayExclude(state, resource)) return false;
	if (excludedForLoss(state, resource) || !needsExclusion(state, resource, observed)) return false;
	const asked = state.calls.some((call) => call.resource === resource);
	const inUse = observed.role === 'Primary' || asked;
	// In use and thawed under a record that counts the peer out: nothing waits for it.
	if (observed.role === 'Primary' && !isFrozen(observed) && !asked && soleInSync(state, resource))
		return false;
	if (!inUse && soleInSync(state, resource)) return false;
	const { status } = state.peer;
	if (status === 'unknown' || status === 'suspect') return false;
	if (status === 'online') {
		const dueMs = Math.max(loss.sinceMs, state.peer.statusSinceMs) + consentMs;
		if (nowMs < dueMs) wakeBy(draft, dueMs);
		return inUse && nowMs >= dueMs;
	}
	return inUse || mayStartAlone(draft);
};

/** Takes the peer out of inSync for this host's own VMs, for this very loss, also when it is out already (V5). */
const exclusionRule = (draft: Draft, witness: WitnessRecord): void => {
	const { self, peer } = draft.state.config;
	for (const vm of draft.state.config.vms) {
		if (!exclusionDue(draft, vm)) continue;
		const { resource } = vm;
		const generation = nextGeneration(draft.state, resource, leap.change);
		const change = { inSync: [self], uuids: null };
		if (!sendRecord(draft, resource, change, witness, { by: leap.change, takeover: undefined }))
			continue;
		const loss = draft.state.losses[resource]?.number ?? 0;
		const { exclusions } = draft.state.witness;
		changeWitness(draft, {
			exclusions: { ...exclusions, [resource]: { loss, generation, landed: false } },
		});
		note(draft, 'warn', 'the peer is taken out of the data through the witness', {
			resource,
			peer,
		});
	}
};

/** With claim and proof: the peer's VMs whose data here is current. The script checks all of it once more (V4). */
const takeRule = (draft: Draft, witness: WitnessRecord): void => {
	const { state, nowMs } = draft;
	const { self } = state.config;
	const proof = proofOf(state, nowMs);
	if (proof === null || proof.kind === 'left' || !claimHeld(state, nowMs)) return;
	if (!takesOver(state) && proof.kind !== 'person') return;
	for (const vm of state.config.vms) {
		if (!takeable(draft.state, vm, nowMs)) continue;
		const change = { owner: self, inSync: [self], uuids: null, journal: null };
		const renewals = state.witness.peerRead?.renewals ?? null;
		const takeover = proof.kind === 'power-off' ? null : renewals;
		sendRecord(draft, vm.resource, change, witness, { by: leap.takeover, takeover });
	}
};

/** A takeover landed: the VM is ours, and is started even when only a person wanted it. */
export const takeoverLanded = (draft: Draft, resource: ResourceName): void => {
	const vm = draft.state.config.vms.find((each) => each.resource === resource);
	const proof = proofOf(draft.state, draft.nowMs)?.kind ?? null;
	if (vm === undefined) return;
	note(draft, 'warn', 'takeover', { vm: vm.vm, resource, from: draft.state.config.peer, proof });
	if (proof === 'person') changeVmState(draft, vm.vm, { ordered: true, gaveUp: null });
};

/** Claimed and without a vote: what is seen paused is let go, so that the peer need not wait for our reset (V21). */
const releaseRule = (draft: Draft, witness: WitnessRecord): void => {
	const { state, nowMs } = draft;
	const { self, peer } = state.config;
	if (!claimedByPeer(state) || state.witness.votelessMs === null || inContact(state)) return;
	const lookedMs = state.witness.looked;
	if (lookedMs === null || nowMs - lookedMs > verifiedMs || lookedMs < state.witness.votelessMs)
		return;
	for (const { vm, resource } of state.config.vms) {
		const record = recordOf(state, resource);
		const presence = presenceOf(state, vm);
		const observed = observedOf(state, resource);
		if (record?.owner !== self || !record.inSync.includes(peer) || record.journal !== null)
			continue;
		if (presence !== 'paused' && presence !== 'absent') continue;
		if (!staysPaused(state, vm) || observed === undefined || isConnected(observed)) continue;
		const change = { owner: null };
		if (sendRecord(draft, resource, change, witness, { by: leap.change, takeover: undefined }))
			note(draft, 'warn', 'a paused VM is let go: this host has no vote', { vm });
	}
};

/** Of a VM that nobody owns: this host is the one to take it, or take it back. */
const mayAcquire = (state: State, vm: EngineVm): boolean => {
	const presence = presenceOf(state, vm.vm);
	const { status } = state.peer;
	if (!couldTakeOver(state, vm.resource) || presence === 'unknown') return false;
	if (!together(state, vm.resource))
		return (status === 'lost' || status === 'out') && (presence === 'paused' || takesOver(state));
	const there = state.peer.document?.sights[vm.resource];
	if (presence === 'paused' || there?.presence === 'paused') return presence === 'paused';
	// One of both has to be first; a host whose copy does not count is no candidate.
	const listed = recordOf(state, vm.resource)?.inSync.includes(state.config.peer) === true;
	const alone = !listed || there?.excluded === true;
	return there?.presence === 'absent' && (alone || vm.preferredHost === state.config.self);
};

/** A VM that was let go needs no proof: who takes it, the compare-and-set decides (V21). */
const acquireRule = (draft: Draft, witness: WitnessRecord | null): void => {
	const { self } = draft.state.config;
	for (const vm of draft.state.config.vms) {
		const { state } = draft;
		const { resource } = vm;
		if (recordOf(state, resource)?.owner !== null || !mayAcquire(state, vm)) continue;
		const apart = !together(state, resource);
		// A host that counts itself out of a VM without an owner is in its record still: only an owner writes that.
		const alone = apart || state.peer.document?.sights[resource]?.excluded === true;
		const change = { owner: self, ...(alone ? { inSync: [self], uuids: null } : {}) };
		const arbiter = arbiterOf(state);
		if (arbiter !== 'witness') {
			if (arbiter !== 'changing' && !apart)
				writeRecord(draft, resource, change, 'it was let go: taken back');
		} else if (witness !== null && !claimedByPeer(state))
			sendRecord(draft, resource, change, witness, { by: leap.change, takeover: undefined });
	}
};

/** Every change that this host makes alone, through the witness. */
export const excludeRule = (draft: Draft): void => {
	const { state, nowMs } = draft;
	if (state.config.witness === null || !joined(state)) return;
	const witness = arbiterOf(state) === 'witness' ? witnessRecord(state, nowMs) : null;
	acquireRule(draft, witness);
	if (witness === null) return;
	releaseRule(draft, witness);
	if (claimedByPeer(state)) return;
	exclusionRule(draft, witness);
	takeRule(draft, witness);
};
