import { conditions } from '#src/engine/conditions.ts';
import type { EngineVm } from '#src/engine/config.ts';
import { type Draft, note, noteDrill, presenceOf, recordOf } from '#src/engine/draft.ts';
import { drainOf } from '#src/engine/drain.ts';
import { handoverBlocker } from '#src/engine/handover.ts';
import { degradedLevel } from '#src/engine/ladder.ts';
import { readinessOf, runsSomewhere } from '#src/engine/readiness.ts';
import type { State } from '#src/engine/state.ts';

/**
 * A drill is a hand-over that a person orders to see how the start on the other host goes: nothing in it is a way of
 * its own (docs/protocol.md, section 9). It only begins while everything is well, and the history tells of it.
 */

/** What is not well in the pair, as a sentence; null when nothing is. */
const troubleOf = (state: State, nowMs: number): string | null => {
	const { vms, self, peer } = state.config;
	const moved = vms.find(({ resource }) => (recordOf(state, resource)?.journal ?? null) !== null);
	if (moved !== undefined) return `${moved.vm} is being moved`;
	for (const each of vms) {
		const { ready, blocker } = readinessOf(state, each, nowMs);
		if (!ready) return `${each.vm} would not run again after a failure: ${blocker}`;
	}
	const critical = conditions(state, nowMs).find(({ severity }) => severity === 'critical');
	if (critical !== undefined) return critical.summary;
	const ill = state.peer.document?.critical ?? [];
	if (ill.length > 0)
		return `${peer} is not well: ${ill.map(({ check }) => check).join(', ')} critical`;
	if (drainOf(state) !== null) return `${self} is being emptied`;
	return degradedLevel(state);
};

/** Why no drill of this VM can begin now, as a sentence; null when it can. Asked on the owner. */
export const drillBlocker = (state: State, vm: EngineVm, nowMs: number): string | null => {
	const blocker = handoverBlocker(state, vm);
	if (blocker !== null) return blocker;
	if (recordOf(state, vm.resource)?.wanted !== 'running' || presenceOf(state, vm.vm) !== 'running')
		return `it does not run on ${state.config.self}`;
	return troubleOf(state, nowMs);
};

/** Where the VM of a drill is, once its journal is closed. */
const resultOf = (state: State, vm: EngineVm, { from, to }: Way): string => {
	if (recordOf(state, vm.resource)?.owner !== to) return `it was called off: ${from} keeps the VM`;
	return runsSomewhere(state, vm) === to ? `it runs on ${to}` : `it does not run on ${to} yet`;
};

type Way = Pick<State['drills'][string], 'from' | 'to'>;

const begins = (draft: Draft, vm: EngineVm, { from, to }: Way, stop: string): void => {
	const { state, nowMs } = draft;
	draft.state = { ...state, drills: { ...state.drills, [vm.vm]: { from, to, sinceMs: nowMs } } };
	note(draft, 'info', 'drill begins', { vm: vm.vm, from, to, stop });
};

const ends = (draft: Draft, vm: EngineVm, drill: State['drills'][string]): void => {
	const { state, nowMs } = draft;
	const { [vm.vm]: _over, ...drills } = state.drills;
	draft.state = { ...state, drills };
	const { from, to, sinceMs } = drill;
	const tookMs = nowMs - sinceMs;
	noteDrill(draft, vm.resource, { from, to, ran: runsSomewhere(state, vm) === to, tookMs });
	note(draft, 'info', 'drill ended', {
		vm: vm.vm,
		from,
		to,
		result: resultOf(state, vm, drill),
		tookMs,
	});
};

/** Tells of each drill as it begins and ends, and remembers it; both hosts do. */
export const drillRule = (draft: Draft): void => {
	for (const vm of draft.state.config.vms) {
		const journal = recordOf(draft.state, vm.resource)?.journal ?? null;
		const open = draft.state.drills[vm.vm];
		const stop = journal?.kind === 'handover' ? journal.drill : undefined;
		if (journal !== null && stop !== undefined) {
			if (open === undefined) begins(draft, vm, journal, stop);
		} else if (open !== undefined) ends(draft, vm, open);
	}
};
