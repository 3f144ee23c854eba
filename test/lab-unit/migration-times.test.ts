import test from 'ava';
import type { Entry } from '#test/lab/ledger.ts';
import {
	bothPrimary,
	compare,
	comparisonText,
	silenceSince,
	unitMs,
	type Turn,
} from '#test/lab/migration-times.ts';

const events = `2026-11-22T12:00:00.000000+00:00 exists resource name:ledger1 role:Primary suspended:no
2026-11-22T12:00:00.000000+00:00 exists connection name:ledger1 peer-node-id:0 conn-name:peer connection:Connected role:Secondary
2026-11-22T12:00:00.000000+00:00 exists resource name:ledger2 role:Primary suspended:no
2026-11-22T12:00:00.000000+00:00 exists -
2026-11-22T12:00:05.000000+00:00 change connection name:ledger2 peer-node-id:0 conn-name:peer role:Primary
2026-11-22T12:00:10.250000+00:00 change connection name:ledger1 peer-node-id:0 conn-name:peer role:Primary
2026-11-22T12:00:11.000000+00:00 change peer-device name:ledger1 peer-node-id:0 conn-name:peer volume:0 replication:Established
2026-11-22T12:01:40.750000+00:00 change resource name:ledger1 role:Secondary
2026-11-22T12:02:00.000000+00:00 change resource name:ledger1 role:Primary
`;

test('the time in which both hosts are Primary is taken from DRBD, resource by resource', (t) => {
	const [span, ...more] = bothPrimary(events, 'ledger1');
	t.is((span?.toMs ?? 0) - (span?.fromMs ?? 0), 90_500);
	// The last one is still open.
	t.deepEqual(more, []);
	t.deepEqual(bothPrimary(events, 'ledger3'), []);
});

const journal = `1795400000.100000 alpha systemd[1]: Started vmpair-send-ledger1-740-1.service - /usr/sbin/xl migrate -p.
1795400001.000000 alpha systemd[1]: Started vmpair-receive-ledger1-740-2.service - /usr/lib/vmpair/node.
1795400090.600000 alpha systemd[1]: vmpair-send-ledger1-740-1.service: Deactivated successfully.
`;

test('how long xl ran is taken from its unit, and not known when that failed', (t) => {
	t.is(unitMs(journal, 'vmpair-send-ledger1-'), 90_500);
	t.is(unitMs(journal, 'vmpair-receive-ledger1-'), undefined);
	t.is(unitMs('', 'vmpair-send-ledger1-'), undefined);
});

test('the longest silence is one that ends behind the beginning of the migration', (t) => {
	const at = (atMs: number, vm = 'ledger1'): Entry => ({
		atMs,
		kind: 'ack',
		vm,
		boot: 'aa',
		number: atMs,
	});
	const entries = [at(0), at(9000), at(10_000), at(14_000, 'ledger2'), at(15_000), at(16_000)];
	t.is(silenceSince(entries, 'ledger1', 9500), 5000);
	t.is(silenceSince(entries, 'ledger1', 15_500), 1000);
	t.is(silenceSince(entries, 'ledger1', 20_000), 0);
});

const turn = (by: Turn['by'], ms: number, bothPrimaryMs = ms): Turn => ({
	by,
	from: 'alpha',
	to: 'beta',
	commandMs: ms + 100,
	orderMs: ms,
	xlMs: ms,
	bothPrimaryMs,
	silenceMs: 900,
});
const good = {
	vm: 'ledger1',
	acknowledged: 9,
	boots: ['aa'],
	gapMs: 1,
	gapFromMs: 0,
	onDisk: 9,
	violations: [],
};

test('the medians are compared, and the target is 1.05 times xl and two seconds', (t) => {
	const bare = [turn('xl', 100_000), turn('xl', 120_000), turn('xl', 90_000)];
	const met = compare([...bare, turn('vmpair', 107_000), turn('vmpair', 106_000)], [good], []);
	t.is(met.xlMs, 100_000);
	t.is(met.oursMs, 106_500);
	t.is(met.limitMs, 107_000);
	t.deepEqual(met.failures, []);
	t.regex(comparisonText(met), /ratio 1\.06; wanted at most 107\.0 s[^]*: passed$/u);
	const missed = compare([...bare, turn('vmpair', 107_100)], [good], []);
	t.deepEqual(missed.failures, ['vmpair took 107.1 s, at most 107.0 s are wanted']);
	t.regex(comparisonText(missed), /: FAILED$/u);
});

test('two Primaries for more than a second beyond xl, a second boot and a lost write are failures', (t) => {
	const turns = [turn('xl', 100_000), turn('vmpair', 100_000, 101_001)];
	const violations = [{ rule: 'number-twice', text: 'number 3' }];
	const { failures } = compare(turns, [{ ...good, boots: ['aa', 'bb'], violations }], ['told']);
	t.deepEqual(failures, [
		'told',
		'both hosts were Primary for 1.0 s more than xl ran, at most 1.0 s are wanted',
		'ledger1 was booted 2 times',
		'ledger1: number-twice: number 3',
	]);
});
