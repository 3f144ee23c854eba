import type { PeerState, State } from '#src/engine/state.ts';
import type { WitnessState, WitnessView } from '#src/engine/state-witness.ts';
import { memoryOf, misfit, silentFromMs, voteHeld, witnessAnswers } from '#src/engine/voters.ts';
import type { MonotonicMs } from '#src/ports.ts';
import type { WitnessRecord } from '#src/ports-witness.ts';
import { same } from '#src/std/same.ts';
import { renewMs } from '#src/witness/lease.ts';

/**
 * Most events say once more what is known: only the time moves on at which it was seen. Such a time matters to no
 * rule as long as the newer one could only put a moment off that the engine has announced. Everything else is news.
 */

/** Fields in which only a time may have moved on, each with the test whether that is so. */
type Refreshed<Whole> = {
	readonly [Key in keyof Whole]?: (before: Whole, after: Whole, nowMs: MonotonicMs) => boolean;
};

const onlyRefreshed = <Whole extends object>(
	before: Whole,
	after: Whole,
	nowMs: MonotonicMs,
	refreshed: Refreshed<Whole>,
): boolean => {
	for (const key in after) {
		if (before[key] === after[key]) continue;
		if (refreshed[key]?.(before, after, nowMs) !== true) return false;
	}
	return true;
};

const always = (): boolean => true;

const peerFields: Refreshed<PeerState> = {
	linksAtMs: always,
	// An answer that was there before and is there now.
	gatewayAnsweredAtMs: (before, after) => before.gatewayAnswers === after.gatewayAnswers,
};

/** The record is as it was, but for the votes that were renewed. */
const onlyRenewed = (before: WitnessRecord | null, after: WitnessRecord | null): boolean => {
	if (before === null || after === null) return false;
	const { version: _was, hosts: hostsBefore, ...rest } = before;
	const { version: _is, hosts, ...now } = after;
	return (
		same(rest, now) &&
		Object.keys(hosts).length === Object.keys(hostsBefore).length &&
		Object.entries(hosts).every(([host, said]) => {
			const was = hostsBefore[host];
			return was !== undefined && was.bootId === said.bootId && was.watchdogMs === said.watchdogMs;
		})
	);
};

/**
 * Nobody waits for what this answer says of the peer: it is heard; it went on renewing, so that whoever waits for its
 * silence waits on; or it was silent there long enough before.
 */
const nobodyWaits = (
	before: State,
	after: State,
	view: WitnessView,
	nowMs: MonotonicMs,
): boolean => {
	const { peerRead } = before.witness;
	if (before.peer.hearing !== 'silent') return true;
	if (peerRead === null) return false;
	if (nowMs < silentFromMs(peerRead)) return true;
	return peerRead === after.witness.peerRead && view.sentMs - peerRead.atMs > 1.5 * renewMs;
};

const answerRefreshed = (before: State, after: State, nowMs: MonotonicMs): boolean => {
	const was = before.witness.view;
	const is = after.witness.view;
	if (was === null || is === null) return false;
	if (was === is) return true;
	if (was.runId !== is.runId || was.trouble !== is.trouble) return false;
	// What was read before the vote came back says nothing (V3).
	if (was.sentMs < before.witness.voteBackMs) return false;
	return (
		nobodyWaits(before, after, was, nowMs) &&
		onlyRenewed(was.record, is.record) &&
		witnessAnswers(before, nowMs) &&
		misfit(before) === null &&
		misfit(after) === null
	);
};

/** The looks at the domains show that all is paused: the heartbeat thread is told of each of them. */
const looksAwaited = (state: State): boolean =>
	state.witness.votelessMs !== null || Object.keys(memoryOf(state).paused).length > 0;

const witnessRefreshed = (before: State, after: State, nowMs: MonotonicMs): boolean =>
	onlyRefreshed<WitnessState>(before.witness, after.witness, nowMs, {
		looked: () => !looksAwaited(before),
		votedMs: () => voteHeld(before, nowMs) && voteHeld(after, nowMs),
		view: () => answerRefreshed(before, after, nowMs),
		peerRead: () => answerRefreshed(before, after, nowMs),
		echo: (was, is) => was.echo?.echoing === is.echo?.echoing && before.peer.hearing === 'online',
	});

const fields: Refreshed<State> = {
	steppedAtMs: always,
	// For people only.
	wallClock: always,
	resources: (before, after) => {
		if (before.resources?.value !== after.resources?.value) return false;
		const { atMs } = before.resources ?? { atMs: 0 };
		if (atMs <= before.steadySinceMs) return false;
		return Object.values(before.losses).every(({ sinceMs }) => sinceMs < atMs);
	},
	vms: (before, after) =>
		before.vms?.value === after.vms?.value &&
		(before.vms?.atMs ?? 0) >= before.steadySinceMs &&
		// What is seen after xl has ended counts, also when it is what was seen before.
		Object.keys(before.migrations).length === 0,
	peer: (before, after, nowMs) => onlyRefreshed(before.peer, after.peer, nowMs, peerFields),
	witness: witnessRefreshed,
};

/** True when an event brought anything that a rule could act on before the moment that was announced. */
export const isNews = (before: State, after: State, nowMs: MonotonicMs): boolean =>
	!onlyRefreshed(before, after, nowMs, fields);
