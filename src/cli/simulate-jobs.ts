import { Worker } from 'node:worker_threads';
import { type PlayedSlice, playSlice, type Slice } from '#src/sim/slice.ts';

/** Plays slices of seeds in several threads; the results come in the order of the seeds, whichever is faster. */

/** So many slices a thread may be ahead of the slowest one. */
const aheadMax = 64;

/** The slices by their index from 0; null after the last one. */
export type SliceAt = (index: number) => Slice | null;
/** Gets every result once, in order. */
type Take = (played: PlayedSlice) => Promise<void>;

/** @param jobs how many threads at most; with one everything happens in this thread. */
export const playSlices = async (sliceAt: SliceAt, jobs: number, take: Take): Promise<void> => {
	if (jobs > 1 && sliceAt(1) !== null) {
		await playInThreads(sliceAt, jobs, take);
		return;
	}
	for (let index = 0, slice = sliceAt(0); slice !== null; slice = sliceAt(index)) {
		await take(playSlice(slice));
		index += 1;
	}
};

const playInThreads = async (sliceAt: SliceAt, jobs: number, take: Take): Promise<void> => {
	const results = new Map<number, PromiseWithResolvers<PlayedSlice>>();
	const resultAt = (index: number): PromiseWithResolvers<PlayedSlice> => {
		const result = results.get(index) ?? Promise.withResolvers<PlayedSlice>();
		results.set(index, result);
		return result;
	};
	let begun = 0;
	let taken = 0;
	let moved = Promise.withResolvers<void>();
	const play = async (thread: Worker): Promise<void> => {
		for (;;) {
			while (begun - taken >= aheadMax) await moved.promise;
			const index = begun;
			const slice = sliceAt(index);
			if (slice === null) return;
			begun += 1;
			resultAt(index).resolve(await ask(thread, slice));
		}
	};
	const handOver = async (): Promise<void> => {
		for (; sliceAt(taken) !== null; taken += 1) {
			await take(await resultAt(taken).promise);
			results.delete(taken);
			moved.resolve();
			moved = Promise.withResolvers();
		}
	};
	const threads = Array.from(
		{ length: jobs },
		() => new Worker(new URL('simulate-worker.ts', import.meta.url), { name: 'simulate' }),
	);
	try {
		await Promise.all([...threads.map(play), handOver()]);
	} finally {
		await Promise.all(threads.map(async (thread) => await thread.terminate()));
	}
};

/** A thread that fails is a fault of the program: the run ends with its error. */
const ask = async (thread: Worker, slice: Slice): Promise<PlayedSlice> =>
	await new Promise((resolve, reject) => {
		thread.once('error', reject);
		thread.once('message', (played: PlayedSlice) => {
			thread.off('error', reject);
			resolve(played);
		});
		thread.postMessage(slice);
	});
