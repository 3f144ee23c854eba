import {
	adoptRecord,
	changePersisted,
	type Draft,
	holdRecord,
	joined,
	leap,
	localOf,
	note,
	observedOf,
	peerRecordOf,
	recordOf,
	sameRecord,
	seedRecord,
	soleInSync,
	writeRecord,
} from '#src/engine/draft.ts';
import type { State } from '#src/engine/state.ts';
import { leaseInForce } from '#src/engine/voters.ts';
import { isConnected, isEstablishedUpToDate, isFrozen } from '#src/drbd/role.ts';
import type { ResourceName } from '#src/ports.ts';
import type { PairRecord, ResourceRecord } from '#src/store/record.ts';
import { same } from '#src/std/same.ts';

/** True while beats flow both ways and the peer's present run of its agent has merged our records. */
export const inContact = (state: State): boolean => {
	const { peer } = state;
	return peer.status === 'online' && peer.document !== null && peer.document.bootId === peer.bootId;
};

/** Both hosts hold the same arm state, durable: what the peer publishes it has written. */
export const pairAgreed = (state: State): boolean =>
	inContact(state) && same(state.peer.document?.pair, state.persisted.pair);

/** Each host claims the data for itself alone: one of them was restored or forced. Never merged by itself. */
const bothExclusive = (state: State, mine: ResourceRecord, theirs: ResourceRecord): boolean => {
	const { self, peer } = state.config;
	return (
		mine.inSync.length === 1 &&
		theirs.inSync.length === 1 &&
		mine.inSync[0] === self &&
		theirs.inSync[0] === peer
	);
};

/** Why the two records of a resource can't be merged, or null. Held until a person decides (V14). */
export const conflictOf = (state: State, resource: ResourceName): string | null =>
	localOf(state, resource)?.held ?? null;

const judge = (state: State, mine: ResourceRecord, theirs: ResourceRecord): string | null => {
	const decided = Math.abs(mine.generation - theirs.generation) >= leap.acceptStale;
	// A person has given up one of the two copies: the higher generation says which.
	if (bothExclusive(state, mine, theirs) && !decided)
		return 'each host has the data as its own alone: one of them ran or was restored without the other knowing';
	if (mine.generation === theirs.generation)
		return 'both hosts have a record of the same generation with different content';
	return null;
};

/** Both hosts are up and joined, and hear each other. */
export const hostsTogether = (state: State): boolean =>
	inContact(state) && state.peer.echoed && joined(state) && state.peer.document?.joined === true;

/** The hosts are together, and the records of this resource equal. */
export const together = (state: State, resource: ResourceName): boolean => {
	const mine = recordOf(state, resource);
	const theirs = peerRecordOf(state, resource);
	return (
		hostsTogether(state) && mine !== undefined && theirs !== undefined && sameRecord(mine, theirs)
	);
};

/** Of two pair records of the same generation the careful one wins: disarmed, then paused, then by content. */
const laterPair = (mine: PairRecord, theirs: PairRecord): PairRecord => {
	if (mine.generation !== theirs.generation)
		return theirs.generation > mine.generation ? theirs : mine;
	if (mine.armed !== theirs.armed) return mine.armed ? theirs : mine;
	if ((mine.pause === undefined) !== (theirs.pause === undefined))
		return mine.pause === undefined ? theirs : mine;
	return JSON.stringify(theirs) > JSON.stringify(mine) ? theirs : mine;
};

const pairNote = (before: PairRecord, now: PairRecord): string => {
	if (!now.armed) return 'pair disarmed';
	if (now.pause !== undefined) return 'pair paused';
	return before.armed && before.pause !== undefined ? 'pair resumed' : 'pair armed';
};

const mergePair = (draft: Draft, theirs: PairRecord): void => {
	const mine = draft.state.persisted.pair;
	if (same(mine, theirs)) return;
	const winner = laterPair(mine, theirs);
	if (winner === mine) return;
	changePersisted(draft, { pair: winner });
	const { by, reason } = winner.pause ?? winner;
	note(draft, 'info', pairNote(mine, winner), {
		by,
		reason,
		...(winner.pause === undefined ? {} : { until: winner.pause.until }),
		generation: winner.generation,
	});
};

/** Takes over what is newer in the peer's document, per resource, higher generation wins (V14). */
export const mergeDocument = (draft: Draft): void => {
	const { document } = draft.state.peer;
	if (document === null) return;
	mergePair(draft, document.pair);
	for (const { resource } of draft.state.config.vms) {
		const theirs = peerRecordOf(draft.state, resource);
		if (theirs === undefined) continue;
		const mine = recordOf(draft.state, resource);
		if (mine !== undefined && sameRecord(mine, theirs)) holdRecord(draft, resource, null);
		else mergeRecord(draft, resource, theirs, draft.state.config.peer);
	}
};

/** A person had the peer give its copy up: its own durable record counts only this host. */
const givesUp = (state: State, mine: ResourceRecord, theirs: ResourceRecord): boolean =>
	theirs.generation > mine.generation &&
	theirs.inSync.length === 1 &&
	theirs.inSync[0] === state.config.self;

/** Judged when a record arrives, and durable: neither an agent restart nor a later write ends a conflict. */
export const mergeRecord = (
	draft: Draft,
	resource: ResourceName,
	theirs: ResourceRecord,
	by: string,
): void => {
	const { state } = draft;
	const mine = recordOf(state, resource);
	if (mine === undefined) {
		adoptRecord(draft, resource, theirs, `${by} has a record`);
		return;
	}
	// The order that asked for it adopts it, with all that follows (`resolve.ts`).
	const awaited = state.resolves[resource]?.order.proposal;
	if (awaited !== undefined && sameRecord(awaited, theirs)) return;
	if (sameRecord(mine, theirs)) return;
	if (conflictOf(state, resource) !== null) {
		if (!givesUp(state, mine, theirs)) return;
		// Also when the order that asked for it was forgotten in a restart of this agent.
		holdRecord(draft, resource, null);
		adoptRecord(draft, resource, theirs, `${state.config.peer} gave its copy up`);
		return;
	}
	const conflict = judge(state, mine, theirs);
	if (conflict !== null) holdRecord(draft, resource, conflict);
	else if (theirs.generation > mine.generation) {
		const alone = writesAlone(state, resource, theirs);
		adoptRecord(draft, resource, theirs, `${by} has the newer record`);
		if (!alone) return;
		const { self, peer } = state.config;
		const why = `${self} has written alone: the copy on ${peer} misses that`;
		writeRecord(draft, resource, { inSync: [self], uuids: null }, why);
	}
};

/**
 * The own VM writes to this copy alone, as this host's record lets it, and the peer's newer record counts both copies:
 * the file here was put back, and says less of the past, but what is written now the peer's copy misses for certain.
 */
const writesAlone = (state: State, resource: ResourceName, theirs: ResourceRecord): boolean => {
	const { self } = state.config;
	const observed = observedOf(state, resource);
	return (
		// With a third voter nobody is counted out before it is written there.
		!leaseInForce(state) &&
		observed?.role === 'Primary' &&
		!isConnected(observed) &&
		!isFrozen(observed) &&
		soleInSync(state, resource) &&
		recordOf(state, resource)?.owner === self &&
		theirs.owner === self &&
		theirs.inSync.length === 2
	);
};

/** Joined: records went both ways in this boot (V7). It is durable with the boot id, so an agent restart keeps it. */
export const joinRule = (draft: Draft): void => {
	const { state } = draft;
	if (joined(state) || !inContact(state)) return;
	const heard = state.peer.document?.heard;
	if (heard?.bootId !== state.bootId || heard.session !== state.session) return;
	changePersisted(draft, { joinedBootId: state.bootId });
	draft.state = { ...draft.state, aloneAllowed: {} };
	note(draft, 'info', 'status change not joined => joined', { peer: state.config.peer });
};

/**
 * The first record of a resource: only with both hosts in contact, neither having a record, and DRBD
 * saying that both copies are current. The host that has the VM (or is preferred) writes it.
 */
export const seedRule = (draft: Draft): void => {
	for (const { resource, vm, preferredHost } of draft.state.config.vms) {
		const { state } = draft;
		if (recordOf(state, resource) !== undefined) continue;
		if (!inContact(state) || !joined(state) || state.peer.document?.joined !== true) continue;
		if (state.peer.document.configDigest !== state.config.digest) continue;
		if (peerRecordOf(state, resource) !== undefined) continue;
		const observed = observedOf(state, resource);
		if (observed === undefined || !isEstablishedUpToDate(observed)) continue;
		const { self, peer } = state.config;
		if (observed.role === 'Primary' && observed.peerRole === 'Primary') continue;
		const owner =
			observed.role === 'Primary' ? self : observed.peerRole === 'Primary' ? peer : preferredHost;
		if (owner !== self) continue;
		seedRecord(draft, resource, {
			generation: 1,
			owner: self,
			inSync: [self, peer].toSorted(),
			uuids: null,
			wanted: 'running',
			journal: null,
		});
		note(draft, 'info', 'VM is protected from now on', { vm, resource });
	}
};
