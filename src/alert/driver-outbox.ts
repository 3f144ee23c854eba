import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { diffConditions, heldConditions } from '#src/alert/condition.ts';
import type { Cleared, Condition, ConditionTransition, Severity } from '#src/alert/condition.ts';
import {
	applyLine,
	compacted,
	emptyOutbox,
	encodeOutboxLine,
	incidentOf,
	overflow,
	pendingFor,
	pruned,
	readOutbox,
	without,
} from '#src/alert/outbox.ts';
import type { OutboxLine, OutboxSink, OutboxState, SinkView } from '#src/alert/outbox.ts';
import { afterAttempt } from '#src/alert/retry.ts';
import type { Attempt, Tries } from '#src/alert/retry.ts';
import { conditionMessage, eventMessage } from '#src/alert/webhook.ts';
import type { AlertMessage, Sender } from '#src/alert/webhook.ts';
import { messageOf } from '#src/std/error.ts';

/** A receiver of alerts and the way to it. */
export interface Sink extends OutboxSink {
	send(message: AlertMessage, signal: AbortSignal): Promise<Attempt>;
}

export interface OutboxOptions extends Sender {
	/** The state directory of the configuration; created when it is missing. */
	readonly directory: string;
	readonly sinks: readonly Sink[];
	/** Told of a file that is damaged or cannot be written, and of messages that were given up. */
	readonly problem: (code: string, detail: string) => void;
	/** A condition that is gone for less than this is still the same incident. */
	readonly resolveHoldMs?: number;
	/** After a start nothing resolves for so long: what is not observed yet is not over. */
	readonly settleMs?: number;
	readonly messagesMax?: number;
	/** The file is written anew when it is larger. */
	readonly fileBytesMax?: number;
}

const outboxFileName = 'alerts.jsonl';

/** A message is sent at once even when the disk does not answer: it may be about the disk. */
const durableWaitMs = 200;
/** New messages wake a receiver that waits for a retry, but not more often than this. */
const attemptGapMs = 1000;
/** Between two attempts to write to a disk that fails. */
const retryMs = 1000;

interface Loop {
	sink: Sink;
	ended: boolean;
	running: Promise<void>;
	wake: () => void;
	tries: Tries;
	lastAttemptMs: number;
	lastError: string;
	lastDeliveredAt: string | null;
}

const newLoop = (sink: Sink): Loop => ({
	sink,
	ended: false,
	running: Promise.resolve(),
	wake: () => {},
	tries: { failures: 0, refusals: 0 },
	lastAttemptMs: -Infinity,
	lastError: '',
	lastDeliveredAt: null,
});

/** A sender that throws has a bug; its receiver is tried again all the same. */
const failedAttempt = (error: unknown): Attempt => ({
	result: 'failed',
	detail: messageOf(error),
	retryAfterMs: null,
});

const delay = async (loop: Loop, delayMs: number): Promise<void> => {
	const { promise, resolve } = Promise.withResolvers<void>();
	const timer = Number.isFinite(delayMs) ? setTimeout(resolve, delayMs) : undefined;
	loop.wake = resolve;
	await promise;
	clearTimeout(timer);
	loop.wake = () => {};
};

/**
 * The durable, bounded, ordered outbox of alerts and one loop for each receiver: a receiver that is slow
 * or away holds up neither another one nor the agent.
 */
export class Outbox {
	readonly #options: Required<OutboxOptions>;
	readonly #path: string;
	readonly #startMs = performance.now();
	readonly #stop = new AbortController();
	readonly #loops = new Map<string, Loop>();
	#state: OutboxState = emptyOutbox;
	#cleared: Cleared = new Map();
	#handle: FileHandle | null = null;
	#fileBytes = 0;
	#lines: OutboxLine[] = [];
	#writing: Promise<void> | null = null;
	#failing = false;
	#rewrite = true;
	#compactBytes = 0;

	private constructor(options: OutboxOptions) {
		this.#options = {
			resolveHoldMs: 5000,
			settleMs: 30_000,
			messagesMax: 1000,
			fileBytesMax: 1 << 20,
			...options,
		};
		this.#path = join(options.directory, outboxFileName);
	}

	/**
	 * Opens the outbox and goes on telling what an earlier run left behind. It never throws: without a file
	 * alerts are still sent, and that they would not survive a crash is reported.
	 */
	static async open(options: OutboxOptions): Promise<Outbox> {
		const outbox = new Outbox(options);
		try {
			await mkdir(options.directory, { recursive: true, mode: 0o700 });
			await outbox.#load();
		} catch (error) {
			outbox.#failed(error);
			// What cannot be read now may be read by a person later; it must not be written over.
			await rename(outbox.#path, `${outbox.#path}.unreadable`).catch(() => {});
		}
		outbox.reload(options.sinks);
		outbox.#write();
		return outbox;
	}

	/** Everything that is wrong now, whole. To be called after every step of the engine. */
	conditions(current: readonly Condition[]): void {
		const nowMs = performance.now();
		const { resolveHoldMs, settleMs } = this.#options;
		const holdMs = nowMs - this.#startMs >= settleMs ? resolveHoldMs : Infinity;
		const opened = [...this.#state.incidents.values()].map((incident) => incident.condition);
		const held = heldConditions(opened, current, this.#cleared, nowMs, holdMs);
		this.#cleared = held.cleared;
		for (const transition of diffConditions(opened, held.conditions)) this.#tell(transition);
	}

	/** Something that happened once. */
	event(told: { type: string; severity: Severity; summary: string; next: string }): void {
		const at = new Date().toISOString();
		const sequence = this.#state.sequence + 1;
		this.#queue(eventMessage(this.#options, { ...told, id: randomUUID(), at, sequence }));
	}

	/** Takes over other receivers. What waits for one that is gone is forgotten. */
	reload(sinks: readonly Sink[]): void {
		const names = new Set(sinks.map((sink) => sink.name));
		for (const [name, loop] of this.#loops) {
			if (names.has(name)) continue;
			loop.ended = true;
			loop.wake();
			this.#loops.delete(name);
		}
		for (const sink of sinks) {
			const loop = this.#loops.get(sink.name);
			if (loop !== undefined) {
				loop.sink = sink;
				loop.wake();
				continue;
			}
			const started = newLoop(sink);
			this.#loops.set(sink.name, started);
			started.running = this.#run(started).catch((error: unknown) =>
				this.#options.problem('alert-sender-failed', messageOf(error)),
			);
		}
	}

	view(): readonly SinkView[] {
		return [...this.#loops.values()].map((loop) => {
			const pending = pendingFor(this.#state, loop.sink);
			return {
				name: loop.sink.name,
				pending: pending.length,
				oldest: pending[0]?.timestamp ?? null,
				failures: loop.tries.failures,
				lastError: loop.lastError,
				lastDeliveredAt: loop.lastDeliveredAt,
			};
		});
	}

	/** Stops sending and closes the file; what was not delivered is told by the next run. */
	async close(): Promise<void> {
		this.#stop.abort();
		for (const loop of this.#loops.values()) {
			loop.ended = true;
			loop.wake();
		}
		await Promise.all([...this.#loops.values()].map((loop) => loop.running));
		await this.durable();
		await this.#handle?.close();
		this.#handle = null;
	}

	#tell({ kind, condition }: ConditionTransition): void {
		const at = new Date().toISOString();
		const incident = incidentOf(this.#state, condition, randomUUID(), at);
		const sequence = this.#state.sequence + 1;
		const message = conditionMessage(this.#options, { kind, ...incident, at, sequence });
		const resolved = kind === 'resolved';
		this.#queue(message, resolved ? { op: 'close', key: condition.key } : { op: 'open', incident });
	}

	#queue(message: AlertMessage, ...lines: readonly OutboxLine[]): void {
		this.#append({ op: 'message', message }, ...lines);
		const dropped = overflow(this.#state, this.#options.messagesMax);
		if (dropped.length > 0) {
			this.#state = without(this.#state, dropped);
			// The file is written anew rather than told of each.
			this.#rewrite = true;
			this.#options.problem(
				'alerts-dropped',
				`${dropped.length} alerts waited too long in too long a row`,
			);
		}
		// Without a receiver that wants it a message need not wait.
		this.#prune();
		for (const loop of this.#loops.values()) loop.wake();
	}

	#prune(): void {
		const sinks = [...this.#loops.values()].map((loop) => loop.sink);
		this.#state = pruned(this.#state, sinks);
	}

	async #run(loop: Loop): Promise<void> {
		while (!loop.ended) {
			const message = pendingFor(this.#state, loop.sink)[0];
			if (message === undefined) {
				await delay(loop, Infinity);
				continue;
			}
			await this.#beforeAttempt(loop);
			if (loop.ended) return;
			loop.lastAttemptMs = performance.now();
			const attempt = await loop.sink.send(message, this.#stop.signal).catch(failedAttempt);
			if (loop.ended && attempt.result !== 'delivered') return;
			const waitMs = this.#settle(loop, message, attempt);
			if (waitMs === null) continue;
			const asked = attempt.result === 'failed' ? (attempt.retryAfterMs ?? 0) : 0;
			await this.#waitForRetry(loop, message, waitMs, asked);
		}
	}

	/** A message is durable before it is sent, unless the disk is what is wrong. */
	async #beforeAttempt(loop: Loop): Promise<void> {
		if (this.#writing !== null) {
			const { promise, resolve } = Promise.withResolvers<void>();
			const timer = setTimeout(resolve, durableWaitMs);
			void this.durable().then(resolve);
			await promise;
			clearTimeout(timer);
		}
		const gapMs = () => loop.lastAttemptMs + attemptGapMs - performance.now();
		while (loop.tries.failures > 0 && gapMs() > 0 && !loop.ended) await delay(loop, gapMs());
	}

	/** Waits for the next attempt; a new message ends the wait, unless the receiver asked for it. */
	async #waitForRetry(
		loop: Loop,
		message: AlertMessage,
		waitMs: number,
		askedMs: number,
	): Promise<void> {
		const untilMs = performance.now() + waitMs;
		const askedUntilMs = performance.now() + Math.min(askedMs, waitMs);
		const before = this.#state.sequence;
		for (;;) {
			const nowMs = performance.now();
			if (loop.ended || nowMs >= untilMs) return;
			const current = pendingFor(this.#state, loop.sink)[0];
			if (current?.id !== message.id) return;
			if (this.#state.sequence > before && nowMs >= askedUntilMs) return;
			await delay(loop, nowMs < askedUntilMs ? askedUntilMs - nowMs : untilMs - nowMs);
		}
	}

	/** The wait before the next attempt in ms, or null to go on at once with the next message. */
	#settle(loop: Loop, message: AlertMessage, attempt: Attempt): number | null {
		const ageMs = Date.now() - Date.parse(message.timestamp);
		const { end, waitMs, tries } = afterAttempt(loop.tries, attempt, ageMs, Math.random());
		loop.tries = tries;
		loop.lastError = attempt.result === 'delivered' ? '' : attempt.detail;
		if (end === null) return waitMs;
		if (end === 'delivered') loop.lastDeliveredAt = new Date().toISOString();
		else
			this.#options.problem(
				'alert-given-up',
				`${message.type} ${message.id} for ${loop.sink.name}: ${loop.lastError}`,
			);
		this.#append({ op: 'done', id: message.id, sink: loop.sink.name, result: end });
		this.#prune();
		return null;
	}

	#append(...lines: readonly OutboxLine[]): void {
		for (const line of lines) this.#state = applyLine(this.#state, line);
		this.#lines.push(...lines);
		this.#write();
	}

	/** One write at a time, so that a disk that hangs holds one thread of the pool and no more. */
	#write(): void {
		if (this.#writing !== null || (this.#lines.length === 0 && !this.#rewrite)) return;
		this.#writing = this.#writeLines()
			.catch((error: unknown) => this.#failed(error))
			.then(() => {
				this.#writing = null;
				if (!this.#failing) this.#write();
			});
	}

	async #writeLines(): Promise<void> {
		const sizeMax = Math.max(this.#options.fileBytesMax, 2 * this.#compactBytes);
		if (this.#rewrite || this.#handle === null || this.#fileBytes > sizeMax) {
			await this.#compact();
		} else {
			const text = this.#lines.splice(0).map(encodeOutboxLine).join('');
			await this.#handle.appendFile(text);
			await this.#handle.datasync();
			this.#fileBytes += Buffer.byteLength(text);
		}
		if (this.#failing) {
			this.#failing = false;
			this.#options.problem('alerts-durable-again', 'the outbox of alerts is written again');
		}
	}

	/** Writes the file anew with what still counts; a crash leaves the old file or the new one. */
	async #compact(): Promise<void> {
		const { directory } = this.#options;
		const text = compacted(this.#state).map(encodeOutboxLine).join('');
		this.#lines = [];
		await this.#handle?.close();
		this.#handle = null;
		await mkdir(directory, { recursive: true, mode: 0o700 });
		{
			await using file = await open(`${this.#path}.new`, 'w', 0o600);
			await file.writeFile(text);
			await file.sync();
		}
		await rename(`${this.#path}.new`, this.#path);
		{
			await using folder = await open(directory, 'r');
			await folder.sync();
		}
		this.#handle = await open(this.#path, 'a', 0o600);
		this.#fileBytes = Buffer.byteLength(text);
		this.#compactBytes = this.#fileBytes;
		this.#rewrite = false;
	}

	async #load(): Promise<void> {
		let text: string;
		try {
			text = await readFile(this.#path, 'utf8');
		} catch (error) {
			if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return;
			throw error;
		}
		const { state, unreadable } = readOutbox(text);
		this.#state = state;
		if (unreadable > 0)
			this.#options.problem(
				'alert-outbox-damaged',
				`${unreadable} lines of ${this.#path} were cut short or are not of vmpair; the others count`,
			);
	}

	#failed(error: unknown): void {
		if (!this.#failing) this.#options.problem('alert-outbox-write-failed', messageOf(error));
		this.#failing = true;
		// The next write tells everything anew, so nothing has to be remembered line by line.
		this.#rewrite = true;
		setTimeout(() => this.#write(), retryMs).unref();
	}

	/** Resolves when everything told so far is on disk, or when the disk failed. */
	async durable(): Promise<void> {
		while (this.#writing !== null) await this.#writing;
	}
}
