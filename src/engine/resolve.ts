import {
	adoptRecord,
	busy,
	countSelfIn,
	type Draft,
	excludeSelf,
	holdRecord,
	joined,
	leap,
	localOf,
	note,
	observedOf,
	peerRecordOf,
	presenceOf,
	recordOf,
	sameRecord,
	start,
	wakeBy,
} from '#src/engine/draft.ts';
import type { EngineVm } from '#src/engine/config.ts';
import { conflictOf, inContact } from '#src/engine/join.ts';
import { promoteBlocker } from '#src/engine/resource.ts';
import { splitOf } from '#src/engine/split.ts';
import type { State } from '#src/engine/state.ts';
import type { GiveUp } from '#src/engine/state-apart.ts';
import { promotableDisk } from '#src/engine/takeover.ts';
import { isConnected, isReplicating } from '#src/drbd/role.ts';
import type { ResolveOrder } from '#src/heartbeat/document.ts';
import type { ResourceName } from '#src/ports.ts';

/**
 * A person gives one copy up (never done automatically, I8). The host whose copy stays has the order in its
 * document with the record that follows. The other one loses its right first (V8): it pauses its VM, notes
 * that its copy does not count, makes that record durable, clears away, and connects with its data given up.
 * Only when its record is seen there does the host that stays adopt it, too.
 */

/** An order that gets nowhere for so long is dropped, and can be given again, ms. */
const orderMs = 600_000;
/** Between two tries to connect with the data given up, and how many of them. */
const discardPauseMs = 10_000;
const discardsMax = 5;

/** Why the copy on the peer can't be given up now, with the code and the next step; null when it can. */
export const resolveBlocker = (
	state: State,
	vm: EngineVm,
): { readonly code: 'apart' | 'nothing' | 'disk' | 'runs'; readonly message: string } | null => {
	const { self, peer } = state.config;
	const observed = observedOf(state, vm.resource);
	const sight = state.peer.document?.sights[vm.resource];
	if (!inContact(state) || !joined(state) || state.peer.document?.joined !== true)
		return { code: 'apart', message: `${self} and ${peer} are not in contact` };
	if (recordOf(state, vm.resource) === undefined || peerRecordOf(state, vm.resource) === undefined)
		return { code: 'nothing', message: `${vm.vm} has no record on both hosts` };
	const apart =
		conflictOf(state, vm.resource) !== null ||
		sight?.held === true ||
		observed?.connection === 'StandAlone' ||
		sight?.connection === 'StandAlone';
	if (!apart)
		return { code: 'nothing', message: `the copies and records of ${vm.vm} are not in conflict` };
	if (observed === undefined || !promotableDisk(state, vm.resource))
		return {
			code: 'disk',
			message: `the copy of ${vm.vm} on ${self}, which would stay, is not usable`,
		};
	if (isConnected(observed) && observed.peerRole === 'Primary')
		return {
			code: 'runs',
			message: `${vm.vm} is in use on ${peer} and connected: there is nothing to give up there`,
		};
	return null;
};

/** Takes a person's order on; the caller has asked for a blocker before. */
export const openOrder = (draft: Draft, vm: EngineVm, id: string, by: string): void => {
	const { state, nowMs } = draft;
	const { self, peer } = state.config;
	const mine = recordOf(state, vm.resource);
	const theirs = peerRecordOf(state, vm.resource);
	if (mine === undefined || theirs === undefined) return;
	const order: ResolveOrder = {
		resource: vm.resource,
		id,
		by,
		proposal: {
			generation: Math.max(mine.generation, theirs.generation) + leap.acceptStale,
			owner: self,
			inSync: [self],
			uuids: null,
			wanted: mine.wanted,
			journal: null,
		},
	};
	draft.state = {
		...state,
		resolves: { ...state.resolves, [vm.resource]: { order, sinceMs: nowMs } },
	};
	note(draft, 'warn', 'a person gives a copy up', { vm: vm.vm, host: peer, by });
};

const dropOrder = (draft: Draft, resource: ResourceName): void => {
	const { [resource]: _done, ...rest } = draft.state.resolves;
	draft.state = { ...draft.state, resolves: rest };
};

/** The host whose copy stays: adopts the record once the other one holds it, connects, and sees the end. */
const keepRule = (draft: Draft, { vm, resource }: EngineVm): void => {
	const { state, nowMs } = draft;
	const resolve = state.resolves[resource];
	if (resolve === undefined) return;
	const { order } = resolve;
	const record = recordOf(state, resource);
	const observed = observedOf(state, resource);
	const sight = state.peer.document?.sights[resource];
	if (nowMs - resolve.sinceMs > orderMs) {
		note(draft, 'error', 'a copy was not given up in time: give the order again', { vm });
		dropOrder(draft, resource);
		return;
	}
	wakeBy(draft, resolve.sinceMs + orderMs + 1);
	if (!inContact(state) || record === undefined) return;
	if (record.generation < order.proposal.generation) {
		const theirs = peerRecordOf(state, resource);
		if (theirs === undefined || !sameRecord(theirs, order.proposal)) return;
		adoptGiven(draft, resource, order);
		return;
	}
	if (observed !== undefined && isReplicating(observed)) {
		note(draft, 'info', 'a copy was given up: it takes over the data of the other', { vm });
		dropOrder(draft, resource);
		return;
	}
	if (observed === undefined) return;
	if (observed.role !== 'Primary') {
		promoteKept(draft, resource, record.generation);
		return;
	}
	if (observed.connection !== 'StandAlone' || sight?.givenUp !== order.id) return;
	if (sight.connection === 'Connecting' && !busy(state, resource, ['resource-up']))
		start(draft, { type: 'resource-connect', resource, generation: record.generation });
};

/**
 * Two Secondaries would settle a split brain by DRBD's own policy (`discard-zero-changes`), which may pick the
 * copy that the person keeps. So that copy is in use when they meet, also of a VM that shall not run.
 */
const promoteKept = (draft: Draft, resource: ResourceName, generation: number): void => {
	if (busy(draft.state, resource, ['promote', 'demote', 'resource-up', 'outdate'])) return;
	if (promoteBlocker(draft.state, resource) !== null) return;
	start(draft, { type: 'promote', resource, generation });
};

/** The peer holds the record that gives its copy up: this copy is the truth now, whatever was noted of it. */
const adoptGiven = (draft: Draft, resource: ResourceName, order: ResolveOrder): void => {
	holdRecord(draft, resource, null);
	adoptRecord(draft, resource, order.proposal, `${order.by} gave the other copy up`);
	countSelfIn(draft, resource);
	draft.state = {
		...draft.state,
		aloneAllowed: { ...draft.state.aloneAllowed, [resource]: true },
	};
};

const orderFor = (state: State, resource: ResourceName): ResolveOrder | undefined =>
	inContact(state) && joined(state)
		? state.peer.document?.resolveOrders.find((each) => each.resource === resource)
		: undefined;

/** The host whose copy is given up, first half: nothing runs, the right is lost, durable. */
const giveUpRule = (draft: Draft, { vm, resource }: EngineVm): void => {
	const { state } = draft;
	const order = orderFor(state, resource);
	const local = localOf(state, resource);
	const { peer } = state.config;
	if (order === undefined || local === undefined) return;
	const { proposal } = order;
	if (proposal.generation <= local.record.generation || proposal.owner !== peer) return;
	if (proposal.inSync.length !== 1 || proposal.inSync[0] !== peer) return;
	const presence = presenceOf(state, vm);
	if (presence === 'unknown' || busy(state, vm, ['create-vm', 'unpause-vm'])) return;
	if (presence === 'running') {
		if (start(draft, { type: 'pause-vm', vm, generation: local.record.generation }))
			note(draft, 'warn', 'a person gives this copy up: its VM is paused', { vm, by: order.by });
		return;
	}
	excludeSelf(draft, resource, `${order.by} gave it up`);
	holdRecord(draft, resource, null);
	adoptRecord(draft, resource, proposal, `${order.by} gave this copy up`);
};

const putGiveUp = (draft: Draft, resource: ResourceName, giveUp: GiveUp | null): void => {
	const { [resource]: _before, ...rest } = draft.state.giveUps;
	draft.state = {
		...draft.state,
		giveUps: giveUp === null ? rest : { ...rest, [resource]: giveUp },
	};
};

/** Second half: the domain gone and demoted, a snapshot where one can be made, then connect with the data given up. */
const discardRule = (draft: Draft, { vm, resource }: EngineVm): void => {
	const { state, nowMs } = draft;
	const order = orderFor(state, resource);
	const local = localOf(state, resource);
	const known = state.giveUps[resource];
	if (order === undefined || local === undefined) {
		if (known !== undefined && inContact(state)) putGiveUp(draft, resource, null);
		return;
	}
	if (!givenUpBy(state, resource, order)) return;
	const observed = observedOf(state, resource);
	if (observed === undefined || observed.role !== 'Secondary' || isConnected(observed)) return;
	if (presenceOf(state, vm) !== 'absent' || local.detached) return;
	const giveUp =
		known?.id === order.id
			? known
			: { id: order.id, snapshot: false, discards: 0, notBeforeMs: 0, connected: false };
	if (giveUp !== known) putGiveUp(draft, resource, giveUp);
	const { generation } = local.record;
	if (busy(state, resource, ['snapshot', 'connect-discarding', 'demote', 'resource-up'])) return;
	if (!giveUp.snapshot) start(draft, { type: 'snapshot', resource, generation });
	else if (giveUp.connected && observed.connection !== 'StandAlone') return;
	else if (nowMs < giveUp.notBeforeMs) wakeBy(draft, giveUp.notBeforeMs);
	else if (
		giveUp.discards < discardsMax &&
		start(draft, { type: 'connect-discarding', resource, generation })
	)
		putGiveUp(draft, resource, {
			...giveUp,
			discards: giveUp.discards + 1,
			notBeforeMs: nowMs + discardPauseMs,
			connected: false,
		});
};

/** True when this host's durable record is the one by which its copy was given up. */
const givenUpBy = (state: State, resource: ResourceName, order: ResolveOrder): boolean => {
	const local = localOf(state, resource);
	return (
		local !== undefined &&
		local.held === null &&
		local.selfExcludedAt !== null &&
		local.record.owner === state.config.peer &&
		local.record.generation >= order.proposal.generation &&
		!local.record.inSync.includes(state.config.self)
	);
};

/** True when a person's order lets this host connect with its own data given up. */
export const mayDiscard = (state: State, resource: ResourceName): boolean => {
	const order = state.peer.document?.resolveOrders.find((each) => each.resource === resource);
	return order !== undefined && givenUpBy(state, resource, order);
};

/** What became of the snapshot: without one it goes on, and the history says why there is none. */
export const snapshotEnded = (
	draft: Draft,
	resource: ResourceName,
	names: readonly string[] | null,
	detail: string,
): void => {
	const giveUp = draft.state.giveUps[resource];
	if (giveUp === undefined) return;
	putGiveUp(draft, resource, { ...giveUp, snapshot: true });
	note(
		draft,
		names === null ? 'warn' : 'info',
		names === null
			? 'no snapshot of the copy that is given up'
			: 'a snapshot keeps the copy that is given up',
		{ resource, ...(names === null ? { reason: detail } : { snapshot: names.join(',') }) },
	);
};

/** It looks for the peer with its data given up: told to the other host, which connects now. */
export const discardStarted = (draft: Draft, resource: ResourceName): void => {
	const giveUp = draft.state.giveUps[resource];
	if (giveUp !== undefined) putGiveUp(draft, resource, { ...giveUp, connected: true });
};

/** Carries the orders of people out, on either side. */
export const resolveRule = (draft: Draft): void => {
	for (const vm of draft.state.config.vms) {
		giveUpRule(draft, vm);
		discardRule(draft, vm);
		keepRule(draft, vm);
	}
};

/** What an order waits for, as a sentence; empty when there is none. */
export const resolveActivity = (state: State, { resource }: EngineVm): string => {
	const order = state.resolves[resource]?.order;
	const { peer } = state.config;
	if (order === undefined) return '';
	if ((recordOf(state, resource)?.generation ?? 0) < order.proposal.generation)
		return `${peer} stops the VM and gives up its record`;
	if (state.peer.document?.sights[resource]?.givenUp !== order.id)
		return `${peer} clears away, makes a snapshot if it can, and gives up its copy`;
	return splitOf(state, resource) === null
		? `DRBD on ${state.config.self} looks for ${peer}`
		: `DRBD connects again`;
};
