import test from 'ava';
import fc from 'fast-check';
import { createQueue, runNext, schedule } from '#src/sim/queue.ts';

test('callbacks run in order of time, then of scheduling', (t) => {
	fc.assert(
		fc.property(fc.array(fc.nat(20), { maxLength: 60 }), (times) => {
			const queue = createQueue();
			const seen: [number, number][] = [];
			times.forEach((atMs, index) => {
				schedule(queue, atMs, () => seen.push([queue.nowMs, index]));
			});
			while (runNext(queue, 1000));
			const sorted = times
				.map((atMs, index): [number, number] => [atMs, index])
				.toSorted((one, other) => one[0] - other[0] || one[1] - other[1]);
			t.deepEqual(seen, sorted);
		}),
	);
});

test('a cancelled callback does not run, and nothing runs before its time', (t) => {
	const queue = createQueue();
	const seen: string[] = [];
	const timer = schedule(queue, 5, () => seen.push('cancelled'));
	schedule(queue, 10, () => seen.push('ten'));
	timer.callback = null;
	t.false(runNext(queue, 9));
	t.true(runNext(queue, 10));
	t.false(runNext(queue, 10));
	t.deepEqual(seen, ['ten']);
});

test('what is scheduled in the past runs now', (t) => {
	const queue = createQueue();
	schedule(queue, 10, () => {
		schedule(queue, 3, () => t.is(queue.nowMs, 10));
	});
	while (runNext(queue, 100));
	t.is(queue.nowMs, 10);
});
