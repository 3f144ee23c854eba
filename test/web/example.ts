import type { ConditionView } from '#src/api/view-alert.ts';
import type { Status, WitnessView } from '#src/api/view.ts';
import type { HealthView } from '#src/api/view-load.ts';
import { metricsText } from '#src/web/metrics.ts';
import { exampleStatus, exampleVm } from '#test/cli/example.ts';

/** 2026-01-01T00:00:00Z */
export const nowMs = 1_767_225_600_000;

const figures = { cpuSeconds: 12.5, residentBytes: 90_000_000, heapBytes: 20_000_000 };

export const condition = (changes: Partial<ConditionView> = {}): ConditionView => ({
	key: 'peer-out/south',
	name: 'peer-out',
	subject: 'south',
	severity: 'critical',
	summary: 'south is out (power-off): nothing protects north now',
	next: 'repair south and power it on; it resyncs and stands by',
	ageMs: 60_000,
	acknowledged: null,
	...changes,
});

export const witness: WitnessView = {
	grants: true,
	why: '',
	vote: 'held',
	voteAgeMs: 400,
	claimedBy: null,
	watchdogs: [
		{ host: 'north', timeoutMs: 5000 },
		{ host: 'south', timeoutMs: null },
	],
	leaseMs: 6000,
	takeMs: 12_000,
};

/** Readings of a busy host: one kind is above its limit, one is not known. */
export const load = { cpu: 0.92, dom0: 0.31, memory: 0.4, disk: 0.05, network: null };

/** Checks of every kind of judgement. */
export const health: readonly HealthView[] = [
	{
		check: 'temperature',
		state: 'critical',
		said: 'critical',
		detail: 'CPU1 Temp 96 C',
		ageMs: 12_000,
		action: 'evacuate',
	},
	{ check: 'uplink', state: 'ok', said: 'ok', detail: '', ageMs: 3000, action: 'alert' },
	{ check: 'raid', state: 'pending', said: null, detail: '', ageMs: null, action: 'alert' },
];

/** The hosts of a pair with their load and what is critical there. */
export const burdened = (hosts: Status['hosts']): Status['hosts'] =>
	hosts.map((host) =>
		host.self
			? { ...host, load, critical: ['temperature'] }
			: { ...host, load: { ...load, cpu: 0.1, network: 0.02 } },
	);

/**
 * A pair with everything a pair can have: a witness, load, health checks, fencing, a resync, a condition, a receiver
 * that takes nothing.
 */
export const fullStatus = (changes: Partial<Status> = {}): Status =>
	exampleStatus(
		[
			exampleVm('ldap', { load: { cpus: 1.25, inflowMibPerS: 12.5 } }),
			exampleVm('samba', {
				resync: { outOfSyncKib: 2048, donePercent: 25 },
				failover: {
					ready: false,
					to: 'south',
					blocker: 'the copy on south is being made equal',
					next: 'wait for the resync',
				},
			}),
		],
		{
			witness,
			hosts: burdened(exampleStatus([]).hosts),
			health: [...health],
			conditions: [condition()],
			receivers: [
				{
					name: 'on-call',
					pending: 2,
					oldest: '2026-01-01T00:00:00.000Z',
					failures: 3,
					lastError: 'it answered 500',
					lastDeliveredAt: null,
				},
			],
			...changes,
		},
	);

/** What Prometheus reads of a status. */
export const metricsOf = (status: Status): string => metricsText(status, figures, nowMs);

/** The names of all metrics that are printed of a status. */
export const namesOf = (text: string): ReadonlySet<string> =>
	new Set([...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name = '']) => name));
