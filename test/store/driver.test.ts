import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import * as promises from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { StateStore } from '#src/store/driver.ts';
import type { StateFiles, StateStoreOptions } from '#src/store/driver.ts';
import type { Persisted } from '#src/store/record.ts';
import { exampleRecord } from '#test/store/record.ts';

const folder = async (t: ExecutionContext): Promise<string> => {
	const path = await mkdtemp(join(tmpdir(), 'vmpair-store-'));
	t.teardown(() => rm(path, { recursive: true, force: true }));
	return path;
};

const open = (directory: string, more: Partial<StateStoreOptions> = {}): StateStore =>
	new StateStore({
		directory,
		pairId: exampleRecord.pairId,
		host: exampleRecord.host,
		stalled: () => {},
		recovered: () => {},
		...more,
	});

const persist = (store: StateStore, record: Persisted): Promise<Error | null> =>
	new Promise((resolve) => {
		store.persist(record, resolve);
	});

const withGeneration = (generation: number): Persisted => ({
	...exampleRecord,
	pair: { ...exampleRecord.pair, generation },
});

/** Notes the order of the calls, and fails or waits at the call with the number `at`. */
const spied = (
	calls: string[],
	before: (call: number) => Promise<void> = async () => {},
): StateFiles => {
	const note = async (name: string): Promise<void> => {
		calls.push(name);
		await before(calls.length);
	};
	return {
		mkdir: promises.mkdir,
		rename: async (from, to) => {
			await note('rename');
			await promises.rename(from, to);
		},
		open: (async (path: string, flags: string, mode?: number) => {
			const what = path.endsWith('.new') ? 'file' : flags === 'r' ? 'folder' : 'other';
			await note(`open ${what}`);
			const handle = await promises.open(path, flags, mode);
			for (const key of ['writeFile', 'sync'] as const) {
				const real = handle[key].bind(handle) as (...each: unknown[]) => Promise<void>;
				handle[key] = async (...each: unknown[]) => {
					await note(`${key} ${what}`);
					await real(...each);
				};
			}
			return handle;
		}) as StateFiles['open'],
	};
};

test('a host without a state file has no record', async (t) => {
	t.is(await open(join(await folder(t), 'missing')).load(), null);
});

test('what was persisted is loaded by the next run, and only its owner may read it', async (t) => {
	const directory = join(await folder(t), 'state');
	const store = open(directory);
	t.is(await persist(store, exampleRecord), null);
	t.deepEqual(await open(directory).load(), exampleRecord);
	t.is((await stat(store.path)).mode & 0o777, 0o600);
	t.is((await stat(directory)).mode & 0o777, 0o700);
});

test('a write is durable before it is reported: file, then name, then folder', async (t) => {
	const calls: string[] = [];
	const store = open(await folder(t), { files: spied(calls) });
	t.is(await persist(store, exampleRecord), null);
	t.deepEqual(calls, [
		'open file',
		'writeFile file',
		'sync file',
		'rename',
		'open folder',
		'sync folder',
	]);
});

test('a crash between any two calls leaves the old record or the new one', async (t) => {
	for (let crash = 1; crash <= 6; crash += 1) {
		const directory = await folder(t);
		t.is(await persist(open(directory), withGeneration(1)), null);
		const files = spied([], async (call) => {
			if (call === crash) throw new Error('the disk is gone');
		});
		const error = await persist(open(directory, { files }), withGeneration(2));
		t.is((error as { code?: string } | null)?.code, 'state-write-failed');
		const loaded = await open(directory).load();
		t.is(loaded?.pair.generation, crash <= 4 ? 1 : 2, `crash at call ${crash}`);
		t.is(await persist(open(directory), withGeneration(3)), null);
		t.is((await open(directory).load())?.pair.generation, 3);
	}
});

test('a half-written temporary file is passed over', async (t) => {
	const directory = await folder(t);
	const store = open(directory);
	t.is(await persist(store, exampleRecord), null);
	await writeFile(`${store.path}.new`, '{\n\t"format": 1,\n\t"pai');
	t.deepEqual(await open(directory).load(), exampleRecord);
});

test('writes are done in the order in which they were asked', async (t) => {
	const directory = await folder(t);
	const store = open(directory);
	const order: number[] = [];
	await Promise.all(
		[1, 2, 3, 4].map((generation) =>
			persist(store, withGeneration(generation)).then(() => order.push(generation)),
		),
	);
	t.deepEqual(order, [1, 2, 3, 4]);
	t.is((await open(directory).load())?.pair.generation, 4);
});

test('a damaged file is refused with the remedy and stays as it is', async (t) => {
	const directory = await folder(t);
	const store = open(directory);
	t.is(await persist(store, exampleRecord), null);
	const text = await readFile(store.path, 'utf8');
	for (const damaged of ['', text.slice(0, 300), text.replace('"alpha"', '"gamma"')]) {
		await writeFile(store.path, damaged);
		const error = await t.throwsAsync(open(directory).load());
		t.is((error as { code?: string }).code, 'state-corrupt');
		const { next } = error as { next?: string };
		t.regex(next ?? '', /see the runbook state-damaged/);
		t.notRegex(next ?? '', /\bmv /, 'what is forgotten with the file has to be looked at first');
		t.is(await readFile(store.path, 'utf8'), damaged);
	}
});

test('the file of another host, of another pair or of a later version is refused', async (t) => {
	const directory = await folder(t);
	const store = open(directory);
	t.is(await persist(store, exampleRecord), null);
	const foreign = await t.throwsAsync(open(directory, { host: 'beta' }).load(), {
		code: 'state-foreign',
		message: /belongs to host alpha of pair computing-centre; this is host beta/,
	});
	t.regex(
		(foreign as { next?: string }).next ?? '',
		/set them right.*see the runbook state-damaged/,
	);
	await t.throwsAsync(open(directory, { pairId: 'another' }).load(), { code: 'state-foreign' });
	await writeFile(store.path, '{"format": 2}');
	await t.throwsAsync(open(directory).load(), { code: 'state-newer-format' });
});

test('a state file that is a folder is an error and not an empty state', async (t) => {
	const directory = await folder(t);
	await promises.mkdir(join(directory, 'state.json'));
	await t.throwsAsync(open(directory).load(), { code: 'state-unreadable' });
});

test('a disk that hangs is reported, and the write still counts when it ends', async (t) => {
	let release = (): void => {};
	const hanging = new Promise<void>((resolve) => {
		release = resolve;
	});
	const told: string[] = [];
	const files = spied([], async (call) => {
		if (call === 3) await hanging;
	});
	const directory = await folder(t);
	await new Promise<void>((resolve, reject) => {
		const store = open(directory, {
			files,
			stallMs: 20,
			stalled: () => {
				told.push('stalled');
				release();
			},
			recovered: () => told.push('recovered'),
		});
		store.persist(exampleRecord, (error) => {
			told.push('durable');
			if (error === null) resolve();
			else reject(error);
		});
	});
	t.deepEqual(told, ['stalled', 'recovered', 'durable']);
	t.deepEqual(await open(directory).load(), exampleRecord);
});
