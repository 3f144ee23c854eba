import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import type { HypervisorObservation } from '#src/ports.ts';
import { fakeXen, hasEnded, observed } from '#test/xen/fake.ts';

const presences = (observation: HypervisorObservation | null): readonly string[] | null =>
	observation?.vms.map(({ vm, presence }) => `${vm} ${presence}`) ?? null;

const instance = (domid: number): string =>
	`${domid}/${String(domid).padStart(8, '0')}-0000-4000-8000-000000000000`;

test('a VM is created paused, without a monitor and in a unit of its own', async (t) => {
	const host = await fakeXen(t);
	t.deepEqual(await host.driver().create('ldap'), {
		result: 'succeeded',
		value: { instance: instance(1) },
	});
	const started = (await host.calls()).find((call) => call.startsWith('systemd-run'));
	t.regex(started ?? '', /--unit=vmpair-create-ldap-\d+-1 .*--slice=machine\.slice/);
	t.regex(started ?? '', /-- xl create -p -e \/.*\/ldap\.cfg$/);
	t.false(started?.includes('--pipe'));
});

test('unpausing goes on until the pause flag is gone', async (t) => {
	const host = await fakeXen(t);
	const driver = host.driver();
	await driver.create('ldap');
	await host.xl('pause', 'ldap');
	await host.xl('pause', 'ldap');
	t.is((await driver.unpause('ldap')).result, 'succeeded');
	t.is((await host.calls()).filter((call) => call === 'xl unpause 1').length, 3);
	const observation = await observed(t, driver, (seen) => seen !== null);
	t.deepEqual(presences(observation), ['ldap running']);
});

test('unpausing a VM whose flag never goes away ends as failed', async (t) => {
	const host = await fakeXen(t);
	const driver = host.driver();
	await driver.create('ldap');
	await host.behave('xl.unpause', 'exit 0');
	t.like(await driver.unpause('ldap'), { result: 'failed', code: 'unpause-failed' });
	t.true((await host.calls()).filter((call) => call === 'xl unpause 1').length <= 17);
});

test('a VM is paused only when it is not paused already', async (t) => {
	const host = await fakeXen(t);
	const driver = host.driver();
	await driver.create('ldap');
	t.is((await driver.pause('ldap')).result, 'succeeded');
	t.false((await host.calls()).includes('xl pause 1'));
	await driver.unpause('ldap');
	t.is((await driver.pause('ldap')).result, 'succeeded');
	t.true((await host.calls()).includes('xl pause 1'));
});

test('a VM without a domain can neither be paused nor unpaused nor shut down', async (t) => {
	const driver = (await fakeXen(t)).driver();
	for (const outcome of [
		await driver.pause('ldap'),
		await driver.unpause('ldap'),
		await driver.shutdown('ldap'),
	])
		t.like(outcome, { result: 'failed', code: 'no-domain' });
});

test('a VM that exists already is not created again', async (t) => {
	const host = await fakeXen(t);
	const driver = host.driver();
	await driver.create('ldap');
	t.like(await driver.create('ldap'), { result: 'failed', code: 'domain-exists' });
	// An agent that was just started has seen nothing yet: xl itself refuses.
	const outcome = await host.driver().create('ldap');
	t.like(outcome, { result: 'failed', code: 'domain-exists' });
	t.regex('detail' in outcome ? outcome.detail : '', /Domain with name "ldap" already exists/);
});

test('a VM that is not configured is not created', async (t) => {
	const driver = (await fakeXen(t)).driver();
	t.like(await driver.create('other'), { result: 'failed', code: 'vm-not-managed' });
});

test('a start that xl refuses is failed with its reason', async (t) => {
	const host = await fakeXen(t);
	await host.behave(
		'xl.create',
		'echo "xc: error: panic: xg_dom_boot.c:119: xc_dom_boot_mem_init: can\'t allocate low memory for domain: Out of memory" >&2; exit 3',
	);
	t.deepEqual(await host.driver().create('ldap'), {
		result: 'failed',
		code: 'memory-short',
		detail: "xl create ended with exit code 3: can't allocate low memory for domain: Out of memory",
	});
});

test('a start whose disk this host could not open is failed, and nothing of it is left', async (t) => {
	const host = await fakeXen(t);
	await host.write('secondary', '');
	const driver = host.driver();
	const outcome = await driver.create('ldap');
	t.like(outcome, { result: 'failed', code: 'disk-not-open' });
	t.regex('detail' in outcome ? outcome.detail : '', /is its resource Primary here\?$/);
	t.deepEqual(presences(await observed(t, driver, (seen) => seen !== null)), []);
});

test('a start that takes too long is unknown and ends within its limit', async (t) => {
	const host = await fakeXen(t);
	await host.behave('xl.create', 'exec sleep 600');
	const startedMs = performance.now();
	t.like(await host.driver().create('ldap', 600), { result: 'unknown' });
	t.true(performance.now() - startedMs < 5000);
});

test('a start is unknown when systemd-run ends before its unit', async (t) => {
	const host = await fakeXen(t);
	await host.behave(
		'systemd-run.start',
		'unit=${5}; unit=$(echo "$*" | sed "s/.*--unit=\\([^ ]*\\).*/\\1/"); mkdir -p "$here/units"; echo active >"$here/units/is-active.$unit"; exit 1',
	);
	t.like(await host.driver().create('ldap'), { result: 'unknown' });
});

test('a start without systemd is failed, for nothing happened', async (t) => {
	const host = await fakeXen(t);
	const driver = host.driver();
	await host.behave('systemd-run.start', 'echo "Failed to connect to bus" >&2; exit 1');
	const outcome = await driver.create('ldap');
	t.like(outcome, { result: 'failed', code: 'create-failed' });
	t.regex('detail' in outcome ? outcome.detail : '', /Failed to connect to bus/);
});

test('a VM counts as destroyed when its last device is gone, and as dying until then', async (t) => {
	const host = await fakeXen(t);
	const driver = host.driver();
	await driver.create('ldap');
	await driver.unpause('ldap');
	await host.write('leftover', '1000000');
	const destroyed = driver.destroy('ldap', 20_000);
	t.deepEqual(
		presences(await observed(t, driver, (seen) => presences(seen)?.[0] === 'ldap dying')),
		['ldap dying'],
	);
	t.like(await driver.create('ldap'), { result: 'failed', code: 'domain-exists' });
	t.true(existsSync(join(host.folder, 'backends/vbd-1-51712')));
	await host.write('leftover', '3');
	t.deepEqual(await destroyed, { result: 'succeeded', value: null });
	t.false(existsSync(join(host.folder, 'backends/vbd-1-51712')));
	t.is((await host.calls()).filter((call) => call === 'xl destroy 1').length, 1);
});

test('a VM whose device never goes away is unknown at the limit', async (t) => {
	const host = await fakeXen(t);
	const driver = host.driver();
	await driver.create('ldap');
	await host.write('leftover', '1000000');
	const outcome = await driver.destroy('ldap', 800);
	t.like(outcome, { result: 'unknown' });
	t.regex('detail' in outcome ? outcome.detail : '', /^ldap is not gone yet/);
});

test('destroying a VM that has no domain succeeds at once', async (t) => {
	const host = await fakeXen(t);
	t.is((await host.driver().destroy('ldap')).result, 'succeeded');
	t.false((await host.calls()).some((call) => call.startsWith('xl destroy')));
});

test('a guest is asked to shut down by its domain id, with ACPI where it has no other way', async (t) => {
	const host = await fakeXen(t);
	const driver = host.driver();
	await driver.create('ldap');
	t.is((await driver.shutdown('ldap')).result, 'succeeded');
	t.true((await host.calls()).includes('xl shutdown -F 1'));
});

test('when xl hangs every call is unknown, the watch reports that nothing is known, and no xl is left', async (t) => {
	const host = await fakeXen(t);
	const driver = host.driver({ listMs: 300 });
	await host.behave('xl.list', 'sleep 600 & echo $! >"$here/child"; wait');
	t.is(await observed(t, driver, () => true), null);
	for (const outcome of [
		await driver.pause('ldap', 700),
		await driver.unpause('ldap', 700),
		await driver.destroy('ldap', 700),
	])
		t.is(outcome.result, 'unknown');
	t.true(await hasEnded(join(host.folder, 'child')));
});

test('xl that fails or prints something new is unknown, not an empty host', async (t) => {
	for (const script of ['exit 1', 'echo "Name Something else"; exit 0', ':; echo; exit 0']) {
		const host = await fakeXen(t);
		await host.behave('xl.list', script);
		t.is(await observed(t, host.driver(), () => true), null);
	}
});

test('a watch shows every managed VM and the free memory, and no other domain', async (t) => {
	const host = await fakeXen(t);
	await host.write('other.cfg', 'name = "other"\n');
	await host.xl('create', '-p', '-e', join(host.folder, 'other.cfg'));
	await host.xl('create', '-p', '-e', join(host.folder, 'ldap.cfg'));
	const observation = await observed(t, host.driver(), (seen) => seen !== null);
	t.deepEqual(observation, {
		vms: [{ vm: 'ldap', presence: 'paused', reason: null, neverRan: true, instance: instance(2) }],
		freeMemoryMib: 1470,
	});
});

test('an event of xenstore leads to a listing long before the next poll', async (t) => {
	const host = await fakeXen(t);
	execFileSync('sh', ['-c', 'mkfifo "$0"', join(host.folder, 'events')]);
	const driver = host.driver({ pollMs: 600_000 });
	const appeared = observed(t, driver, (seen) => presences(seen)?.[0] === 'ldap paused');
	// Opening the pipe waits for the watcher, which has printed its first lines by then.
	await appendFile(join(host.folder, 'events'), '');
	await host.xl('create', '-p', '-e', join(host.folder, 'ldap.cfg'));
	// The watcher ends with its pipe, is started again and prints anew, as after a restart of xenstored.
	await appendFile(join(host.folder, 'events'), '@introduceDomain\n');
	t.deepEqual(presences(await appeared), ['ldap paused']);
});

test('without the watcher the poll goes on', async (t) => {
	const host = await fakeXen(t);
	const driver = host.driver();
	const appeared = observed(t, driver, (seen) => presences(seen)?.[0] === 'ldap paused');
	await host.xl('create', '-p', '-e', join(host.folder, 'ldap.cfg'));
	t.deepEqual(presences(await appeared), ['ldap paused']);
});

test('a guest that ended by itself stays as stopped with its reason', async (t) => {
	const host = await fakeXen(t);
	const driver = host.driver();
	await driver.create('ldap');
	await host.write('domains/1', "name='ldap' pauses=0 shutdown=1 letter=r code=1 dying=0");
	const observation = await observed(t, driver, (seen) => seen !== null);
	t.like(observation?.vms[0], { presence: 'stopped', reason: 'reboot' });
	t.like(await driver.unpause('ldap'), { result: 'failed', code: 'domain-ended' });
	t.is((await driver.destroy('ldap')).result, 'succeeded');
});

test('VMs added to the configuration are watched from then on', async (t) => {
	const host = await fakeXen(t);
	const driver = host.driver();
	driver.manage([]);
	await host.xl('create', '-p', '-e', join(host.folder, 'web.cfg'));
	t.deepEqual(presences(await observed(t, driver, (seen) => seen !== null)), []);
	driver.manage([{ vm: 'web', resource: 'web', configurationFile: join(host.folder, 'web.cfg') }]);
	t.deepEqual(presences(await observed(t, driver, (seen) => seen !== null)), ['web paused']);
});

test('a VM whose create is still under way in a unit of an earlier run is being created', async (t) => {
	const host = await fakeXen(t);
	await host.write('creates', 'vmpair-create-ldap-17-1.service loaded active running x\n');
	await host.xl('create', '-p', '-e', join(host.folder, 'ldap.cfg'));
	const during = await observed(t, host.driver(), (seen) => seen !== null);
	t.deepEqual(
		during?.vms.map(({ vm, presence, neverRan }) => [vm, presence, neverRan]),
		[['ldap', 'creating', false]],
	);
	await host.write('creates', '');
	const after = await observed(t, host.driver(), (seen) => seen !== null);
	t.is(after?.vms[0]?.presence, 'paused');
});
