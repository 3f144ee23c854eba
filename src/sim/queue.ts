/** Timed callbacks in order of time, then of scheduling: the simulation's only clock. */
export interface Timer {
	readonly atMs: number;
	readonly order: number;
	callback: (() => void) | null;
}

export interface Queue {
	nowMs: number;
	nextOrder: number;
	/** A binary heap. */
	readonly timers: Timer[];
}

export const createQueue = (): Queue => ({ nowMs: 0, nextOrder: 0, timers: [] });

const isBefore = (one: Timer, other: Timer): boolean =>
	one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);

/** Calls `callback` at `atMs` (never in the past). Setting `callback` to null cancels. */
export const schedule = (queue: Queue, atMs: number, callback: () => void): Timer => {
	const timer: Timer = { atMs: Math.max(atMs, queue.nowMs), order: queue.nextOrder, callback };
	queue.nextOrder += 1;
	const { timers } = queue;
	let index = timers.length;
	timers.push(timer);
	while (index > 0) {
		const above = (index - 1) >> 1;
		const parent = timers[above];
		if (parent === undefined || !isBefore(timer, parent)) break;
		timers[index] = parent;
		index = above;
	}
	timers[index] = timer;
	return timer;
};

const takeFirst = (timers: Timer[]): Timer | undefined => {
	const first = timers[0];
	const last = timers.pop();
	if (first === undefined || last === undefined || first === last) return first;
	let index = 0;
	for (;;) {
		let child = 2 * index + 1;
		let lower = timers[child];
		if (lower === undefined) break;
		const other = timers[child + 1];
		if (other !== undefined && isBefore(other, lower)) {
			child += 1;
			lower = other;
		}
		if (!isBefore(lower, last)) break;
		timers[index] = lower;
		index = child;
	}
	timers[index] = last;
	return first;
};

/** Runs the next callback that is due by `untilMs`; false when there is none. */
export const runNext = (queue: Queue, untilMs: number): boolean => {
	for (;;) {
		const first = queue.timers[0];
		if (first === undefined || first.atMs > untilMs) return false;
		takeFirst(queue.timers);
		const { callback } = first;
		if (callback === null) continue;
		queue.nowMs = first.atMs;
		first.callback = null;
		callback();
		return true;
	}
};
