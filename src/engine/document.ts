import { drainOf } from '#src/engine/drain.ts';
import {
	type Draft,
	joined,
	localOf,
	observedOf,
	presenceOf,
	leavingOf,
} from '#src/engine/draft.ts';
import { migrationSide } from '#src/engine/migration.ts';
import { monitored } from '#src/engine/arbiter.ts';
import { vouchedWatchdogMs } from '#src/engine/lease.ts';
import type { State } from '#src/engine/state.ts';
import { leaseReleased, memoryOf, misfit } from '#src/engine/voters.ts';
import { isConnected, isFrozen, lowestDisk } from '#src/drbd/role.ts';
import { type PeerDocument, protocolVersion, type Sight } from '#src/heartbeat/document.ts';
import { same } from '#src/std/same.ts';

const ownUuids = (state: State, resource: string): string[] | null => {
	const uuids = state.ownGenerations[resource];
	return uuids === undefined || uuids.length === 0 ? null : [...uuids];
};

const evidenceOf = (state: State, resource: string): Sight['evidence'] =>
	state.evidence[resource]?.volumes.map(({ history, ...volume }) => ({
		...volume,
		history: [...history],
	})) ?? null;

const givenUpTo = (state: State, resource: string): string | null => {
	const giveUp = state.giveUps[resource];
	return giveUp?.connected === true ? giveUp.id : null;
};

const sights = (state: State): Record<string, Sight> =>
	Object.fromEntries(
		state.config.vms.map((each) => {
			const { vm, resource } = each;
			const { twin, underWay, receiving, twoPrimaries } = migrationSide(state, each);
			const observed = observedOf(state, resource);
			const known = observed !== undefined && state.resourcesUnknownSinceMs === null;
			return [
				resource,
				{
					role: known ? observed.role : null,
					disk: known ? lowestDisk(observed) : null,
					connected: known && isConnected(observed),
					frozen: known && isFrozen(observed),
					uuids: ownUuids(state, resource),
					excluded: (localOf(state, resource)?.selfExcludedAt ?? null) !== null,
					held: (localOf(state, resource)?.held ?? null) !== null,
					connection: known ? observed.connection : null,
					evidence: evidenceOf(state, resource),
					givenUp: givenUpTo(state, resource),
					lastRun: localOf(state, resource)?.lastRun ?? null,
					presence: presenceOf(state, vm),
					twin,
					migrating: underWay,
					receiving,
					twoPrimaries,
				},
			];
		}),
	);

/** What this host makes of the witness; null when it has none. */
const witnessSight = (state: State): PeerDocument['witness'] => {
	if (state.config.witness === null) return null;
	const { view, usable, settled, round } = state.witness;
	const memory = memoryOf(state);
	return {
		runId: view?.runId ?? null,
		fits: misfit(state) === null,
		usable,
		settled,
		version: memory.version,
		claiming: memory.claiming,
		round,
		heardRound: state.peer.document?.witness?.round ?? null,
		voidBelow: memoryOf(state).voidBelow,
		released: leaseReleased(state),
		watchdogMs: vouchedWatchdogMs(state),
		monitored: monitored(state),
	};
};

const leaveSeen = (state: State): boolean => state.peer.document?.leaving === true;

/** What is published, less `seq` and what changes without being news. */
const content = (state: State): Omit<PeerDocument, 'seq' | 'heard' | 'freeMemoryMib'> => ({
	protocolVersion,
	pairId: state.config.pairId,
	host: state.config.self,
	bootId: state.bootId,
	session: state.session,
	joined: joined(state),
	leaving: leavingOf(state) !== null,
	left: state.left,
	leaveSeen: leaveSeen(state),
	standby: state.persisted.standby !== null,
	emptied: drainOf(state) !== null,
	pair: state.persisted.pair,
	...(state.persisted.pauseClock === null
		? {}
		: { pauseLeftMs: state.persisted.pauseClock.leftMs }),
	configDigest: state.config.digest,
	version: state.config.version,
	armBlockers: (state.armBlockers ?? ['its preflight has not finished yet'])
		.slice(0, 64)
		.map((sentence) => sentence.slice(0, 1024)),
	deviceWrong: state.ownDeviceWrong,
	load: state.load.sight,
	critical: state.health.critical.slice(0, 64),
	records: Object.fromEntries(
		Object.entries(state.persisted.resources).map(([name, local]) => [name, local.record]),
	),
	sights: sights(state),
	openFence:
		state.persisted.openFence === null
			? null
			: {
					target: state.persisted.openFence.target,
					targetBootId: state.persisted.openFence.targetBootId,
				},
	witness: witnessSight(state),
	arbiter: state.persisted.arbiter,
	outdateRequests: Object.values(state.outdateRequests),
	outdateAnswers: Object.values(state.outdateAnswers),
	resolveOrders: Object.values(state.resolves).map(({ order }) => order),
	forwarded: [...state.forwarded],
	forwardedReplies: [...state.forwardedReplies],
	tellings: state.tellings,
});

/** Free memory is news in steps of this size, MiB. */
const memoryStepMib = 64;

const memorySteps = ({ freeMemoryMib }: { readonly freeMemoryMib: number }): number =>
	Math.floor(freeMemoryMib / memoryStepMib);

/** The document that was published last says all of it, to this very run of the peer's agent. */
const saidBefore = (state: State, now: ReturnType<typeof content>): boolean => {
	if (state.published === null) return false;
	const { seq: _seq, heard, freeMemoryMib, ...said } = state.published;
	const theirs = state.peer.document;
	return (
		heard?.bootId === theirs?.bootId &&
		heard?.session === theirs?.session &&
		memorySteps({ freeMemoryMib }) === memorySteps(state) &&
		same(said, now)
	);
};

const sameRunOfPeer = (
	{ peer: { document: was } }: State,
	{ peer: { document } }: State,
): boolean => was?.bootId === document?.bootId && was?.session === document?.session;

/** What is made of witness, votes and fence devices; they are read all the time and seldom are news. */
const sameWitnessSight = (before: State, state: State): boolean =>
	state.config.witness === null || same(witnessSight(before), witnessSight(state));

/** True when nothing that a document is made of was replaced in this step: the common case, and cheap to see. */
const untouched = (before: State, state: State): boolean =>
	state.published !== null &&
	before.config === state.config &&
	before.persisted === state.persisted &&
	before.resources?.value === state.resources?.value &&
	before.vms?.value === state.vms?.value &&
	before.twins === state.twins &&
	before.migrations === state.migrations &&
	before.twoPrimaries === state.twoPrimaries &&
	before.inFlight === state.inFlight &&
	(before.resourcesUnknownSinceMs === null) === (state.resourcesUnknownSinceMs === null) &&
	(before.vmsUnknownSinceMs === null) === (state.vmsUnknownSinceMs === null) &&
	memorySteps(before) === memorySteps(state) &&
	sameRunOfPeer(before, state) &&
	leaveSeen(before) === leaveSeen(state) &&
	before.outdateRequests === state.outdateRequests &&
	before.outdateAnswers === state.outdateAnswers &&
	before.evidence === state.evidence &&
	before.resolves === state.resolves &&
	before.giveUps === state.giveUps &&
	before.forwarded === state.forwarded &&
	before.forwardedReplies === state.forwardedReplies &&
	before.armBlockers === state.armBlockers &&
	before.ownDeviceWrong === state.ownDeviceWrong &&
	before.ownGenerations === state.ownGenerations &&
	before.drain.evacuation === state.drain.evacuation &&
	before.load.sight === state.load.sight &&
	before.health.critical === state.health.critical &&
	before.health.evacuates === state.health.evacuates &&
	before.left === state.left &&
	before.tellings === state.tellings &&
	sameWitnessSight(before, state);

/**
 * Publishes the document when something in it is news. That the peer's newest document was heard is
 * no news by itself (two hosts would answer each other for ever); that a new run of its agent was, is.
 */
export const publishRule = (draft: Draft): void => {
	const { state } = draft;
	if (untouched(draft.before, state)) return;
	const theirs = state.peer.document;
	const now = content(state);
	if (saidBefore(state, now)) return;
	const document = {
		...now,
		seq: state.documentSeq + 1,
		heard:
			theirs === null ? null : { bootId: theirs.bootId, session: theirs.session, seq: theirs.seq },
		freeMemoryMib: state.freeMemoryMib,
	};
	draft.state = { ...state, documentSeq: document.seq, published: document };
	draft.actions.push({ type: 'publish', document });
};
