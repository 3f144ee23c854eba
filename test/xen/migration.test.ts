import { existsSync } from 'node:fs';
import { chmod, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { execa } from 'execa';
import type { HypervisorObservation } from '#src/ports.ts';
import {
	migrationFailure,
	migrationUnitOf,
	receiveArguments,
	sendArguments,
} from '#src/xen/migration.ts';
import { fakeXen, hasEnded, observed, type FakeXen } from '#test/xen/fake.ts';

const plan = {
	peer: 'beta',
	program: ['/usr/bin/vmpair'],
	configurationFile: '/etc/vm pair/vmpair.yaml',
	runtimeDirectory: '/run/vmpair',
};

/** In the place of vmpair: it goes on behind the one that systemd-run waits for, as long as its host is there. */
const program = `#!/bin/sh
here=HERE
[ -e "$here/refuses" ] && { echo 'vmpair: cannot listen' >>"$here/journal"; exit 0; }
if [ -z "\${BEHIND-}" ]; then BEHIND=1 setsid "$0" "$@" </dev/null >/dev/null 2>&1 & exit 0; fi
while [ -e "$here/slow" ]; do sleep 0.05; done
printf '{"pid":%s,"state":"waiting"}' $$ >"$here/new.json"
mv "$here/new.json" "$here/$1-ldap.json"
while [ -d "$here" ]; do sleep 0.05; done
`;

const transportOn = async (host: FakeXen): Promise<void> => {
	await host.write('vmpair', program.replace('HERE', host.folder));
	await chmod(join(host.folder, 'vmpair'), 0o755);
};

const unit = (end: string): string => `vmpair-${end}-ldap-17-1.service loaded active running x\n`;

const rename = async (host: FakeXen, domid: number, name: string, more = ''): Promise<void> => {
	const text = await readFile(join(host.folder, `domains/${domid}`), 'utf8');
	await host.write(`domains/${domid}`, `${text.replace(/name='[^']*'/, `name='${name}'`)}${more}`);
};

const migrations = (seen: HypervisorObservation | null): unknown => seen?.migrations;

test('the commands of both ends leave xl alone when the transport ends', (t) => {
	t.deepEqual(sendArguments('u', 'ldap', plan), [
		'--collect',
		'--quiet',
		'--unit=u',
		'--property=DefaultDependencies=no',
		'--slice=system.slice',
		'--setenv=LC_ALL=C',
		'--wait',
		'--',
		'xl',
		'migrate',
		'-p',
		'-s',
		"/usr/bin/vmpair migrate-send --config '/etc/vm pair/vmpair.yaml' --vm ldap --limit 14400 --",
		'ldap',
		'beta',
	]);
	const receive = receiveArguments('u', 'ldap', plan).join(' ');
	t.regex(receive, /--property=KillMode=process --property=RuntimeMaxSec=14400 -- /);
	t.regex(receive, / -- \/usr\/bin\/vmpair migrate-receive --config \S+ pair\S+ --vm ldap$/);
});

test('a unit names its end and its VM, whatever hyphens the name has', (t) => {
	t.deepEqual(migrationUnitOf('vmpair-receive-a-send-1-2-17-3.service'), {
		unit: 'vmpair-receive-a-send-1-2-17-3',
		end: 'receive',
		vm: 'a-send-1-2',
	});
	t.is(migrationUnitOf('vmpair-create-ldap-17-3.service'), null);
});

test('a failed migration is told with its first errors and the last word of xl', (t) => {
	t.is(
		migrationFailure(
			[
				'Saving to migration stream new xl format (info 0x3/0x0/1095)',
				'libxl: error: libxl_dom_suspend.c:183:domain_suspend: Domain 5:guest did not suspend',
				'libxl: error: b',
				'libxl: error: c',
				'Migration failed, resuming at sender.',
				'',
			].join('\n'),
		),
		'libxl: error: libxl_dom_suspend.c:183:domain_suspend: Domain 5:guest did not suspend; libxl: error: b; Migration failed, resuming at sender.',
	);
	t.is(migrationFailure(''), 'no reason was given');
});

test('a receiver is ready when it says so, and is not started twice', async (t) => {
	const host = await fakeXen(t);
	await transportOn(host);
	const driver = host.driver();
	t.deepEqual(await driver.receive('ldap'), { result: 'succeeded', value: null });
	await host.write('creates', unit('receive'));
	t.deepEqual(await driver.receive('ldap'), { result: 'succeeded', value: null });
	const started = (await host.calls()).filter((call) => call.startsWith('systemd-run'));
	t.is(started.length, 1);
	t.regex(started[0] ?? '', /--unit=vmpair-receive-ldap-\d+-1 /);
	// A receiver to whom nobody has come does not count.
	t.is(migrations(await observed(t, driver, (seen) => seen !== null)), undefined);
	const pid = /\d+/.exec(
		await readFile(join(host.folder, 'migrate-receive-ldap.json'), 'utf8'),
	)?.[0];
	await host.write('migrate-receive-ldap.json', `{"pid":${pid},"state":"connected"}`);
	t.like(await driver.receive('ldap'), { result: 'failed', code: 'migration-under-way' });
	const seen = await observed(t, driver, (each) => migrations(each) !== undefined);
	t.deepEqual(migrations(seen), [{ vm: 'ldap', twin: null, underWay: true }]);
});

test('a receiver that is starting does not pass for one that carries', async (t) => {
	const host = await fakeXen(t);
	await transportOn(host);
	await host.write('slow', '');
	const driver = host.driver();
	const received = driver.receive('ldap');
	await host.write('creates', unit('receive'));
	t.is(migrations(await observed(t, driver, (seen) => seen !== null)), undefined);
	await rm(join(host.folder, 'slow'));
	t.deepEqual(await received, { result: 'succeeded', value: null });
});

test('a receiver that cannot begin is failed with its words', async (t) => {
	const host = await fakeXen(t);
	await transportOn(host);
	await host.write('refuses', '');
	const outcome = await host.driver().receive('ldap', 10_000);
	t.deepEqual(outcome, {
		result: 'failed',
		code: 'migrate-failed',
		detail: 'vmpair: cannot listen',
	});
});

test('sending ends with xl, and a failure carries its words', async (t) => {
	const host = await fakeXen(t);
	const driver = host.driver();
	await host.behave('xl.migrate', 'exit 0');
	t.deepEqual(await driver.send('ldap'), { result: 'succeeded', value: null });
	t.regex(
		(await host.calls()).find((call) => call.startsWith('xl migrate')) ?? '',
		/ -- ldap beta$/,
	);
	await host.behave('xl.migrate', 'echo "Migration failed, resuming at sender." >&2; exit 1');
	t.deepEqual(await driver.send('ldap'), {
		result: 'failed',
		code: 'migrate-failed',
		detail: 'xl migrate ended with exit code 1: Migration failed, resuming at sender.',
	});
	await host.behave('xl.migrate', 'exec sleep 60');
	t.is((await driver.send('ldap', 700)).result, 'unknown');
	await host.write('creates', unit('send'));
	t.like(await driver.send('ldap'), { result: 'failed', code: 'migration-under-way' });
});

test('a cut ends the process of the transport and nothing that merely has its id', async (t) => {
	const host = await fakeXen(t);
	await transportOn(host);
	const driver = host.driver();
	t.is((await driver.cutMigration('ldap')).result, 'succeeded', 'there is none');
	await driver.receive('ldap');
	const file = join(host.folder, 'migrate-receive-ldap.json');
	const pid = Number(/\d+/.exec(await readFile(file, 'utf8'))?.[0]);
	await host.write('migrate-send-ldap.json', `{"pid":${process.pid},"state":"connected"}`);
	t.is((await driver.cutMigration('ldap')).result, 'succeeded');
	await host.write('pid', String(pid));
	t.true(await hasEnded(join(host.folder, 'pid')));
});

test('the old copy of a migration is no VM, and the VM is dying until its devices are gone', async (t) => {
	const host = await fakeXen(t);
	const driver = host.driver();
	await driver.create('ldap');
	await rename(host, 1, 'ldap--migratedaway', ' shutdown=1 letter=s code=2 pauses=0');
	const away = await observed(t, driver, (seen) => migrations(seen) !== undefined);
	t.deepEqual(away?.vms, []);
	t.deepEqual(migrations(away), [{ vm: 'ldap', twin: 'away', underWay: false }]);
	t.like(await driver.create('ldap'), { result: 'failed', code: 'domain-exists' });
	await host.write('leftover', '1000000');
	const destroyed = driver.destroyTwin('ldap', 20_000);
	const dying = await observed(t, driver, (seen) => seen?.vms[0]?.presence === 'dying');
	t.is(migrations(dying), undefined);
	await host.write('leftover', '2');
	t.deepEqual(await destroyed, { result: 'succeeded', value: null });
	t.true((await host.calls()).includes('xl destroy 1'));
	t.deepEqual((await observed(t, driver, (seen) => seen !== null))?.vms, []);
});

test('a copy that was received is the VM once it has its name, and has never run', async (t) => {
	const host = await fakeXen(t);
	const driver = host.driver();
	await host.xl('create', '-p', '-e', join(host.folder, 'ldap.cfg'));
	await rename(host, 1, 'ldap--incoming');
	const incoming = await observed(t, driver, (seen) => seen !== null);
	t.deepEqual(incoming?.vms, []);
	t.deepEqual(migrations(incoming), [{ vm: 'ldap', twin: 'incoming', underWay: false }]);
	await rename(host, 1, 'ldap');
	const received = await observed(t, driver, (seen) => seen?.vms[0] !== undefined);
	t.like(received?.vms[0], { vm: 'ldap', presence: 'paused', neverRan: true });
	t.is(migrations(received), undefined);
	t.deepEqual(await driver.destroyTwin('ldap'), { result: 'succeeded', value: null });
	t.false((await host.calls()).some((call) => call.startsWith('xl destroy')));
});

test('how much has been sent is told while it is', async (t) => {
	const host = await fakeXen(t);
	await transportOn(host);
	const driver = host.driver();
	await execa(join(host.folder, 'vmpair'), ['migrate-send', '--vm', 'ldap']);
	const file = join(host.folder, 'migrate-send-ldap.json');
	while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 20));
	const pid = /\d+/.exec(await readFile(file, 'utf8'))?.[0];
	await host.write('migrate-send-ldap.json', `{"pid":${pid},"state":"connected","bytes":4096}`);
	await host.write('creates', unit('send'));
	const seen = await observed(t, driver, (each) => migrations(each) !== undefined);
	t.deepEqual(migrations(seen), [{ vm: 'ldap', twin: null, underWay: true, sentBytes: 4096 }]);
});

test('systemd is asked for migrations at the start of a run only', async (t) => {
	const host = await fakeXen(t);
	const driver = host.driver();
	await host.write('creates', unit('send'));
	const seen = await observed(t, driver, (each) => migrations(each) !== undefined);
	t.deepEqual(migrations(seen), [{ vm: 'ldap', twin: null, underWay: true }]);
	await host.write('creates', '');
	await observed(t, driver, (each) => each !== null && migrations(each) === undefined);
	const asked = async () =>
		(await host.calls()).filter((call) => call.includes('vmpair-send-*')).length;
	const before = await asked();
	await observed(t, driver, (each) => each !== null);
	t.is(await asked(), before);
});

test('on a host whose xl is slow the looks at a migration leave it two thirds of its time', async (t) => {
	const host = await fakeXen(t);
	await host.write('creates', unit('send'));
	await host.behave('xl.list', 'sleep 0.3');
	const driver = host.driver({ closeMs: 50, pollMs: 60_000, watcherMs: 60_000 });
	const began: number[] = [];
	const last = await observed(t, driver, () => began.push(performance.now()) === 4);
	t.deepEqual(migrations(last), [{ vm: 'ldap', twin: null, underWay: true }]);
	// The watcher's first words are followed by a look at once.
	const [, second = 0, , fourth = 0] = began;
	t.true(fourth - second >= 2 * 850, began.join(' '));
});
