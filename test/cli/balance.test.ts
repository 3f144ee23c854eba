import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { serveApi } from '#src/api/driver-server.ts';
import type { HostView, Status } from '#src/api/view.ts';
import { balance } from '#src/cli/balance.ts';
import { evacuate } from '#src/cli/evacuate.ts';
import { statusLines } from '#src/cli/status-text.ts';
import { createAround } from '#test/cli/around.ts';
import { exampleStatus, exampleVm } from '#test/cli/example.ts';

const load = { cpu: 0.93, dom0: 0.12, memory: 0.4, disk: 0.031, network: null };

const loaded = (changes: Partial<Status> = {}): Status => {
	const { hosts, ...status } = exampleStatus([exampleVm('web'), exampleVm('db')]);
	const [north, south] = hosts as [HostView, HostView];
	return {
		...status,
		hosts: [
			{ ...north, load },
			{ ...south, load: { ...load, cpu: 0.1, network: 0 }, critical: ['fan'] },
		],
		balance: {
			mode: 'advise',
			verdict: '',
			peerVerdict: '',
			limits: exampleStatus([]).balance.limits,
			order: { kind: 'move', vm: 'web', sentence: 'host north is overloaded: cpu 93 %' },
		},
		...changes,
	};
};

/** An agent that moves `web` as soon as it is asked to. */
const serve = async (t: ExecutionContext, begins: Status) => {
	const seen: unknown[] = [];
	const folder = mkdtempSync(join(tmpdir(), 'vmpair-balance-'));
	const socketPath = join(folder, 'agent.sock');
	let status = begins;
	const server = await serveApi(
		{ socketPath, group: null },
		{
			status: () => status,
			history: async () => [],
			alert: async () => ({ message: 'heard' }),
			request: async (request) => {
				seen.push(request);
				const vms = [exampleVm('web', { owner: 'south', runsOn: 'south' }), exampleVm('db')];
				status = { ...begins, vms };
				return { status: 'accepted', code: 'accepted', message: 'web is live-migrated', next: '' };
			},
			engine: () => ({ version: '0', state: {} }),
			postMortems: async () => [],
			fenceCheck: async () => ({ self: 'north', hosts: [] }),
			reload: async () => ({ status: 'done', code: 'done', message: '', next: '' }),
		},
	);
	t.teardown(async () => {
		await server.close();
		rmSync(folder, { recursive: true });
	});
	return { seen, ...createAround({ socketPath }) };
};

test('a dry run tells the load of both hosts and what would be moved, and asks for nothing', async (t) => {
	const { around, printed, seen } = await serve(t, loaded());
	t.is(await balance(['--dry-run'], around), 0);
	t.deepEqual(printed, [
		'load of north: cpu 93 %, dom0 12 %, memory 40 %, disk 3 %, network ?',
		'load of south: cpu 10 %, dom0 12 %, memory 40 %, disk 3 %, network 0 %',
		'web would go to south: host north is overloaded: cpu 93 %',
		'south is not overloaded, or not for long enough: ask there for more',
		'mode: advise',
	]);
	t.deepEqual(seen, []);
	printed.length = 0;
	t.is(await balance(['--dry-run', '--json'], around), 0);
	t.like(JSON.parse(printed[0] ?? ''), { balance: { order: { kind: 'move', vm: 'web' } } });
});

test('an order is sent once, and done when the VM runs on the other host', async (t) => {
	const { around, printed, seen } = await serve(t, loaded());
	t.is(await balance([], around), 0);
	t.deepEqual(seen, [{ verb: 'balance', by: 'root' }]);
	t.is(printed.at(-1), 'web runs on south');
});

test('the status has one line for load and one for the health checks, when there is something to say', (t) => {
	const health: Status['health'] = [
		{ check: 'disk', state: 'ok', said: 'ok', detail: '', ageMs: 1, action: 'alert' },
		{ check: 'psu', state: 'critical', said: 'critical', detail: 'out', ageMs: 1, action: 'alert' },
		{ check: 'fan', state: 'pending', said: null, detail: '', ageMs: null, action: 'evacuate' },
	];
	const text = statusLines(loaded({ health }), { columns: 200, colour: false }).join('\n');
	t.regex(text, /^ {2}load: north cpu 93 %, .* network \?; south cpu 10 %/m);
	t.regex(text, /^ {2}health: 1 of 3 checks ok, psu critical, fan not run yet$/m);
	t.regex(text, /^ {2}south .*not well: fan critical$/m);
});

test('who empties a host toward one that is not well is warned beforehand', async (t) => {
	const { around, printed } = await serve(t, loaded());
	t.is(await evacuate(['north', '--dry-run'], around), 0);
	t.is(printed.at(-1), 'warning: south is not well: fan critical');
});
