import { conflictOf } from '#src/engine/join.ts';
import {
	busy,
	changePersisted,
	type Draft,
	joined,
	note,
	observedOf,
	peerRecordOf,
	presenceOf,
	recordOf,
	sameRecord,
	start,
	wakeBy,
} from '#src/engine/draft.ts';
import { claimGain } from '#src/engine/claim.ts';
import type { EngineFencing } from '#src/engine/config.ts';
import { attemptsOf, laddersOf, levelField, levelToTry } from '#src/engine/ladder.ts';
import { mayExclude } from '#src/engine/outdate.ts';
import { idleReason } from '#src/engine/pause.ts';
import { changePeer, deviceWrong, proofOf, settleOpenFence } from '#src/engine/peer.ts';
import type { FenceHold } from '#src/engine/state-fencing.ts';
import type { State } from '#src/engine/state.ts';
import { aliveInWitness, arbiterOf, claimHeld } from '#src/engine/voters.ts';
import { couldTakeOver, takesOver } from '#src/engine/takeover.ts';
import { isFrozen } from '#src/drbd/role.ts';
import {
	type FenceLevel,
	latestInTurnMs,
	retryPauseMs,
	triesAt,
	turnMs,
	withTries,
} from '#src/fence/ladder.ts';
import type { HostName, Outcome } from '#src/ports.ts';
import { same } from '#src/std/same.ts';

const hourMs = 3_600_000;
/** A gateway counts as "went silent" only when it answered this shortly before the loss (L4). */
const gatewayMemoryMs = 60_000;
/** After a stall of our own, what was reported meanwhile is taken in for this long before an `off`, ms. */
const steadyMs = 1500;

const changeFencing = (draft: Draft, change: Partial<State['fencing']>): void => {
	draft.state = { ...draft.state, fencing: { ...draft.state.fencing, ...change } };
};

/**
 * A fence must win something: a VM of the peer that can run here, or an own VM that is frozen by the loss or
 * cannot start before the peer is counted out (L5).
 */
const fenceGain = (state: State): string | null => {
	const { self, peer } = state.config;
	for (const { vm, resource } of state.config.vms) {
		const record = recordOf(state, resource);
		const observed = observedOf(state, resource);
		if (record === undefined || observed === undefined) continue;
		if (conflictOf(state, resource) !== null) continue;
		if (record.owner !== self) {
			if (record.wanted === 'running' && takesOver(state) && couldTakeOver(state, resource))
				return `${vm} can run here`;
			continue;
		}
		if (!mayExclude(state, resource)) continue;
		if (isFrozen(observed)) return `${vm} is frozen by the loss`;
		const startable =
			record.wanted === 'running' &&
			record.inSync.includes(peer) &&
			presenceOf(state, vm) === 'absent' &&
			(state.vmStates[vm]?.gaveUp ?? null) === null;
		if (startable) return `${vm} can start here`;
	}
	return null;
};

/** True when it looks as if this host, not the peer, lost the network. Direct cables never count (L4). */
const isolated = (state: State): boolean => {
	const { peer, config } = state;
	const switched = config.links.filter((link) => link.switched).map((link) => link.link);
	const dark =
		switched.length > 0 &&
		switched.every(
			(name) => peer.links.find((observed) => observed.link === name)?.carrier === false,
		);
	const answeredMs = peer.gatewayAnsweredAtMs;
	const gatewayLost =
		peer.gatewayAnswers === false &&
		answeredMs !== null &&
		peer.hearingSinceMs - answeredMs <= gatewayMemoryMs;
	return dark || gatewayLost;
};

interface Weight {
	readonly sole: boolean;
	readonly weight: number;
}

/** What could run if this host survived, from the records. */
const weightOf = (state: State, host: HostName): Weight => {
	let sole = false;
	let weight = 0;
	for (const { resource, priority } of state.config.vms) {
		const record = recordOf(state, resource);
		if (record === undefined || !record.inSync.includes(host)) continue;
		if (record.inSync.length === 1) sole = true;
		if (record.wanted === 'running') weight += 1 + priority;
	}
	return { sole, weight };
};

/** True when this host fences first: a sole holder of data, then the heavier, then by name. */
const goesFirst = (state: State): boolean => {
	const { self, peer } = state.config;
	const mine = weightOf(state, self);
	const theirs = weightOf(state, peer);
	if (mine.sole !== theirs.sole) return mine.sole;
	if (mine.weight !== theirs.weight) return mine.weight > theirs.weight;
	return self < peer;
};

/**
 * True when the peer has not acknowledged our newest record, as far as this run of the agent knows: it may
 * reckon with other weights.
 */
const unacknowledged = (state: State): boolean =>
	state.config.vms.some(({ resource }) => {
		const mine = recordOf(state, resource);
		const theirs = peerRecordOf(state, resource);
		return mine !== undefined && (theirs === undefined || !sameRecord(mine, theirs));
	});

/**
 * The turn of this host: 0 and 1 by the records both acknowledged last. A host whose newest record is
 * unacknowledged reckons with other records than its peer, so it takes a later turn, by name alone:
 * whatever each of the two knows, they never have the same one. So does a host in standby: it would run nothing of the
 * other one's afterwards.
 */
const turnOf = (state: State): number => {
	const later = unacknowledged(state) || state.persisted.standby !== null;
	if (later) return state.config.self < state.config.peer ? 2 : 3;
	return goesFirst(state) ? 0 : 1;
};

const turns = 4;

/** How long this host waits after the loss before its first `off`, ms; 0 when it goes first. */
export const fenceDelayMs = (state: State): number => {
	const { fencing, timing } = state.config;
	return fencing === null ? 0 : turnOf(state) * turnMs(laddersOf(fencing), timing.detectionMs);
};

/**
 * When the turns began: when the hosts last heard each other both ways. An agent that started since and
 * does not know it waits a full round first.
 */
const turnOriginMs = (state: State, lengthMs: number): number => {
	const { contactLost } = state.persisted;
	return contactLost !== null && contactLost.bootId === state.bootId
		? contactLost.atMs
		: state.startedAtMs + turns * lengthMs;
};

/**
 * When this host may send its next `off`: within its own turn, and so early in it that the command
 * has taken effect (or never will) before the other host's turn. `nowMs`, from which on
 * nothing else holds it, or the start of its next turn after that.
 */
const nextFenceMs = (
	state: State,
	fencing: EngineFencing,
	through: FenceLevel,
	nowMs: number,
): number => {
	const { detectionMs } = state.config.timing;
	const lengthMs = turnMs(laddersOf(fencing), detectionMs);
	const originMs = turnOriginMs(state, lengthMs);
	if (nowMs < originMs) return originMs + turnOf(state) * lengthMs;
	const elapsedMs = nowMs - originMs;
	const turn = Math.floor(elapsedMs / lengthMs);
	const latestMs = latestInTurnMs(through, lengthMs, detectionMs);
	const mine = turn % turns === turnOf(state);
	if (mine && elapsedMs - turn * lengthMs <= latestMs) return nowMs;
	const wait = (turnOf(state) - (turn % turns) + turns) % turns;
	const next = turn + (wait === 0 ? turns : wait);
	return originMs + next * lengthMs;
};

/** When each `off` of the last hour stops counting; one of another boot counts until this host is up for an hour. */
const countedUntilMs = (state: State, nowMs: number): readonly number[] =>
	state.persisted.fences
		.map((fence) => (fence.bootId === state.bootId ? fence.atMs + hourMs : hourMs))
		.filter((untilMs) => nowMs < untilMs);

/** `off` commands that count against the limit of an hour. */
export const fencesLastHour = (state: State, nowMs: number): number =>
	countedUntilMs(state, nowMs).length;

const because = (reason: string): FenceHold => ({ reason, untilMs: null });

/** Why no fence is sent although the peer is lost, as a sentence with the time that is left; null without a reason. */
export const holdWords = (hold: FenceHold | null, nowMs: number): string | null => {
	if (hold === null || hold.untilMs === null) return hold?.reason ?? null;
	return `waiting ${Math.max(0, Math.ceil((hold.untilMs - nowMs) / 1000))} s${hold.reason}`;
};

/** Nobody claims for this host in the witness: what keeps it from claiming. */
const unclaimed = ({ state, nowMs }: Draft): FenceHold => {
	const { peer } = state.config;
	return because(
		aliveInWitness(state, nowMs)
			? `${peer} renews its vote in the witness: it is alive`
			: `${peer} is not claimed in the witness`,
	);
};

/** Why no `off` is sent now, or null. */
const holdOf = (draft: Draft): FenceHold | null => {
	const { state, nowMs } = draft;
	const { config, fencing: progress } = state;
	const arbiter = arbiterOf(state);
	if (arbiter === 'changing') return because('the arbiter is being changed');
	if (arbiter === 'person' || config.fencing === null)
		return because('the arbiter is a person: no host is fenced');
	if (!joined(state)) return because('this host has not met its peer since it booted');
	const idle = idleReason(state);
	if (idle !== null) return because(idle);
	if (deviceWrong(state))
		return because(`the fence device of ${config.peer} seems to belong to another host`);
	if (arbiter === 'witness' && !claimHeld(state, nowMs)) return unclaimed(draft);
	if ((arbiter === 'witness' ? claimGain(state, nowMs) : fenceGain(state)) === null)
		return because('nothing would be won: no VM could run or thaw here');
	if (arbiter === 'fencing' && isolated(state))
		return because('this host itself seems to be cut off from the network');
	const through = config.fencing.levels[levelToTry(state) ?? -1];
	if (through === undefined)
		return because(`${attemptsOf(state)} attempts to switch ${config.peer} off did not succeed`);
	const { perHourMax } = config.fencing;
	const counted = countedUntilMs(state, nowMs);
	if (counted.length >= perHourMax) {
		wakeBy(draft, Math.min(...counted));
		return because(`the limit of ${perHourMax} fences an hour is reached`);
	}
	if (nowMs < progress.targetedUntilMs) {
		const reason = `: a power-off of this host by ${config.peer} may still land`;
		return { reason, untilMs: progress.targetedUntilMs };
	}
	const readyMs = Math.max(nowMs, progress.notBeforeMs, state.steadySinceMs + steadyMs);
	// Only one host can hold the claim: no turns.
	const untilMs =
		arbiter === 'witness' ? readyMs : nextFenceMs(state, config.fencing, through, readyMs);
	if (nowMs >= untilMs) return null;
	const reason =
		arbiter === 'witness' ? ' before the next attempt' : ' for the other host to fence first';
	return { reason, untilMs };
};

const putHold = (draft: Draft, hold: FenceHold | null): void => {
	if (!same(hold, draft.state.fencing.hold)) changeFencing(draft, { hold });
};

/** Takes a lost peer out: open fence durable, `off`, then the independent status decides. */
export const fenceRule = (draft: Draft): void => {
	const { state, nowMs } = draft;
	const { peer: host, fencing } = state.config;
	if (state.peer.status !== 'lost' || proofOf(state, nowMs) !== null) {
		putHold(draft, null);
		return;
	}
	if (busy(state, host, ['power-off'])) return;
	const hold = holdOf(draft);
	const level = levelToTry(state);
	if (hold !== null || fencing === null || level === null) {
		wakeBy(draft, hold?.untilMs ?? nowMs);
		if (hold?.reason !== state.fencing.hold?.reason)
			note(draft, 'warn', 'no fence', { host, reason: holdWords(hold, nowMs) });
		putHold(draft, hold);
		return;
	}
	const gain = fenceGain(state) ?? claimGain(state, nowMs);
	note(draft, 'warn', 'fence', {
		host,
		...levelField(state, level),
		attempt: attemptsOf(state) + 1,
		gain,
	});
	const { openFence: openBefore } = state.persisted;
	changePersisted(draft, {
		openFence: {
			target: host,
			targetBootId: state.peer.bootId,
			bootId: state.bootId,
			atMs: nowMs,
			levels: [...new Set([...(openBefore?.levels ?? []), level])],
		},
		fences: [...state.persisted.fences, { bootId: state.bootId, atMs: nowMs }].slice(-64),
	});
	const { tries } = state.fencing;
	const before = triesAt(tries, level);
	changeFencing(draft, {
		tries: withTries(tries, level, { ...before, sent: before.sent + 1 }),
		hold: null,
		openBefore,
	});
	start(draft, { type: 'power-off', host, level }, fencing.levels[level]?.callMs);
};

/** Nothing was sent: nothing can land later, and it counts neither as an attempt nor as a fence of the hour. */
const notSent = (draft: Draft, level: number): void => {
	const { tries, openBefore } = draft.state.fencing;
	// An earlier one, through this level or another, may still land.
	if (openBefore === null) settleOpenFence(draft, 'the command did not reach the device');
	else changePersisted(draft, { openFence: openBefore });
	changePersisted(draft, { fences: draft.state.persisted.fences.slice(0, -1) });
	const { sent, refused } = triesAt(tries, level);
	changeFencing(draft, {
		tries: withTries(tries, level, { sent: Math.max(0, sent - 1), refused: refused + 1 }),
	});
};

/** An `off` ended. Whatever it said, only the status that is asked next counts; the fence stays open until then. */
export const powerOffEnded = (draft: Draft, level: number, outcome: Outcome): void => {
	// The device was never reached: nothing of it can land later.
	if (outcome.result === 'failed' && outcome.code === 'fence-not-sent') notSent(draft, level);
	const { peer: host, fencing } = draft.state.config;
	const callMs = fencing?.levels[level]?.callMs ?? 0;
	changeFencing(draft, { notBeforeMs: draft.nowMs + retryPauseMs + callMs });
	// An answer of before the `off` says nothing of after it: what is still under way is asked once more.
	if (callMs > 0 && !start(draft, { type: 'query-power', host, level }, callMs))
		changePeer(draft, { powerStaleMs: draft.nowMs });
};

/** Policy `afterFence: on`: power again once everything that can run here was started or given up. */
export const powerOnRule = (draft: Draft): void => {
	const { state } = draft;
	const { peer: host, fencing } = state.config;
	const [level, ...levels] = state.fencing.powerOnDue;
	if (level === undefined || fencing === null || state.peer.status !== 'out') return;
	if (busy(state, host, ['query-power', 'power-off', 'power-on'])) return;
	const settled = state.config.vms.every(({ vm, resource }) => {
		const record = recordOf(state, resource);
		if (record?.owner !== state.config.self || record.wanted !== 'running') return true;
		return (
			state.vms?.value[vm]?.presence === 'running' || (state.vmStates[vm]?.gaveUp ?? null) !== null
		);
	});
	if (!settled) return;
	changeFencing(draft, { powerOnDue: levels });
	note(draft, 'info', 'power on after the fence', { host, ...levelField(state, level) });
	start(draft, { type: 'power-on', host, level }, fencing.levels[level]?.callMs);
};
