import type { ConditionView, Status, WitnessView } from '#src/api/view.ts';
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

/** A pair with everything a pair can have: a witness, fencing, a resync, a condition, a receiver that takes nothing. */
export const fullStatus = (changes: Partial<Status> = {}): Status =>
	exampleStatus(
		[
			exampleVm('ldap'),
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
