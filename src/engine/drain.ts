import {
	busy,
	type Draft,
	leavingOf,
	note,
	presenceOf,
	recordOf,
	selfInSync,
	wakeBy,
} from '#src/engine/draft.ts';
import { byPriority, type EngineVm } from '#src/engine/config.ts';
import { handoverBlocker, openHandover } from '#src/engine/handover.ts';
import { migrationBlocker, openMigration } from '#src/engine/migration.ts';
import { idleReason } from '#src/engine/pause.ts';
import type { State } from '#src/engine/state.ts';
import { type DrainState, noDrain } from '#src/engine/state-plans.ts';
import { same } from '#src/std/same.ts';

/**
 * Empties this host: because it leaves, because a person asked for it, because it is in standby, or because a
 * health check that empties it is critical. One VM goes at a
 * time, the most important one first: two would share the link, and the memory over there that nothing shows yet.
 */

/** Live migrations of one VM that turn back before it counts as one that can't go live. */
const liveTriesMax = 3;
/** What stays for so long without any step is told, and ends an evacuation, ms. */
const drainPatienceMs = 60_000;

interface Drain {
	/** For the records and for people. */
	readonly why: string;
	readonly live: boolean;
	/** What can't go live is stopped here and started over there. */
	readonly cold: boolean;
}

/** Why and how this host is being emptied; null when it is not. */
export const drainOf = (state: State): Drain | null => {
	const { persisted, config } = state;
	const { evacuation } = state.drain;
	const leaving = leavingOf(state);
	if (leaving === 'stop') return null;
	if (leaving !== null)
		return { why: `${config.self} leaves`, live: leaving === 'migrate', cold: true };
	if (evacuation !== null)
		return { why: `evacuated by ${evacuation.by}`, live: true, cold: evacuation.cold };
	if (persisted.standby !== null)
		return { why: `${config.self} is in standby`, live: true, cold: false };
	const { evacuates } = state.health;
	if (evacuates === null) return null;
	return { why: `${evacuates} of ${config.self} is critical`, live: true, cold: false };
};

const triesOf = (state: State, { vm }: EngineVm): number => state.drain.tries[vm] ?? 0;

/** It has no guest whose memory could be sent, or its live migration does not get through. */
const onlyCold = (state: State, vm: EngineVm): boolean =>
	vm.liveBlocker !== null ||
	['paused', 'stopped'].includes(presenceOf(state, vm.vm)) ||
	triesOf(state, vm) >= liveTriesMax;

/** What would take the VM away now, or why nothing does, as a sentence. */
const wayOut = (
	state: State,
	drain: Drain,
	vm: EngineVm,
): 'migrate' | 'hand-over' | { readonly blocker: string } => {
	const blocker = handoverBlocker(state, vm);
	if (blocker !== null) return { blocker };
	if (!drain.live) return 'hand-over';
	const presence = presenceOf(state, vm.vm);
	if (presence === 'absent')
		return busy(state, vm.vm, ['create-vm']) ? { blocker: 'it is being started' } : 'hand-over';
	if (onlyCold(state, vm)) {
		if (drain.cold) return 'hand-over';
		const turnedBack = `its live migration turned back ${liveTriesMax} times`;
		const why = triesOf(state, vm) >= liveTriesMax ? turnedBack : migrationBlocker(state, vm);
		return { blocker: why ?? 'it can only be stopped and started over there' };
	}
	const live = migrationBlocker(state, vm);
	return live === null ? 'migrate' : { blocker: live };
};

/** Its disk here has failed: the guest lives on the link alone, and the good copy is on the other host. */
const hasLostDisk = (state: State, { vm, resource }: EngineVm): boolean =>
	idleReason(state) === null &&
	!selfInSync(state, resource) &&
	recordOf(state, resource)?.inSync.includes(state.config.peer) === true &&
	presenceOf(state, vm) === 'running';

/** Why and how this VM has to go; null when it stays. */
const dueOf = (state: State, vm: EngineVm): Drain | null => {
	const host = drainOf(state);
	if (host !== null) return host;
	if (leavingOf(state) !== null || !hasLostDisk(state, vm)) return null;
	return { why: `its disk on ${state.config.self} has failed`, live: true, cold: false };
};

const ownVms = (state: State): readonly EngineVm[] =>
	state.config.vms
		.filter(({ resource }) => recordOf(state, resource)?.owner === state.config.self)
		.toSorted(byPriority);

/** One VM that stays although it has to go. */
export interface Left {
	readonly vm: EngineVm;
	/** Why it has to go. */
	readonly why: string;
	readonly blocker: string;
}

/** What stays on this host although it has to go for a while already, and why; empty while it gets on. */
export const drainLeft = (state: State, nowMs: number): readonly Left[] => {
	const { idleSinceMs } = state.drain;
	if (idleSinceMs === null || nowMs - idleSinceMs < drainPatienceMs) return [];
	return ownVms(state).flatMap((vm) => {
		const drain = dueOf(state, vm);
		const way = drain === null ? '' : wayOut(state, drain, vm);
		return drain === null || typeof way === 'string'
			? []
			: [{ vm, why: drain.why, blocker: way.blocker }];
	});
};

const changeDrain = (draft: Draft, change: Partial<DrainState>): void => {
	const before = draft.state.drain;
	const drain = { ...before, ...change };
	if (!same(drain, before)) draft.state = { ...draft.state, drain };
};

/** An evacuation ends when nothing is left, or when what is left does not go. */
const endEvacuation = (draft: Draft): void => {
	const { state, nowMs } = draft;
	const { evacuation, idleSinceMs } = state.drain;
	if (evacuation === null || idleSinceMs === null) return;
	const left = drainLeft(state, nowMs);
	const all = ownVms(state);
	if (all.length > 0 && left.length < all.length) return;
	changeDrain(draft, { evacuation: null });
	const host = state.config.self;
	if (left.length === 0) note(draft, 'info', 'this host is empty', { host });
	for (const { vm, blocker } of left)
		note(draft, 'warn', 'a VM could not be moved away', { vm: vm.vm, reason: blocker });
};

/** The most important VM that has to go and has a way out. */
const nextOf = (state: State): { readonly vm: EngineVm; readonly drain: Drain } | null => {
	for (const vm of ownVms(state)) {
		const drain = dueOf(state, vm);
		if (drain !== null && typeof wayOut(state, drain, vm) === 'string') return { vm, drain };
	}
	return null;
};

const takeNext = (draft: Draft): void => {
	const { state, nowMs } = draft;
	const { tries, idleSinceMs } = state.drain;
	const moving = state.config.vms.some(
		({ resource }) => (recordOf(state, resource)?.journal ?? null) !== null,
	);
	const next = moving ? null : nextOf(state);
	if (next === null) {
		const sinceMs = moving ? null : (idleSinceMs ?? nowMs);
		changeDrain(draft, { idleSinceMs: sinceMs });
		if (sinceMs !== null) wakeBy(draft, sinceMs + drainPatienceMs);
		return;
	}
	const { vm, drain } = next;
	const live = wayOut(state, drain, vm) === 'migrate';
	if (live) openMigration(draft, vm, drain.why);
	else openHandover(draft, vm, drain.why);
	const tried = triesOf(state, vm) + (live ? 1 : 0);
	changeDrain(draft, { tries: { ...tries, [vm.vm]: tried }, idleSinceMs: null });
};

/** Nothing has to go, nor is on its way: what was tried for a failed disk counts until that is whole again. */
const isOver = (state: State): boolean =>
	drainOf(state) === null &&
	state.config.vms.every(({ resource }) => {
		const record = recordOf(state, resource);
		if (record === undefined) return true;
		return (
			record.journal === null && (record.owner !== state.config.self || selfInSync(state, resource))
		);
	});

/** Takes the next VM away that has to go: of a host that is being emptied, or one whose disk here has failed. */
export const drainRule = (draft: Draft): void => {
	if (isOver(draft.state)) {
		changeDrain(draft, noDrain);
		return;
	}
	takeNext(draft);
	endEvacuation(draft);
};
