import test from 'ava';
import fc from 'fast-check';
import { decodeFrame, encodeNotes } from '#src/heartbeat/beat.ts';
import { createRecorder, cutNote, type Notes, type PeerNote } from '#src/heartbeat/recorder.ts';

const note = (message: string, fields: PeerNote['fields'] = {}): PeerNote => ({
	at: '2026-01-01T00:00:00.000Z',
	level: 'warn',
	message,
	fields,
});

const head = { host: 'alpha', bootId: 'b'.repeat(36), session: 's'.repeat(36) };
const encode = ({ first, notes }: Notes): string =>
	encodeNotes({ ...head, first, notes: [...notes] });

/** A connection that takes everything, or one that is busy. */
const line = (buffered = 0) => {
	const sent: string[] = [];
	const connection = {
		send: (text: string) => void sent.push(text),
		bufferedBytes: () => buffered,
	};
	return { peer: {}, connection, sent };
};

const arrived = (recorder: ReturnType<typeof createRecorder>, frames: readonly string[]) =>
	frames.flatMap((text) => {
		const { frame } = decodeFrame(text);
		if (frame?.type !== 'notes') throw new Error(`no notes: ${text}`);
		return recorder.heard(frame.notes.session, frame.notes).map(({ message }) => message);
	});

test('a frame fits into one packet, whatever is said', (t) => {
	const value = fc.oneof(
		fc.string({ maxLength: 3000, unit: 'grapheme' }),
		fc.integer(),
		fc.boolean(),
	);
	const fields = fc.dictionary(fc.string({ maxLength: 60 }), value, {
		maxKeys: 12,
		noNullPrototype: true,
	});
	const notes = fc.array(fc.tuple(fc.string({ maxLength: 600, unit: 'grapheme' }), fields), {
		minLength: 1,
	});
	fc.assert(
		fc.property(notes, (list) => {
			const recorder = createRecorder();
			recorder.take(list.map(([message, more]) => cutNote(note(message, more))));
			const out = line();
			for (let round = 0; round < list.length; round += 1) recorder.send([out], round, encode);
			for (const text of out.sent) {
				t.true(Buffer.byteLength(text) <= 1400, text);
				t.is(decodeFrame(text).dropped, null);
			}
			t.is(arrived(createRecorder(), out.sent).length, list.length);
		}),
		{ numRuns: 60 },
	);
});

test('at most one frame goes out at a time, over a connection that is proven and not busy', (t) => {
	const recorder = createRecorder();
	recorder.take(Array.from({ length: 40 }, (_none, index) => note(`sentence ${index}`)));
	const [busy, free, spare] = [line(100_000), line(), line()];
	recorder.send([{ ...line(), peer: null }, busy, free, spare], 0, encode);
	t.deepEqual([busy.sent.length, free.sent.length, spare.sent.length], [0, 1, 0]);
	recorder.send([busy], 200, encode);
	t.deepEqual(busy.sent, []);
});

test('what may have been lost with a connection goes out again, and counts once', (t) => {
	const [sender, receiver] = [createRecorder(), createRecorder()];
	const out = line();
	sender.take([note('long ago')]);
	sender.send([out], 0, encode);
	sender.take([note('a moment ago')]);
	sender.send([out], 9500, encode);
	sender.broken(10_000);
	sender.take([note('now')]);
	sender.send([out], 10_200, encode);
	t.false(out.sent[2]?.includes('long ago'));
	t.true(out.sent[2]?.includes('a moment ago'));
	t.deepEqual(arrived(receiver, out.sent), ['long ago', 'a moment ago', 'now']);
});

test('of more than a link takes the newest are kept; a new run of the agent counts anew', (t) => {
	const [sender, receiver] = [createRecorder(), createRecorder()];
	sender.take(Array.from({ length: 1000 }, (_none, index) => note(`${index}`)));
	const out = line();
	for (let round = 0; round < 300; round += 1) sender.send([out], round * 200, encode);
	const messages = arrived(receiver, out.sent);
	t.is(messages.length, 256);
	t.is(messages.at(-1), '999');
	t.deepEqual(
		receiver.heard('another run', { first: 1, notes: [note('hello')] }).map((each) => each.message),
		['hello'],
	);
});
