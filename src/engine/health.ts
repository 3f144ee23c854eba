import type { EngineHealthCheck } from '#src/engine/config.ts';
import { type Draft, note, wakeBy } from '#src/engine/draft.ts';
import { idleReason } from '#src/engine/pause.ts';
import type { State } from '#src/engine/state.ts';
import type { CheckState, HealthState } from '#src/engine/state-load.ts';
import type { HealthReading } from '#src/ports-load.ts';
import type { MonotonicMs } from '#src/ports.ts';
import { same } from '#src/std/same.ts';

/** Health checks: which count as critical, and whether this host is emptied because of one (`drain.ts` does it). */

const change = (draft: Draft, to: Partial<HealthState>): void => {
	const health = { ...draft.state.health, ...to };
	if (!same(health, draft.state.health)) draft.state = { ...draft.state, health };
};

/** Takes in what a check said; one that is not configured here says nothing. */
export const healthObserved = (draft: Draft, { check, health, detail }: HealthReading): void => {
	const { state, nowMs } = draft;
	if (!state.config.healthChecks.some((each) => each.check === check)) return;
	const before = state.health.checks[check];
	const now: CheckState = {
		health,
		detail: detail.slice(0, 512),
		atMs: nowMs,
		sinceMs: before?.health === health ? before.sinceMs : nowMs,
		notOkSinceMs: health === 'ok' ? null : (before?.notOkSinceMs ?? nowMs),
	};
	change(draft, { checks: { ...state.health.checks, [check]: now } });
};

/** What a check counts as; `pending`: it has not said the same for long enough. */
export type Judged = 'ok' | 'warning' | 'critical' | 'unknown' | 'pending';

/** What a check counts as now, from answers that are young enough. */
export const judgedOf = (
	{ health, startedAtMs }: State,
	{ check, holdMs, staleMs }: EngineHealthCheck,
	nowMs: MonotonicMs,
): Judged => {
	const said = health.checks[check];
	if (nowMs - (said?.atMs ?? startedAtMs) > staleMs) return 'unknown';
	if (said === undefined) return 'pending';
	const lastedMs = said.atMs - said.sinceMs;
	if (said.health === 'ok') return 'ok';
	if (said.health === 'critical' && lastedMs >= holdMs) return 'critical';
	if (said.health === 'unknown')
		return lastedMs >= Math.max(holdMs, staleMs) ? 'unknown' : 'pending';
	return said.atMs - (said.notOkSinceMs ?? said.atMs) >= holdMs ? 'warning' : 'pending';
};

const criticalOf = (draft: Draft): HealthState['critical'] =>
	draft.state.config.healthChecks.flatMap((each) => {
		if (judgedOf(draft.state, each, draft.nowMs) !== 'critical') return [];
		const said = draft.state.health.checks[each.check];
		wakeBy(draft, (said?.atMs ?? draft.nowMs) + each.staleMs + 1);
		return [{ check: each.check, evacuate: each.action === 'evacuate' }];
	});

const noteChanges = (draft: Draft, critical: HealthState['critical']): void => {
	const { checks, critical: before } = draft.state.health;
	const host = draft.state.config.self;
	for (const { check } of critical)
		if (!before.some((each) => each.check === check))
			note(draft, 'warn', 'a health check is critical', {
				host,
				check,
				detail: checks[check]?.detail ?? '',
			});
	for (const { check } of before)
		if (!critical.some((each) => each.check === check))
			note(draft, 'info', 'a health check is not critical any more', { host, check });
};

/** Remembers since when the peer is well again: VMs that have just fled from it do not go back at once. */
const followPeer = (draft: Draft): void => {
	const { peerIll, peerWellSinceMs } = draft.state.health;
	const ill = draft.state.peer.document?.critical.some(({ evacuate }) => evacuate) === true;
	if (ill !== peerIll)
		change(draft, { peerIll: ill, peerWellSinceMs: ill ? peerWellSinceMs : draft.nowMs });
};

/** Why this host is not emptied although a check says so, as a sentence; null: it is. */
export const healthBlocker = (state: State, nowMs: MonotonicMs): string | null => {
	const { peer, balance } = state.config;
	const { peerIll, peerWellSinceMs } = state.health;
	const idle = idleReason(state);
	if (idle !== null) return idle;
	if (peerIll) return `${peer} is not well either`;
	if (peerWellSinceMs !== null && nowMs - peerWellSinceMs < balance.pairCooldownMs)
		return `${peer} was not well itself a short time ago`;
	return null;
};

/** Judges the checks of this host, and whether it is emptied because of one. */
export const healthRule = (draft: Draft): void => {
	followPeer(draft);
	const critical = criticalOf(draft);
	const failing = critical.find(({ evacuate }) => evacuate);
	const { peerWellSinceMs } = draft.state.health;
	if (failing !== undefined && peerWellSinceMs !== null)
		wakeBy(draft, peerWellSinceMs + draft.state.config.balance.pairCooldownMs);
	const evacuates =
		failing !== undefined && healthBlocker(draft.state, draft.nowMs) === null
			? failing.check
			: null;
	noteChanges(draft, critical);
	change(draft, { critical, evacuates });
};

/** What a person should know who sends VMs to the peer; empty when all is well there. */
export const peerWarning = ({ config, peer }: State): string => {
	const critical = peer.document?.critical ?? [];
	return critical.length === 0
		? ''
		: `; but ${config.peer} is not well: ${critical.map(({ check }) => check).join(', ')} critical`;
};
