import type { CarriedAction, ImmediateAction, Note } from '#src/engine/action.ts';
import type { Event } from '#src/engine/event.ts';
import type { Step, State } from '#src/engine/state.ts';
import { step } from '#src/engine/step.ts';
import { failed, unknown } from '#src/ports-outcome.ts';
import type { MonotonicMs, Outcome } from '#src/ports.ts';
import type { Persisted } from '#src/store/record.ts';
import { assert } from '#src/std/assert.ts';
import { messageOf } from '#src/std/error.ts';

/**
 * The seam between the policy and a world: the real one (`agent.ts`) or the simulated one (`sim/`).
 * Everything is callbacks, so that a simulation runs without promises and repeats exactly.
 */
export interface World {
	nowMs(): MonotonicMs;
	/** Makes the record durable, then calls `done`; with an error when that failed. */
	persist(record: Persisted, done: (error: Error | null) => void): void;
	/** Starts an action and calls `done` at most once. The loop itself watches `limitMs`. */
	execute(action: CarriedAction, done: (outcome: Outcome) => void): void;
	/** Carries out an action that has no outcome. */
	perform(action: ImmediateAction): void;
	/** One line of the log. */
	note(note: Note): void;
	/** Calls `callback` at or after `atMs`; the returned function cancels it. */
	schedule(atMs: MonotonicMs, callback: () => void): () => void;
	/** Called after every step with the time it was given, for views, conditions and records. */
	stepped(state: State, event: Event, nowMs: MonotonicMs): void;
	/** The loop stopped for good: nothing may be trusted any more, the process should exit. */
	failed(error: Error): void;
}

/** More waiting events than this means the world is reported faster than it can be decided: a bug. */
const queueMax = 10_000;
const tickMs = 1000;
/** DRBD's observations are not among them: each loss of replication counts. */
const newestOnly: ReadonlySet<Event['type']> = new Set([
	'tick',
	'hypervisor-observed',
	'links-observed',
]);
/** A power-off that could not be sent this soon after its decision is decided anew. */
const decisionFreshMs = 4000;

/** Queue, step, make durable, execute: the only owner of time and concurrency. */
export class Loop {
	#state: State;
	readonly #world: World;
	readonly #sparesRules: boolean;
	readonly #queue: Event[] = [];
	readonly #running = new Map<number, () => void>();
	#busy = false;
	#stopped = false;
	#restUntilMs: MonotonicMs = 0;
	/** When the next tick is due, and when the timer for it goes off: at that time, or before it. */
	#dueMs: MonotonicMs = 0;
	#timerMs: MonotonicMs = Number.POSITIVE_INFINITY;
	#cancelWake: () => void = () => {};

	/**
	 * @param sparesRules the rules do not look at events that bring no news before the moment they have announced. It
	 * changes nothing but the time it takes; in production they look all the same.
	 */
	constructor(state: State, world: World, sparesRules = false) {
		this.#state = state;
		this.#world = world;
		this.#sparesRules = sparesRules;
	}

	get state(): State {
		return this.#state;
	}

	/** Hands one event to the engine. Events are taken in the order they come. */
	post(event: Event): void {
		if (this.#stopped) return;
		// A whole observation that waits is out of date as soon as the next one comes.
		const older = newestOnly.has(event.type)
			? this.#queue.findIndex(({ type }) => type === event.type)
			: -1;
		if (older >= 0) this.#queue.splice(older, 1);
		assert(this.#queue.length < queueMax, 'the event queue is bounded');
		this.#queue.push(event);
		this.#drain();
	}

	/** No event is taken and no action started any more; actions under way are left alone. */
	stop(): void {
		this.#stopped = true;
		this.#cancelWake();
		for (const cancel of this.#running.values()) cancel();
		this.#running.clear();
	}

	#drain(): void {
		while (!this.#busy && !this.#stopped) {
			const event = this.#queue.shift();
			if (event === undefined) return;
			this.#busy = true;
			this.#take(event);
		}
	}

	#take(event: Event): void {
		const nowMs = this.#world.nowMs();
		let result: Step;
		try {
			result = step(this.#state, event, nowMs, {
				untilMs: this.#restUntilMs,
				spared: this.#sparesRules,
			});
		} catch (error) {
			this.#fail(error);
			return;
		}
		this.#state = result.state;
		this.#restUntilMs = result.restUntilMs;
		for (const note of result.notes) this.#world.note(note);
		if (result.persist === null) {
			this.#act(result, event, nowMs);
			return;
		}
		// What is decided is durable before any action of the same step starts (invariant I5).
		this.#world.persist(result.persist, (error) => {
			if (this.#stopped) return;
			if (error === null) this.#act(result, event, nowMs);
			else this.#fail(error);
			this.#drain();
		});
	}

	#act(result: Step, event: Event, nowMs: MonotonicMs): void {
		for (const action of result.actions) {
			if ('id' in action) this.#start(action, nowMs);
			else this.#world.perform(action);
		}
		this.#wake(result.wakeAtMs);
		this.#world.stepped(this.#state, event, nowMs);
		this.#busy = false;
	}

	/** Every action ends exactly once: by its driver, or as unknown when its limit has passed. */
	#start(action: CarriedAction, decidedMs: MonotonicMs): void {
		const end = (outcome: Outcome) => {
			const cancel = this.#running.get(action.id);
			if (cancel === undefined) {
				this.#world.note({
					level: 'warn',
					message: 'an action answered after its time limit; its effect will be observed',
					fields: { action: action.type, id: action.id, result: outcome.result },
				});
				return;
			}
			cancel();
			this.#running.delete(action.id);
			this.post({ type: 'action-ended', id: action.id, outcome });
		};
		const limit = this.#world.schedule(this.#world.nowMs() + action.limitMs, () =>
			end(unknown(`no answer within ${action.limitMs} ms`)),
		);
		this.#running.set(action.id, limit);
		// The write before it may have taken long: a power-off must rest on what is true now.
		if (action.type === 'power-off' && this.#world.nowMs() - decidedMs > decisionFreshMs)
			end(failed('fence-not-sent', 'the decision was too old'));
		else this.#world.execute(action, end);
	}

	#wake(atMs: MonotonicMs | null): void {
		const now = this.#world.nowMs();
		this.#dueMs = Math.max(now + 1, Math.min(atMs ?? Infinity, now + tickMs));
		if (this.#timerMs <= this.#dueMs) return;
		this.#cancelWake();
		this.#setTimer();
	}

	/** Most steps put the next tick off: a timer that goes off before it is due is set anew, instead of at each step. */
	#setTimer(): void {
		this.#timerMs = this.#dueMs;
		this.#cancelWake = this.#world.schedule(this.#timerMs, () => {
			this.#timerMs = Number.POSITIVE_INFINITY;
			if (this.#world.nowMs() < this.#dueMs) this.#setTimer();
			else this.post({ type: 'tick' });
		});
	}

	#fail(thrown: unknown): void {
		this.stop();
		this.#world.failed(thrown instanceof Error ? thrown : new Error(messageOf(thrown)));
	}
}
