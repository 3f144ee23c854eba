import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { constants, PerformanceObserver, type PerformanceEntry } from 'node:perf_hooks';
import { PassThrough, Readable, Writable } from 'node:stream';
import test from 'ava';
import { pour } from '#src/migrate/driver.ts';

/** Keeps what it is given, and how many bytes came at once. */
const keeper = (): { sink: Writable; whole: () => Buffer; writes: number[] } => {
	const kept: Buffer[] = [];
	const writes: number[] = [];
	const take = (pieces: readonly Buffer[], done: () => void): void => {
		kept.push(...pieces);
		writes.push(pieces.reduce((sum, piece) => sum + piece.length, 0));
		done();
	};
	const sink = new Writable({
		highWaterMark: 1_048_576,
		write: (piece: Buffer, _encoding, done) => take([piece], done),
		writev: (all, done) =>
			take(
				all.map(({ chunk }) => chunk as Buffer),
				done,
			),
	});
	return { sink, whole: () => Buffer.concat(kept), writes };
};

test('pieces that come in one turn are handed on in one write, in their order, and the end follows', async (t) => {
	const { sink, whole, writes } = keeper();
	const source = new PassThrough({ highWaterMark: 1_048_576 });
	pour(source, sink);
	const bytes = randomBytes(20 * 16_384);
	source.resume();
	for (let at = 0; at < bytes.length; at += 16_384) source.write(bytes.subarray(at, at + 16_384));
	source.end();
	await once(sink, 'finish');
	t.true(whole().equals(bytes));
	t.true(writes.length <= 3, writes.join(' '));
});

test('a sink that is full makes the source wait, and it goes on afterwards', async (t) => {
	let go: (() => void) | undefined;
	let taken = 0;
	const sink = new Writable({
		highWaterMark: 100_000,
		write: (piece: Buffer, _encoding, done) => {
			taken += piece.length;
			go = done;
		},
	});
	let given = 0;
	const source = new Readable({
		highWaterMark: 65_536,
		read() {
			given += 16_384;
			this.push(given > 5_000_000 ? null : Buffer.alloc(16_384));
		},
	});
	pour(source, sink);
	while (go === undefined) await new Promise(setImmediate);
	for (let turns = 0; turns < 200; turns += 1) await new Promise(setImmediate);
	// What is gathered at once, what the sink keeps, and what the source has read ahead.
	t.true(given < 1_000_000, `${given} bytes were read`);
	while (!sink.writableFinished) {
		const next = go;
		go = undefined;
		next?.();
		await new Promise(setImmediate);
	}
	t.is(taken, 16_384 * Math.floor(5_000_000 / 16_384));
});

test('a source that breaks hands on what has come, and ends the sink', async (t) => {
	const { sink, whole } = keeper();
	const source = new PassThrough();
	source.on('error', () => {});
	pour(source, sink);
	source.once('data', () => source.destroy(new Error('broken')));
	source.write('what has come');
	await once(sink, 'finish');
	t.is(String(whole()), 'what has come');
});

test('a sink that is gone is written to no more, and nothing is thrown', async (t) => {
	const { sink, writes } = keeper();
	const source = new PassThrough();
	const stop = pour(source, sink);
	sink.once('close', stop);
	sink.destroy();
	await once(sink, 'close');
	source.end('too late');
	source.resume();
	await once(source, 'end');
	t.deepEqual(writes, []);
});

test('a long stream is not interrupted by collections of everything', async (t) => {
	let whole = 0;
	const observer = new PerformanceObserver((list) => {
		for (const entry of list.getEntries()) {
			const { detail } = entry as PerformanceEntry & { readonly detail: { readonly kind: number } };
			if (detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) whole += 1;
		}
	});
	observer.observe({ entryTypes: ['gc'] });
	let left = 10_000;
	const source = new Readable({
		highWaterMark: 65_536,
		read() {
			left -= 1;
			// A block of its own, as a socket makes it for what it reads.
			this.push(left < 0 ? null : Buffer.from(new ArrayBuffer(65_536)));
		},
	});
	const sink = new Writable({ write: (_piece, _encoding, done) => setImmediate(done) });
	pour(source, sink);
	await once(sink, 'finish');
	await new Promise((resolve) => setTimeout(resolve, 100));
	observer.disconnect();
	// Without the early ones of what is young there are nine.
	t.true(whole <= 3, `${whole} collections`);
});
