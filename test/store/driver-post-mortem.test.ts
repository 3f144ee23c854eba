import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { postMortem as told } from '#src/cli/post-mortem.ts';
import { readPostMortems, writePostMortem } from '#src/store/driver-post-mortem.ts';
import type { PostMortem } from '#src/store/post-mortem.ts';
import { createAround } from '#test/cli/around.ts';

const example = (day: number): PostMortem => ({
	format: 1,
	host: 'south',
	survivor: 'north',
	at: `2026-01-${String(day).padStart(2, '0')}T03:00:00.000Z`,
	phases: [
		{ what: 'it is silent: three beats are missed on every link', ms: 0 },
		{ what: 'it is back', ms: 300_000 },
	],
	vms: [{ vm: 'ldap', downMs: 12_400 }],
	steps: [],
});

test('the newest twenty are kept and told without an agent; a damaged one hides no other', async (t) => {
	const directory = await mkdtemp(join(tmpdir(), 'vmpair-post-mortem-'));
	t.teardown(() => rm(directory, { recursive: true, force: true }));
	t.deepEqual(await readPostMortems(directory), []);
	for (let day = 1; day <= 23; day += 1) await writePostMortem(directory, example(day));
	await writePostMortem(directory, example(23));
	const folder = join(directory, 'post-mortem');
	const names = await readdir(folder);
	t.is(names.length, 20);
	await writeFile(join(folder, 'post-mortem-20260122T030000Z.json'), '{ "format": 1,');
	const found = await readPostMortems(directory);
	t.is(found.length, 19);
	t.deepEqual(found[0], example(23));

	const { around, printed } = createAround({ stateFolder: directory });
	t.is(await told(['2', '--json'], around), 0);
	t.deepEqual(JSON.parse(printed.join('')), example(21));
	t.is(await told([], around), 0);
	t.true(printed.includes('ldap was down for 12 s'));
	t.is(await told(['20'], around), 64);
	await t.throwsAsync(told(['0'], around), { code: 'usage' });
});
