import {
	busy,
	changeVmState,
	type Draft,
	note,
	observedOf,
	presenceOf,
	recordOf,
	selfInSync,
	vmStateOf,
	wakeBy,
	writeRecord,
} from '#src/engine/draft.ts';
import { together } from '#src/engine/join.ts';
import type { EngineVm } from '#src/engine/config.ts';
import type { State } from '#src/engine/state.ts';
import { isEstablishedUpToDate } from '#src/drbd/role.ts';

/** Why the peer is given no VM at all, as a sentence; null when it may be. */
export const peerTakesNone = ({ config, peer: { document } }: State): string | null => {
	if (document?.standby === true) return `${config.peer} is in standby: it takes no VMs`;
	return document?.leaving === true ? `${config.peer} leaves` : null;
};

/** Why the VM can't be handed over to the peer now, as a sentence; null when it can. Asked on the owner. */
export const handoverBlocker = (state: State, vm: EngineVm): string | null => {
	const { self, peer } = state.config;
	const record = recordOf(state, vm.resource);
	const observed = observedOf(state, vm.resource);
	const document = state.peer.document;
	if (record === undefined || observed === undefined) return 'its resource is not up on this host';
	if (record.owner !== self) return `${record.owner ?? 'nobody'} owns it`;
	if (record.journal !== null) return 'it is being moved already';
	if (!together(state, vm.resource))
		return `${self} and ${peer} are not in contact with equal records`;
	const none = peerTakesNone(state);
	if (none !== null) return none;
	if (!selfInSync(state, vm.resource) && !record.inSync.includes(peer))
		return 'no copy is known to be current';
	if (!record.inSync.includes(peer)) return `the copy on ${peer} is not current yet`;
	if (!isEstablishedUpToDate(observed) && selfInSync(state, vm.resource))
		return 'replication is not complete';
	if (state.persisted.openFence?.target === peer)
		return `a power-off of ${peer} may still land (open fence)`;
	if (document?.openFence?.target === peer)
		return `a power-off of ${peer} may still land (open fence)`;
	const freeMib = (document?.freeMemoryMib ?? 0) - state.config.reservedMemoryMib;
	if (record.wanted === 'running' && freeMib < vm.memoryMib)
		return `${peer} has ${Math.max(0, freeMib)} MiB free and it needs ${vm.memoryMib} MiB`;
	return null;
};

/** Opens the journal of a hand-over; the rest follows from it on both hosts. `drill`: how one ends the guest. */
export const openHandover = (
	draft: Draft,
	vm: EngineVm,
	why: string,
	drill?: 'shutdown' | 'destroy',
): void => {
	const { self, peer } = draft.state.config;
	const record = recordOf(draft.state, vm.resource);
	changeVmState(draft, vm.vm, { shutdownAskedMs: null });
	writeRecord(
		draft,
		vm.resource,
		{
			journal: {
				kind: 'handover',
				from: self,
				to: peer,
				start: record?.wanted === 'running',
				...(drill === undefined ? {} : { drill }),
			},
		},
		why,
	);
};

/** Stopped and demoted here with the journal known there: the owner changes, the old one first (V8). */
const giveRule = (draft: Draft, vm: EngineVm): void => {
	const { state } = draft;
	const { self } = state.config;
	const record = recordOf(state, vm.resource);
	const observed = observedOf(state, vm.resource);
	if (record?.journal?.kind !== 'handover') return;
	if (record.journal.from !== self || record.owner !== self || record.journal.to === self) return;
	if (!together(state, vm.resource)) {
		// A few missed beats are no reason: the guest may be half way down.
		const { status } = state.peer;
		if (status !== 'online' && status !== 'suspect' && status !== 'unknown')
			cancel(draft, vm, 'the peer is not in contact any more');
		return;
	}
	if (!record.inSync.includes(record.journal.to)) {
		// Replication was lost under way, and the other host let itself be counted out.
		cancel(draft, vm, 'the copy there is not current any more');
		return;
	}
	if (observed === undefined || presenceOf(state, vm.vm) !== 'absent') return;
	if (observed.role !== 'Secondary' || busy(state, vm.resource, ['promote', 'demote'])) return;
	writeRecord(
		draft,
		vm.resource,
		{ owner: record.journal.to },
		`stopped and demoted on ${self}: handed over`,
	);
};

const cancel = (draft: Draft, vm: EngineVm, why: string): void => {
	writeRecord(draft, vm.resource, { journal: null }, `hand-over cancelled: ${why}`);
	changeVmState(draft, vm.vm, { ordered: true });
	note(draft, 'warn', 'hand-over cancelled', { vm: vm.vm, reason: why });
};

/** A start that has not even begun after this long has a reason that the journal must not hide, ms. */
const startPatienceMs = 60_000;

/** Why a hand-over or a live migration that this host received is over; null while it goes on. */
const takeEnd = (
	state: State,
	vm: EngineVm,
	{ start, what }: { readonly start: boolean; readonly what: string },
	nowMs: number,
): string | null => {
	const { gaveUp, journalSinceMs, hold } = vmStateOf(state, vm.vm);
	const presence = presenceOf(state, vm.vm);
	if (!start || presence === 'running') return `${what} complete`;
	if (gaveUp !== null) return `handed over, but not started: ${gaveUp}`;
	const waitedMs = nowMs - (journalSinceMs ?? nowMs);
	if (waitedMs < startPatienceMs || busy(state, vm.vm, ['create-vm', 'unpause-vm'])) return null;
	return `handed over, but not started: ${hold ?? 'its disk is not promoted'}`;
};

/** The new owner closes the journal when the VM runs, needs no start, or does not get to it. */
const takeRule = (draft: Draft, vm: EngineVm): void => {
	const { state } = draft;
	const { self } = state.config;
	const record = recordOf(state, vm.resource);
	if (record?.journal?.to !== self || record.owner !== self) return;
	const what = record.journal.kind === 'migration' ? 'live migration' : 'hand-over';
	const end = takeEnd(state, vm, { start: record.journal.start, what }, draft.nowMs);
	if (end === null) {
		wakeBy(draft, (vmStateOf(state, vm.vm).journalSinceMs ?? draft.nowMs) + startPatienceMs);
		return;
	}
	writeRecord(draft, vm.resource, { journal: null }, end);
	// What was ordered stays ordered: when the reason goes away it starts, also while disarmed.
	if (record.journal.start && presenceOf(state, vm.vm) !== 'running')
		changeVmState(draft, vm.vm, { ordered: true });
	note(draft, 'info', `${what} ended`, { vm: vm.vm, how: end });
};

/** A VM whose copy here is not current can only run on the other host: released without being asked (V16). */
const releaseRule = (draft: Draft, vm: EngineVm): void => {
	const { state } = draft;
	const { self, peer } = state.config;
	const record = recordOf(state, vm.resource);
	const observed = observedOf(state, vm.resource);
	if (record?.owner !== self || record.journal !== null || selfInSync(state, vm.resource)) return;
	// A host that lost its records can't know whether it ran alone: a person decides.
	if (!state.stateFileFound) return;
	if (!record.inSync.includes(peer) || !together(state, vm.resource)) return;
	if (presenceOf(state, vm.vm) !== 'absent' || observed?.role === 'Primary') return;
	if (busy(state, vm.vm, ['create-vm']) || busy(state, vm.resource, ['promote'])) return;
	writeRecord(
		draft,
		vm.resource,
		{ owner: peer },
		`the copy on ${self} is not current: released to ${peer}`,
	);
};

/** Moves every open hand-over one step on, from what is seen. */
export const handoverRule = (draft: Draft): void => {
	for (const vm of draft.state.config.vms) {
		const open = (recordOf(draft.state, vm.resource)?.journal ?? null) !== null;
		const { journalSinceMs } = vmStateOf(draft.state, vm.vm);
		if (open !== (journalSinceMs !== null))
			changeVmState(draft, vm.vm, { journalSinceMs: open ? draft.nowMs : null });
		giveRule(draft, vm);
		takeRule(draft, vm);
		releaseRule(draft, vm);
	}
};
