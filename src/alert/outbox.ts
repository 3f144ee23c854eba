import type { Condition, Incident, Severity } from '#src/alert/condition.ts';
import type { AlertMessage } from '#src/alert/webhook.ts';

/**
 * What waits to be told, as a file of lines that are only ever appended to. A message is on disk before it
 * counts as taken, and a line says when a receiver has it; what is between the two is told again after
 * a crash, under the same id.
 */

export type OutboxLine =
	| { readonly op: 'message'; readonly message: AlertMessage }
	/** A receiver has a message, or it was given up for that receiver. */
	| {
			readonly op: 'done';
			readonly id: string;
			readonly sink: string;
			readonly result: 'delivered' | 'refused' | 'expired' | 'dropped';
	  }
	| { readonly op: 'open'; readonly incident: Incident }
	| { readonly op: 'close'; readonly key: string }
	/** Written at the start of a compacted file, so that numbers go on. */
	| { readonly op: 'sequence'; readonly sequence: number };

export interface OutboxState {
	/** The number of the last message. */
	readonly sequence: number;
	/** In the order of their numbers. */
	readonly messages: readonly AlertMessage[];
	/** Ids of messages to the receivers that need them no more. */
	readonly done: ReadonlyMap<string, ReadonlySet<string>>;
	/** Open incidents by the key of their condition. */
	readonly incidents: ReadonlyMap<string, Incident>;
}

export const emptyOutbox: OutboxState = {
	sequence: 0,
	messages: [],
	done: new Map(),
	incidents: new Map(),
};

const rank: Readonly<Record<Severity, number>> = { info: 0, warning: 1, critical: 2 };

/** The state after a line. A line that repeats something changes nothing. */
export const applyLine = (state: OutboxState, line: OutboxLine): OutboxState => {
	switch (line.op) {
		case 'message':
			return state.messages.some((each) => each.id === line.message.id)
				? state
				: {
						...state,
						sequence: Math.max(state.sequence, line.message.sequence),
						messages: [...state.messages, line.message],
					};
		case 'done': {
			const sinks = new Set([...(state.done.get(line.id) ?? []), line.sink]);
			return { ...state, done: new Map([...state.done, [line.id, sinks]]) };
		}
		case 'open':
			return {
				...state,
				incidents: new Map([...state.incidents, [line.incident.condition.key, line.incident]]),
			};
		case 'close': {
			const incidents = new Map(state.incidents);
			incidents.delete(line.key);
			return { ...state, incidents };
		}
		case 'sequence':
			return { ...state, sequence: Math.max(state.sequence, line.sequence) };
	}
};

/** A receiver, as far as the outbox has to know it. */
export interface OutboxSink {
	readonly name: string;
	/** The least severe messages it wants. */
	readonly minimum: Severity;
}

/** How one receiver does, for the status. */
export interface SinkView {
	readonly name: string;
	readonly pending: number;
	/** Time of the oldest message that waits, ISO 8601. */
	readonly oldest: string | null;
	/** Failed attempts since the last delivery. */
	readonly failures: number;
	readonly lastError: string;
	readonly lastDeliveredAt: string | null;
}

const wants = (sink: OutboxSink, message: AlertMessage): boolean =>
	rank[message.severity] >= rank[sink.minimum];

/** The messages a receiver still has to get, in order. */
export const pendingFor = (state: OutboxState, sink: OutboxSink): readonly AlertMessage[] =>
	state.messages.filter(
		(message) => wants(sink, message) && state.done.get(message.id)?.has(sink.name) !== true,
	);

/** Without the messages that every receiver has. */
export const pruned = (state: OutboxState, sinks: readonly OutboxSink[]): OutboxState => {
	const messages = state.messages.filter((message) =>
		sinks.some(
			(sink) => wants(sink, message) && state.done.get(message.id)?.has(sink.name) !== true,
		),
	);
	const kept = new Set(messages.map((message) => message.id));
	return {
		...state,
		messages,
		done: new Map([...state.done].filter(([id]) => kept.has(id))),
	};
};

/**
 * The messages that have to go when at most `messagesMax` may wait: the oldest ones that page nobody
 * first. A receiver that is away for a day must not fill the disk.
 */
export const overflow = (state: OutboxState, messagesMax: number): readonly AlertMessage[] => {
	const surplus = state.messages.length - messagesMax;
	if (surplus <= 0) return [];
	return state.messages
		.toSorted(
			(one, other) =>
				Number(one.severity === 'critical') - Number(other.severity === 'critical') ||
				one.sequence - other.sequence,
		)
		.slice(0, surplus);
};

/** The incident of a condition: the open one, or a new one with this name that began `at`. */
export const incidentOf = (
	state: OutboxState,
	condition: Condition,
	name: string,
	at: string,
): Incident => {
	const open = state.incidents.get(condition.key);
	return { incident: open?.incident ?? name, condition, since: open?.since ?? at };
};

/** The state without these messages. */
export const without = (state: OutboxState, gone: readonly AlertMessage[]): OutboxState => ({
	...state,
	messages: state.messages.filter((message) => !gone.includes(message)),
});

/** The lines of a new file that says the same as all lines before. */
export const compacted = (state: OutboxState): readonly OutboxLine[] => [
	{ op: 'sequence', sequence: state.sequence },
	...[...state.incidents.values()].map((incident) => ({ op: 'open', incident }) as const),
	...state.messages.map((message) => ({ op: 'message', message }) as const),
	...[...state.done].flatMap(([id, sinks]) =>
		[...sinks].map((sink) => ({ op: 'done', id, sink, result: 'delivered' }) as const),
	),
];

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
	typeof value === 'object' && value !== null;

const isCondition = (value: unknown): value is Condition =>
	isRecord(value) &&
	['key', 'name', 'subject', 'severity', 'summary', 'next'].every(
		(key) => typeof value[key] === 'string',
	);

const fits = (value: Readonly<Record<string, unknown>>): boolean => {
	const { op, message, incident } = value;
	if (op === 'message')
		return (
			isRecord(message) &&
			typeof message['id'] === 'string' &&
			Number.isSafeInteger(message['sequence']) &&
			typeof message['type'] === 'string' &&
			typeof message['timestamp'] === 'string' &&
			String(message['severity']) in rank &&
			isRecord(message['data'])
		);
	if (op === 'done') return typeof value['id'] === 'string' && typeof value['sink'] === 'string';
	if (op === 'open')
		return (
			isRecord(incident) &&
			typeof incident['incident'] === 'string' &&
			typeof incident['since'] === 'string' &&
			isCondition(incident['condition'])
		);
	if (op === 'close') return typeof value['key'] === 'string';
	return op === 'sequence' && Number.isSafeInteger(value['sequence']);
};

export const encodeOutboxLine = (line: OutboxLine): string => `${JSON.stringify(line)}\n`;

/** The line of a text, or null when it is torn or not ours. */
const decodeOutboxLine = (text: string): OutboxLine | null => {
	try {
		const value: unknown = JSON.parse(text);
		return isRecord(value) && fits(value) ? (value as unknown as OutboxLine) : null;
	} catch {
		return null;
	}
};

/** The state that a file says, and how many of its lines were torn or not ours. */
export const readOutbox = (
	text: string,
): { readonly state: OutboxState; readonly unreadable: number } => {
	let state = emptyOutbox;
	let unreadable = 0;
	for (const each of text.split('\n')) {
		if (each === '') continue;
		const line = decodeOutboxLine(each);
		if (line === null) unreadable += 1;
		else state = applyLine(state, line);
	}
	return { state, unreadable };
};
