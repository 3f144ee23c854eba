import { readFileSync } from 'node:fs';
import test from 'ava';
import fc from 'fast-check';
import { createView, feed, type HelperEvent, parseLine, parseSnapshot } from '#src/drbd/events2.ts';
import { observe } from '#src/drbd/observation.ts';
import { essence } from '#src/drbd/watch.ts';
import type { ResourceObservation } from '#src/ports.ts';

const fixture = (name: string): string =>
	readFileSync(new URL(`../fixture/drbd/${name}.txt`, import.meta.url), 'utf8');

const managed = new Map([['vm1', 'host2']]);

const seenOf = (text: string) => {
	const view = createView();
	const helpers = feed(view, text);
	return { view, helpers, seen: observe(view, managed) };
};

const volume = {
	volume: 0,
	disk: 'UpToDate',
	peerDisk: 'UpToDate',
	replication: 'Established',
	outOfSyncKib: null,
} as const;

const healthy: ResourceObservation = {
	resource: 'vm1',
	role: 'Primary',
	suspended: [],
	connection: 'Connected',
	peerRole: 'Secondary',
	volumes: [volume],
};

const helperNames = (helpers: readonly HelperEvent[]): string[] =>
	helpers.map(({ helper, phase, exitCode }) => `${helper} ${phase} ${exitCode}`);

test('a snapshot of 8.4 becomes an observation', (t) => {
	const view = parseSnapshot(fixture('events2-84-now'));
	t.truthy(view);
	if (view === null) return;
	const seen = observe(view, managed);
	t.deepEqual(seen.resources, [healthy]);
	t.deepEqual([seen.problems, seen.findings], [[], []]);
	t.is(view.unknownLines, 0);
});

test('statistics and timestamps add only what is out of sync', (t) => {
	const { seen } = seenOf(fixture('events2-84-now-statistics'));
	t.deepEqual(seen.resources, [{ ...healthy, volumes: [{ ...volume, outOfSyncKib: 0 }] }]);
});

test('a split brain ends StandAlone, with its helper calls seen', (t) => {
	for (const [name, role] of [
		['events2-84-split-brain-host1', 'Primary'],
		['events2-84-split-brain-host2', 'Primary'],
		['events2-84-split-brain-survivor', 'Primary'],
		['events2-84-up-split-brain', 'Secondary'],
	] as const) {
		const { seen, helpers, view } = seenOf(fixture(name));
		t.deepEqual(
			seen.resources,
			[
				{
					...healthy,
					role,
					connection: 'StandAlone',
					peerRole: 'Unknown',
					volumes: [{ ...volume, peerDisk: 'DUnknown', replication: 'Off' }],
				},
			],
			name,
		);
		t.deepEqual(helperNames(helpers), [
			'initial-split-brain called null',
			'initial-split-brain answered 0',
			'split-brain called null',
			'split-brain answered 0',
		]);
		t.is(view.unknownLines, 0);
	}
});

test('a returning host is followed through its resync', (t) => {
	const lines = fixture('events2-84-rejoin-resync').split('\n');
	const view = createView();
	const states: string[] = [];
	for (const line of lines) {
		feed(view, `${line}\n`);
		const [resource] = observe(view, managed).resources;
		const [first] = resource?.volumes ?? [];
		const state = `${resource?.connection} ${first?.replication} ${first?.disk}`;
		if (first !== undefined && states.at(-1) !== state) states.push(state);
	}
	t.deepEqual(states, [
		'Connecting Off UpToDate',
		'Connected Off UpToDate',
		'Connected Off Outdated',
		'Connected WFBitMapT Outdated',
		'Connected WFSyncUUID Outdated',
		'Connected WFSyncUUID Inconsistent',
		'Connected SyncTarget Inconsistent',
		'Connected SyncTarget UpToDate',
		'Connected Established UpToDate',
	]);
});

test('the frozen Primary and the answer of its handler are seen', (t) => {
	const start = fixture('events2-84-now');
	const connection = 'name:vm1 peer-node-id:0 conn-name:peer';
	const frozen = seenOf(
		[
			start.trimEnd(),
			'change resource name:vm1 suspended:fencing',
			`change connection ${connection} connection:NetworkFailure role:Unknown`,
			`change peer-device ${connection} volume:0 replication:Off peer-disk:DUnknown`,
			`change connection ${connection} connection:Connecting`,
			`call helper ${connection} helper:fence-peer`,
			`response helper ${connection} helper:fence-peer status:1792`,
			'',
		].join('\n'),
	);
	t.deepEqual(frozen.seen.resources[0]?.suspended, ['fencing']);
	t.is(frozen.seen.resources[0]?.connection, 'Connecting');
	t.deepEqual(helperNames(frozen.helpers), ['fence-peer called null', 'fence-peer answered 7']);
	const broken = feed(
		frozen.view,
		`response helper ${connection} helper:fence-peer status:4294967294\n`,
	);
	t.deepEqual(helperNames(broken), ['fence-peer answered null']);
});

test('DRBD 9 is read, with paths and keys that 8.4 does not have', (t) => {
	const { seen, view } = seenOf(fixture('events2-9-up'));
	t.deepEqual(seen.resources, [
		{
			...healthy,
			volumes: [
				{ ...volume, replication: 'SyncSource', peerDisk: 'Inconsistent', outOfSyncKib: 2500 },
			],
		},
	]);
	t.deepEqual([view.unknownLines, seen.problems], [0, []]);
});

test('with more than one peer only the configured one counts, and that is a finding', (t) => {
	const third = fixture('events2-9-up')
		.split('\n')
		.filter((line) => line.includes('peer-node-id:1'))
		.map((line) =>
			line
				.replaceAll('peer-node-id:1', 'peer-node-id:2')
				.replaceAll('conn-name:host2', 'conn-name:host3')
				.replaceAll('connection:Connected', 'connection:StandAlone'),
		)
		.join('\n');
	const { seen } = seenOf(`${fixture('events2-9-up')}${third}\n`);
	t.is(seen.resources[0]?.connection, 'Connected');
	t.is(seen.findings.length, 1);
	t.regex(seen.findings[0] ?? '', /vm1 has 2 peers \(host2, host3\)/);
	const view = createView();
	feed(view, `${fixture('events2-9-up')}${third}\n`);
	t.is(observe(view, new Map([['vm1', 'host3']])).resources[0]?.connection, 'StandAlone');
	t.is(observe(view, new Map([['vm1', 'host9']])).resources[0]?.connection, 'StandAlone');
});

test('only managed resources are reported, in order of their names', (t) => {
	const two = fixture('events2-84-now');
	const view = createView();
	feed(view, two.replaceAll('name:vm1 ', 'name:vm2 ') + two);
	t.deepEqual(
		observe(
			view,
			new Map([
				['vm2', 'b'],
				['vm1', 'b'],
				['vm3', 'b'],
			]),
		).resources.map(({ resource }) => resource),
		['vm1', 'vm2'],
	);
	t.deepEqual(observe(view, new Map()).resources, []);
});

test('a resource that goes down is not listed any more', (t) => {
	const { view } = seenOf(fixture('events2-84-now'));
	feed(view, 'destroy resource name:vm1\n');
	t.deepEqual(observe(view, managed).resources, []);
	t.is(view.objects.size, 0);
});

test('lost messages ask for a restart, unknown lines are counted', (t) => {
	const { view } = seenOf(`${fixture('events2-84-now')}- skipped 3\n`);
	t.true(view.needsRestart);
	const odd = createView();
	feed(odd, 'hello\nchange teapot name:vm1 full:yes\nchange resource\nexists resource role:x\n\n');
	t.is(odd.unknownLines, 4);
	t.false(odd.needsRestart);
	feed(odd, 'x'.repeat(20_000));
	t.true(odd.needsRestart);
	t.is(odd.rest, '');
});

test('a word that DRBD never used before makes the state unknown, not harmless', (t) => {
	for (const [from, to] of [
		['role:Primary', 'role:Emperor'],
		['suspended:no', 'suspended:fencing,moon'],
		['connection:Connected', 'connection:Entangled'],
		['disk:UpToDate', 'disk:Fine'],
		['replication:Established', 'replication:Mostly'],
		['peer-disk:UpToDate', 'peer-disk:'],
		[' suspended:no', ''],
	] as const) {
		const { seen } = seenOf(fixture('events2-84-now').replace(from, to));
		t.is(seen.problems.length, 1, to);
	}
});

test('an answer that was cut is no snapshot', (t) => {
	const text = fixture('events2-84-now');
	t.is(parseSnapshot(text.slice(0, -10)), null);
	t.is(parseSnapshot(''), null);
	t.is(parseSnapshot(`${text}- skipped 1\n`), null);
	t.is(parseSnapshot('exists -\n')?.objects.size, 0);
});

const streams = [
	'events2-84-now',
	'events2-84-now-statistics',
	'events2-84-rejoin-resync',
	'events2-84-split-brain-host1',
	'events2-84-up-split-brain',
	'events2-9-up',
].map(fixture);

test('a stream cut into any pieces gives the same state', (t) => {
	fc.assert(
		fc.property(
			fc.constantFrom(...streams),
			fc.array(fc.nat({ max: 4000 }), { maxLength: 30 }),
			(text, cuts) => {
				const whole = seenOf(text);
				const view = createView();
				const helpers: HelperEvent[] = [];
				let from = 0;
				for (const to of [...cuts, text.length].sort((a, b) => a - b)) {
					helpers.push(...feed(view, text.slice(from, to)));
					from = Math.max(from, Math.min(to, text.length));
				}
				t.deepEqual(view, whole.view);
				t.deepEqual(helpers, whole.helpers);
			},
		),
		{ numRuns: 60 },
	);
});

test('a snapshot written from the merged state reads as the same state', (t) => {
	for (const text of streams) {
		const { view, seen } = seenOf(text);
		const lines = [...view.objects.values()].map(
			({ object, values }) =>
				`exists ${object} ${[...values].map(([key, value]) => `${key}:${value}`).join(' ')}`,
		);
		const snapshot = parseSnapshot(`${lines.join('\n')}\nexists -\n`);
		t.truthy(snapshot);
		if (snapshot !== null) t.is(essence(observe(snapshot, managed)), essence(seen));
	}
});

test('no line whatever makes the parser fail', (t) => {
	fc.assert(
		fc.property(fc.string({ maxLength: 200 }), (line) => {
			t.truthy(parseLine(line).kind);
		}),
		{ numRuns: 300 },
	);
	const words = fc.constantFrom(
		'change',
		'exists',
		'destroy',
		'resource',
		'helper',
		'name:vm1',
		'-',
		':',
		'role:Primary',
	);
	fc.assert(
		fc.property(fc.array(words, { maxLength: 6 }), (line) => {
			const view = createView();
			feed(view, `${line.join(' ')}\n`);
			observe(view, managed);
		}),
		{ numRuns: 300 },
	);
	t.pass();
});
