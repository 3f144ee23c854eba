import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { doctor } from '#src/cli/doctor.ts';
import { budgetFindings, findingLines, statusFindings } from '#src/cli/doctor-text.ts';
import type { CheckedDevice, FenceCheck } from '#src/fence/check.ts';
import { createAround } from '#test/cli/around.ts';
import { exampleStatus, exampleVm } from '#test/cli/example.ts';

const look = { columns: 60, colour: false, documents: '/docs' };

const device = (changes: Partial<CheckedDevice>): CheckedDevice => ({
	device: 'bmc',
	kind: 'ipmi',
	power: 'on',
	asked: true,
	detail: '',
	tookMs: 400,
	identity: { macAddress: null, guid: null, ipAddress: null },
	mapping: null,
	...changes,
});

const fences = (...devices: readonly CheckedDevice[]): FenceCheck => ({
	self: 'north',
	hosts: [
		{ host: 'north', levels: [] },
		{ host: 'south', levels: [{ level: 1, devices }] },
	],
});

test('a healthy pair has nothing that is wrong or worth mending', (t) => {
	const found = statusFindings(exampleStatus([exampleVm('ldap')]));
	t.true(found.length >= 4);
	t.deepEqual(
		found.filter(({ grade }) => grade !== 'good'),
		[],
	);
});

test('what keeps a failover from working is wrong, with its step and its page', (t) => {
	const failover = { ready: false, to: null, blocker: 'south lacks the memory', next: 'free some' };
	const status = exampleStatus([exampleVm('ldap', { failover })], {
		preflight: ['the handler of DRBD is not ours'],
		conditions: [
			{
				key: 'resync/ldap',
				name: 'resync',
				subject: 'ldap',
				severity: 'warning',
				summary: 'ldap is being copied',
				next: '',
				ageMs: 1,
				acknowledged: null,
			},
		],
	});
	const found = statusFindings(status).filter(({ grade }) => grade !== 'good');
	t.deepEqual(
		found.map(({ grade, page }) => [grade, page]),
		[
			['wrong', 'preflight'],
			['worth', 'resync'],
			['wrong', null],
		],
	);
	const lines = findingLines('pair', found, look);
	t.true(lines.every((line) => line.length <= 60));
	t.regex(
		lines.join('\n'),
		/^pair\n! the handler of DRBD is not ours\n {4}read: \/docs\/runbook\/preflight/,
	);
	t.regex(lines.join('\n'), /! ldap would not run again [^]*\n {4}next: free some/);
});

test('the time of a failover is made of the timing table and of what the devices took just now', (t) => {
	const status = exampleStatus([]);
	const told = budgetFindings(status, fences(device({}), device({ tookMs: 900 })));
	t.deepEqual(
		told.map(({ what }) => /proof after about ([0-9.]+ s)/.exec(what)?.[1]),
		['1.5 s', '4.8 s'],
	);
	t.true(told.every(({ grade }) => grade === 'told'));
});

test('a pair in which nothing can prove that the other host is dead is told so', (t) => {
	for (const check of [null, fences(device({ power: 'unknown' }))]) {
		const [only, ...more] = budgetFindings(exampleStatus([]), check);
		t.is(only?.grade, 'wrong');
		t.is(more.length, 0);
	}
});

test('without an agent and with a broken configuration everything that can be said is said', async (t) => {
	const folder = await mkdtemp(join(tmpdir(), 'vmpair-doctor-'));
	t.teardown(() => rm(folder, { recursive: true, force: true }));
	const file = join(folder, 'vmpair.yaml');
	await writeFile(file, 'pair: p\nlinks: 3\n');
	const { around, printed } = createAround();
	t.is(await doctor(['--config', file], around), 1);
	const text = printed.join('\n');
	t.regex(text, /^configuration\n! .*vmpair\.yaml:/);
	t.regex(text, /\npair\n! the agent on this host is not running\n {4}next: systemctl/);
	t.regex(text, /\d+ to put right\.$/);
});
