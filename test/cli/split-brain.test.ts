import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { serveApi } from '#src/api/driver-server.ts';
import type { SideView, VmView } from '#src/api/view.ts';
import { splitBrain } from '#src/cli/split-brain.ts';
import { apartLines } from '#src/cli/split-brain-text.ts';
import { createAround } from '#test/cli/around.ts';
import { exampleStatus, exampleVm } from '#test/cli/example.ts';

const side = (host: string, changes: Partial<SideView> = {}): SideView => ({
	host,
	record: { generation: 4, owner: 'north', inSync: ['north'] },
	role: host === 'north' ? 'Primary' : 'Secondary',
	disk: 'UpToDate',
	connection: 'StandAlone',
	presence: host === 'north' ? 'running' : 'absent',
	volumes: [{ volume: 0, current: 'AAAA', bitmap: 'CCCC', history: ['DDDD'], outOfSyncKib: 64 }],
	lastRun:
		host === 'north'
			? { from: '2026-01-01T08:00:00Z', to: null }
			: { from: '2025-12-01T08:00:00Z', to: '2025-12-24T18:00:00Z' },
	loses: `every write made there`,
	...changes,
});

const apart: VmView['apart'] = {
	kind: 'split-brain',
	resolving: '',
	sides: [side('north'), side('south', { lastRun: null, volumes: null, record: null })],
};

const serve = async (t: ExecutionContext) => {
	const seen: unknown[] = [];
	const folder = mkdtempSync(join(tmpdir(), 'vmpair-split-'));
	const socketPath = join(folder, 'agent.sock');
	const status = exampleStatus([exampleVm('ldap', { apart }), exampleVm('samba')]);
	const server = await serveApi(
		{ socketPath, group: null },
		{
			status: () => status,
			history: async () => [],
			request: async (request) => {
				seen.push(request);
				return { status: 'accepted', code: 'accepted', message: 'south gives up', next: '' };
			},
			engine: () => ({ version: '0', state: {} }),
			postMortems: async () => [],
			fenceCheck: async () => ({ self: 'north', hosts: [] }),
			alert: async () => ({ message: 'heard' }),
			reload: async () => ({ status: 'done', code: 'done', message: '', next: '' }),
		},
	);
	t.teardown(async () => {
		await server.close();
		rmSync(folder, { recursive: true });
	});
	return { seen, ...createAround({ socketPath }) };
};

test('both sides stand beside each other, and what is not known is said', (t) => {
	const lines = apartLines(exampleVm('ldap', { apart }), { columns: 120, colour: false });
	const text = lines.join('\n');
	t.is(lines[0], 'ldap: both copies were written on their own');
	t.regex(text, /^ +north +south$/m);
	t.regex(text, /^record +number 4 +none$/m);
	t.regex(text, /^last ran +runs now, since 2026-01-01T08:00:00Z +not known$/m);
	t.regex(text, /^generation +AAAA +not read$/m);
	t.regex(text, /^out of sync +64 KiB +not read$/m);
	t.regex(text, /^If south gives its copy up, this is lost: every write made there\.$/m);
	const run = apartLines(
		exampleVm('ldap', { apart: { ...apart, sides: [side('north'), side('south')] } }),
		{ columns: 200, colour: false },
	).join('\n');
	t.regex(run, /until 2025-12-24T18:00:00Z/);
});

test('show names the VMs whose copies stand apart, or the one that was asked for', async (t) => {
	const { around, printed } = await serve(t);
	t.is(await splitBrain(['show'], around), 0);
	t.true(printed.some((line) => line.startsWith('ldap: ')));
	t.false(printed.some((line) => line.startsWith('samba')));
	t.is(await splitBrain(['show', 'samba'], around), 0);
	t.is(printed.at(-1), 'samba: its copies and records belong together');
	t.is(await splitBrain(['show', '--json'], around), 0);
	const [told] = JSON.parse(printed.at(-1) ?? '') as [{ vm: string; apart: VmView['apart'] }];
	t.deepEqual(told.apart, apart);
});

test('a copy is given up only after its host was named twice', async (t) => {
	const { around, seen, warned } = await serve(t);
	const resolve = async (...words: string[]) => await splitBrain(['resolve', ...words], around);
	for (const words of [
		['ldap'],
		['ldap', '--discard', 'south', '--keep', 'north'],
		['ldap', '--discard', 'west'],
		['nobody', '--discard', 'south'],
		['ldap', '--discard', 'south'],
		['ldap', '--discard', 'south', '--confirm', 'north'],
		['ldap', '--keep', 'north', '--confirm', 'north'],
	]) {
		await t.throwsAsync(resolve(...words), { name: 'VmpairError' }, words.join(' '));
	}
	t.deepEqual(seen, []);
	t.true(warned.some((line) => line.includes('is LOST there')));
	const agreed = ['--confirm', 'south', '--no-wait'];
	t.is(await resolve('ldap', '--discard', 'south', ...agreed), 75);
	t.is(await resolve('ldap', '--keep', 'north', ...agreed), 75);
	const request = { verb: 'resolve', vm: 'ldap', discard: 'south', by: 'root' };
	t.deepEqual(seen, [request, request]);
	await t.throwsAsync(splitBrain([], around), { message: /show/ });
});
