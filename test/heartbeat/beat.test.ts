import test from 'ava';
import fc from 'fast-check';
import {
	decodeFrame,
	documentMaxBytes,
	encodeAnswer,
	encodeBeat,
	encodeDocument,
	encodeHello,
} from '#src/heartbeat/beat.ts';
import type { Beat } from '#src/heartbeat/beat.ts';

const id = fc.string({ minLength: 1, maxLength: 64 });
const nonce = fc.string({ minLength: 16, maxLength: 64 });
const count = fc.integer({ min: 1, max: 2 ** 40 });
const milliseconds = fc.double({ min: 0, max: 1e12, noNaN: true }).map((value) => value + 0);

const anyBeat: fc.Arbitrary<Beat> = fc.record({
	host: id,
	bootId: id,
	session: id,
	seq: count,
	echo: fc.option(count),
	promises: fc.boolean(),
	heldMs: milliseconds,
	lagMs: milliseconds,
});

test('what is encoded is decoded', (t) => {
	fc.assert(
		fc.property(anyBeat, id, nonce, (beat, name, chance) => {
			const hello = {
				protocolVersion: 1,
				pairId: name,
				host: name,
				bootId: name,
				session: name,
				nonce: chance,
			} as const;
			const answer = { bootId: name, session: name, nonce: chance };
			const head = { pairId: name, host: name, bootId: name, session: name, seq: beat.seq };
			const text = JSON.stringify({ ...head, more: [beat] });
			t.deepEqual(decodeFrame(encodeBeat(beat)).frame, { type: 'beat', beat });
			t.deepEqual(decodeFrame(encodeHello(hello)).frame, { type: 'hello', hello });
			t.deepEqual(decodeFrame(encodeAnswer(answer)).frame, { type: 'answer', answer });
			t.deepEqual(decodeFrame(encodeDocument(text)).frame, { type: 'document', head, text });
		}),
		{ numRuns: 50 },
	);
});

test('nothing that comes in makes the decoder throw', (t) => {
	const type = fc.constantFrom('hello ', 'answer ', 'beat ', 'document ', 'other ', '');
	fc.assert(
		fc.property(
			type,
			fc.oneof(fc.json(), fc.string({ unit: 'binary' }), fc.string()),
			(word, text) => {
				const { frame, dropped } = decodeFrame(word + text);
				return (frame === null) !== (dropped === null);
			},
		),
	);
	t.is(decodeFrame(`document ${'['.repeat(documentMaxBytes)}`).dropped, 'malformed');
	t.is(decodeFrame(`document ${'{"a":'.repeat(200_000)}`).dropped, 'malformed');
});

test('a beat with anything missing, added or out of bounds is dropped', (t) => {
	fc.assert(
		fc.property(anyBeat, fc.nat(6), (beat, index) => {
			const key = Object.keys(beat)[index] ?? 'seq';
			const { [key as keyof Beat]: _removed, ...missing } = beat;
			t.is(decodeFrame(`beat ${JSON.stringify(missing)}`).dropped, 'malformed');
		}),
		{ numRuns: 20 },
	);
	const [beat] = fc.sample(anyBeat, 1);
	const changed = (change: object) =>
		decodeFrame(`beat ${JSON.stringify({ ...beat, ...change })}`).dropped;
	t.is(changed({}), null);
	t.is(changed({ more: 1 }), 'malformed');
	t.is(changed({ seq: 0 }), 'malformed');
	t.is(changed({ seq: 1.5 }), 'malformed');
	t.is(changed({ lagMs: -1 }), 'malformed');
	t.is(changed({ host: 'x'.repeat(5000) }), 'oversized');
});

test('sizes are bounded, and another version is told from garbage', (t) => {
	t.is(decodeFrame(`beat ${' '.repeat(5000)}`).dropped, 'oversized');
	t.is(decodeFrame(`document ${' '.repeat(documentMaxBytes + 100)}`).dropped, 'oversized');
	t.is(decodeFrame('hello {"protocolVersion":2,"new":true}').dropped, 'unknown-version');
	t.is(decodeFrame('hello {"protocolVersion":1}').dropped, 'malformed');
	t.is(decodeFrame('').dropped, 'malformed');
});
