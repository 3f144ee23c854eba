import { arbiterRule } from '#src/engine/arbiter.ts';
import { balanceRule } from '#src/engine/balance.ts';
import { claimRule } from '#src/engine/claim.ts';
import type { Event } from '#src/engine/event.ts';
import { publishRule } from '#src/engine/document.ts';
import { type Draft, note } from '#src/engine/draft.ts';
import { drainRule } from '#src/engine/drain.ts';
import { excludeRule } from '#src/engine/exclude.ts';
import { compareRule, generationRule } from '#src/engine/generation.ts';
import { comparedRule, growRule, shrinkRule } from '#src/engine/in-sync.ts';
import {
	lossRule,
	outdateAnswerRule,
	outdateForPeerRule,
	outdateRequestRule,
} from '#src/engine/outdate.ts';
import { fenceRule, powerOnRule } from '#src/engine/fencing.ts';
import { handlerRule, thawRule } from '#src/engine/handler.ts';
import { drillRule } from '#src/engine/drill.ts';
import { handoverRule } from '#src/engine/handover.ts';
import { assertInvariants } from '#src/engine/invariants.ts';
import { healthRule } from '#src/engine/health.ts';
import { joinRule, seedRule } from '#src/engine/join.ts';
import { leaseOrdersRule, leaseRule } from '#src/engine/lease.ts';
import { leaveRule } from '#src/engine/leave.ts';
import { migrationRule } from '#src/engine/migration.ts';
import { observe } from '#src/engine/observe.ts';
import { isNews } from '#src/engine/news.ts';
import { mappingRule, peerRule } from '#src/engine/peer.ts';
import { pauseRule } from '#src/engine/pause.ts';
import { powerQueryRule } from '#src/engine/power-query.ts';
import { forwardedRule, requestRule } from '#src/engine/request.ts';
import { attachRule, roleRule, supersededRule } from '#src/engine/resource.ts';
import { resolveRule } from '#src/engine/resolve.ts';
import { evidenceRule } from '#src/engine/split.ts';
import { releaseRule } from '#src/engine/release.ts';
import type { State, Step } from '#src/engine/state.ts';
import { stuckRule } from '#src/engine/stuck.ts';
import { stretchRule } from '#src/engine/stretch.ts';
import { aloneRule, takeoverRule } from '#src/engine/takeover.ts';
import {
	disklessRule,
	sinceRule,
	endedRule,
	startRule,
	stopRule,
	unpauseRule,
} from '#src/engine/vm.ts';
import { witnessPushRule, witnessRule } from '#src/engine/witness.ts';
import { lapseMs } from '#src/engine/voters.ts';
import type { MonotonicMs } from '#src/ports.ts';

/**
 * The order matters where one rule makes durable what the next one relies on: what is known of the
 * peer, then the records, then who may act, then what is done, and last what the peer is told.
 */
const rules: readonly ((draft: Draft) => void)[] = [
	peerRule,
	mappingRule,
	joinRule,
	witnessRule,
	seedRule,
	lossRule,
	requestRule,
	forwardedRule,
	// After a request: a new pause is counted from the step on that publishes it.
	pauseRule,
	powerQueryRule,
	// Records: losers first.
	comparedRule,
	shrinkRule,
	outdateForPeerRule,
	outdateAnswerRule,
	takeoverRule,
	aloneRule,
	outdateRequestRule,
	growRule,
	compareRule,
	handoverRule,
	drillRule,
	migrationRule,
	healthRule,
	drainRule,
	balanceRule,
	leaveRule,
	resolveRule,
	arbiterRule,
	claimRule,
	excludeRule,
	witnessPushRule,
	leaseRule,
	// Acts, under records that are durable before any of them starts.
	fenceRule,
	handlerRule,
	thawRule,
	supersededRule,
	releaseRule,
	attachRule,
	stuckRule,
	roleRule,
	evidenceRule,
	generationRule,
	endedRule,
	disklessRule,
	stopRule,
	unpauseRule,
	startRule,
	sinceRule,
	powerOnRule,
	stretchRule,
	leaseOrdersRule,
	publishRule,
];

/** Ticks come every second at the latest; two seconds without a step are a stall of this host or its agent, ms. */
const stallMs = 2000;

const noteStall = (draft: Draft): void => {
	const { state, nowMs } = draft;
	const gapMs = nowMs - state.steppedAtMs;
	draft.state = {
		...state,
		steppedAtMs: nowMs,
		steadySinceMs: gapMs > stallMs ? nowMs : state.steadySinceMs,
	};
	if (gapMs > stallMs) note(draft, 'warn', 'this agent was stalled', { gapMs: Math.round(gapMs) });
};

/** What the step before has announced, and whether the rules are spared until then. */
interface Rest {
	/** Its `restUntilMs`. */
	readonly untilMs: MonotonicMs;
	/** False: the rules look at every event all the same. */
	readonly spared: boolean;
}

const restless: Rest = { untilMs: 0, spared: false };

/** The note of a step that acted although nothing was new, before the time that the step before had announced. */
export const unannounced = 'a rule acts before the time that was announced';

/** Where rules are spared, this would have come too late: the rule forgot to announce its time. */
const noteUnannounced = (draft: Draft, observed: State): void => {
	const keys = Object.keys(observed) as (keyof State)[];
	note(draft, 'debug', unannounced, {
		changed: keys.filter((key) => draft.state[key] !== observed[key]).join(','),
		actions: draft.actions.map(({ type }) => type).join(','),
	});
};

/**
 * The whole policy: from a state and one event to the next state, what must be durable first, and
 * what shall be done. Total, synchronous and pure; a legal but useless input changes nothing.
 * @param nowMs this host's monotonic clock, ms.
 */
export const step = (
	state: State,
	event: Event,
	nowMs: MonotonicMs,
	rest: Rest = restless,
): Step => {
	const draft: Draft = {
		before: state,
		state,
		nowMs,
		actions: [],
		notes: [],
		wakeAtMs: Number.POSITIVE_INFINITY,
	};
	noteStall(draft);
	observe(draft, event);
	const untilMs = Math.min(rest.untilMs, lapseMs(state, state.steppedAtMs));
	const resting = nowMs < untilMs && !isNews(state, draft.state, nowMs);
	if (resting && rest.spared) return endOf(draft, rest.untilMs);
	const { state: observed, actions, notes } = draft;
	const done = actions.length + notes.length;
	for (const rule of rules) rule(draft);
	assertInvariants(state, draft.state);
	if (draft.state !== observed || actions.length + notes.length > done) {
		if (resting) noteUnannounced(draft, observed);
		return { ...endOf(draft, draft.wakeAtMs), restUntilMs: 0 };
	}
	// What the rules are spared must not shift the steps that follow: the moment that was announced stays.
	return endOf(draft, resting ? rest.untilMs : draft.wakeAtMs);
};

const endOf = ({ before, state, actions, notes, nowMs }: Draft, announcedMs: MonotonicMs): Step => {
	const wakeAtMs = Math.min(announcedMs, lapseMs(state, nowMs));
	return {
		state,
		persist: state.persisted === before.persisted ? null : state.persisted,
		actions,
		notes,
		wakeAtMs: Number.isFinite(wakeAtMs) ? wakeAtMs : null,
		restUntilMs: announcedMs,
	};
};
