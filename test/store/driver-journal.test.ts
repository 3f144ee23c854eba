import { appendFile, chmod, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { readEntries, readHistory } from '#src/store/driver-history.ts';
import { Journal } from '#src/store/driver-journal.ts';
import type { JournalOptions } from '#src/store/driver-journal.ts';
import type { JournalEntry } from '#src/store/journal.ts';
import { inputReader } from '#src/store/journal.ts';

const folder = async (t: ExecutionContext): Promise<string> => {
	const path = await mkdtemp(join(tmpdir(), 'vmpair-journal-'));
	t.teardown(() => rm(path, { recursive: true, force: true }));
	return path;
};

const open = (directory: string, more: Partial<JournalOptions> = {}): Promise<Journal> =>
	Journal.open({ directory, bootId: 'boot-1', problem: () => {}, ...more });

const say = (journal: Journal, message: string, level: 'info' | 'error' = 'info'): void =>
	journal.note({ level, message, fields: { vm: 'ldap' } }, 1);

const everything = { afterSeq: 0, since: null, limit: 1000 };

const messages = async (directory: string): Promise<readonly string[]> =>
	(await readHistory(directory, everything)).map((entry) => entry.message);

const all = async (
	directory: string,
	unreadable: (line: string) => void = () => {},
): Promise<readonly JournalEntry[]> => {
	const entries: JournalEntry[] = [];
	for await (const entry of readEntries(directory, unreadable)) entries.push(entry);
	return entries;
};

test('what was noted is in the history, also for the next run, with numbers that only grow', async (t) => {
	const directory = join(await folder(t), 'state');
	const first = await open(directory);
	say(first, 'one');
	say(first, 'two');
	await first.close();
	const second = await open(directory);
	say(second, 'three');
	await second.close();
	t.deepEqual(await messages(directory), ['one', 'two', 'three']);
	t.deepEqual(
		(await all(directory)).map((entry) => entry.seq),
		[1, 2, 3],
	);
	t.is((await stat(join(directory, 'events.jsonl'))).mode & 0o777, 0o600);
});

test('a history can be asked for after a number, since a time and with a limit', async (t) => {
	const directory = await folder(t);
	const journal = await open(directory);
	for (const message of ['one', 'two', 'three', 'four']) say(journal, message);
	await journal.flush();
	const ask = async (query: Partial<typeof everything>) =>
		(await readHistory(directory, { ...everything, ...query })).map((entry) => entry.message);
	t.deepEqual(await ask({ limit: 2 }), ['three', 'four']);
	t.deepEqual(await ask({ afterSeq: 1, limit: 2 }), ['two', 'three']);
	const later = new Date(Date.now() + 60_000).toISOString();
	t.deepEqual(await readHistory(directory, { ...everything, since: later }), []);
	t.deepEqual(
		journal.recent({ ...everything, afterSeq: 2 })?.map((entry) => entry.message),
		['three', 'four'],
	);
	t.is(journal.recent(everything), null, 'older entries are in the files');
	await journal.close();
});

test('the journal stays within its bound and keeps the newest entries', async (t) => {
	const directory = await folder(t);
	const journal = await open(directory, { fileBytesMax: 2000, filesMax: 3 });
	for (let index = 1; index <= 100; index += 1) {
		say(journal, `message ${index}`);
		if (index % 5 === 0) await journal.flush();
	}
	await journal.close();
	const names = (await readdir(directory)).filter((name) => name.startsWith('events'));
	t.true(names.length <= 3, names.join());
	for (const name of names) t.true((await stat(join(directory, name))).size < 4000, name);
	const kept = await messages(directory);
	t.is(kept.at(-1), 'message 100');
	t.true(kept.length > 15 && kept.length < 60, String(kept.length));
	t.deepEqual(
		kept,
		kept.map((_, index) => `message ${100 - kept.length + 1 + index}`),
		'without a gap',
	);
});

test('a last line that was cut short is told at open and harms no other entry', async (t) => {
	const directory = await folder(t);
	const before = await open(directory);
	say(before, 'whole');
	await before.close();
	await appendFile(join(directory, 'events.jsonl'), '{"seq":2,"at":"2026-03-01T0');
	const told: string[] = [];
	const after = await open(directory, { problem: (code) => told.push(code) });
	say(after, 'after the crash');
	await after.close();
	t.deepEqual(told, ['journal-torn-line']);
	const torn: string[] = [];
	const seqs = await all(directory, (line) => torn.push(line));
	t.deepEqual(
		seqs.map((entry) => entry.seq),
		[1, 2],
	);
	t.deepEqual(torn, ['{"seq":2,"at":"2026-03-01T0']);
	t.deepEqual(await messages(directory), ['whole', 'after the crash']);
});

test('a journal that cannot be written is told once, goes on by itself and says what it lost', async (t) => {
	const directory = join(await folder(t), 'state');
	await writeFile(directory, 'a file in the place of the folder');
	const told: string[] = [];
	const journal = await open(directory, {
		problem: (code) => told.push(code),
		waitingBytesMax: 1000,
	});
	const failing: (string | null)[] = [];
	journal.onFailing((problem) => failing.push(problem));
	for (let index = 0; index < 50; index += 1) say(journal, `message ${index}`);
	await journal.flush();
	t.true(journal.entriesLost > 30);
	t.deepEqual(told, ['journal-write-failed', 'journal-entries-lost']);
	await rm(directory);
	await chmod(join(directory, '..'), 0o700);
	const { mkdir } = await import('node:fs/promises');
	await mkdir(directory);
	await journal.flush();
	say(journal, 'again', 'error');
	await journal.close();
	t.is(told.at(-1), 'journal-written-again');
	t.is(failing.length, 2);
	t.regex(failing[0] ?? '', /EEXIST|ENOTDIR/);
	t.is(failing[1], null);
	const lost = (await all(directory)).filter((entry) => entry.type === 'lost');
	t.deepEqual(
		lost.map((entry) => entry.entries),
		[journal.entriesLost],
	);
	t.is((await messages(directory)).at(-1), 'again');
});

test('every input is read back in full, repeated ones and all', async (t) => {
	const directory = await folder(t);
	const journal = await open(directory, { fileBytesMax: 1500, filesMax: 100 });
	journal.start({ version: '1' }, 0);
	const events = Array.from({ length: 40 }, (_, index) => ({
		type: index % 3 === 0 ? 'links-observed' : 'hypervisor-observed',
		value: Math.floor(index / 10),
	}));
	for (const [index, event] of events.entries()) {
		journal.input(event, index, true);
		journal.input({ type: 'tick' }, index, false);
		if (index % 4 === 0) await journal.flush();
	}
	await journal.close();
	t.true((await readdir(directory)).length > 2, 'it was rotated');
	const inputOf = inputReader();
	const inputs = (await all(directory)).map(inputOf).filter((input) => input !== null);
	t.deepEqual(inputs, events);
});

test('a folder without a journal has an empty history', async (t) => {
	t.deepEqual(await messages(join(await folder(t), 'missing')), []);
});
