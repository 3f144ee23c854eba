import type { Raise } from '#src/engine/conditions-replication.ts';
import type { EngineHealthCheck } from '#src/engine/config.ts';
import { healthBlocker, judgedOf } from '#src/engine/health.ts';
import type { State } from '#src/engine/state.ts';
import type { MonotonicMs } from '#src/ports.ts';

const overloadConditions = (state: State, raise: Raise): void => {
	const { self, peer, balance } = state.config;
	const { told } = state.load;
	if (told.kind === 'calm') return;
	const advised = told.kind === 'move' && balance.mode === 'advise';
	const next =
		told.kind === 'move'
			? `vmpair migrate ${told.vm ?? ''}`
			: 'vmpair balance --dry-run; see the runbook host-overloaded';
	raise(
		'host-overloaded',
		self,
		'warning',
		told.kind === 'move' && !advised ? `${told.sentence}: it goes to ${peer}` : told.sentence,
		told.kind === 'move' && !advised ? 'vmpair status -w' : next,
	);
};

/** What is done about a critical check. */
const healthDeed = (state: State, check: EngineHealthCheck, nowMs: MonotonicMs): string => {
	if (check.action === 'alert') return '';
	const { peer } = state.config;
	const blocker = healthBlocker(state, nowMs);
	return blocker === null ? `; its VMs go to ${peer}` : `; its VMs stay: ${blocker}`;
};

const healthConditions = (state: State, nowMs: MonotonicMs, raise: Raise): void => {
	const { self, healthChecks } = state.config;
	for (const each of healthChecks) {
		const { check } = each;
		const judged = judgedOf(state, each, nowMs);
		if (judged === 'ok' || judged === 'pending') continue;
		const said = state.health.checks[check];
		const detail = said === undefined || said.detail === '' ? '' : `: ${said.detail}`;
		const words =
			judged === 'unknown'
				? `gives no usable answer${detail}`
				: `is ${judged}${detail}${judged === 'critical' ? healthDeed(state, each, nowMs) : ''}`;
		raise(
			'health-check',
			`${check}@${self}`,
			judged === 'critical' ? 'critical' : 'warning',
			`the health check ${check} of ${self} ${words}`,
			`look at ${self}; see the runbook health-check`,
		);
	}
};

/** That a host is overloaded, or that one of its health checks does not say that it is well. */
export const loadConditions = (state: State, nowMs: MonotonicMs, raise: Raise): void => {
	overloadConditions(state, raise);
	healthConditions(state, nowMs, raise);
};
