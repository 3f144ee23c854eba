import { setTimeout as sleep } from 'node:timers/promises';
import type { AlertMessage } from '#src/alert/message.ts';
import type { OutboxSink, SinkView } from '#src/alert/outbox.ts';
import { afterAttempt, restOfWaitMs } from '#src/alert/retry.ts';
import type { Attempt, Ending, Tries } from '#src/alert/retry.ts';
import { messageOf } from '#src/std/error.ts';

/** A receiver of alerts and the way to it. */
export interface Sink extends OutboxSink {
	/** Carries one message once. `signal` ends it early when the agent stops. */
	readonly send: (message: AlertMessage, signal: AbortSignal) => Promise<Attempt>;
	/** For a receiver that takes for over what is not told again and again: all that is open, this often. */
	readonly repeat?: {
		readonly everyMs: number;
		readonly send: (messages: readonly AlertMessage[], signal: AbortSignal) => Promise<Attempt>;
	};
}

/** A message is sent at once even when the disk does not answer: it may be about the disk. */
const durableWaitMs = 200;
/** New messages wake a receiver that waits for a retry, but not more often than this. */
const attemptGapMs = 1000;

/** What a receiver gets next: a message, or nothing before so many ms have passed or something is new. */
export interface NextMessage {
	readonly message: AlertMessage | null;
	readonly waitMs: number;
}

/** The outbox, as one receiver's loop sees it. */
export interface DeliveryHost {
	readonly signal: AbortSignal;
	next(sink: Sink): NextMessage;
	/** Grows with every message that is taken in. */
	sequence(): number;
	/** What is open and wanted by the receiver. */
	open(sink: Sink): readonly AlertMessage[];
	/** Resolves when the message is on disk; null when it is. */
	durable(message: AlertMessage): Promise<void> | null;
	/** The message has come to its end for this receiver. */
	ended(sink: Sink, message: AlertMessage, end: Ending, detail: string): void;
	/** An attempt was made. */
	attempted(sink: Sink, message: AlertMessage, attempt: Attempt): void;
}

/** How one receiver took a trial. */
export interface Trial {
	readonly receiver: string;
	readonly result: 'delivered' | 'failed' | 'waiting';
	/** Why not; empty when it was delivered. */
	readonly detail: string;
	/** From the order to the answer, ms. */
	readonly tookMs: number;
}

/** A sender that throws has a bug; its receiver is tried again all the same. */
const failedAttempt = (error: unknown): Attempt => ({
	result: 'failed',
	detail: messageOf(error),
	retryAfterMs: null,
});

/** The loop of one receiver: one message at a time, in order, again and again until it is taken. */
export class Delivery {
	readonly #host: DeliveryHost;
	#sink: Sink;
	#ended = false;
	#wake: () => void = () => {};
	#tries: Tries = { failures: 0, refusals: 0 };
	/** The message that the refusals are of. */
	#tried = '';
	#lastAttemptMs = -Infinity;
	#lastRepeatMs = -Infinity;
	#lastError = '';
	#lastDeliveredAt: string | null = null;
	#running: Promise<void> = Promise.resolve();

	constructor(sink: Sink, host: DeliveryHost) {
		this.#sink = sink;
		this.#host = host;
	}

	get sink(): Sink {
		return this.#sink;
	}

	start(failed: (error: unknown) => void): void {
		this.#running = this.#run().catch(failed);
	}

	/** Something is new: a message, what the peer says, or the receiver. */
	wake(sink = this.#sink): void {
		this.#sink = sink;
		this.#wake();
	}

	/** Ends the loop; the promise resolves when an attempt that is under way has ended, too. */
	async end(): Promise<void> {
		this.#ended = true;
		this.#wake();
		await this.#running;
	}

	view(pending: readonly AlertMessage[]): SinkView {
		return {
			name: this.#sink.name,
			pending: pending.length,
			oldest: pending[0]?.timestamp ?? null,
			failures: this.#tries.failures,
			lastError: this.#lastError,
			lastDeliveredAt: this.#lastDeliveredAt,
		};
	}

	async #run(): Promise<void> {
		while (!this.#ended) {
			const { message, waitMs } = this.#host.next(this.#sink);
			if (message !== null) {
				await this.#attempt(message);
				continue;
			}
			const repeatMs = this.#untilRepeatMs();
			if (repeatMs <= 0) await this.#repeat();
			else await this.#delay(Math.min(waitMs, repeatMs));
		}
	}

	async #attempt(message: AlertMessage): Promise<void> {
		await this.#beforeAttempt(message);
		if (this.#ended) return;
		this.#lastAttemptMs = performance.now();
		const sink = this.#sink;
		const attempt = await sink.send(message, this.#host.signal).catch(failedAttempt);
		if (this.#ended && attempt.result !== 'delivered') return;
		this.#host.attempted(sink, message, attempt);
		const waitMs = this.#settle(message, attempt);
		if (waitMs === null) return;
		const asked = attempt.result === 'failed' ? (attempt.retryAfterMs ?? 0) : 0;
		const tookMs = performance.now() - this.#lastAttemptMs;
		await this.#waitForRetry(message, restOfWaitMs(waitMs, tookMs, asked), asked);
	}

	async #delay(delayMs: number): Promise<void> {
		const { promise, resolve } = Promise.withResolvers<void>();
		const timer = Number.isFinite(delayMs) ? setTimeout(resolve, delayMs) : undefined;
		this.#wake = resolve;
		await promise;
		clearTimeout(timer);
		this.#wake = () => {};
	}

	/** A message is durable before it is sent, unless the disk is what is wrong. */
	async #beforeAttempt(message: AlertMessage): Promise<void> {
		const durable = this.#host.durable(message);
		if (durable !== null) {
			const limit = new AbortController();
			const late = sleep(durableWaitMs, undefined, { signal: limit.signal }).catch(() => {});
			await Promise.race([durable, late]);
			limit.abort();
		}
		const gapMs = () => this.#lastAttemptMs + attemptGapMs - performance.now();
		while (this.#tries.failures > 0 && gapMs() > 0 && !this.#ended) await this.#delay(gapMs());
	}

	/** Waits for the next attempt; a new message ends the wait, unless the receiver asked for it. */
	async #waitForRetry(message: AlertMessage, waitMs: number, askedMs: number): Promise<void> {
		const untilMs = performance.now() + waitMs;
		const askedUntilMs = performance.now() + Math.min(askedMs, waitMs);
		const before = this.#host.sequence();
		for (;;) {
			const nowMs = performance.now();
			if (this.#ended || nowMs >= untilMs) return;
			if (this.#host.next(this.#sink).message?.id !== message.id) return;
			if (this.#host.sequence() > before && nowMs >= askedUntilMs) return;
			await this.#delay(nowMs < askedUntilMs ? askedUntilMs - nowMs : untilMs - nowMs);
		}
	}

	/** The wait before the next attempt in ms, or null to go on at once with the next message. */
	#settle(message: AlertMessage, attempt: Attempt): number | null {
		const ageMs = Date.now() - Date.parse(message.timestamp);
		const refusals = this.#tried === message.id ? this.#tries.refusals : 0;
		this.#tried = message.id;
		const tries = { ...this.#tries, refusals };
		const after = afterAttempt(tries, attempt, ageMs, Math.random());
		this.#took(attempt, after.tries);
		if (after.end === null) return after.waitMs;
		this.#host.ended(this.#sink, message, after.end, this.#lastError);
		return null;
	}

	#took(attempt: Attempt, tries: Tries): void {
		this.#tries = tries;
		this.#lastError = attempt.result === 'delivered' ? '' : attempt.detail;
		if (attempt.result === 'delivered') this.#lastDeliveredAt = new Date().toISOString();
	}

	/** How long until what is open is told again; Infinity when nothing is, or the receiver remembers. */
	#untilRepeatMs(): number {
		const { repeat } = this.#sink;
		if (repeat === undefined || this.#host.open(this.#sink).length === 0) return Infinity;
		return this.#lastRepeatMs + repeat.everyMs - performance.now();
	}

	async #repeat(): Promise<void> {
		const sink = this.#sink;
		this.#lastRepeatMs = performance.now();
		const attempt = await sink.repeat
			?.send(this.#host.open(sink), this.#host.signal)
			.catch(failedAttempt);
		if (attempt === undefined || this.#ended) return;
		const failures = attempt.result === 'delivered' ? 0 : this.#tries.failures + 1;
		this.#took(attempt, { ...this.#tries, failures });
	}
}
