import type { Action, CarriedAction, Note } from '#src/engine/action.ts';
import type { EngineVm } from '#src/engine/config.ts';
import { limits } from '#src/engine/limit.ts';
import type { State, VmState } from '#src/engine/state.ts';
import type {
	MonotonicMs,
	Presence,
	ResourceName,
	ResourceObservation,
	VmName,
} from '#src/ports.ts';
import type { LeaveHow, LocalResource, Persisted, ResourceRecord } from '#src/store/record.ts';
import { isEstablishedUpToDate } from '#src/drbd/role.ts';
import { assert } from '#src/std/assert.ts';
import { same } from '#src/std/same.ts';

/**
 * One step in the making: the state it will end with and what it asks for. Rules change it through
 * the functions of this file; values inside are replaced, never changed in place.
 */
export interface Draft {
	/** The state the step began with. */
	readonly before: State;
	state: State;
	readonly nowMs: MonotonicMs;
	readonly actions: Action[];
	readonly notes: Note[];
	wakeAtMs: MonotonicMs;
}

type Fields = Note['fields'];

export const note = (
	draft: Draft,
	level: Note['level'],
	message: string,
	fields: Fields = {},
): void => {
	draft.notes.push({ level, message, fields });
};

/** Asks to be stepped again at `atMs` at the latest; what is over already asks for nothing. */
export const wakeBy = (draft: Draft, atMs: MonotonicMs): void => {
	if (atMs > draft.nowMs) draft.wakeAtMs = Math.min(draft.wakeAtMs, atMs);
};

type WithoutCarriage<Each> = Each extends CarriedAction ? Omit<Each, 'id' | 'limitMs'> : never;
/** A carried action before it has its id and its limit. */
export type Wish = WithoutCarriage<CarriedAction>;

const subjectOf = (wish: Wish): string =>
	'resource' in wish
		? wish.resource
		: 'vm' in wish
			? wish.vm
			: 'host' in wish
				? wish.host
				: wish.command.op;

/** True while an action of one of these types on the subject is under way. */
export const busy = (
	state: State,
	subject: string,
	types: readonly CarriedAction['type'][],
): boolean => {
	for (const { action } of state.inFlight)
		if (types.includes(action.type) && subjectOf(action) === subject) return true;
	return false;
};

/** True while the same is under way: two levels of a host may be asked at the same time. */
const underWay = (state: State, wish: Wish): boolean =>
	state.inFlight.some(
		({ action }) =>
			action.type === wish.type &&
			subjectOf(action) === subjectOf(wish) &&
			(!('level' in action && 'level' in wish) || action.level === wish.level),
	);

export const retryKey = (type: CarriedAction['type'], subject: string): string =>
	`${type}/${subject}`;

/** True while the action has to wait after its last end; the engine is woken when it need not any more. */
export const waiting = (draft: Draft, type: CarriedAction['type'], subject: string): boolean => {
	const retry = draft.state.retries[retryKey(type, subject)];
	if (retry === undefined || retry.notBeforeMs <= draft.nowMs) return false;
	wakeBy(draft, retry.notBeforeMs);
	return true;
};

/** That it succeeded a moment ago is no reason to wait: it is asked for anew. */
export const forgetSettling = (
	draft: Draft,
	type: CarriedAction['type'],
	subject: string,
): void => {
	const { [retryKey(type, subject)]: retry, ...retries } = draft.state.retries;
	if (retry?.failures === 0) draft.state = { ...draft.state, retries };
};

/** Starts an action unless the same one is under way or has to wait after a failure. True when started. */
export const start = (draft: Draft, wish: Wish, limitMs?: number): boolean => {
	const { state, nowMs } = draft;
	const subject = subjectOf(wish);
	if (underWay(state, wish)) return false;
	if (waiting(draft, wish.type, subject)) return false;
	const action = {
		...wish,
		id: state.nextId,
		limitMs: limitMs ?? limits[wish.type],
	} as CarriedAction;
	draft.state = {
		...state,
		nextId: state.nextId + 1,
		inFlight: [...state.inFlight, { action, sinceMs: nowMs }],
	};
	draft.actions.push(action);
	note(draft, wish.type === 'query-power' ? 'debug' : 'info', `action ${wish.type}`, {
		subject,
		id: action.id,
		...('generation' in wish ? { generation: wish.generation } : {}),
	});
	return true;
};

/** The VM's configuration, or undefined when it is not managed (any more). */
export const vmOf = (state: State, vm: VmName): EngineVm | undefined =>
	state.config.vms.find((each) => each.vm === vm);

export const localOf = (state: State, resource: ResourceName): LocalResource | undefined =>
	state.persisted.resources[resource];

export const recordOf = (state: State, resource: ResourceName): ResourceRecord | undefined =>
	localOf(state, resource)?.record;

export const peerRecordOf = (state: State, resource: ResourceName): ResourceRecord | undefined =>
	state.peer.document?.records[resource];

/** What DRBD shows of the resource; undefined while it is down or nothing was observed yet. */
export const observedOf = (state: State, resource: ResourceName): ResourceObservation | undefined =>
	state.resources?.value[resource];

/** What the VM's domain is doing here. */
export const presenceOf = (state: State, vm: VmName): Presence | 'absent' | 'unknown' => {
	if (state.vms === null || state.vmsUnknownSinceMs !== null) return 'unknown';
	return state.vms.value[vm]?.presence ?? 'absent';
};

const freshVm: VmState = {
	restartsMs: [],
	restarting: false,
	gaveUp: null,
	ordered: false,
	unpauseOrdered: false,
	runsSinceMs: null,
	notRunningSinceMs: null,
	journalSinceMs: null,
	shutdownAskedMs: null,
	vanishedMs: null,
	hold: null,
};

export const vmStateOf = (state: State, vm: VmName): VmState => state.vmStates[vm] ?? freshVm;

export const changeVmState = (draft: Draft, vm: VmName, change: Partial<VmState>): void => {
	const { state } = draft;
	const before = vmStateOf(state, vm);
	const keys = Object.keys(change) as (keyof VmState)[];
	if (keys.every((key) => before[key] === change[key])) return;
	draft.state = { ...state, vmStates: { ...state.vmStates, [vm]: { ...before, ...change } } };
};

export const changePersisted = (draft: Draft, change: Partial<Persisted>): void => {
	draft.state = { ...draft.state, persisted: { ...draft.state.persisted, ...change } };
};

export const sameRecord = (one: ResourceRecord, other: ResourceRecord): boolean =>
	one === other ||
	(one.generation === other.generation &&
		one.owner === other.owner &&
		one.wanted === other.wanted &&
		same(one.inSync, other.inSync) &&
		same(one.uuids, other.uuids) &&
		same(one.journal, other.journal));

/** What was tried under another owner says nothing of a start under the new one. */
const forgetAttempts = (draft: Draft, resource: ResourceName): void => {
	for (const { vm, resource: own } of draft.state.config.vms)
		if (own === resource) changeVmState(draft, vm, { ...freshVm, hold: null });
};

const putLocal = (draft: Draft, resource: ResourceName, local: LocalResource): void => {
	const owner = localOf(draft.state, resource)?.record.owner;
	if (owner !== undefined && owner !== local.record.owner) forgetAttempts(draft, resource);
	changePersisted(draft, {
		resources: { ...draft.state.persisted.resources, [resource]: local },
	});
};

/** Takes a record over as it is: the peer's newer one, or our own proposal that the peer made durable. */
export const adoptRecord = (
	draft: Draft,
	resource: ResourceName,
	record: ResourceRecord,
	why: string,
): void => {
	const before = localOf(draft.state, resource);
	assert(
		before === undefined || record.generation > before.record.generation,
		'only a newer record is adopted',
	);
	// The owner counts this host in again - only if the copy is seen current: any other write of it says nothing.
	const observed = observedOf(draft.state, resource);
	const countedIn =
		record.inSync.includes(draft.state.config.self) &&
		observed !== undefined &&
		isEstablishedUpToDate(observed);
	putLocal(draft, resource, {
		record,
		selfExcludedAt: countedIn ? null : (before?.selfExcludedAt ?? null),
		held: before?.held ?? null,
		detached: before?.detached ?? false,
		lastRun: before?.lastRun ?? null,
		lastDrill: before?.lastDrill ?? null,
	});
	dropOutdateRequest(draft, resource);
	noteRecord(draft, resource, before?.record, record, why);
};

const noteRecord = (
	draft: Draft,
	resource: ResourceName,
	before: ResourceRecord | undefined,
	record: ResourceRecord,
	why: string,
): void => {
	note(draft, 'info', 'record changed', {
		resource,
		generation: record.generation,
		owner: record.owner,
		inSync: record.inSync.join(','),
		wanted: record.wanted,
		journal: record.journal === null ? null : `${record.journal.from} => ${record.journal.to}`,
		from: before?.generation ?? null,
		why,
	});
};

/** The generation of a proposal to the peer: it may become durable there without our knowing. */
export const proposedGeneration = (record: ResourceRecord): number => record.generation + 1;

/** How far a change takes the generation. */
export const leap = {
	/** One more than a proposal, so that no number is ever used for two contents (V14). */
	change: 2,
	/** A takeover must win over whatever the dead owner wrote last and could not send any more. */
	takeover: 1000,
	/** A person's decision for one copy must win over every record that is not derived from it. */
	acceptStale: 1_000_000,
} as const;

/** Writes the next generation of a resource's record. Only its single writer may: the owner, or the proven claimer. */
export const writeRecord = (
	draft: Draft,
	resource: ResourceName,
	change: Partial<Omit<ResourceRecord, 'generation'>>,
	why: string,
	by: number = leap.change,
): void => {
	const local = localOf(draft.state, resource);
	assert(local !== undefined, 'a record is seeded before it is changed');
	// While two records conflict only a person's decision for one of them is written (V14).
	if (local.held !== null && by < leap.acceptStale) return;
	const reserved = draft.state.persisted.witness?.reserved[resource] ?? 0;
	const generation = Math.max(local.record.generation, reserved) + by;
	const record: ResourceRecord = { ...local.record, ...change, generation };
	putLocal(draft, resource, { ...local, record });
	dropOutdateRequest(draft, resource);
	noteRecord(draft, resource, local.record, record, why);
};

export const seedRecord = (draft: Draft, resource: ResourceName, record: ResourceRecord): void => {
	assert(localOf(draft.state, resource) === undefined, 'a record is seeded once');
	putLocal(draft, resource, {
		record,
		selfExcludedAt: null,
		held: null,
		detached: false,
		lastRun: null,
		lastDrill: null,
	});
	noteRecord(draft, resource, undefined, record, 'both hosts hold the same data: first record');
};

/** This host's own copy misses writes: remembered before anything else, whoever owns the record. */
export const excludeSelf = (draft: Draft, resource: ResourceName, why: string): void => {
	const local = localOf(draft.state, resource);
	if (local === undefined || local.selfExcludedAt !== null) return;
	putLocal(draft, resource, { ...local, selfExcludedAt: local.record.generation });
	note(draft, 'warn', 'this host counts its own copy out', { resource, why });
};

/** Remembers that this host took the disk away by itself, or that it is attached again. */
export const markDetached = (draft: Draft, resource: ResourceName, detached: boolean): void => {
	const local = localOf(draft.state, resource);
	if (local === undefined || local.detached === detached) return;
	putLocal(draft, resource, { ...local, detached });
};

/** Remembers for people when the VM ran here; nothing is decided by it. */
export const noteRun = (draft: Draft, resource: ResourceName, runs: boolean): void => {
	const local = localOf(draft.state, resource);
	const at = draft.state.wallClock;
	if (local === undefined || at === '') return;
	const { lastRun } = local;
	// A run that an earlier run of the agent saw begin and that still lasts.
	if (runs && lastRun !== null && lastRun.to === null) return;
	if (!runs && lastRun === null) return;
	putLocal(draft, resource, {
		...local,
		lastRun: runs ? { from: at, to: null } : { from: lastRun?.from ?? at, to: at },
	});
};

/** Remembers for people when and how the VM last had a drill; nothing is decided by it. */
export const noteDrill = (
	draft: Draft,
	resource: ResourceName,
	drill: Omit<NonNullable<LocalResource['lastDrill']>, 'at'>,
): void => {
	const local = localOf(draft.state, resource);
	const at = draft.state.wallClock;
	if (local !== undefined && at !== '')
		putLocal(draft, resource, { ...local, lastDrill: { at, ...drill } });
};

/** Remembers, or ends, a conflict of the records of both hosts. */
export const holdRecord = (draft: Draft, resource: ResourceName, why: string | null): void => {
	const local = localOf(draft.state, resource);
	if (local === undefined || local.held === why) return;
	putLocal(draft, resource, { ...local, held: why });
	if (why === null) note(draft, 'info', 'the records agree again', { resource });
	else note(draft, 'error', 'the records conflict: held', { resource, why });
};

/** The own copy counts again: it was seen UpToDate and replicating, or a person accepted it. */
export const countSelfIn = (draft: Draft, resource: ResourceName): void => {
	const local = localOf(draft.state, resource);
	if (local === undefined || local.selfExcludedAt === null) return;
	putLocal(draft, resource, { ...local, selfExcludedAt: null });
};

/** Changes what is known of the present loss of replication, if there was one. */
export const changeLoss = (
	draft: Draft,
	resource: ResourceName,
	change: Partial<State['losses'][string]>,
): void => {
	const loss = draft.state.losses[resource];
	if (loss === undefined) return;
	draft.state = {
		...draft.state,
		losses: { ...draft.state.losses, [resource]: { ...loss, ...change } },
	};
};

export const dropOutdateRequest = (draft: Draft, resource: ResourceName): void => {
	if (draft.state.outdateRequests[resource] === undefined) return;
	const { [resource]: _dropped, ...rest } = draft.state.outdateRequests;
	draft.state = { ...draft.state, outdateRequests: rest };
};

/** True when this host's copy is known to hold every acknowledged write. */
export const selfInSync = (state: State, resource: ResourceName): boolean => {
	const local = localOf(state, resource);
	return (
		local !== undefined &&
		local.selfExcludedAt === null &&
		local.record.inSync.includes(state.config.self)
	);
};

/** True when only this host's copy counts. */
export const soleInSync = (state: State, resource: ResourceName): boolean =>
	selfInSync(state, resource) && recordOf(state, resource)?.inSync.length === 1;

/** DRBD was seen since this agent last stalled: nothing is started, or promised, on what came with the stall's end. */
export const freshSight = (state: State): boolean =>
	state.resources !== null && state.resources.atMs > state.steadySinceMs;

/** How this host leaves; null: it stays. */
export const leavingOf = ({ persisted, bootId, leaveDone }: State): LeaveHow | null => {
	const { leaving } = persisted;
	if (leaving?.bootId !== bootId) return null;
	// An agent that is started after the leave takes part again.
	return !leaving.done || leaveDone ? leaving.how : null;
};

export const joined = (state: State): boolean =>
	state.persisted.joinedBootId !== null && state.persisted.joinedBootId === state.bootId;
