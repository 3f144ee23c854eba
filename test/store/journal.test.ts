import test from 'ava';
import fc from 'fast-check';
import { steadied } from '#src/load/sample.ts';
import type { LoadSample } from '#src/ports-load.ts';
import { between, chance, prng } from '#src/std/prng.ts';
import {
	decodeEntry,
	encodeEntry,
	inputBody,
	inputReader,
	journalFiles,
	lineBytesMax,
	rotatedFileName,
	surplusFiles,
} from '#src/store/journal.ts';
import type { InputMemory, JournalEntry, JournalInput } from '#src/store/journal.ts';

const stamp = { seq: 1, at: '2026-03-01T03:00:00.000Z', ms: 12.5, boot: 'boot-1' };

const entries: readonly JournalEntry[] = [
	{ ...stamp, type: 'start', from: null },
	{ ...stamp, type: 'note', level: 'warn', message: 'peer is suspect', fields: { host: 'beta' } },
	{ ...stamp, type: 'input', event: { type: 'tick' } },
	{ ...stamp, type: 'input', same: 7 },
	{ ...stamp, type: 'input', oversize: 900_000, of: 'document-received' },
	{ ...stamp, type: 'lost', entries: 3, reason: 'the disk did not take them in time' },
];

for (const entry of entries)
	test(`an entry is read back as it was written: ${JSON.stringify(entry).slice(60, 110)}`, (t) => {
		const line = encodeEntry(entry);
		t.is(line.indexOf('\n'), line.length - 1);
		t.deepEqual(decodeEntry(line.trimEnd()), entry);
	});

test('a torn line and a line that is not ours are no entries', (t) => {
	const line = encodeEntry({ ...stamp, type: 'input', event: { type: 'tick' } }).trimEnd();
	for (let length = 0; length < line.length; length += 1)
		t.is(decodeEntry(line.slice(0, length)), null);
	for (const other of ['{}', '[]', '3', '{"seq":1,"at":"x","ms":1,"boot":"b","type":"other"}'])
		t.is(decodeEntry(other), null);
});

test('a tick that changed nothing is not kept, one that did is', (t) => {
	t.is(inputBody({ type: 'tick' }, false, new Map()), null);
	t.not(inputBody({ type: 'tick' }, true, new Map()), null);
});

test('an input that is too large leaves its size', (t) => {
	const event = { type: 'document-received', text: 'x'.repeat(lineBytesMax) };
	t.deepEqual(inputBody(event, true, new Map())?.body, {
		type: 'input',
		oversize: JSON.stringify(event).length,
		of: 'document-received',
	});
});

test('an input that differs from the one before in a count is kept as that count', (t) => {
	const event = (renewals: number, host = 'alpha1') => ({
		type: 'witness-observed',
		host,
		renewals,
	});
	const memory = new Map([['witness-observed', { seq: 7, json: JSON.stringify(event(41)) }]]);
	t.deepEqual(inputBody(event(1042), true, memory)?.body, {
		type: 'input',
		like: 7,
		set: [[1, '1042']],
	});
	const other = event(42, 'beta1');
	t.deepEqual(inputBody(other, true, memory)?.body, { type: 'input', event: other });
});

test('a fraction that comes and goes is such a count too, but not inside of a word', (t) => {
	const from = { type: 'load-observed', cpu: 0, disk: 0.25, at: 'v1.2' };
	const memory = new Map([['load-observed', { seq: 7, json: JSON.stringify(from) }]]);
	const kept = { ...from, cpu: 0.003, disk: 1 };
	const body = inputBody(kept, true, memory)?.body;
	t.like(body, { like: 7 });
	const inputOf = inputReader();
	inputOf({ ...stamp, seq: 7, type: 'input', event: from });
	if (body?.type === 'input') t.deepEqual(inputOf({ ...stamp, seq: 8, ...body }), kept);
	const shorter = { ...from, at: 'v1' };
	t.like(inputBody(shorter, true, memory)?.body, { event: shorter });
	const next = { ...from, at: 'v1.3' };
	t.like(inputBody(next, true, memory)?.body, { like: 7, set: [[4, '3']] });
});

test('200 VMs that all rest but a few take a small part of the journal for their load', (t) => {
	// Idle ones with the noise of their timers, and each time two that do something.
	const random = prng(1);
	const upTo = (most: number): number => between(random, 0, most) / 1000;
	let told: LoadSample | null = null;
	let memory: InputMemory = new Map();
	let bytes = 0;
	const samples = 400;
	for (let seq = 1; seq <= samples; seq += 1) {
		const vms = Array.from({ length: 200 }, (_, index) => ({
			vm: `vm${index}`,
			cpus: upTo(60),
			inflowMibPerS: upTo(500),
		})).map((each) => (chance(random, 0.01) ? { ...each, cpus: 1, inflowMibPerS: 30 } : each));
		const host = {
			cpu: upTo(900),
			dom0: upTo(100),
			memory: upTo(900),
			disk: upTo(100),
			network: upTo(2),
		};
		told = steadied(told, { cpus: 32, host, vms });
		const event = { type: 'load-observed', sample: told };
		const made = inputBody(event, true, memory);
		if (made === null) continue;
		bytes += encodeEntry({ ...stamp, seq, ...made.body }).length;
		if (made.json !== null) memory = new Map([[event.type, { seq, json: made.json }]]);
	}
	// A day has 8640 samples, and the journal 96 MiB: at most a sixth of it in a day.
	const dayMib = ((bytes / samples) * 8640) / 2 ** 20;
	t.true(dayMib < 16, `${dayMib.toFixed(1)} MiB a day`);
	t.log(`${dayMib.toFixed(1)} MiB a day`);
});

test('what is read back is what was put in', (t) => {
	const input = fc.record({
		type: fc.constantFrom('links-observed', 'replication-observed', 'hearing-changed'),
		value: fc.oneof(
			fc.integer({ min: 0, max: 2 }),
			fc.double({ noNaN: true, noDefaultInfinity: true }),
			fc.string({ maxLength: 8 }),
			fc.dictionary(fc.string({ maxLength: 3 }), fc.nat(), { noNullPrototype: true }),
		),
	});
	fc.assert(
		fc.property(fc.array(input, { maxLength: 60 }), (events) => {
			let memory: InputMemory = new Map();
			const inputOf = inputReader();
			const inputs: (JournalInput | null)[] = [];
			for (const [index, event] of events.entries()) {
				const made = inputBody(event, true, memory);
				if (made === null) continue;
				const seq = index + 1;
				if (made.json !== null)
					memory = new Map([...memory, [event.type, { seq, json: made.json }]]);
				const entry = decodeEntry(encodeEntry({ ...stamp, seq, ...made.body }).trimEnd());
				inputs.push(entry === null ? null : inputOf(entry));
			}
			// As JSON has it: it knows no -0.
			t.deepEqual(inputs, JSON.parse(JSON.stringify(events)));
		}),
	);
});

test('files are in the order of time, and the oldest go first', (t) => {
	const names = [900, 12, 100_000].map(rotatedFileName);
	const folder = ['events.jsonl', ...names, 'state.json', 'events-x.jsonl'];
	t.deepEqual(journalFiles(folder), [
		'events-0000000000000012.jsonl',
		'events-0000000000000900.jsonl',
		'events-0000000000100000.jsonl',
		'events.jsonl',
	]);
	t.deepEqual(surplusFiles(folder, 3), ['events-0000000000000012.jsonl']);
	t.deepEqual(surplusFiles(folder, 10), []);
});
