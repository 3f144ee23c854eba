import {
	changePersisted,
	type Draft,
	joined,
	note,
	observedOf,
	recordOf,
	selfInSync,
	start,
	wakeBy,
} from '#src/engine/draft.ts';
import { inContact, mergeRecord, together } from '#src/engine/join.ts';
import type { State } from '#src/engine/state.ts';
import type { WitnessState, WitnessView } from '#src/engine/state-witness.ts';
import {
	arbiterOf,
	claimedByPeer,
	memoryOf,
	misfit,
	witnessAnswers,
	witnessGrants,
	witnessRecord,
} from '#src/engine/voters.ts';
import type { Outcome } from '#src/ports.ts';
import type { WitnessAnswer, WitnessCommand, WitnessRecord } from '#src/ports-witness.ts';
import { isConnected } from '#src/drbd/role.ts';
import type { ResourceRecord, WitnessMemory } from '#src/store/record.ts';

/** What this host takes from the witness, and what both hosts do together to make it trustworthy. */

export const changeWitness = (draft: Draft, change: Partial<WitnessState>): void => {
	draft.state = { ...draft.state, witness: { ...draft.state.witness, ...change } };
};

export const changeMemory = (draft: Draft, change: Partial<WitnessMemory>): void => {
	changePersisted(draft, { witness: { ...memoryOf(draft.state), ...change } });
};

/** One command at a time, and none before an answer that is younger than an unknown end. True when sent. */
export const send = (draft: Draft, command: WitnessCommand): boolean => {
	const { inFlight, witness } = draft.state;
	if (inFlight.some(({ action }) => action.type === 'witness')) return false;
	if (witness.unknownMs !== null) return false;
	return start(draft, { type: 'witness', command });
};

/** Why an answer brings no record to go by; null when it does. */
const troubleOf = (reply: WitnessAnswer['reply']): WitnessView['trouble'] => {
	if (reply.ok) return null;
	const { refused } = reply;
	return refused === 'absent' || refused === 'other-pair' || refused === 'unreadable'
		? refused
		: null;
};

/** Takes in an answer of the heartbeat thread or of a command; older ones than the last say nothing new. */
export const takeAnswer = (draft: Draft, { runId, sentMs, reply }: WitnessAnswer): void => {
	const { view, peerRead, unknownMs } = draft.state.witness;
	if (view !== null && sentMs < view.atMs) {
		// It crossed the last one on the way: of two such, the older content is the older truth.
		const version = reply.ok ? reply.record.version : 0;
		if (view.runId !== runId || version <= (view.record?.version ?? 0)) return;
	}
	const trouble = troubleOf(reply);
	const record = 'record' in reply && trouble === null ? reply.record : null;
	if (view?.runId !== runId)
		note(draft, view === null ? 'info' : 'warn', 'the witness answers in another run', { runId });
	const renewals = record?.hosts[draft.state.config.peer]?.renewals ?? null;
	const unchanged = peerRead?.runId === runId && peerRead.renewals === renewals;
	changeWitness(draft, {
		view: { runId, sentMs, atMs: draft.nowMs, record, trouble },
		peerRead: unchanged ? peerRead : { runId, renewals, atMs: draft.nowMs },
		unknownMs: unknownMs !== null && sentMs > unknownMs ? null : unknownMs,
	});
};

/**
 * How a command ended; true when the witness did it. Unknown: it may still land, so nothing follows before
 * a later answer.
 */
export const commandEnded = (draft: Draft, command: WitnessCommand, outcome: Outcome): boolean => {
	if (outcome.result !== 'succeeded') {
		changeWitness(draft, { unknownMs: draft.nowMs });
		return false;
	}
	const answer = outcome.value as WitnessAnswer;
	takeAnswer(draft, answer);
	if (!answer.reply.ok)
		note(draft, 'warn', 'the witness refused', {
			command: command.op,
			refused: answer.reply.refused,
			resource: 'resource' in command ? command.resource : null,
		});
	return answer.reply.ok;
};

/** Follows since when the witness grants, and takes a run back that lost something. */
const usableRule = (draft: Draft): void => {
	const { state, nowMs } = draft;
	const { view, usable } = state.witness;
	const { confirmedRunId } = memoryOf(state);
	const wrong = view === null ? null : misfit(state);
	if (confirmedRunId !== null && view !== null && wrong !== null) {
		changeMemory(draft, { confirmedRunId: null });
		note(draft, 'error', 'the witness lost what it had: it grants nothing', { why: wrong });
	}
	const now = witnessGrants(draft.state, nowMs);
	if (now === usable) return;
	changeWitness(draft, { usable: now, usableSinceMs: nowMs });
	note(draft, now ? 'info' : 'warn', now ? 'the witness grants' : 'the witness grants nothing', {
		why: now
			? null
			: (misfit(draft.state) ?? (view?.runId === confirmedRunId ? 'no answer' : 'new run')),
	});
};

/** A new run grants nothing until both hosts, in contact, have found it not below what each has seen (V6). */
const confirmRule = (draft: Draft): void => {
	const { state } = draft;
	const { view } = state.witness;
	if (view === null || view.runId === memoryOf(state).confirmedRunId) return;
	if (misfit(state) !== null || !inContact(state) || !joined(state)) return;
	const theirs = state.peer.document?.witness;
	if (state.peer.document?.joined !== true || theirs?.fits !== true) return;
	if (theirs.runId !== view.runId) return;
	const version = Math.max(memoryOf(state).version, view.record?.version ?? 0);
	changeMemory(draft, { confirmedRunId: view.runId, version });
	note(draft, 'info', 'both hosts confirmed the run of the witness', { runId: view.runId });
};

/** The record both hosts agree on, for a witness that has none or an older one. */
const seedOf = (state: State, version: number): WitnessRecord => ({
	format: 1,
	pairId: state.config.pairId,
	version,
	hosts: {},
	claim: null,
	claimVersion: version,
	resources: Object.fromEntries(
		Object.entries(state.persisted.resources).map(([resource, { record }]) => [resource, record]),
	),
});

/** Gone or restored: both hosts, connected and with equal records, seed it together; the first by name writes. */
const seedRule = (draft: Draft): void => {
	const { state, nowMs } = draft;
	const { view } = state.witness;
	const { self, peer, vms } = state.config;
	const theirs = state.peer.document?.witness ?? null;
	if (view === null || theirs === null || self > peer || !witnessAnswers(state, nowMs)) return;
	if (view.trouble === 'other-pair' || view.trouble === 'unreadable') return;
	if (theirs.runId !== view.runId || (misfit(state) === null && theirs.fits)) return;
	if (!vms.every(({ resource }) => together(state, resource))) return;
	const expectedVersion = view.record?.version ?? null;
	const marks = [memoryOf(state), theirs].flatMap(({ version, voidBelow }) => [version, voidBelow]);
	const version = 1 + Math.max(expectedVersion ?? 0, ...marks);
	if (send(draft, { op: 'seed', host: self, expectedVersion, record: seedOf(state, version) }))
		note(draft, 'warn', 'both hosts seed the witness', { version });
};

/** Joined by the witness: a confirmed record read in this boot (section 8). */
const joinRule = (draft: Draft): void => {
	const { state, nowMs } = draft;
	const { view } = state.witness;
	if (joined(state) || arbiterOf(state) !== 'witness') return;
	if (!witnessGrants(state, nowMs) || (view?.sentMs ?? 0) < state.startedAtMs) return;
	changePersisted(draft, { joinedBootId: state.bootId });
	note(draft, 'info', 'status change not joined => joined', { by: 'the witness' });
};

/** A record that grants is the truth; what was seen of it is a mark that it must never fall below. */
const adoptRule = (draft: Draft): void => {
	const record = witnessRecord(draft.state, draft.nowMs);
	if (record === null) return;
	const memory = memoryOf(draft.state);
	const generations: Record<string, number> = { ...memory.generations };
	let news = false;
	for (const { resource } of draft.state.config.vms) {
		const theirs = record.resources[resource];
		if (theirs === undefined) continue;
		if (theirs.generation !== generations[resource]) news = true;
		generations[resource] = theirs.generation;
		// An older one is only behind: the owner brings it up.
		const behind = theirs.generation < (recordOf(draft.state, resource)?.generation ?? 0);
		if (joined(draft.state) && !behind) mergeRecord(draft, resource, theirs, 'the witness');
		exclusionLanded(draft, resource, theirs.generation);
		vouch(draft, resource, theirs);
	}
	if (news) changeMemory(draft, { generations, version: record.version });
};

/** A third voter says that this copy is current: it need not be compared with the peer's (section 8). */
const vouch = (draft: Draft, resource: string, theirs: ResourceRecord): void => {
	const { state } = draft;
	const observed = observedOf(state, resource);
	if (arbiterOf(state) !== 'witness' || state.verified[resource] === true) return;
	if (observed === undefined || observed.role !== 'Secondary' || isConnected(observed)) return;
	if (!theirs.inSync.includes(state.config.self) || !selfInSync(state, resource)) return;
	if (recordOf(state, resource)?.generation !== theirs.generation) return;
	draft.state = { ...state, verified: { ...state.verified, [resource]: true } };
};

const exclusionLanded = (draft: Draft, resource: string, generation: number): void => {
	const exclusion = draft.state.witness.exclusions[resource];
	if (exclusion === undefined || exclusion.landed || exclusion.generation !== generation) return;
	const { exclusions } = draft.state.witness;
	changeWitness(draft, {
		exclusions: { ...exclusions, [resource]: { ...exclusion, landed: true } },
	});
};

/**
 * Brings the witness up to what the owner wrote with the peer's consent: losers first, then it, then the
 * gainer. Whoever has the owner's record has it from the owner, durable there; so the other host carries it
 * when the owner can't any more.
 */
const pushRule = (draft: Draft): void => {
	const { state, nowMs } = draft;
	const { self } = state.config;
	const record = witnessRecord(state, nowMs);
	if (record === null || !joined(state) || claimedByPeer(state)) return;
	for (const { resource } of state.config.vms) {
		const local = state.persisted.resources[resource];
		const expectedGeneration = record.resources[resource]?.generation ?? 0;
		if (local === undefined || local.held !== null) continue;
		if (local.record.owner !== self && inContact(state)) continue;
		if (local.record.generation <= expectedGeneration) continue;
		send(draft, {
			op: 'change',
			host: self,
			claimVersion: record.claimVersion,
			resource,
			expectedGeneration,
			record: local.record,
		});
		return;
	}
};

/** A claim whose host is silent itself for T_take is void (L3). */
const voidRule = (draft: Draft): void => {
	const { state, nowMs } = draft;
	const { self, peer, witness } = state.config;
	const { peerRead } = state.witness;
	const record = witnessRecord(state, nowMs);
	if (witness === null || record?.claim?.by !== peer) return;
	if (peerRead === null || peerRead.renewals === null || state.peer.hearing !== 'silent') return;
	const heardMs = Math.max(peerRead.atMs, state.peer.hearingSinceMs, state.startedAtMs);
	if (nowMs < heardMs + witness.takeMs) {
		wakeBy(draft, heardMs + witness.takeMs);
		return;
	}
	const expectedRenewals = peerRead.renewals;
	const command = {
		op: 'void-claim',
		host: self,
		claimVersion: record.claimVersion,
		expectedRenewals,
	} as const;
	if (send(draft, command))
		note(draft, 'warn', 'the claim of a silent host is voided', { by: peer });
};

/** Follows the witness: what it grants, what it knows that this host does not, and the reverse. */
export const witnessRule = (draft: Draft): void => {
	if (draft.state.config.witness === null) return;
	confirmRule(draft);
	usableRule(draft);
	joinRule(draft);
	adoptRule(draft);
	seedRule(draft);
	voidRule(draft);
};

/** After the rules that write records. */
export const witnessPushRule = (draft: Draft): void => {
	if (draft.state.config.witness !== null) pushRule(draft);
};
