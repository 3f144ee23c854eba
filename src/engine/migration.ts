import {
	busy,
	changeVmState,
	type Draft,
	note,
	observedOf,
	presenceOf,
	recordOf,
	selfInSync,
	start,
	vmStateOf,
	wakeBy,
	writeRecord,
} from '#src/engine/draft.ts';
import { handoverBlocker } from '#src/engine/handover.ts';
import { together } from '#src/engine/join.ts';
import type { EngineVm } from '#src/engine/config.ts';
import type { MigrationMemory } from '#src/engine/state-migration.ts';
import type { State } from '#src/engine/state.ts';
import {
	isConnected,
	isEstablished,
	isEstablishedUpToDate,
	isFrozen,
	lowestDisk,
	lowestPeerDisk,
} from '#src/drbd/role.ts';
import { goneMs, heldBackMs, migrationStep, prepareMs, sendMs } from '#src/migrate/saga.ts';
import type { MigrationAct, MigrationSide, MigrationView } from '#src/migrate/saga.ts';
import type { HostName, Outcome, ResourceName, VmName } from '#src/ports.ts';
import type { ResourceRecord } from '#src/store/record.ts';

/** Live migration on this host (docs/protocol.md, section 9): shows the saga what is seen, and does what it says. */

/** A receiver ends by itself after 60 s without a sender; it is not told of at the very end, ms. */
const receiverMs = 50_000;

/** xl goes on by itself while an agent restarts; a host whose agent stays away longer counts as lost here, ms. */
const agentMs = 60_000;

type Migration = Extract<NonNullable<ResourceRecord['journal']>, { kind: 'migration' }>;

/** The open live migration of a VM; null when none is. */
export const migrationOf = (state: State, resource: ResourceName): Migration | null => {
	const journal = recordOf(state, resource)?.journal ?? null;
	return journal?.kind === 'migration' ? journal : null;
};

const nothing: MigrationMemory = {
	receivingUntilMs: null,
	sentMs: null,
	goneSinceMs: null,
	cancelledBy: null,
	waitsFor: '',
};

const memoryOf = (state: State, vm: VmName): MigrationMemory => state.migrations[vm] ?? nothing;

const remember = (draft: Draft, vm: VmName, change: Partial<MigrationMemory>): void => {
	const before = memoryOf(draft.state, vm);
	const keys = Object.keys(change) as (keyof MigrationMemory)[];
	if (keys.every((key) => before[key] === change[key])) return;
	const { state } = draft;
	draft.state = { ...state, migrations: { ...state.migrations, [vm]: { ...before, ...change } } };
};

const forget = (draft: Draft, vm: VmName): void => {
	if (draft.state.migrations[vm] === undefined) return;
	const { [vm]: _over, ...rest } = draft.state.migrations;
	draft.state = { ...draft.state, migrations: rest };
};

/** What this host shows of a live migration of the VM. */
export const migrationSide = (state: State, { vm, resource }: EngineVm): MigrationSide => {
	const twin = state.twins[vm];
	const known = state.resourcesUnknownSinceMs === null;
	return {
		presence: presenceOf(state, vm),
		twin: twin?.twin ?? null,
		underWay: migrationUnderWay(state, vm),
		role: known ? (observedOf(state, resource)?.role ?? null) : null,
		twoPrimaries: state.twoPrimaries[resource] ?? null,
		receiving: memoryOf(state, vm).receivingUntilMs !== null,
	};
};

const peerSide = (state: State, resource: ResourceName): MigrationSide => {
	const sight = state.peer.document?.sights[resource];
	const observed = observedOf(state, resource);
	return {
		presence: sight?.presence ?? 'unknown',
		twin: sight?.twin ?? null,
		underWay: sight?.migrating === true,
		role: observed?.peerRole === 'Primary' ? 'Primary' : (sight?.role ?? null),
		twoPrimaries: sight?.twoPrimaries ?? null,
		receiving: sight?.receiving === true,
	};
};

const contactOf = ({ state, nowMs }: Draft, resource: ResourceName): MigrationView['contact'] => {
	if (together(state, resource)) return 'together';
	const { status, statusSinceMs } = state.peer;
	if (status === 'agent-down') return nowMs - statusSinceMs < agentMs ? 'unsettled' : 'lost';
	return ['online', 'suspect', 'unknown'].includes(status) ? 'unsettled' : 'lost';
};

/**
 * Every write goes to the copy on that host, and it is current: both copies are, or the other disk has failed and its
 * host reads and writes through the network.
 */
const replicatesTo = (state: State, resource: ResourceName, host: HostName): boolean => {
	const observed = observedOf(state, resource);
	const inSync = recordOf(state, resource)?.inSync ?? [];
	if (observed === undefined) return false;
	if (isEstablishedUpToDate(observed)) return true;
	const disk = host === state.config.self ? lowestDisk(observed) : lowestPeerDisk(observed);
	return (
		inSync.length === 1 && inSync[0] === host && disk === 'UpToDate' && isEstablished(observed)
	);
};

const viewOf = (draft: Draft, vm: EngineVm): MigrationView => {
	const { state, nowMs } = draft;
	const { resource } = vm;
	const { self } = state.config;
	const record = recordOf(state, resource);
	const migration = migrationOf(state, resource);
	const observed = observedOf(state, resource);
	const { sentMs, goneSinceMs, cancelledBy } = memoryOf(state, vm.vm);
	return {
		phase: migration?.phase ?? null,
		side: migration?.to === self ? 'target' : 'source',
		owner: record?.owner === self,
		contact: contactOf(draft, resource),
		own: migrationSide(state, vm),
		peer: peerSide(state, resource),
		replicates: migration !== null && replicatesTo(state, resource, migration.to),
		frozen: observed !== undefined && isFrozen(observed) && !isConnected(observed),
		peerFrozen: state.peer.document?.sights[resource]?.frozen === true,
		inSync: selfInSync(state, resource),
		targetInSync: migration !== null && record?.inSync.includes(migration.to) === true,
		sent: sentMs !== null && state.vms !== null && state.vms.atMs > sentMs,
		cancelled: cancelledBy !== null,
		goneForMs: goneSinceMs === null ? 0 : nowMs - goneSinceMs,
		ageMs: nowMs - (vmStateOf(state, vm.vm).journalSinceMs ?? nowMs),
		memoryMib: vm.memoryMib,
	};
};

/** Remembers since when the VM's domain is gone from here, and that a receiver has ended by itself. */
const followRule = (draft: Draft, { vm, resource }: EngineVm): void => {
	const { state, nowMs } = draft;
	if (migrationOf(state, resource) === null) {
		forget(draft, vm);
		return;
	}
	const { goneSinceMs, receivingUntilMs } = memoryOf(state, vm);
	const gone = presenceOf(state, vm) === 'absent' && !migrationUnderWay(state, vm);
	if (gone !== (goneSinceMs !== null)) remember(draft, vm, { goneSinceMs: gone ? nowMs : null });
	if (receivingUntilMs === null) return;
	if (migrationLeft(state, vm) || nowMs >= receivingUntilMs)
		remember(draft, vm, { receivingUntilMs: null });
	else wakeBy(draft, receivingUntilMs);
};

/** xl sends or receives the VM on this host. */
export const migrationUnderWay = (state: State, vm: VmName): boolean =>
	state.twins[vm]?.underWay === true || busy(state, vm, ['send-vm']);

/** Something that a migration has on this host beside the VM's own domain: nothing is created next to it. */
export const migrationLeft = (state: State, vm: VmName): boolean =>
	state.twins[vm] !== undefined || busy(state, vm, ['send-vm']);

/** Acts on the same thing that must not cross, by what they change. */
const crossing: Readonly<Record<'resource' | 'vm', readonly Parameters<typeof busy>[2][number][]>> =
	{
		resource: [
			'promote',
			'demote',
			'outdate',
			'resource-down',
			'resource-up',
			'allow-two-primaries',
			'forbid-two-primaries',
		],
		vm: ['create-vm', 'unpause-vm', 'destroy-vm', 'send-vm', 'receive-vm', 'destroy-twin'],
	};

const perform = (draft: Draft, { vm, resource }: EngineVm, act: MigrationAct): void => {
	const { state } = draft;
	const generation = recordOf(state, resource)?.generation ?? 0;
	switch (act) {
		case 'allow-two-primaries':
		case 'forbid-two-primaries':
		case 'promote':
		case 'demote':
			if (busy(state, resource, crossing.resource)) return;
			start(draft, { type: act, resource, generation });
			return;
		case 'cut-migration':
			start(draft, { type: act, vm, generation });
			return;
		case 'receive-vm':
		case 'send-vm':
		case 'destroy-twin':
		case 'destroy-vm':
			if (busy(state, vm, crossing.vm)) return;
			start(draft, { type: act, vm, generation });
	}
};

const turnBack = (draft: Draft, { vm, resource }: EngineVm, why: string): void => {
	const migration = migrationOf(draft.state, resource);
	if (migration === null) return;
	writeRecord(draft, resource, { journal: { ...migration, phase: 'back' } }, `turned back: ${why}`);
	note(draft, 'warn', 'live migration turns back', { vm, reason: why });
};

/** It is over and the VM is on the source: it goes on, or is started anew where its guest is gone. */
const close = (draft: Draft, { vm, resource }: EngineVm): void => {
	writeRecord(draft, resource, { journal: null }, 'nothing of the migration is left');
	changeVmState(draft, vm, { ordered: true });
	note(draft, 'warn', 'live migration ended without a move', { vm });
};

/** Why the VM can't be live-migrated to the peer now, as a sentence; null when it can. Asked on the owner. */
export const migrationBlocker = (state: State, vm: EngineVm): string | null => {
	const blocker = vm.liveBlocker ?? handoverBlocker(state, vm);
	if (blocker !== null) return blocker;
	const other = state.config.vms.find((each) => migrationOf(state, each.resource) !== null);
	if (other !== undefined) return `${other.vm} is being live-migrated, and one goes at a time`;
	const presence = presenceOf(state, vm.vm);
	if (presence !== 'running') return `its domain is ${presence}`;
	if (!replicatesTo(state, vm.resource, state.config.peer)) return 'replication is not complete';
	const { twin, underWay } = migrationSide(state, vm);
	const there = peerSide(state, vm.resource);
	if (twin !== null || underWay || there.twin !== null || there.underWay)
		return 'what an earlier migration left is being taken away';
	return there.presence === 'absent' ? null : `a domain of it is on ${state.config.peer}`;
};

/**
 * Has an open migration turn back as long as its guest is here. It ends the transport, never xl: what is whole over
 * there by then goes on there. False when it is too late.
 */
export const cancelMigration = (draft: Draft, { vm, resource }: EngineVm, by: string): boolean => {
	const { state } = draft;
	if (migrationOf(state, resource)?.phase !== 'forth' || presenceOf(state, vm) !== 'running')
		return false;
	remember(draft, vm, { cancelledBy: by });
	note(draft, 'info', 'live migration is cancelled', { vm, by });
	return true;
};

/** Opens the journal of a live migration to the peer; the rest follows from it on both hosts. */
export const openMigration = (draft: Draft, vm: EngineVm, why: string, cause?: 'load'): void => {
	const { self, peer } = draft.state.config;
	const journal = { kind: 'migration', from: self, to: peer, start: true, phase: 'forth' } as const;
	const change = { journal: cause === undefined ? journal : { ...journal, cause } };
	writeRecord(draft, vm.resource, change, why);
	note(draft, 'info', 'live migration begins', { vm: vm.vm, from: self, to: peer });
};

/** Moves every live migration one step on, and takes away what an earlier one has left. */
export const migrationRule = (draft: Draft): void => {
	for (const vm of draft.state.config.vms) {
		followRule(draft, vm);
		if (idle(draft.state, vm)) continue;
		const step = migrationStep(viewOf(draft, vm));
		if (step.do === 'act') perform(draft, vm, step.act);
		else if (step.do === 'turn-back') turnBack(draft, vm, step.why);
		else if (step.do === 'close') close(draft, vm);
		else if (step.do === 'give') give(draft, vm);
		else wakeForTimes(draft, vm);
		if (migrationOf(draft.state, vm.resource) !== null)
			remember(draft, vm.vm, { waitsFor: step.do === 'wait' ? step.for : '' });
	}
};

const idle = ({ twins, twoPrimaries, persisted }: State, { vm, resource }: EngineVm): boolean =>
	persisted.resources[resource]?.record.journal?.kind !== 'migration' &&
	twins[vm] === undefined &&
	twoPrimaries[resource] !== true;

/** The waits of the saga that time ends. */
const wakeForTimes = (draft: Draft, vm: EngineVm): void => {
	const { journalSinceMs } = vmStateOf(draft.state, vm.vm);
	const { goneSinceMs } = memoryOf(draft.state, vm.vm);
	if (journalSinceMs !== null) {
		wakeBy(draft, journalSinceMs + prepareMs + 1);
		wakeBy(draft, journalSinceMs + prepareMs + sendMs(vm.memoryMib) + 1);
	}
	const { statusSinceMs } = draft.state.peer;
	wakeBy(draft, statusSinceMs + agentMs);
	if (goneSinceMs === null) return;
	wakeBy(draft, goneSinceMs + heldBackMs + 1);
	wakeBy(draft, goneSinceMs + goneMs);
};

/** The whole copy waits there and no write is in flight, or only that host can start it: the old owner first (V8). */
const give = (draft: Draft, { vm, resource }: EngineVm): void => {
	const { self, peer } = draft.state.config;
	if (busy(draft.state, resource, crossing.resource)) return;
	const whole = migrationOf(draft.state, resource)?.phase === 'forth';
	const why = whole
		? `sent to ${peer} and demoted on ${self}`
		: `the copy on ${self} is not current: released to ${peer}`;
	writeRecord(draft, resource, { owner: peer }, why);
	note(draft, 'info', 'live migration: the other host owns the VM', { vm, owner: peer });
};

/** Takes in how an act of a migration ended; where the VM is now, the next look says. */
export const migrationActEnded = (
	draft: Draft,
	type: MigrationAct,
	subject: string,
	{ result }: Outcome,
): void => {
	const { state, nowMs } = draft;
	const done = result === 'succeeded';
	if (type === 'allow-two-primaries' || type === 'forbid-two-primaries') {
		if (done)
			draft.state = {
				...state,
				twoPrimaries: { ...state.twoPrimaries, [subject]: type === 'allow-two-primaries' },
			};
	} else if (type === 'receive-vm' && done)
		remember(draft, subject, { receivingUntilMs: nowMs + receiverMs });
	else if (type === 'send-vm') remember(draft, subject, { sentMs: nowMs });
	else if (type === 'cut-migration' && done) remember(draft, subject, { receivingUntilMs: null });
};
