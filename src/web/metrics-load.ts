import type { Status } from '#src/api/view.ts';
import { loadKinds } from '#src/ports-load.ts';
import { gauge, states, type Family, type Sample } from '#src/web/exposition.ts';

/** Every value of a state, so that its series is there before it is first needed. */
const checkStates = [
	'ok',
	'warning',
	'critical',
	'unknown',
	'pending',
] as const satisfies readonly Status['health'][number]['state'][];

const hostFamilies = ({ hosts, balance }: Status): readonly Family[] => [
	gauge(
		'vmpair_host_load_ratio',
		'How busy a host is, 0 to 1, by what it can run out of.',
		hosts.flatMap(({ host, load }) =>
			loadKinds.map((kind): Sample => [{ host, kind }, load?.[kind] ?? null]),
		),
	),
	gauge(
		'vmpair_host_load_limit_ratio',
		'Above this for long enough a host counts as overloaded.',
		loadKinds.map((kind) => [{ kind }, balance.limits[kind]]),
	),
	gauge(
		'vmpair_host_critical_checks',
		'How many health checks of a host count as critical.',
		hosts.map(({ host, critical }) => [{ host }, critical?.length ?? null]),
	),
];

const vmFamilies = ({ vms }: Status): readonly Family[] => [
	gauge(
		'vmpair_vm_busy_cpus',
		'Physical CPUs that a VM keeps busy; the host that it runs on tells.',
		vms.map(({ vm, load }) => [{ vm }, load?.cpus ?? null]),
	),
	gauge(
		'vmpair_vm_inflow_bytes_per_second',
		'What devices write into the memory of a VM: disk reads and received packets.',
		vms.map(({ vm, load }) => {
			const mib = load?.inflowMibPerS ?? null;
			return [{ vm }, mib === null ? null : Math.round(mib * 1024 * 1024)];
		}),
	),
];

const checkFamilies = ({ health, self }: Status, nowMs: number): readonly Family[] => [
	gauge(
		'vmpair_health_check_state',
		'What a health check of this host counts as; 1 for the state that holds.',
		health.flatMap(({ check, state }) =>
			states({ host: self, check }, 'state', checkStates, state),
		),
	),
	gauge(
		'vmpair_health_check_answered_timestamp_seconds',
		'When it answered last.',
		health.map(({ check, ageMs }) => [
			{ host: self, check },
			ageMs === null ? null : Math.round((nowMs - ageMs) / 100) / 10,
		]),
	),
];

/** How busy the hosts and VMs are, and what the health checks of this host say. */
export const loadFamilies = (status: Status, nowMs: number): readonly Family[] => [
	...hostFamilies(status),
	...vmFamilies(status),
	...checkFamilies(status, nowMs),
];
