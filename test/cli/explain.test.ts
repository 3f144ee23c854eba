import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { HistoryEntry } from '#src/api/view.ts';
import { explain } from '#src/cli/explain.ts';
import { entriesOfVm, explainHost, explainVm } from '#src/cli/explain-text.ts';
import { Journal } from '#src/store/driver-journal.ts';
import { createAround } from '#test/cli/around.ts';
import { exampleStatus, exampleVm } from '#test/cli/example.ts';

const look = { columns: 80, colour: false, documents: '/docs' };

const entry = (
	seq: number,
	message: string,
	fields: HistoryEntry['fields'],
	level: HistoryEntry['level'] = 'info',
): HistoryEntry => ({
	seq,
	at: '2026-01-01T00:00:00.000Z',
	ms: seq * 1000,
	level,
	message,
	fields,
});

const entries = [
	entry(1, 'live migration begins', { vm: 'ldap', from: 'south', to: 'north' }),
	entry(2, 'record changed', { resource: 'ldap', owner: 'north' }),
	entry(3, 'takeover', { vm: 'samba', from: 'south' }, 'warn'),
	entry(4, 'fine detail', { vm: 'ldap' }, 'debug'),
];

test('the history of a VM is what names it or its resource, without fine detail', (t) => {
	const found = entriesOfVm(entries, { vm: 'ldap', resource: 'ldap' });
	t.deepEqual(
		found.map(({ seq }) => seq),
		[1, 2],
	);
});

test('a VM is explained by its place, its data, what would happen, what is wrong and what was decided', (t) => {
	const vm = exampleVm('ldap', {
		failover: {
			ready: false,
			to: null,
			blocker: 'the copy on south is not current',
			next: 'wait for the resync; see the runbook resync',
		},
		migration: { ready: false, blocker: 'a resync is running' },
	});
	const condition = {
		key: 'resync/ldap',
		name: 'resync',
		subject: 'ldap',
		severity: 'warning' as const,
		summary: 'ldap is being copied to south',
		next: '',
		ageMs: 65_000,
		acknowledged: null,
	};
	const lines = explainVm(exampleStatus([vm], { conditions: [condition] }), vm, entries, look);
	const text = lines.join('\n').replaceAll(/\d\d:\d\d:\d\d/g, 'TIME');
	t.true(
		lines.slice(0, -3).every((line) => line.length <= 80),
		text,
	);
	t.regex(text, /^ldap is running on north for 12 d\. It shall run\. north owns it/);
	t.regex(text, /If its host died now, it would stay down: the copy on south is not current\./);
	t.regex(text, /next: wait for the resync; see \/docs\/runbook\/resync\.md/);
	t.regex(text, /\(vmpair migrate ldap\): no: a resync\s+is running\./);
	t.regex(text, /\(vmpair move ldap\): yes\./);
	t.regex(
		text,
		/warning, for 65 s: ldap is being copied to south\.\n.*read: \/docs\/runbook\/resync/,
	);
	t.regex(text, /live migration begins {2}vm=ldap from=south to=north {2}#1\n/);
	t.notRegex(text, /takeover/);
});

test('a VM tells of its last drill', (t) => {
	const lastDrill = {
		at: '2026-01-01T12:00:00.000Z',
		from: 'north',
		to: 'south',
		ran: true,
		tookMs: 5200,
	};
	const told = (change: Partial<typeof lastDrill>): string => {
		const vm = exampleVm('ldap', { lastDrill: { ...lastDrill, ...change } });
		return explainVm(exampleStatus([vm]), vm, [], { ...look, columns: 200 }).join('\n');
	};
	t.regex(
		told({}),
		/Last drill: 2026-01-01 \d\d:\d\d, from north to south; it ran there after 5\.2 s\./,
	);
	t.regex(told({ ran: false }), /from north to south; it did not get to run there\./);
});

test('a VM whose owner is the other host is not promised to move: its owner knows', (t) => {
	const vm = exampleVm('ldap', { owner: 'south', handover: null, migration: null });
	t.regex(
		explainVm(exampleStatus([vm]), vm, [], look).join('\n'),
		/Whether it could be moved now, its owner says\.\n.*never had a drill.*\n\nDecided and seen.*\n.*nothing about it/,
	);
});

test('a host is explained by what its death would do to each of its VMs', (t) => {
	const lost = exampleVm('batch', {
		failover: { ready: false, to: null, blocker: 'south lacks the memory', next: '' },
	});
	const status = exampleStatus([exampleVm('ldap'), lost]);
	const [north, south] = status.hosts;
	t.truthy(north && south);
	if (north === undefined || south === undefined) return;
	const text = explainHost(status, north, entries, look).join('\n');
	t.regex(text, /^north is online for 3 d\. This is the host that you ask\./);
	t.regex(text, /If north died now, these would run again: ldap\./);
	t.regex(text, /batch would stay down: south lacks the memory\./);
	t.regex(
		explainHost(status, south, [], look).join('\n'),
		/No VM is on south; 2 on the other host/,
	);
});

/** A state folder with a decision between two inputs. */
const written = async (t: ExecutionContext): Promise<string> => {
	const folder = await mkdtemp(join(tmpdir(), 'vmpair-explain-'));
	t.teardown(() => rm(folder, { recursive: true, force: true }));
	const journal = await Journal.open({ directory: folder, bootId: 'boot-1', problem: () => {} });
	journal.start({ record: null }, 1);
	journal.input({ type: 'replication-observed' }, 1000, true);
	journal.input({ type: 'hypervisor-observed' }, 59_500, true);
	journal.note({ level: 'warn', message: 'takeover', fields: { vm: 'ldap' } }, 60_000);
	journal.note({ level: 'info', message: 'record changed', fields: { resource: 'ldap' } }, 60_000);
	journal.input({ type: 'handler-called' }, 59_999, true);
	journal.note({ level: 'info', message: 'much later', fields: {} }, 900_000);
	await journal.close();
	return folder;
};

test('an event is explained by its evidence, by what was told just before it and by what followed', async (t) => {
	const { around, printed } = createAround({ stateFolder: await written(t) });
	t.is(await explain(['4'], around), 0);
	const text = printed.join('\n');
	t.regex(text, /takeover {2}#4\n/);
	t.regex(text, /Its evidence\n {2}vm: ldap\n/);
	t.regex(
		text,
		/newest last\n {2}0\.5 s before: hypervisor-observed.*\n {2}0\.0 s before: handler-called/,
	);
	t.notRegex(text, /replication-observed/);
	t.regex(text, /right after\n.*record changed/);
	t.notRegex(text, /much later/);
	t.regex(text, /next: vmpair explain ldap$/);
});

test('a number that is no event of the history is refused with what shows them', async (t) => {
	const { around } = createAround({ stateFolder: await written(t) });
	for (const number of ['2', '77']) {
		await t.throwsAsync(explain([number], around), {
			code: 'unknown-subject',
			message: new RegExp(`no event #${number}`),
		});
	}
});

test('without an agent the files tell what they have of a VM, and the exit code says so', async (t) => {
	const { around, printed, warned } = createAround({ stateFolder: await written(t) });
	t.is(await explain(['ldap'], around), 69);
	t.regex(warned.join('\n'), /agent on this host is not running/);
	t.regex(printed.join('\n'), /what its files say of ldap.*\n.*takeover.*\n.*record changed/);
});
