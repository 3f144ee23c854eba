import test from 'ava';
import { statusSchema } from '#src/api/view.ts';
import { exposition } from '#src/web/exposition.ts';
import { exampleStatus, exampleVm } from '#test/cli/example.ts';
import { fullStatus, metricsOf, namesOf } from '#test/web/example.ts';

const value = (text: string, series: string): number | null => {
	const line = text.split('\n').find((each) => each.startsWith(`${series} `));
	return line === undefined ? null : Number(line.slice(series.length + 1));
};

test('every line is one that Prometheus reads, and no series comes twice', (t) => {
	const text = metricsOf(fullStatus());
	const lines = text.trimEnd().split('\n');
	t.true(text.endsWith('\n'));
	const sample = /^[a-z_]+(?:\{[a-z_]+="[^"\n]*"(?:,[a-z_]+="[^"\n]*")*\})? -?\d+(?:\.\d+)?$/;
	const series = lines.filter((line) => !line.startsWith('#'));
	for (const line of series) t.regex(line, sample);
	t.true(series.length > 150, `only ${series.length} series`);
	const names = series.map((line) => line.slice(0, line.lastIndexOf(' ')));
	t.is(new Set(names).size, names.length);
	const known = namesOf(text);
	for (const line of series) t.true(known.has(/^[a-z_]+/.exec(line)?.[0] ?? ''), line);
	t.is(lines.filter((line) => /^# HELP \S+ \S.*\.$/.test(line)).length, known.size);
});

test('names are those that the conventions ask for: a prefix, base units, counters that end in _total', (t) => {
	for (const line of metricsOf(fullStatus()).split('\n')) {
		const [, name = '', type] = /^# TYPE (\S+) (\S+)$/.exec(line) ?? [];
		if (name === '') continue;
		t.regex(name, /^(vmpair|process|nodejs)_/);
		t.is(name.endsWith('_total'), type === 'counter', name);
		t.notRegex(name, /_(ms|kib|mib|percent)(_|$)/);
	}
});

test('a state is 1 for the value that it has and 0 for every other one', (t) => {
	const text = metricsOf(fullStatus({ verdict: 'failing-over' }));
	t.is(value(text, 'vmpair_verdict{verdict="failing-over"}'), 1);
	t.is(value(text, 'vmpair_verdict{verdict="protected"}'), 0);
	t.is(value(text, 'vmpair_host_state{host="south",state="online"}'), 1);
	t.is(value(text, 'vmpair_host_state{host="south",state="out"}'), 0);
	t.is(value(text, 'vmpair_vm_state{vm="ldap",state="running"}'), 1);
	t.is(value(text, 'vmpair_vm_state{vm="ldap",state="down"}'), 0);
	t.is(value(text, 'vmpair_witness_vote{vote="held"}'), 1);
});

test('figures have base units, and what is seen has a time', (t) => {
	const text = metricsOf(fullStatus());
	t.is(value(text, 'vmpair_link_rtt_seconds{link="management"}'), 0.00031);
	t.is(value(text, 'vmpair_drbd_out_of_sync_bytes{resource="samba"}'), 2_097_152);
	t.is(value(text, 'vmpair_drbd_out_of_sync_bytes{resource="ldap"}'), 0);
	t.is(value(text, 'vmpair_drbd_resync_ratio{resource="samba"}'), 0.25);
	t.is(value(text, 'vmpair_host_free_memory_bytes{host="north"}'), 4_294_967_296);
	t.is(value(text, 'vmpair_fence_power_asked_timestamp_seconds{target="south"}'), 1_767_225_588);
	t.is(value(text, 'vmpair_alerts_pending'), 0);
	t.is(value(text, 'vmpair_receiver_alerts_pending{receiver="on-call"}'), 2);
	t.is(value(text, 'vmpair_condition{name="peer-out",subject="south",severity="critical"}'), 1);
	t.is(value(text, 'vmpair_conditions{severity="warning"}'), 0);
});

test('the load of hosts and VMs, its limits and the health checks are told', (t) => {
	const text = metricsOf(fullStatus());
	t.is(value(text, 'vmpair_host_load_ratio{host="north",kind="cpu"}'), 0.92);
	t.is(value(text, 'vmpair_host_load_ratio{host="south",kind="cpu"}'), 0.1);
	t.is(value(text, 'vmpair_host_load_ratio{host="north",kind="network"}'), null);
	t.is(value(text, 'vmpair_host_load_limit_ratio{kind="cpu"}'), 0.85);
	t.is(value(text, 'vmpair_host_critical_checks{host="north"}'), 1);
	t.is(value(text, 'vmpair_host_critical_checks{host="south"}'), 0);
	t.is(value(text, 'vmpair_vm_busy_cpus{vm="ldap"}'), 1.25);
	t.is(value(text, 'vmpair_vm_inflow_bytes_per_second{vm="ldap"}'), 13_107_200);
	t.is(value(text, 'vmpair_vm_busy_cpus{vm="samba"}'), null);
	const state = (check: string, word: string): number | null =>
		value(text, `vmpair_health_check_state{host="north",check="${check}",state="${word}"}`);
	t.is(state('temperature', 'critical'), 1);
	t.is(state('temperature', 'ok'), 0);
	t.is(state('raid', 'pending'), 1);
	const answered = (check: string): number | null =>
		value(text, `vmpair_health_check_answered_timestamp_seconds{host="north",check="${check}"}`);
	t.is(answered('temperature'), 1_767_225_588);
	t.is(answered('raid'), null);
});

test('what is not known has no series: no figure is made up', (t) => {
	const blind = exampleVm('ldap', {
		migration: null,
		sights: [
			{
				host: 'north',
				presence: 'unknown',
				role: null,
				disk: null,
				connected: false,
				frozen: false,
				ageMs: null,
			},
		],
	});
	const text = metricsOf(exampleStatus([blind], { fencing: null, links: [] }));
	for (const name of [
		'vmpair_drbd_connected',
		'vmpair_drbd_out_of_sync_bytes',
		'vmpair_vm_migration_ready',
		'vmpair_fence_power',
		'vmpair_witness_grants',
		'vmpair_link_up',
	])
		t.notRegex(text, new RegExp(`^${name}[{ ]`, 'm'), name);
	t.is(value(text, 'vmpair_drbd_disk_state{resource="ldap",host="north",disk="unknown"}'), 1);
});

test('what was dropped is counted once: by the peer or by strangers', (t) => {
	const status = fullStatus();
	const text = metricsOf({
		...status,
		heartbeat: {
			...status.heartbeat,
			beatsReceived: 900,
			dropped: { ...status.heartbeat.dropped, malformed: 5 },
			droppedOfPeer: { ...status.heartbeat.droppedOfPeer, malformed: 2 },
		},
	});
	t.is(value(text, 'vmpair_heartbeat_dropped_total{reason="malformed",from="peer"}'), 2);
	t.is(value(text, 'vmpair_heartbeat_dropped_total{reason="malformed",from="stranger"}'), 3);
	t.is(value(text, 'vmpair_heartbeat_beats_received_total'), 900);
});

test('quotes, backslashes and line ends in a label break no line', (t) => {
	const family = {
		name: 'a',
		type: 'gauge',
		help: 'one \\ two\nthree',
		samples: [[{ text: 'say "x" \\ y\nz' }, 1]],
	} as const;
	t.is(
		exposition([family]),
		'# HELP a one \\\\ two\\nthree\n# TYPE a gauge\na{text="say \\"x\\" \\\\ y\\nz"} 1\n',
	);
});

test('every word that a state can be has its series: one that is added to the status is not left out', (t) => {
	const { shape } = statusSchema;
	const words: Readonly<Record<string, readonly string[]>> = {
		vmpair_vm_state: shape.vms.element.shape.state.options,
		vmpair_host_state: shape.hosts.element.shape.state.options,
		vmpair_verdict: shape.verdict.options,
		vmpair_arbiter: shape.arbiter.options,
		vmpair_health_check_state: shape.health.element.shape.state.options,
	};
	const text = metricsOf(fullStatus());
	for (const [metric, options] of Object.entries(words)) {
		const label = metric.replace(/^vmpair_(?:vm_|host_|health_check_)?/, '');
		const told = [...text.matchAll(new RegExp(`^${metric}\\{.*\\b${label}="([a-z-]+)"`, 'gm'))];
		t.deepEqual(new Set(told.map(([, word]) => word)), new Set(options), metric);
	}
});
