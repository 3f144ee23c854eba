import { randomUUID } from 'node:crypto';
import { diffConditions, heldConditions } from '#src/alert/condition.ts';
import type { Cleared, Condition, ConditionTransition, Severity } from '#src/alert/condition.ts';
import { Delivery } from '#src/alert/driver-delivery.ts';
import type { DeliveryHost, NextMessage, Sink, Trial } from '#src/alert/driver-delivery.ts';
import { OutboxFile } from '#src/alert/driver-outbox-file.ts';
import { Said } from '#src/alert/driver-said.ts';
import { conditionMessage, eventMessage } from '#src/alert/message.ts';
import type { AlertMessage, Sender } from '#src/alert/message.ts';
import {
	applyLine,
	emptyOutbox,
	incidentOf,
	isUntold,
	overflow,
	pendingFor,
	pruned,
	testType,
	wants,
	without,
} from '#src/alert/outbox.ts';
import type { OutboxLine, OutboxState, SinkView } from '#src/alert/outbox.ts';
import type { Attempt, Ending } from '#src/alert/retry.ts';
import { dueOf, firstTellsMs, orphansOf, tellingsOf, turnOf } from '#src/alert/turn.ts';
import type { PeerTellings, Telling } from '#src/alert/turn.ts';
import { messageOf } from '#src/std/error.ts';

export interface OutboxOptions extends Sender {
	/** The state directory of the configuration; created when it is missing. */
	readonly directory: string;
	readonly sinks: readonly Sink[];
	/** Of the two hosts the first one tells what both see. */
	readonly first: boolean;
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

/**
 * The durable, bounded, ordered outbox of alerts and one loop for each receiver: a receiver that is slow
 * or away holds up neither another one nor the agent.
 */
export class Outbox {
	readonly #options: Required<OutboxOptions>;
	readonly #file: OutboxFile;
	readonly #startMs = performance.now();
	readonly #stop = new AbortController();
	readonly #deliveries = new Map<string, Delivery>();
	readonly #host: DeliveryHost;
	/** When messages of this run were taken in. */
	readonly #takenMs = new Map<string, number>();
	/** Messages that are not on disk yet. */
	readonly #fresh = new Map<string, Promise<void>>();
	/** Since when a receiver knows of an incident from nobody. */
	#orphanedMs: ReadonlyMap<string, number> = new Map();
	readonly #attempts = new Set<(sink: string, id: string, attempt: Attempt) => void>();
	#state: OutboxState = emptyOutbox;
	#cleared: Cleared = new Map();
	#peer: PeerTellings = null;
	readonly #said = new Said(() => tellingsOf(this.#state, this.sinks));
	#heard = false;

	private constructor(options: OutboxOptions) {
		this.#options = {
			resolveHoldMs: 5000,
			settleMs: 30_000,
			messagesMax: 1000,
			fileBytesMax: 1 << 20,
			...options,
		};
		this.#file = new OutboxFile(this.#options, () => this.#state);
		this.#host = {
			signal: this.#stop.signal,
			next: (sink) => this.#next(sink),
			sequence: () => this.#state.sequence,
			open: (sink) => this.#openFor(sink),
			durable: ({ id }) => this.#fresh.get(id) ?? null,
			ended: (sink, message, end, detail) => this.#ended(sink, message, end, detail),
			attempted: (sink, { id }, attempt) => {
				for (const watch of this.#attempts) watch(sink.name, id, attempt);
			},
		};
	}

	/**
	 * Opens the outbox and goes on telling what an earlier run left behind. It never throws: without a file
	 * alerts are still sent, and that they would not survive a crash is reported.
	 */
	static async open(options: OutboxOptions): Promise<Outbox> {
		const outbox = new Outbox(options);
		outbox.#state = await outbox.#file.load();
		outbox.reload(options.sinks);
		outbox.#file.write();
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
		const transitions = diffConditions(opened, held.conditions);
		for (const transition of transitions) this.#tell(transition);
		// What this host sees is said at once, and all of it together: the peer waits for that alone before it tells.
		if (transitions.length > 0) this.#said.now();
		this.#adopt(nowMs);
	}

	/** Something that happened once. */
	event(told: { type: string; severity: Severity; summary: string; next: string }): void {
		this.#queue({ op: 'message', message: this.#eventMessage(told) });
	}

	/** The peer is not heard; `out`: it is known to see and to tell nothing any more. */
	unheard(out: boolean): void {
		this.#heard = false;
		if (out) this.#peer = null;
		this.#wake();
	}

	/** What the peer, which is online, tells its receivers. */
	heard(peer: readonly Telling[]): void {
		this.#heard = true;
		this.#peer = new Map(peer.map((each) => [each.key, each]));
		for (const each of peer) {
			const incident = this.#state.incidents.get(each.key);
			if (!each.open || each.acknowledged === null || incident === undefined) continue;
			if (incident.acknowledged !== undefined) continue;
			const { acknowledged } = each;
			this.#append({ op: 'open', incident: { ...incident, acknowledged } });
		}
		this.#wake();
	}

	/** Who is told what this host tells its receivers, now and soon after it changes. */
	onTellings(say: (tellings: readonly Telling[]) => void): void {
		this.#said.to(say);
	}

	/** Takes over other receivers. What waits for one that is gone is forgotten. */
	reload(sinks: readonly Sink[]): void {
		const names = new Set(sinks.map((sink) => sink.name));
		for (const [name, delivery] of this.#deliveries) {
			if (names.has(name)) continue;
			void delivery.end();
			this.#deliveries.delete(name);
		}
		for (const sink of sinks) {
			const known = this.#deliveries.get(sink.name);
			if (known !== undefined) {
				known.wake(sink);
				continue;
			}
			const delivery = new Delivery(sink, this.#host);
			this.#deliveries.set(sink.name, delivery);
			delivery.start((error) => this.#options.problem('alert-sender-failed', messageOf(error)));
		}
	}

	/** What is open, what waits and what is kept. */
	get state(): OutboxState {
		return this.#state;
	}

	get sinks(): readonly Sink[] {
		return [...this.#deliveries.values()].map(({ sink }) => sink);
	}

	view(): readonly SinkView[] {
		return [...this.#deliveries.values()].map((delivery) =>
			delivery.view(pendingFor(this.#state, delivery.sink)),
		);
	}

	/**
	 * Has receivers get a message that means nothing, behind what waits for them already, and says how each
	 * took it. What is not taken within `limitMs` is withdrawn.
	 */
	async test(receivers: readonly string[], by: string, limitMs: number): Promise<readonly Trial[]> {
		const startMs = performance.now();
		const trials = new Map<string, Trial>();
		const message = this.#eventMessage({
			type: testType,
			severity: 'info',
			summary: `a test by ${by}: nothing is wrong`,
			next: '',
		});
		const { promise, resolve } = Promise.withResolvers<void>();
		const watch = (receiver: string, id: string, attempt: Attempt): void => {
			if (id !== message.id || trials.has(receiver)) return;
			const tookMs = performance.now() - startMs;
			const delivered = attempt.result === 'delivered';
			const result = delivered ? 'delivered' : 'failed';
			trials.set(receiver, { receiver, result, detail: delivered ? '' : attempt.detail, tookMs });
			if (trials.size === receivers.length) resolve();
		};
		this.#attempts.add(watch);
		this.#queue({ op: 'message', message, only: receivers });
		const timer = setTimeout(resolve, limitMs);
		await promise;
		clearTimeout(timer);
		this.#attempts.delete(watch);
		const withdrawn = receivers.filter((name) => trials.get(name)?.result !== 'delivered');
		const { id } = message;
		this.#append(
			...withdrawn.map((sink) => ({ op: 'done', id, sink, result: 'withdrawn' }) as const),
		);
		this.#prune();
		return receivers.map(
			(receiver) => trials.get(receiver) ?? this.#waiting(receiver, performance.now() - startMs),
		);
	}

	/** Sends these messages to a receiver once more; those that it has not had yet are on their way already. */
	replay(ids: readonly string[], sink: string): void {
		this.#append(...ids.map((id) => ({ op: 'again', id, sink }) as const));
		this.#wake();
	}

	/** Marks an open incident as seen to, and tells of it. */
	acknowledge(key: string, by: string, reason: string): void {
		const incident = this.#state.incidents.get(key);
		if (incident === undefined) return;
		const at = new Date().toISOString();
		const acknowledged = { ...incident, acknowledged: { by, at, reason } };
		const sequence = this.#state.sequence + 1;
		const told = { kind: 'acknowledged', incident: acknowledged, at, sequence } as const;
		const message = conditionMessage(this.#options, told);
		this.#queue({ op: 'message', message }, { op: 'open', incident: acknowledged });
	}

	/** Stops sending and closes the file; what was not delivered is told by the next run. */
	async close(): Promise<void> {
		this.#stop.abort();
		this.#said.stop();
		await Promise.all([...this.#deliveries.values()].map((delivery) => delivery.end()));
		await this.#file.close();
	}

	/** Resolves when everything told so far is on disk, or when the disk failed. */
	async durable(): Promise<void> {
		await this.#file.durable();
	}

	#waiting(receiver: string, tookMs: number): Trial {
		const view = this.view().find(({ name }) => name === receiver);
		const before = view === undefined ? 0 : view.pending;
		const why = view === undefined || view.lastError === '' ? 'no answer yet' : view.lastError;
		const detail = before === 0 ? why : `${before} alerts wait for it already: ${why}`;
		return { receiver, result: 'waiting', detail, tookMs };
	}

	#eventMessage(told: { type: string; severity: Severity; summary: string; next: string }) {
		const at = new Date().toISOString();
		const sequence = this.#state.sequence + 1;
		return eventMessage(this.#options, { ...told, id: randomUUID(), at, sequence });
	}

	#tell({ kind, condition }: ConditionTransition): void {
		const at = new Date().toISOString();
		const incident = incidentOf(this.#state, condition, randomUUID(), at);
		const sequence = this.#state.sequence + 1;
		const message = conditionMessage(this.#options, { kind, incident, at, sequence });
		this.#queue(
			{ op: 'message', message },
			kind === 'resolved' ? { op: 'close', key: condition.key } : { op: 'open', incident },
		);
	}

	/** Tells what was left to the peer and the peer, though online, does not tell any more. */
	#adopt(nowMs: number): void {
		const orphans = orphansOf(this.#state, this.sinks, this.#heard ? this.#peer : null);
		if (orphans.length === 0 && this.#orphanedMs.size === 0) return;
		const since = new Map<string, number>();
		for (const { incident, sink } of orphans) {
			const name = `${incident.incident} ${sink}`;
			const sinceMs = this.#orphanedMs.get(name) ?? nowMs;
			since.set(name, sinceMs);
			if (nowMs - sinceMs < firstTellsMs) continue;
			const at = new Date().toISOString();
			const sequence = this.#state.sequence + 1;
			const message = conditionMessage(this.#options, { kind: 'fired', incident, at, sequence });
			this.#queue({ op: 'message', message, only: [sink] });
		}
		this.#orphanedMs = since;
	}

	#queue(message: Extract<OutboxLine, { op: 'message' }>, ...lines: readonly OutboxLine[]): void {
		this.#takenMs.set(message.message.id, performance.now());
		this.#append(message, ...lines);
		const { id } = message.message;
		this.#fresh.set(
			id,
			this.#file.durable().finally(() => this.#fresh.delete(id)),
		);
		const dropped = overflow(this.#state, this.#options.messagesMax);
		if (dropped.length > 0) {
			this.#state = without(this.#state, dropped);
			this.#file.rewrite();
			this.#options.problem(
				'alerts-dropped',
				`${dropped.length} alerts waited too long in too long a row`,
			);
		}
		// Without a receiver that wants it a message need not wait.
		this.#prune();
		this.#wake();
	}

	#prune(): void {
		this.#state = pruned(this.#state, this.sinks);
		const waiting = new Set(this.#state.messages.map(({ id }) => id));
		for (const id of this.#takenMs.keys()) if (!waiting.has(id)) this.#takenMs.delete(id);
		this.#said.soon();
	}

	#wake(): void {
		for (const delivery of this.#deliveries.values()) delivery.wake();
	}

	/** The first message whose turn it is; what waits for the peer holds up only what is about the same. */
	#next(sink: Sink): NextMessage {
		for (;;) {
			const due = dueOf(pendingFor(this.#state, sink), (message) => this.#turnOf(sink, message));
			if (due.leave === null) return due;
			this.#leave(sink, due.leave);
		}
	}

	#turnOf(sink: Sink, message: AlertMessage) {
		// It was asked for, for this receiver.
		if (this.#state.only.has(message.id)) return 0;
		const { first } = this.#options;
		const incident = String(message.data['incident']);
		return turnOf(message, {
			sink: sink.name,
			peer: this.#peer,
			heard: this.#heard,
			first,
			ageMs: performance.now() - (this.#takenMs.get(message.id) ?? -Infinity),
			left: this.#state.left.get(incident)?.has(sink.name) === true,
		});
	}

	#leave({ name }: Sink, { id, type, data }: AlertMessage): void {
		const incident = String(data['incident']);
		const why = 'told-by-peer';
		this.#append(
			{ op: 'done', id, sink: name, result: why },
			...(type === 'condition.resolved'
				? []
				: [{ op: 'untold', incident, sink: name, why } as const]),
		);
		this.#prune();
	}

	#openFor(sink: Sink): readonly AlertMessage[] {
		const { incidents, sequence } = this.#state;
		return [...incidents.values()]
			.map((incident) =>
				conditionMessage(this.#options, { kind: 'fired', incident, at: incident.since, sequence }),
			)
			.filter((message) => wants(sink, message));
	}

	#ended({ name }: Sink, message: AlertMessage, end: Ending, detail: string): void {
		const { id, type, data } = message;
		const lines: OutboxLine[] = [{ op: 'done', id, sink: name, result: end }];
		const incident = String(data['incident']);
		const fires = type === 'condition.fired' || type === 'condition.changed';
		if (end !== 'delivered') {
			this.#options.problem('alert-given-up', `${type} ${id} for ${name}: ${detail}`);
			if (fires) lines.push({ op: 'untold', incident, sink: name, why: 'given-up' });
		} else if (fires && isUntold(this.#state, incident, name))
			lines.push({ op: 'told', incident, sink: name });
		this.#append(...lines);
		this.#prune();
	}

	#append(...lines: readonly OutboxLine[]): void {
		for (const line of lines) this.#state = applyLine(this.#state, line);
		this.#file.append(lines);
		this.#said.soon();
	}
}
