import type { Reply } from '#src/api/request.ts';
import { conflictOf, inContact, together } from '#src/engine/join.ts';
import type { EngineVm } from '#src/engine/config.ts';
import { drainOf } from '#src/engine/drain.ts';
import {
	changePersisted,
	type Draft,
	joined,
	leavingOf,
	note,
	observedOf,
	presenceOf,
	recordOf,
	vmOf,
	wakeBy,
} from '#src/engine/draft.ts';
import { peerTakesNone } from '#src/engine/handover.ts';
import { migrationBlocker, migrationLeft, openMigration } from '#src/engine/migration.ts';
import { idleReason } from '#src/engine/pause.ts';
import { accepted, refused } from '#src/engine/reply.ts';
import type { State } from '#src/engine/state.ts';
import type { LoadState } from '#src/engine/state-load.ts';
import { arbiterOf, leaseInForce } from '#src/engine/voters.ts';
import { isEstablishedUpToDate } from '#src/drbd/role.ts';
import type { LoadSight } from '#src/heartbeat/document.ts';
import {
	calm,
	judgeLoad,
	type LoadVerdict,
	type LoadView,
	type LoadVm,
} from '#src/migrate/load.ts';
import {
	followLoad,
	missingMs,
	movesWith,
	type Overload,
	overloadsNow,
	overloadsOf,
	restMs,
	sampleMs,
	settledMs,
} from '#src/migrate/sustain.ts';
import { type HostLoad, loadKinds, type LoadSample } from '#src/ports-load.ts';
import type { MonotonicMs, VmName } from '#src/ports.ts';
import type { LoadMove } from '#src/store/record.ts';
import { same } from '#src/std/same.ts';

/** Moves because of load on this host (docs/protocol.md, section 10): shows the policy what is seen, and does it. */

/** An agent that lags so much is not one to give VMs to, ms. */
const lagMs = 1000;

const change = (draft: Draft, to: Partial<LoadState>): void => {
	const load = { ...draft.state.load, ...to };
	if (!same(load, draft.state.load)) draft.state = { ...draft.state, load };
};

/** Takes in a reading; one that failed says nothing, and the one before grows old. */
export const loadObserved = (draft: Draft, sample: LoadSample | null): void => {
	if (sample !== null) change(draft, { sample: { value: sample, atMs: draft.nowMs } });
};

/** What keeps everything where it is, of the pair and its resources; null when nothing is degraded. */
const degraded = (state: State, nowMs: MonotonicMs): string | null => {
	const { config, persisted, peer } = state;
	const none = peerTakesNone(state);
	const openFence = persisted.openFence ?? peer.document?.openFence ?? null;
	if (!joined(state)) return `${config.self} has not met ${config.peer} since it booted`;
	const idle = idleReason(state);
	if (idle !== null) return idle;
	if (!inContact(state) || !peer.echoed) return `${config.peer} is not in contact`;
	if (peer.document?.configDigest !== config.digest)
		return 'the configurations of the two hosts differ';
	if (none !== null) return none;
	if (leavingOf(state) !== null || drainOf(state) !== null)
		return `${config.self} is being emptied`;
	if (peer.document.emptied) return `${config.peer} is being emptied`;
	if (openFence !== null) return `a power-off of ${openFence.target} may still land (open fence)`;
	if (arbiterOf(state) === 'changing') return 'the arbiter is being changed';
	if (leaseInForce(state) && !state.witness.usable) return 'the witness grants nothing';
	if (state.diskProblem !== null)
		return `the disk of the state file on ${config.self} takes nothing`;
	if (nowMs - state.steadySinceMs < missingMs) return `the agent on ${config.self} was stalled`;
	if (peer.lagMs >= lagMs) return `the agent on ${config.peer} lags`;
	if (state.resourcesUnknownSinceMs !== null) return `DRBD on ${config.self} does not answer`;
	if (state.vms === null || state.vmsUnknownSinceMs !== null)
		return `the hypervisor on ${config.self} does not answer`;
	return null;
};

/** The same of one VM and its resource: while one is moved or not replicated, no other is touched. */
const unsettled = (state: State, { vm, resource }: EngineVm): string | null => {
	const record = recordOf(state, resource);
	const observed = observedOf(state, resource);
	if (record === undefined) return `${vm} is not protected yet`;
	if (conflictOf(state, resource) !== null) return `the records of ${vm} conflict`;
	if (record.journal !== null) return `${vm} is on its way to ${record.journal.to}`;
	if (migrationLeft(state, vm)) return `what a migration of ${vm} left is being taken away`;
	if (!together(state, resource)) return `the records of ${vm} are being made equal`;
	const whole = observed !== undefined && isEstablishedUpToDate(observed);
	return whole && record.inSync.length === 2 ? null : `the replication of ${vm} is not complete`;
};

const blockerOf = (state: State, nowMs: MonotonicMs): string | null => {
	const blocker = degraded(state, nowMs);
	if (blocker !== null) return blocker;
	for (const vm of state.config.vms) {
		const why = unsettled(state, vm);
		if (why !== null) return why;
	}
	return null;
};

/** How long ago a move was, ms; one of an earlier boot counts from the present one on. */
const agoMs = ({ bootId }: State, move: LoadMove, nowMs: MonotonicMs): number =>
	move.bootId === bootId ? nowMs - move.atMs : nowMs;

const vmRestMs = (state: State, vm: VmName, nowMs: MonotonicMs): number => {
	const move = state.persisted.loadMoves[vm];
	if (move === undefined) return 0;
	const wholeMs = restMs(move.moves, state.config.balance.vmCooldownMs);
	return Math.max(0, wholeMs - agoMs(state, move, nowMs));
};

const pairRestMs = (state: State, nowMs: MonotonicMs): number =>
	Object.values(state.persisted.loadMoves).reduce(
		(longestMs, move) =>
			Math.max(longestMs, state.config.balance.pairCooldownMs - agoMs(state, move, nowMs)),
		0,
	);

/** What the policy is shown. `order`: a person does not wait for rests. */
const viewOf = (
	state: State,
	overloads: readonly Overload[],
	order: boolean,
	nowMs: MonotonicMs,
): LoadView => {
	const { config, load, peer } = state;
	const sample = load.sample?.value ?? null;
	const { document } = peer;
	const vms = config.vms.flatMap((each): LoadVm[] => {
		const here = presenceOf(state, each.vm) === 'running';
		const there = document?.sights[each.resource]?.presence === 'running';
		if (!here && !there) return [];
		const used = sample?.vms.find(({ vm }) => vm === each.vm) ?? null;
		return [
			{
				vm: each.vm,
				memoryMib: each.memoryMib,
				on: here ? config.self : config.peer,
				...each.balance,
				load: here ? used : null,
				restMs: order ? 0 : vmRestMs(state, each.vm, nowMs),
				blocker: here ? migrationBlocker(state, each) : null,
			},
		];
	});
	return {
		settings: config.balance,
		here: {
			host: config.self,
			load: sample?.host ?? null,
			cpus: sample?.cpus ?? null,
			freeMib: state.freeMemoryMib - config.reservedMemoryMib,
		},
		there: {
			host: config.peer,
			load: document?.load?.host ?? null,
			cpus: document?.load?.cpus ?? null,
			freeMib: (document?.freeMemoryMib ?? 0) - config.reservedMemoryMib,
		},
		overloads,
		pairRestMs: order ? 0 : pairRestMs(state, nowMs),
		blocker: blockerOf(state, nowMs),
		critical: document?.critical.map(({ check }) => check) ?? [],
		vms,
	};
};

/** What the peer is told of a load: in steps of 5 %, upwards, so that it is news seldom. */
const stepped = (host: HostLoad): HostLoad =>
	Object.fromEntries(
		loadKinds.map((kind) => {
			const share = host[kind];
			return [kind, share === null ? null : Math.min(20, Math.ceil(share * 20)) / 20];
		}),
	) as Record<(typeof loadKinds)[number], number | null>;

/** The load is told in steps, and at most as often as it is read. */
const tell = (draft: Draft): void => {
	const { state, nowMs } = draft;
	const { sample, sight, sightAtMs, sightKey, told } = state.load;
	if (sample === null) {
		change(draft, { sight: null, sightAtMs: nowMs });
		return;
	}
	const host = stepped(sample.value.host);
	const { cpus } = sample.value;
	const asBefore = sight?.cpus === cpus && same(sight.host, host) && sightKey === told.key;
	if (asBefore || (sight !== null && nowMs - sightAtMs < sampleMs)) return;
	const next: LoadSight = { host, cpus, verdict: told.sentence };
	change(draft, { sight: next, sightAtMs: nowMs, sightKey: told.key });
};

const putMove = (draft: Draft, vm: VmName, move: LoadMove): void =>
	changePersisted(draft, { loadMoves: { ...draft.state.persisted.loadMoves, [vm]: move } });

/** Both hosts remember a move for load, from the record's journal: its rests hold wherever the VM is then. */
const followMoves = (draft: Draft): void => {
	for (const { vm, resource } of draft.state.config.vms) {
		const { state, nowMs } = draft;
		const journal = recordOf(state, resource)?.journal ?? null;
		const open = journal?.kind === 'migration' && journal.cause === 'load';
		const move = state.persisted.loadMoves[vm];
		if (open === (move?.open ?? false)) continue;
		const moves =
			move === undefined ? 1 : open ? movesWith(move.moves, agoMs(state, move, nowMs)) : move.moves;
		putMove(draft, vm, { bootId: state.bootId, atMs: nowMs, moves, open });
	}
};

/** Forgets the moves that count for nothing any more. */
const forgetMoves = (draft: Draft): void => {
	const { state, nowMs } = draft;
	const all = Object.entries(state.persisted.loadMoves);
	const { vmCooldownMs } = state.config.balance;
	const kept = all.filter(
		([vm, move]) =>
			vmOf(state, vm) !== undefined &&
			(move.open || agoMs(state, move, nowMs) < settledMs(move.moves, vmCooldownMs)),
	);
	if (kept.length < all.length) changePersisted(draft, { loadMoves: Object.fromEntries(kept) });
};

const noteVerdict = (draft: Draft, verdict: LoadVerdict): void => {
	const { self } = draft.state.config;
	if (verdict.kind === 'calm')
		note(draft, 'info', 'this host is not overloaded any more', { host: self });
	else
		note(draft, verdict.kind === 'move' ? 'info' : 'warn', 'this host is overloaded', {
			host: self,
			...(verdict.vm === null ? {} : { vm: verdict.vm }),
			decision: verdict.sentence,
		});
};

const begin = (draft: Draft, verdict: LoadVerdict, why: string): boolean => {
	const vm = verdict.vm === null ? undefined : vmOf(draft.state, verdict.vm);
	if (verdict.kind !== 'move' || vm === undefined) return false;
	openMigration(draft, vm, why, 'load');
	followMoves(draft);
	return true;
};

/** One more reading: what it leads to, and what is done when the one before led to the same. */
const judge = (draft: Draft, { value, atMs }: NonNullable<LoadState['sample']>): void => {
	const { state, nowMs } = draft;
	const { balance } = state.config;
	if (balance.mode === 'off') {
		change(draft, { sustained: {}, verdict: calm, told: calm });
		return;
	}
	forgetMoves(draft);
	const sustained = followLoad(state.load.sustained, value.host, balance.limits, atMs);
	const overloads = overloadsOf(sustained, value.host, balance.holdMs, nowMs);
	const verdict =
		overloads.length === 0 ? calm : judgeLoad(viewOf(draft.state, overloads, false, nowMs));
	const again = verdict.key === state.load.verdict.key;
	if (again && verdict.key !== state.load.told.key) noteVerdict(draft, verdict);
	change(draft, { sustained, verdict, ...(again ? { told: verdict } : {}) });
	if (again && balance.mode === 'auto') begin(draft, verdict, verdict.why);
};

/** Judges each new reading of the load, and follows the moves for load of both hosts. */
export const balanceRule = (draft: Draft): void => {
	followMoves(draft);
	const { sample } = draft.state.load;
	if (sample === null) return;
	if (draft.nowMs - sample.atMs > missingMs) {
		note(draft, 'warn', 'the load of this host is not known any more', {
			host: draft.state.config.self,
		});
		change(draft, { sample: null, sustained: {}, verdict: calm, told: calm });
	} else {
		wakeBy(draft, sample.atMs + missingMs + 1);
		if (sample === draft.before.load.sample) return;
		judge(draft, sample);
	}
	tell(draft);
};

/** What a person's order would do now: it waits for nothing, but makes nothing worse. */
export const orderVerdict = (state: State, nowMs: MonotonicMs): LoadVerdict => {
	const sample = state.load.sample?.value ?? null;
	const { self, balance } = state.config;
	if (sample === null)
		return {
			...calm,
			kind: 'stay',
			key: 'unknown-here',
			sentence: `the load of ${self} is not known`,
		};
	return judgeLoad(viewOf(state, overloadsNow(sample.host, balance.limits), true, nowMs));
};

/** Moves the one VM now that the policy would move away from this host. */
export const balanceSelf = (draft: Draft, by: string): Reply => {
	const { self, peer } = draft.state.config;
	const verdict = orderVerdict(draft.state, draft.nowMs);
	if (begin(draft, verdict, `balanced by ${by}: ${verdict.why}`))
		return accepted(`${verdict.vm ?? ''} is live-migrated from ${self} to ${peer}: ${verdict.why}`);
	const why = verdict.kind === 'calm' ? `${self} is not overloaded` : verdict.sentence;
	return refused('nothing-to-balance', why, 'vmpair balance --dry-run');
};
