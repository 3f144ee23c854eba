import {
	busy,
	type Draft,
	joined,
	note,
	observedOf,
	recordOf,
	start,
	waiting,
	wakeBy,
} from '#src/engine/draft.ts';
import type { EngineVm } from '#src/engine/config.ts';
import { conflictOf, inContact } from '#src/engine/join.ts';
import type { State } from '#src/engine/state.ts';
import type { Stuck } from '#src/engine/state-apart.ts';
import type { ResourceName } from '#src/ports.ts';

/**
 * Connections of DRBD that do not get on although nothing is in their way. One reconnect is tried where it can
 * lose nothing: on a Secondary, whose copy the record does not count or that was not connected anyway. Then a
 * person is told. What StandAlone means is another matter (`split.ts`): that is never tried beyond its bound.
 */

/** DRBD tries to connect every few seconds and exchanges its bitmaps in less than one, ms. */
const patienceMs = 45_000;
/** This long after it began a person is told, ms. */
const tellMs = 120_000;

const otherWork = [
	'promote',
	'demote',
	'outdate',
	'resource-up',
	'resource-down',
	'resource-connect',
	'connect-discarding',
] as const;

/** The replication network carries a heartbeat link, too: with all of them up it is no cable. */
const nothingInTheWay = (state: State): boolean =>
	inContact(state) &&
	state.peer.links.length > 0 &&
	state.peer.links.every((link) => link.state === 'up');

const stuckNow = (state: State, resource: ResourceName): Stuck['what'] | null => {
	const observed = observedOf(state, resource);
	if (observed === undefined || state.resourcesUnknownSinceMs !== null) return null;
	if (observed.volumes.some(({ replication }) => replication.startsWith('WFBitMap')))
		return 'bitmap';
	const there = state.peer.document?.sights[resource]?.connection;
	const both = observed.connection === 'Connecting' && there === 'Connecting';
	return both && nothingInTheWay(state) ? 'connecting' : null;
};

/** Between two states of the same trouble: it is on its way through a reconnect, or looks for the peer again. */
const passing = (draft: Draft, resource: ResourceName): boolean => {
	const connection = observedOf(draft.state, resource)?.connection;
	if (connection === 'Connected' || !nothingInTheWay(draft.state)) return false;
	if (connection !== 'StandAlone') return true;
	return (
		busy(draft.state, resource, ['resource-reconnect']) ||
		waiting(draft, 'resource-reconnect', resource)
	);
};

/** A reconnect on this side can neither hold writes back nor outdate a copy that counts. */
const mayReconnect = (state: State, resource: ResourceName, what: Stuck['what']): boolean => {
	const observed = observedOf(state, resource);
	const record = recordOf(state, resource);
	if (observed?.role !== 'Secondary' || record === undefined) return false;
	if (!joined(state) || conflictOf(state, resource) !== null) return false;
	if (busy(state, resource, otherWork)) return false;
	if (state.calls.some((call) => call.resource === resource)) return false;
	if (state.resolves[resource] !== undefined || state.giveUps[resource] !== undefined) return false;
	if (what === 'connecting') return true;
	// The target of the resync: its copy is behind, and the record says so.
	const target = observed.volumes.some(({ replication }) => replication === 'WFBitMapT');
	return target && !record.inSync.includes(state.config.self);
};

const putStuck = (draft: Draft, resource: ResourceName, stuck: Stuck | null): void => {
	const { [resource]: _before, ...rest } = draft.state.stuck;
	draft.state = {
		...draft.state,
		stuck: stuck === null ? rest : { ...rest, [resource]: stuck },
	};
};

/** Follows what is stuck, and tries once. */
export const stuckRule = (draft: Draft): void => {
	for (const { resource } of draft.state.config.vms) {
		const { state, nowMs } = draft;
		const what = stuckNow(state, resource);
		const known = state.stuck[resource];
		if (what === null) {
			if (known !== undefined && !passing(draft, resource)) putStuck(draft, resource, null);
		} else if (known === undefined)
			putStuck(draft, resource, { what, sinceMs: nowMs, reconnected: false });
		else if (known.what !== what) putStuck(draft, resource, { ...known, what, sinceMs: nowMs });
		else if (!known.reconnected) tryOnce(draft, resource, known);
	}
};

const tryOnce = (draft: Draft, resource: ResourceName, known: Stuck): void => {
	const { state, nowMs } = draft;
	if (nowMs - known.sinceMs < patienceMs) {
		wakeBy(draft, known.sinceMs + patienceMs);
		return;
	}
	if (!mayReconnect(state, resource, known.what)) return;
	const generation = recordOf(state, resource)?.generation ?? 0;
	if (!start(draft, { type: 'resource-reconnect', resource, generation })) return;
	note(draft, 'warn', 'a connection does not get on: it is made anew, once', {
		resource,
		what: known.what,
	});
	putStuck(draft, resource, { ...known, reconnected: true });
};

/** What does not get on for so long that a person is told; null otherwise. */
export const stuckFor = (state: State, { resource }: EngineVm, nowMs: number): Stuck | null => {
	const known = state.stuck[resource];
	return known !== undefined && nowMs - known.sinceMs > tellMs ? known : null;
};
