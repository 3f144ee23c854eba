import test from 'ava';
import { snapshotBacking } from '#src/drbd/driver-snapshot.ts';
import { parseLogicalVolume, snapshotArguments } from '#src/drbd/snapshot.ts';
import type { ToolEnd, Tools } from '#src/std/tool.ts';

const exited = (stdout: string, exitCode = 0, stderr = ''): ToolEnd => ({
	end: 'exited',
	exitCode,
	stdout,
	stderr,
});

/** Tools that answer by the program's name, and what was called. */
const fake = (answers: Readonly<Record<string, ToolEnd>>) => {
	const calls: string[] = [];
	const tools: Tools = {
		run: async ({ file, args }) => {
			calls.push([file, ...args].join(' '));
			return answers[file] ?? { end: 'not-started', detail: `${file} is missing` };
		},
		follow: () => () => {},
	};
	return { tools, calls };
};

const gib = 1024 ** 3;
const listed = (free: number, type = 'linear'): ToolEnd =>
	exited(`  vg0|ldap|${4 * gib}|${free}|${type}\n`);

test('a volume is read with its group, and nothing is made of an unclear answer', (t) => {
	t.deepEqual(parseLogicalVolume('  vg0|ldap|4096|8192|linear\n'), {
		path: 'vg0/ldap',
		name: 'ldap',
		bytes: 4096,
		freeBytes: 8192,
		thin: false,
	});
	for (const text of ['', 'vg0|ldap|4g|1|linear', '|ldap|1|1|x', 'a|b|1|1|x\na|c|1|1|x'])
		t.is(parseLogicalVolume(text), null);
});

test('a snapshot is as large as its origin, or it is not made; a thin one needs no room', (t) => {
	const volume = { path: 'vg0/ldap', name: 'ldap', bytes: 10, freeBytes: 10, thin: false };
	t.true(snapshotArguments(volume, 'kept')?.includes('--extents=100%ORIGIN'));
	t.is(snapshotArguments({ ...volume, freeBytes: 9 }, 'kept'), null);
	t.deepEqual(snapshotArguments({ ...volume, freeBytes: 0, thin: true }, 'kept'), [
		'--snapshot',
		'--name=kept',
		'vg0/ldap',
	]);
});

test('the backing volume of a copy that is given up is kept as a snapshot', async (t) => {
	const { tools, calls } = fake({
		drbdadm: exited('/dev/vg0/ldap\n'),
		lvs: listed(5 * gib),
		lvcreate: exited(''),
	});
	const outcome = await snapshotBacking(tools, 'ldap');
	t.is(outcome.result, 'succeeded');
	if (outcome.result === 'succeeded')
		t.regex(outcome.value[0] ?? '', /^ldap-given-up-\d{8}-\d{6}$/);
	t.is(calls[0], 'drbdadm sh-ll-dev ldap');
	t.regex(
		calls.at(-1) ?? '',
		/^lvcreate --snapshot --name=ldap-given-up-\S+ --extents=100%ORIGIN vg0\/ldap$/,
	);
});

test('without LVM, without room, or when LVM refuses, there is none and the reason is said', async (t) => {
	for (const answers of [
		{ drbdadm: exited('', 1, 'no such resource') },
		{ drbdadm: exited('/dev/sda3\n'), lvs: exited('', 5, 'Failed to find') },
		{ drbdadm: exited('/dev/sda3\n') },
		{ drbdadm: exited('/dev/vg0/ldap\n'), lvs: listed(gib) },
		{
			drbdadm: exited('/dev/vg0/ldap\n'),
			lvs: listed(5 * gib),
			lvcreate: exited('', 5, 'insufficient free space'),
		},
	]) {
		const { tools } = fake(answers);
		const outcome = await snapshotBacking(tools, 'ldap');
		t.like(outcome, { result: 'failed', code: 'snapshot-not-possible' });
	}
});

test('an lvcreate that does not answer may still make it: unknown', async (t) => {
	const { tools } = fake({
		drbdadm: exited('/dev/vg0/ldap\n'),
		lvs: listed(5 * gib),
		lvcreate: { end: 'unknown', detail: 'no answer' },
	});
	t.is((await snapshotBacking(tools, 'ldap')).result, 'unknown');
});
