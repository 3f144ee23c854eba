import {
	busy,
	type Draft,
	excludeSelf,
	joined,
	localOf,
	markDetached,
	note,
	observedOf,
	presenceOf,
	start,
	type Wish,
} from '#src/engine/draft.ts';
import type { EngineVm } from '#src/engine/config.ts';
import type { State } from '#src/engine/state.ts';
import type { Release, ReleaseStep } from '#src/engine/state-apart.ts';
import { hasNoDisk, isConnected, isFrozen } from '#src/drbd/role.ts';
import type { ResourceObservation } from '#src/ports.ts';

/**
 * Release of a frozen loser (V15): a Primary whose writes DRBD holds back while the record names the
 * other host as owner. Its disk is taken away first, so that the held-back writes end with errors and
 * reach nothing; only then is I/O let go, the domain destroyed, and the disk attached again as a
 * Secondary's. Letting I/O go first would begin a data generation of its own: a split brain. Every
 * step follows from what is seen now, so a step that was not seen to succeed is not built upon.
 */

/** A step that is tried more often than this, or that lasts longer, is for a person, ms. */
const triesMax = 4;
const stepMs = 90_000;

/** The record says for certain that this host's copy is not the one that goes on. */
const replaced = (state: State, vm: EngineVm): boolean => {
	const local = localOf(state, vm.resource);
	return (
		local !== undefined &&
		local.held === null &&
		// A live migration to this host may still be the one that goes on.
		(local.record.journal?.kind !== 'migration' || local.record.journal.phase === 'back') &&
		local.record.owner === state.config.peer &&
		local.record.inSync.includes(state.config.peer) &&
		joined(state)
	);
};

const frozenStep = (state: State, vm: EngineVm, observed: ResourceObservation) => {
	const presence = presenceOf(state, vm.vm);
	// Connected again it goes on by itself, and ends as any other copy in the wrong place.
	if (isConnected(observed) || presence === 'unknown') return null;
	// A domain that is being created is paused, and its create waits for the disk.
	if (presence === 'running') return 'pause';
	return hasNoDisk(observed) ? 'fail-io' : 'detach';
};

/** What the release of this VM's copy here needs next; null when there is nothing to release, or nothing is known. */
const dueStep = (state: State, vm: EngineVm): ReleaseStep | null => {
	if (!replaced(state, vm) || state.resourcesUnknownSinceMs !== null) return null;
	const detached = localOf(state, vm.resource)?.detached === true;
	const observed = observedOf(state, vm.resource);
	if (observed === undefined) return detached ? 'up' : null;
	if (observed.role === 'Primary' && isFrozen(observed)) return frozenStep(state, vm, observed);
	if (!detached) return null;
	if (observed.role === 'Primary')
		return presenceOf(state, vm.vm) === 'absent' ? 'demote' : 'destroy';
	return hasNoDisk(observed) ? 'down' : null;
};

const putRelease = (draft: Draft, resource: string, release: Release | null): void => {
	const { [resource]: _before, ...rest } = draft.state.releases;
	draft.state = {
		...draft.state,
		releases: release === null ? rest : { ...rest, [resource]: release },
	};
};

/** Steps that this rule takes itself; the others follow from rules that hold for every copy in the wrong place. */
const ownSteps: Readonly<Partial<Record<ReleaseStep, 'detach' | 'fail-io' | 'resource-down'>>> = {
	detach: 'detach',
	'fail-io': 'fail-io',
	down: 'resource-down',
};

/** Takes the next step of every release that is due, a bounded number of times. */
export const releaseRule = (draft: Draft): void => {
	for (const vm of draft.state.config.vms) {
		const { resource } = vm;
		const step = dueStep(draft.state, vm);
		const before = draft.state.releases[resource];
		if (step === null) {
			if (before !== undefined) putRelease(draft, resource, null);
			endDetached(draft, vm);
			continue;
		}
		if (before?.step !== step) {
			putRelease(draft, resource, { step, sinceMs: draft.nowMs, tries: 0 });
			note(draft, 'warn', 'a superseded copy is being released', { vm: vm.vm, step });
		}
		takeStep(draft, vm, step);
	}
};

const takeStep = (draft: Draft, vm: EngineVm, step: ReleaseStep): void => {
	const { resource } = vm;
	const release = draft.state.releases[resource];
	const type = ownSteps[step];
	const generation = localOf(draft.state, resource)?.record.generation;
	if (type === undefined || release === undefined || generation === undefined) return;
	if (release.tries >= triesMax || busy(draft.state, resource, ['demote', 'resource-up'])) return;
	if (busy(draft.state, vm.vm, ['unpause-vm', 'create-vm'])) return;
	if (!start(draft, { type, resource, generation } satisfies Wish)) return;
	putRelease(draft, resource, { ...release, tries: release.tries + 1 });
	if (type === 'resource-down') return;
	// Durable before its writes are lost: from now on this copy misses whatever the owner writes.
	excludeSelf(draft, resource, 'the other host has replaced it');
	// A disk that had failed before was not taken away by us, and is not ours to attach again.
	if (type === 'detach') markDetached(draft, resource, true);
};

/** The disk is attached again: what is left is an ordinary Secondary that resyncs. */
const endDetached = (draft: Draft, { vm, resource }: EngineVm): void => {
	const { state } = draft;
	const observed = observedOf(state, resource);
	if (localOf(state, resource)?.detached !== true || observed === undefined) return;
	if (state.resourcesUnknownSinceMs !== null || observed.role !== 'Secondary') return;
	if (hasNoDisk(observed) || busy(state, resource, ['detach', 'fail-io', 'resource-down'])) return;
	markDetached(draft, resource, false);
	note(draft, 'info', 'a superseded copy was released', { vm });
};

/** The step at which a release does not get on by itself; null while it does. */
export const stuckRelease = (state: State, vm: EngineVm, nowMs: number): ReleaseStep | null => {
	const release = state.releases[vm.resource];
	if (release === undefined) return null;
	const type = ownSteps[release.step];
	const given =
		release.tries >= triesMax && (type === undefined || !busy(state, vm.resource, [type]));
	return given || nowMs - release.sinceMs > stepMs ? release.step : null;
};
