import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { DrbdDriver } from '#src/drbd/driver.ts';
import { createFake, lines, says, short, start } from '#test/drbd/fake.ts';

const refusal = (reason: string): string => `0: State change failed: (${reason}`;
test('a promote succeeds with one call', async (t) => {
	const { fake, driver } = await start(t);
	t.deepEqual(await driver.promote('vm1'), { result: 'succeeded', value: null });
	t.deepEqual(await fake.calls(), ['drbdadm primary vm1']);
});

test("a refused promote carries the kernel's reason", async (t) => {
	const { fake, driver } = await start(t);
	await fake.show(lines('vm1', { connection: 'Connecting' }));
	for (const [words, exitCode, code] of [
		[refusal('-1) Multiple primaries not allowed by config'), 11, 'drbd-multiple-primaries'],
		[refusal('-2) Need access to UpToDate data'), 17, 'drbd-needs-up-to-date'],
		[
			refusal('-7) Refusing to be Primary while peer is not outdated'),
			11,
			'drbd-peer-not-outdated',
		],
		[refusal('-10) State change was refused by peer node'), 11, 'drbd-refused-by-peer'],
		[refusal('-99) something new'), 11, 'drbd-refused'],
		['0: Failure: (127) Device minor not allocated', 10, 'drbd-not-up'],
		["'vm1' not defined in your config (for this host).", 1, 'drbd-unknown-resource'],
		['', 17, 'drbd-needs-up-to-date'],
	] as const) {
		await fake.behave('drbdadm.primary', says(words, exitCode));
		const outcome = await driver.promote('vm1');
		t.is(short(outcome), `failed ${code}`);
		if (outcome.result === 'failed' && words !== '') t.is(outcome.detail, words);
	}
});

test("drbdadm's own time-out is unknown, because the kernel may go on", async (t) => {
	const { fake, driver } = await start(t);
	const words = "Command 'drbdsetup-84 primary 0' did not terminate within 121 seconds";
	await fake.behave('drbdadm.primary', says(words, 20));
	t.deepEqual(await driver.promote('vm1'), { result: 'unknown', detail: words });
});

test('a promote that hangs is unknown within its limit, with all it started ended', async (t) => {
	const { fake, driver } = await start(t);
	await fake.behave('drbdadm.primary', 'sleep 60; echo late >"$here/late"');
	const from = performance.now();
	t.is(short(await driver.promote('vm1', 200)), 'unknown');
	t.true(performance.now() - from < 3000);
});

test('a late success shows in the next look', async (t) => {
	const { fake, driver } = await start(t, { actionMs: 5000 });
	await fake.show(lines('vm1', { connection: 'Connecting' }));
	await fake.behave('drbdadm.primary', says('did not terminate within 5 seconds', 20));
	t.is(short(await driver.promote('vm1')), 'unknown');
	await fake.show(lines('vm1', { connection: 'Connecting', role: 'Primary' }));
	t.is(short(await driver.outdate('vm1')), 'failed drbd-primary');
});

test('a promote that stopped half-way is undone', async (t) => {
	const { fake, driver } = await start(t);
	await fake.show(
		lines('vm1', { role: 'Primary', connection: 'Connecting', disks: ['UpToDate', 'Outdated'] }),
	);
	await fake.behave('drbdadm.primary', says(refusal('-2) Need access to UpToDate data'), 17));
	t.is(short(await driver.promote('vm1')), 'failed drbd-needs-up-to-date');
	t.deepEqual((await fake.calls()).at(-1), 'drbdadm secondary vm1');

	await fake.behave('drbdadm.secondary', says(refusal('-10) State change was refused'), 11));
	t.is(short(await driver.promote('vm1')), 'failed drbd-partly-promoted');
});

test('a promote that ran out of tries while the peer was being marked is tried again', async (t) => {
	const { fake, driver } = await start(t);
	const words = refusal('-7) Refusing to be Primary while peer is not outdated');
	await fake.show(lines('vm1', { connection: 'Connecting' }));
	await fake.behave(
		'drbdadm.primary',
		`[ "$(grep -c primary "$here/calls")" -ge 2 ] && exit 0
		sed -i s/peer-disk:DUnknown/peer-disk:Outdated/ "$here/state"; ${says(words, 11)}`,
	);
	t.is(short(await driver.promote('vm1')), 'succeeded');
	t.is((await fake.calls()).filter((call) => call === 'drbdadm primary vm1').length, 2);

	await fake.behave('drbdadm.primary', says(words, 11));
	t.is(short(await driver.promote('vm1')), 'failed drbd-peer-not-outdated');
	t.is((await fake.calls()).filter((call) => call === 'drbdadm primary vm1').length, 5);
});

test('a demote waits until the device is let go', async (t) => {
	const { fake, driver } = await start(t);
	const held = refusal('-12) Device is held open by someone');
	await fake.behave(
		'drbdadm.secondary',
		`[ "$(grep -c secondary "$here/calls")" -ge 4 ] || { ${says(held, 11)}; }`,
	);
	t.is(short(await driver.demote('vm1')), 'succeeded');
	t.is((await fake.calls()).length, 4);
});

test('a demote gives up after its retries, or when its limit comes first', async (t) => {
	const { fake, driver } = await start(t, { heldOpenRetries: 3 });
	await fake.behave('drbdadm.secondary', says(refusal('-12) Device is held open by someone'), 11));
	t.is(short(await driver.demote('vm1')), 'failed drbd-held-open');
	t.is((await fake.calls()).length, 4);

	const slow = await start(t, { heldOpenRetryMs: 10_000 });
	await slow.fake.behave(
		'drbdadm.secondary',
		says(refusal('-12) Device is held open by someone'), 11),
	);
	t.is(short(await slow.driver.demote('vm1', 2000)), 'failed drbd-held-open');
	t.is((await slow.fake.calls()).length, 1);
});

test('outdate succeeds only when it was read back', async (t) => {
	const { fake, driver } = await start(t);
	await fake.show(lines('vm1', { connection: 'Connecting', disks: ['UpToDate', 'UpToDate'] }));
	t.is(short(await driver.outdate('vm1')), 'failed drbd-not-outdated');

	await fake.behave(
		'drbdadm.outdate',
		`sed -i 's/ disk:UpToDate/ disk:Outdated/' "$here/state"; exit 5`,
	);
	t.is(short(await driver.outdate('vm1')), 'succeeded');
	const before = (await fake.calls()).length;
	t.is(short(await driver.outdate('vm1')), 'succeeded', 'it is outdated already');
	t.deepEqual((await fake.calls()).slice(before), ['drbdsetup events2 --now vm1']);
});

test('outdate is refused for a Primary, while connected and without a disk', async (t) => {
	const { fake, driver } = await start(t);
	await fake.show(lines('vm1', { role: 'Primary', connection: 'Connecting' }));
	t.is(short(await driver.outdate('vm1')), 'failed drbd-primary');
	await fake.show(lines('vm1'));
	t.is(short(await driver.outdate('vm1')), 'failed drbd-connected');
	t.false((await fake.calls()).some((call) => call.startsWith('drbdadm')));
	await fake.show(lines('vm1', { connection: 'Connecting', disks: ['Diskless'] }));
	await fake.behave('drbdadm.outdate', 'exit 5');
	t.is(short(await driver.outdate('vm1')), 'failed drbd-lower-than-outdated');
});

test('outdate that cannot be read back is unknown', async (t) => {
	const { fake, driver } = await start(t);
	await fake.show(lines('vm1', { connection: 'Connecting' }));
	await fake.behave('drbdadm.outdate', `echo 'exit 20' >"$here/drbdsetup.events2"`);
	t.is(short(await driver.outdate('vm1')), 'unknown');
});

test('a resource that is down is outdated in its metadata', async (t) => {
	const { fake, driver } = await start(t);
	await fake.behave('drbdadm.dstate', 'echo Outdated');
	t.is(short(await driver.outdate('vm1')), 'succeeded');
	await fake.behave('drbdadm.dstate', 'echo Consistent');
	t.is(short(await driver.outdate('vm1')), 'failed drbd-not-outdated');
	await fake.behave('drbdadm.dstate', 'exit 0');
	t.is(short(await driver.outdate('vm1')), 'failed drbd-not-outdated');
});

test('resume-io succeeds when the freeze was seen gone', async (t) => {
	const { fake, driver } = await start(t);
	const frozen = { role: 'Primary', connection: 'Connecting', suspended: 'fencing' };
	await fake.show(lines('vm1', frozen));
	t.is(short(await driver.resumeIo('vm1')), 'failed drbd-still-frozen');
	await fake.behave('drbdadm.resume-io', `sed -i s/suspended:fencing/suspended:no/ "$here/state"`);
	t.is(short(await driver.resumeIo('vm1')), 'succeeded');
});

test('detach takes the disk from a frozen Primary only, and reads it back', async (t) => {
	const { fake, driver } = await start(t);
	const frozen = { role: 'Primary', connection: 'Connecting', suspended: 'fencing' };
	for (const shown of [
		{ ...frozen, suspended: 'no' },
		{ ...frozen, connection: 'Connected' },
		{ ...frozen, role: 'Secondary' },
	]) {
		await fake.show(lines('vm1', shown));
		t.is(short(await driver.detach('vm1')), 'failed drbd-not-frozen');
	}
	t.false((await fake.calls()).some((call) => call.startsWith('drbdadm')));
	await fake.show(lines('vm1', frozen));
	t.is(short(await driver.detach('vm1')), 'failed drbd-not-detached');
	await fake.behave('drbdadm.detach', `sed -i s/disk:UpToDate/disk:Failed/ "$here/state"`);
	t.is(short(await driver.detach('vm1')), 'succeeded');
	t.true((await fake.calls()).includes('drbdadm detach --force vm1'));
	const calls = (await fake.calls()).length;
	t.is(short(await driver.detach('vm1')), 'succeeded');
	t.is((await fake.calls()).length, calls + 1, 'a disk that is gone is only looked at');
});

test('a detach that hangs is unknown', async (t) => {
	const { fake, driver } = await start(t);
	await fake.show(
		lines('vm1', { role: 'Primary', connection: 'Connecting', suspended: 'fencing' }),
	);
	await fake.behave('drbdadm.detach', 'sleep 60');
	t.is(short(await driver.detach('vm1', 300)), 'unknown');
});

test('held-back writes are ended only where no volume has its disk any more', async (t) => {
	const { fake, driver } = await start(t);
	const frozen = { role: 'Primary', connection: 'Connecting', suspended: 'fencing' };
	await fake.behave('drbdadm.resume-io', `sed -i s/suspended:fencing/suspended:no/ "$here/state"`);
	await fake.show(lines('vm1', { ...frozen, disks: ['Failed', 'UpToDate'] }));
	t.is(short(await driver.failIo('vm1')), 'failed drbd-has-disk');
	t.false((await fake.calls()).some((call) => call.includes('resume-io')));
	await fake.show(lines('vm1', { ...frozen, disks: ['Failed', 'Diskless'] }));
	t.is(short(await driver.failIo('vm1')), 'succeeded');
	await fake.behave('drbdsetup.events2', 'exit 20');
	t.is(short(await driver.failIo('vm1')), 'unknown', 'not seen is not permitted');
});

test('a copy is given up only as an unconnected Secondary, and disconnected first', async (t) => {
	const { fake, driver } = await start(t);
	await fake.show(lines('vm1', { role: 'Primary', connection: null }));
	t.is(short(await driver.connectDiscarding('vm1')), 'failed drbd-primary');
	await fake.show(lines('vm1'));
	t.is(short(await driver.connectDiscarding('vm1')), 'failed drbd-connected');
	t.false((await fake.calls()).some((call) => call.startsWith('drbdadm')));
	await fake.show(lines('vm1', { connection: 'Connecting' }));
	t.is(short(await driver.connectDiscarding('vm1')), 'succeeded');
	t.deepEqual((await fake.calls()).slice(-2), [
		'drbdadm disconnect vm1',
		'drbdadm connect --discard-my-data vm1',
	]);
	await fake.show(lines('vm1', { connection: null }));
	t.is(short(await driver.connectDiscarding('vm1')), 'succeeded');
	t.is((await fake.calls()).filter((call) => call === 'drbdadm disconnect vm1').length, 1);
});

test('a connection is made anew on a Secondary only, and nothing is given up by it', async (t) => {
	const { fake, driver } = await start(t);
	await fake.show(lines('vm1', { role: 'Primary', connection: 'Connecting' }));
	t.is(short(await driver.reconnect('vm1')), 'failed drbd-primary');
	await fake.show(lines('vm1', { connection: 'Connecting' }));
	const unknownConnection = '0: Failure: (162) Invalid configuration request';
	await fake.behave('drbdadm.disconnect', says(unknownConnection, 10));
	t.is(short(await driver.reconnect('vm1')), 'succeeded');
	t.is((await fake.calls()).at(-1), 'drbdadm connect vm1');
	await fake.behave('drbdadm.disconnect', says('hangs', 20));
	t.is(short(await driver.reconnect('vm1')), 'unknown');
});

test('the evidence of every volume is read with what the kernel counts as out of sync', async (t) => {
	const folder = await mkdtemp(join(tmpdir(), 'vmpair-proc-'));
	t.teardown(() => rm(folder, { recursive: true }));
	const procFile = join(folder, 'drbd');
	await writeFile(procFile, ' 0: cs:StandAlone ro:Secondary/Unknown\n    ns:0 oos:4096\n');
	const fake = await createFake(t);
	const driver = new DrbdDriver({
		...fake,
		procFile,
		resources: [{ resource: 'vm1', peer: 'host2' }],
	});
	await fake.show(lines('vm1', { connection: null }));
	const zero = '0'.repeat(16);
	await fake.behave(
		'drbdadm.get-gi',
		`echo C6D9AA883AA33F83:${zero}:${zero}:${zero}:1:1:1:0:0:1:0`,
	);
	t.deepEqual(await driver.readEvidence('vm1'), {
		result: 'succeeded',
		value: [
			{ volume: 0, current: 'C6D9AA883AA33F82', bitmap: null, history: [], outOfSyncKib: 4096 },
		],
	});
	await fake.behave('drbdadm.get-gi', 'echo nonsense');
	t.is(short(await driver.readEvidence('vm1')), 'failed drbd-not-understood');
});

test('up does nothing to what is up, and connects what is StandAlone', async (t) => {
	const { fake, driver } = await start(t);
	t.is(short(await driver.up('vm1')), 'succeeded');
	t.is((await fake.calls()).at(-1), 'drbdadm up vm1');
	await fake.show(lines('vm1', { connection: null }));
	t.is(short(await driver.up('vm1')), 'succeeded');
	t.is((await fake.calls()).at(-1), 'drbdadm connect vm1');
	await fake.show(lines('vm1', { connection: 'Connecting' }));
	t.is(short(await driver.up('vm1')), 'succeeded');
	t.is((await fake.calls()).at(-1), 'drbdsetup events2 --now vm1');
	await fake.behave('drbdsetup.events2', 'exit 20');
	await fake.behave('drbdadm.up', says('0: Failure: (104) Can not open backing device.', 10));
	t.is(short(await driver.up('vm1')), 'failed drbd-refused');
});

test('connect needs a resource that is up and StandAlone', async (t) => {
	const { fake, driver } = await start(t);
	t.is(short(await driver.connect('vm1')), 'failed drbd-not-up');
	await fake.show(lines('vm1'));
	t.is(short(await driver.connect('vm1')), 'succeeded');
	t.false((await fake.calls()).includes('drbdadm connect vm1'));
	await fake.show(lines('vm1', { connection: null }));
	await fake.behave('drbdadm.connect', says('vm1: Failure: (125) Device has a net-config', 10));
	t.is(short(await driver.connect('vm1')), 'failed drbd-already-connected');
});

test('down is refused while the device is held open', async (t) => {
	const { fake, driver } = await start(t, { heldOpenRetries: 1 });
	t.is(short(await driver.down('vm1')), 'succeeded');
	await fake.behave('drbdadm.down', says(refusal('-12) Device is held open by someone'), 11));
	t.is(short(await driver.down('vm1')), 'failed drbd-held-open');
});

test('the generations of all volumes are read', async (t) => {
	const { fake, driver } = await start(t);
	t.is(short(await driver.readGenerations('vm1')), 'failed drbd-not-up');
	await fake.show(lines('vm1', { disks: ['UpToDate', 'UpToDate'] }));
	const tail = '86652B45D1EAEF41:0000000000000000:0000000000000000:1:1:1:0:0:1:0';
	await fake.behave(
		'drbdadm.get-gi',
		`case "$2" in */0) echo C6D9AA883AA33F83:${tail} ;; *) echo B57CEABA7456199B:${tail} ;; esac`,
	);
	t.deepEqual(await driver.readGenerations('vm1'), {
		result: 'succeeded',
		value: [
			{ volume: 0, uuid: 'C6D9AA883AA33F82', alone: true, connected: false, peerOutdated: true },
			{ volume: 1, uuid: 'B57CEABA7456199A', alone: true, connected: false, peerOutdated: true },
		],
	});
	await fake.behave('drbdadm.get-gi', 'echo nothing');
	t.is(short(await driver.readGenerations('vm1')), 'failed drbd-not-understood');
	await fake.show(lines('vm1', { disks: ['UpToDate', 'Diskless'] }));
	t.is(short(await driver.readGenerations('vm1')), 'failed drbd-no-local-disk');
});

test('a tool that is not there is a failure, not a guess', async (t) => {
	const fake = await createFake(t);
	const driver = new DrbdDriver({
		tools: fake.tools,
		resources: [],
		drbdadm: '/nowhere/drbdadm',
		drbdsetup: '/nowhere/drbdsetup',
	});
	t.is(short(await driver.demote('vm1')), 'failed drbd-tool-missing');
});

test('nothing automatic forces, discards or invalidates', async (t) => {
	const { fake, driver } = await start(t);
	for (const shown of [{}, { connection: null }, { role: 'Primary', suspended: 'fencing' }]) {
		await fake.show(lines('vm1', shown));
		await driver.up('vm1');
		await driver.connect('vm1');
		await driver.reconnect('vm1');
		await driver.promote('vm1');
		await driver.outdate('vm1');
		await driver.resumeIo('vm1');
		await driver.demote('vm1');
		await driver.down('vm1');
	}
	const calls = await fake.calls();
	t.true(calls.length > 15);
	for (const call of calls) t.notRegex(call, /force|discard|invalidate|--overwrite|new-current/);
});
