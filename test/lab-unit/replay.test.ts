import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { brotliDecompressSync } from 'node:zlib';
import test from 'ava';
import { decodeEntry, type JournalEntry } from '#src/store/journal.ts';
import { replay } from '#test/lab/replay.ts';

/** Event journals of agents on the lab's real hosts; how to make one: test/lab/FACTS.md. */
const folder = new URL('../fixture/journal/', import.meta.url);
const ending = '.jsonl.br';
const recordings = readdirSync(folder).filter((name) => name.endsWith(ending));

const recorded = (name: string): JournalEntry[] =>
	brotliDecompressSync(readFileSync(new URL(name, folder)))
		.toString('utf8')
		.split('\n')
		.map(decodeEntry)
		.filter((entry) => entry !== null);

for (const name of recordings) {
	const story = name.slice(0, -ending.length);
	test(`the engine decides in ${story} what it decided on the real host`, (t) => {
		const { runs, steps, trace } = replay(recorded(name));
		const text = `${trace.join('\n')}\n`;
		const expected = new URL(`${story}.expect`, folder);
		if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(expected, text);
		t.true(runs >= 1 && steps > 100, 'the recording is a whole story');
		t.is(text, readFileSync(expected, 'utf8'));
	});
}

const [first = ''] = recordings;
const stallMs = 10_000;

/** A journal of one step: what the engine says at it, with another length of its stall. */
const short = (gapMs: number): JournalEntry[] => {
	const [start, begins] = recorded(first);
	if (start === undefined || begins === undefined) throw new Error(`${first} is empty`);
	const { boot, at } = start;
	const stamp = { boot, at, ms: start.ms + stallMs };
	const tick: JournalEntry = { ...stamp, seq: 99, type: 'input', event: { type: 'tick' } };
	const said = replay([start, begins, tick]).trace.flatMap((line): JournalEntry[] => {
		const [, level, message = '', text = ''] = /^[\d.]+ (\w+) (.*?) (\{.*\})$/u.exec(line) ?? [];
		if (level !== 'info' && level !== 'warn' && level !== 'debug') return [];
		const told = JSON.parse(text) as Record<string, string | number | boolean | null>;
		const fields = 'gapMs' in told ? { ...told, gapMs } : told;
		return [{ ...stamp, seq: 9, type: 'note', level, message, fields }];
	});
	return [start, begins, ...said, tick];
};

test('a journal that says what the engine says again has no difference', (t) => {
	t.deepEqual(replay(short(stallMs)).differences, []);
});

test('a journal that says something else is told', (t) => {
	t.is(replay(short(stallMs - 1)).differences.length, 1);
});
