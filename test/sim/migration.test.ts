import test from 'ava';
import { observeHypervisor } from '#src/sim/hypervisor.ts';
import type { SimVm } from '#src/sim/model.ts';
import {
	bench,
	begin,
	broken,
	journal,
	left,
	migrations,
	prepare,
	presence,
	record,
	run,
	sendUntil,
	step,
	twin,
	until,
	wait,
	words,
} from '#test/sim/_migration.ts';

test('a clean migration: every step of xl and DRBD, in order', (t) => {
	const on = bench();
	record(on, { journal: { ...journal, phase: 'forth' } });
	t.is(run(on, on.source, 'allow-two-primaries'), 'succeeded');
	t.true(on.here.twoPrimaries && on.there.twoPrimaries);
	t.is(run(on, on.target, 'promote'), 'succeeded');
	t.is(run(on, on.target, 'receive-vm'), 'succeeded');
	t.is(migrations(on, on.target), undefined);
	const sent = begin(on, on.source, 'send-vm');
	until(on, () => twin(on, on.target) === 'incoming');
	t.deepEqual(migrations(on, on.target), [{ vm: 'vm1', twin: 'incoming', underWay: true }]);
	t.deepEqual(migrations(on, on.source), [{ vm: 'vm1', twin: null, underWay: true }]);
	t.is(observeHypervisor(on.simulation, on.target).freeMemoryMib, 512);
	t.is(presence(on, on.source), 'running');
	until(on, () => presence(on, on.source) === 'stopped');
	t.is(on.source.domains.get('vm1')?.reason, 'suspend');
	until(on, () => twin(on, on.source) === 'away');
	t.is(presence(on, on.source), 'absent');
	t.is(run(on, on.source, 'demote', 0), 'no answer');
	until(on, () => presence(on, on.target) === 'paused');
	t.like(on.target.domains.get('vm1'), { neverRan: true });
	until(on, () => sent.outcome !== null);
	t.is(words(sent), 'succeeded');
	t.is(migrations(on, on.source), undefined);
	t.is(migrations(on, on.target), undefined);
	t.is(run(on, on.source, 'forbid-two-primaries'), 'drbd-two-primaries');
	t.is(run(on, on.source, 'demote'), 'succeeded');
	t.is(run(on, on.target, 'forbid-two-primaries'), 'succeeded');
	t.false(on.here.twoPrimaries || on.there.twoPrimaries);
	record(on, { owner: 'host2', journal: null });
	const before = on.vm.acknowledged;
	t.is(run(on, on.target, 'unpause-vm'), 'succeeded');
	wait(on, 1000);
	run(on, on.target, 'pause-vm');
	t.true(on.vm.acknowledged > before);
	t.is(on.here.head, on.vm.acknowledged);
	t.is(on.there.head, on.vm.acknowledged);
	t.deepEqual(broken(on), []);
});

test('the two settings: one side tells the other, refused while both are Primary, gone with the connection', (t) => {
	const on = bench();
	t.is(run(on, on.target, 'promote'), 'drbd-multiple-primaries');
	t.is(run(on, on.target, 'allow-two-primaries'), 'succeeded');
	t.true(on.here.twoPrimaries);
	t.is(run(on, on.source, 'forbid-two-primaries'), 'succeeded');
	t.false(on.there.twoPrimaries);
	t.is(run(on, on.target, 'resource-down'), 'succeeded');
	t.is(run(on, on.target, 'allow-two-primaries'), 'drbd-not-connected');
	t.is(run(on, on.target, 'forbid-two-primaries'), 'succeeded');
});

test('settings that differ when two sides meet: both StandAlone, and a new connection has those of the file', (t) => {
	const on = bench();
	run(on, on.source, 'allow-two-primaries');
	on.exitCode = 7;
	step(on, { do: 'cut', network: 'replication' });
	wait(on, 6000);
	t.is(run(on, on.target, 'forbid-two-primaries'), 'succeeded');
	step(on, { do: 'mend', network: 'replication' });
	wait(on, 6000);
	t.is(on.here.connection, 'StandAlone');
	t.is(on.there.connection, 'StandAlone');
	run(on, on.source, 'resource-connect');
	run(on, on.target, 'resource-connect', 6000);
	t.is(on.here.connection, 'Connected');
	t.false(on.here.twoPrimaries);
});

test('a link that is lost freezes both Primaries and asks both handlers; when it is back both go on', (t) => {
	const on = bench();
	prepare(on);
	t.like(on.there, { role: 'Primary', frozen: false });
	step(on, { do: 'cut', network: 'replication' });
	wait(on, 6000);
	t.true(on.here.frozen && on.there.frozen);
	t.is(on.calls, 2);
	step(on, { do: 'mend', network: 'replication' });
	wait(on, 6000);
	t.false(on.here.frozen || on.there.frozen);
	t.is(on.here.connection, 'Connected');
	t.is(on.here.current, on.there.current);
	t.deepEqual(broken(on), []);
});

test('without a record of the migration the second Primary breaks I2', (t) => {
	const on = bench();
	prepare(on);
	record(on, { journal: null });
	run(on, on.target, 'demote');
	t.deepEqual(broken(on), []);
	t.is(run(on, on.target, 'promote'), 'succeeded');
	t.deepEqual(broken(on), ['I2']);
});

test('nobody waits, or nobody is reached: send-vm fails and the guest runs on', (t) => {
	const on = bench();
	t.is(run(on, on.source, 'send-vm'), 'migrate-failed');
	prepare(on);
	step(on, { do: 'cut', network: 'management' });
	t.is(run(on, on.source, 'send-vm', 10_000), 'migrate-failed');
	t.is(presence(on, on.source), 'running');
	t.is(migrations(on, on.source), undefined);
	t.is(twin(on, on.target), 'none');
});

test('a receiver ends by itself after a minute, and when it is told to', (t) => {
	const on = bench();
	prepare(on);
	wait(on, 60_000);
	t.is(on.target.migrations.size, 0);
	run(on, on.target, 'receive-vm');
	t.is(on.target.migrations.size, 1);
	t.is(run(on, on.target, 'cut-migration'), 'succeeded');
	t.is(on.target.migrations.size, 0);
});

test('no memory for the copy: the target gives up, the guest runs on', (t) => {
	const on = bench();
	prepare(on);
	for (const name of ['other1', 'other2']) {
		const other = { ...on.vm, name };
		on.target.creating.set(name, { opened: false, byHand: true });
		(on.simulation.vms as SimVm[]).push(other);
	}
	t.is(run(on, on.source, 'send-vm', 10_000), 'migrate-failed');
	t.is(presence(on, on.source), 'running');
});

test('a target that hangs holds the stream up; after half a minute the guest goes on', (t) => {
	const on = bench();
	const sent = sendUntil(on, 'suspended');
	step(on, { do: 'hang', host: 'host2' });
	wait(on, 20_000);
	t.is(presence(on, on.source), 'stopped');
	wait(on, 20_000);
	t.is(words(sent), 'migrate-failed');
	t.is(presence(on, on.source), 'running');
});

test('a stream that stands still in one stage goes on after that', (t) => {
	const on = bench();
	step(on, { do: 'stream-hangs', for: '30s', in: 'told' });
	const sent = sendUntil(on, 'told');
	wait(on, 25_000);
	t.deepEqual(left(on), ['absent/away', 'absent/incoming']);
	wait(on, 10_000);
	t.is(words(sent), 'succeeded');
	t.deepEqual(left(on), ['absent/none', 'paused/none']);
});

test('disks that are frozen hold the target up until the link is back', (t) => {
	const on = bench();
	const sent = sendUntil(on, 'copies');
	step(on, { do: 'cut', network: 'replication' });
	wait(on, 30_000);
	t.is(words(sent), 'no answer');
	t.is(presence(on, on.source), 'stopped');
	step(on, { do: 'mend', network: 'replication' });
	wait(on, 10_000);
	t.is(words(sent), 'succeeded');
	t.is(on.here.head, on.there.head);
	t.deepEqual(broken(on), []);
});

test('what is left beside the domain is destroyed, and the disk can be closed again', (t) => {
	const on = bench();
	sendUntil(on, 'told');
	step(on, { do: 'xl-killed', host: 'host1' });
	wait(on, 5000);
	t.is(run(on, on.source, 'demote'), 'drbd-held-open');
	t.deepEqual(migrations(on, on.source), [{ vm: 'vm1', twin: 'away', underWay: false }]);
	t.is(run(on, on.source, 'destroy-twin'), 'succeeded');
	t.is(migrations(on, on.source), undefined);
	t.is(run(on, on.source, 'demote'), 'succeeded');
	t.is(run(on, on.source, 'destroy-twin'), 'succeeded');
});

test('a host that loses power has neither twins nor receivers nor the leave for two Primaries', (t) => {
	const on = bench();
	sendUntil(on, 'suspended');
	step(on, { do: 'crash', host: 'host2' });
	t.is(on.target.migrations.size, 0);
	t.false(on.there.twoPrimaries);
	t.is(presence(on, on.target), 'absent');
});

test('a guest that is paused or stopped writes nothing, on neither of two Primaries', (t) => {
	const on = bench();
	sendUntil(on, 'suspended');
	const { acknowledged } = on.vm;
	until(on, () => presence(on, on.target) === 'paused');
	wait(on, 5000);
	t.is(on.vm.acknowledged, acknowledged);
	t.like(on.here, { role: 'Primary', head: acknowledged });
	t.like(on.there, { role: 'Primary', head: acknowledged });
});

test('a copy that runs before the source gave up Primary is caught', (t) => {
	const on = bench(1, 'unpaused-by-xl');
	sendUntil(on, 'received');
	t.true(broken(on).includes('migration'));
});
