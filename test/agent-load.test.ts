import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import process from 'node:process';
import test from 'ava';
import { LoadAndHealth } from '#src/agent-load.ts';
import { configChange } from '#src/config/change.ts';
import type { Event } from '#src/engine/event.ts';
import { configOf, smallText } from '#test/config/example.ts';
import { hasEnded } from '#test/xen/fake.ts';

process.env['PATH'] = [
	new URL('fixture/bin', import.meta.url).pathname,
	process.env['PATH'] ?? '',
].join(delimiter);
const plugin = new URL('fixture/bin/check_plugin', import.meta.url).pathname;
const folder = await mkdtemp(join(tmpdir(), 'agent-load-'));
process.env['VMPAIR_FAKE_XEN'] = folder;
test.after.always(() => rm(folder, { recursive: true }));

const places = { proc: join(folder, 'proc'), sys: join(folder, 'sys'), xenBackends: folder };

const config = (mode: string, health: string) =>
	configOf(smallText(`vms: {}\nbalance: {mode: ${mode}}\nhealth: ${health}\n`));

const watched = (first: ReturnType<typeof config>) => {
	const events: Event[] = [];
	let wake = (): void => {};
	const load = new LoadAndHealth(places, first, (event) => {
		events.push(event);
		wake();
	});
	const until = async (fits: (event: Event) => boolean): Promise<void> => {
		while (!events.some(fits))
			await new Promise<void>((resolve) => {
				wake = resolve;
			});
	};
	return { load, events, until };
};

const calls = async (): Promise<string> =>
	await readFile(join(folder, 'calls'), 'utf8').catch(() => '');

const appears = async (name: string): Promise<void> => {
	while (!(await readFile(join(folder, name), 'utf8').catch(() => '')).endsWith('\n'))
		await new Promise((resolve) => setTimeout(resolve, 5));
};

test.serial(
	'where nothing is balanced nothing is measured, and checks run all the same',
	async (t) => {
		const off = config('off', `{raid: {command: [${plugin}, '1', 'echo WARNING'], every: 5s}}`);
		const { load, until, events } = watched(off);
		t.teardown(() => load.stop());
		load.configure(off);
		await until(({ type }) => type === 'health-observed');
		t.deepEqual(events[0], {
			type: 'health-observed',
			reading: { check: 'raid', health: 'warning', detail: 'WARNING' },
		});
		t.is(await calls(), '');
	},
);

test.serial('checks of the other host are not run here', async (t) => {
	const both = config(
		'off',
		`{there: {command: [${plugin}, '0'], hosts: [beta]}, here: {command: [${plugin}, '0'], hosts: [alpha]}}`,
	);
	const { load, until, events } = watched(both);
	t.teardown(() => load.stop());
	load.configure(both);
	await until(({ type }) => type === 'health-observed');
	t.like(events[0], { reading: { check: 'here' } });
});

test.serial('a reload begins and ends measuring without a restart', async (t) => {
	const off = config('off', '{}');
	const advise = config('advise', '{}');
	t.deepEqual(configChange(off, advise), { live: ['balance'], restart: [] });
	await writeFile(join(folder, 'xl.list'), 'echo $$ >"$here/pid"; exec sleep 60\n');
	const { load } = watched(off);
	t.teardown(() => load.stop());
	load.configure(off);
	t.is(await calls(), '');
	load.configure(advise);
	// Once more changes nothing: one look is under way.
	load.configure(advise);
	await appears('pid');
	t.is(await calls(), 'xl list -v\n');
	load.configure(off);
	t.true(await hasEnded(join(folder, 'pid')));
});

test.serial('health checks and the balancing of a VM change in a running agent', (t) => {
	const before = config('off', '{}');
	const after = config('off', '{board: {sensors: ipmi}}');
	t.deepEqual(configChange(before, after), { live: ['health'], restart: [] });
	const vm = (more: string) =>
		configOf(smallText(`vms: {vm1: {resource: vm1, config: /etc/xen/vm1.cfg${more}}}\n`));
	t.deepEqual(configChange(vm(''), vm(', balance: {pinned: true}')), {
		live: ['vms'],
		restart: [],
	});
});
