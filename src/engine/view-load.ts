import type { HostView } from '#src/api/view.ts';
import type { BalanceView, HealthView, VmLoadView } from '#src/api/view-load.ts';
import { orderVerdict } from '#src/engine/balance.ts';
import { judgedOf } from '#src/engine/health.ts';
import { inContact } from '#src/engine/join.ts';
import type { State } from '#src/engine/state.ts';
import { type HostLoad, loadKinds } from '#src/ports-load.ts';
import type { MonotonicMs, VmName } from '#src/ports.ts';

type Burden = Pick<HostView, 'load' | 'critical'>;

const loadView = (load: Readonly<Partial<HostLoad>> | undefined): Burden['load'] =>
	load === undefined
		? null
		: (Object.fromEntries(loadKinds.map((kind) => [kind, load[kind] ?? null])) as HostLoad);

/** Load and critical checks of this host. */
export const ownBurden = ({ load, health }: State): Burden => ({
	load: loadView(load.sample?.value.host),
	critical: health.critical.map(({ check }) => check),
});

/** The same of the peer, as it says itself; what it said before it fell silent says nothing of now. */
export const peerBurden = (state: State): Burden => {
	const document = inContact(state) ? state.peer.document : null;
	return {
		load: loadView(document?.load?.host),
		critical: document?.critical.map(({ check }) => check) ?? null,
	};
};

/** What a VM used here; null: it did not run here all the time, or nothing was read. */
export const vmLoadView = ({ load }: State, vm: VmName): VmLoadView | null => {
	const used = load.sample?.value.vms.find((each) => each.vm === vm);
	return used === undefined ? null : { cpus: used.cpus, inflowMibPerS: used.inflowMibPerS };
};

/** What is made of the load, and what a person's order would do about it now. */
export const balanceView = (state: State, nowMs: MonotonicMs): BalanceView => {
	const { kind, vm, sentence } = orderVerdict(state, nowMs);
	return {
		mode: state.config.balance.mode,
		verdict: state.load.told.sentence,
		peerVerdict: inContact(state) ? (state.peer.document?.load?.verdict ?? null) : null,
		limits: state.config.balance.limits,
		order: { kind, vm, sentence },
	};
};

/** The health checks of this host. */
export const healthView = (state: State, nowMs: MonotonicMs): HealthView[] =>
	state.config.healthChecks.map((each) => {
		const said = state.health.checks[each.check];
		return {
			check: each.check,
			state: judgedOf(state, each, nowMs),
			said: said?.health ?? null,
			detail: said?.detail ?? '',
			ageMs: said === undefined ? null : nowMs - said.atMs,
			action: each.action,
		};
	});
