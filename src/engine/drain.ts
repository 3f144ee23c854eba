import {
	busy,
	type Draft,
	note,
	presenceOf,
	recordOf,
	selfInSync,
	wakeBy,
} from '#src/engine/draft.ts';
import type { EngineVm } from '#src/engine/config.ts';
import { handoverBlocker, openHandover } from '#src/engine/handover.ts';
import { migrationBlocker, openMigration } from '#src/engine/migration.ts';
import type { State } from '#src/engine/state.ts';
import { type DrainState, noDrain } from '#src/engine/state-drain.ts';
import { same } from '#src/std/same.ts';

/**
 * Empties this host: because it leaves, because a person asked for it, or because it is in standby. One VM goes at a
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
export const drainOf = ({ leaving, drain, persisted, config }: State): Drain | null => {
	const { evacuation } = drain;
	if (leaving === 'stop') return null;
	if (leaving !== null)
		return { why: `${config.self} leaves`, live: leaving === 'migrate', cold: true };
	if (evacuation !== null)
		return { why: `evacuated by ${evacuation.by}`, live: true, cold: evacuation.cold };
	if (persisted.standby === null) return null;
	return { why: `${config.self} is in standby`, live: true, cold: false };
};

const triesOf = (state: State, { vm }: EngineVm): number => state.drain.tries[vm] ?? 0;

/** It has no guest whose memory could be sent, or nothing of it is here: only stopping and starting moves it. */
const onlyCold = (state: State, vm: EngineVm): boolean =>
	['paused', 'stopped'].includes(presenceOf(state, vm.vm)) ||
	!selfInSync(state, vm.resource) ||
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

const leftHere = (state: State): readonly EngineVm[] =>
	state.config.vms
		.filter(({ resource }) => recordOf(state, resource)?.owner === state.config.self)
		.toSorted((one, other) => other.priority - one.priority || (one.vm < other.vm ? -1 : 1));

/** One VM that stays although this host is being emptied. */
export interface Left {
	readonly vm: EngineVm;
	readonly blocker: string;
}

/** What stays on this host although it is being emptied for a while already, and why; empty while it gets on. */
export const drainLeft = (state: State, nowMs: number): readonly Left[] => {
	const drain = drainOf(state);
	const { idleSinceMs } = state.drain;
	if (drain === null || idleSinceMs === null || nowMs - idleSinceMs < drainPatienceMs) return [];
	return leftHere(state).flatMap((vm) => {
		const way = wayOut(state, drain, vm);
		return typeof way === 'string' ? [] : [{ vm, blocker: way.blocker }];
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
	const all = leftHere(state);
	if (all.length > 0 && left.length < all.length) return;
	changeDrain(draft, { evacuation: null });
	const host = state.config.self;
	if (left.length === 0) note(draft, 'info', 'this host is empty', { host });
	for (const { vm, blocker } of left)
		note(draft, 'warn', 'a VM could not be moved away', { vm: vm.vm, reason: blocker });
};

const takeNext = (draft: Draft, drain: Drain): void => {
	const { state, nowMs } = draft;
	const { tries, idleSinceMs } = state.drain;
	const moving = state.config.vms.some(
		({ resource }) => (recordOf(state, resource)?.journal ?? null) !== null,
	);
	const next = moving
		? undefined
		: leftHere(state).find((vm) => typeof wayOut(state, drain, vm) === 'string');
	if (next === undefined) {
		const sinceMs = moving ? null : (idleSinceMs ?? nowMs);
		changeDrain(draft, { idleSinceMs: sinceMs });
		if (sinceMs !== null) wakeBy(draft, sinceMs + drainPatienceMs);
		return;
	}
	const live = wayOut(state, drain, next) === 'migrate';
	if (live) openMigration(draft, next, drain.why);
	else openHandover(draft, next, drain.why);
	const tried = triesOf(state, next) + (live ? 1 : 0);
	changeDrain(draft, { tries: { ...tries, [next.vm]: tried }, idleSinceMs: null });
};

/** Takes the next VM away from a host that is being emptied. */
export const drainRule = (draft: Draft): void => {
	const drain = drainOf(draft.state);
	if (drain === null) {
		changeDrain(draft, noDrain);
		return;
	}
	takeNext(draft, drain);
	endEvacuation(draft);
};
