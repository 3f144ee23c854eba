import { rank } from '#src/alert/condition.ts';
import type { Condition, Incident, Severity } from '#src/alert/condition.ts';
import type { AlertMessage } from '#src/alert/message.ts';

/**
 * What waits to be told, as a file of lines that are only ever appended to. A message is on disk before it
 * counts as taken, and a line says when a receiver has it; what is between the two is told again after
 * a crash, under the same id.
 */

export type OutboxLine =
	/** `only`: for these receivers, whatever they want otherwise. */
	| { readonly op: 'message'; readonly message: AlertMessage; readonly only?: readonly string[] }
	/** A receiver has a message or does not need it from this host, or it was given up for that receiver. */
	| {
			readonly op: 'done';
			readonly id: string;
			readonly sink: string;
			readonly result:
				'delivered' | 'refused' | 'expired' | 'dropped' | 'told-by-peer' | 'withdrawn';
	  }
	/** A receiver has not heard from this host how an incident stands: the peer told it, or it does not take it. */
	| {
			readonly op: 'untold';
			readonly incident: string;
			readonly sink: string;
			readonly why: 'told-by-peer' | 'given-up';
	  }
	/** Now it has. */
	| { readonly op: 'told'; readonly incident: string; readonly sink: string }
	/** A receiver gets a message that it had once more. */
	| { readonly op: 'again'; readonly id: string; readonly sink: string }
	/** A message that nobody needs any more, kept to be sent again. */
	| { readonly op: 'kept'; readonly message: AlertMessage }
	/** A new incident, or the present state of an open one. */
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
	/** Ids of messages to the only receivers that get them. */
	readonly only: ReadonlyMap<string, ReadonlySet<string>>;
	/** Messages that nobody needs any more, in the order of their numbers. */
	readonly kept: readonly AlertMessage[];
	/** Open incidents by the key of their condition. */
	readonly incidents: ReadonlyMap<string, Incident>;
	/** Names of incidents to the receivers that the peer has told of them, not this host. */
	readonly left: ReadonlyMap<string, ReadonlySet<string>>;
	/** Names of incidents to the receivers that would not take them. */
	readonly lost: ReadonlyMap<string, ReadonlySet<string>>;
}

export const emptyOutbox: OutboxState = {
	sequence: 0,
	messages: [],
	done: new Map(),
	only: new Map(),
	kept: [],
	incidents: new Map(),
	left: new Map(),
	lost: new Map(),
};

/** So many messages are kept to be sent again. */
const keptMax = 200;

type Sets = ReadonlyMap<string, ReadonlySet<string>>;

const adding = (sets: Sets, key: string, ...values: readonly string[]): Sets =>
	new Map([...sets, [key, new Set([...(sets.get(key) ?? []), ...values])]]);

const removing = (sets: Sets, key: string, value: string): Sets => {
	const rest = new Set(sets.get(key));
	return rest.delete(value) ? new Map([...sets, [key, rest]]) : sets;
};

const onlyKeys = (sets: Sets, keys: ReadonlySet<string>): Sets =>
	new Map([...sets].filter(([key]) => keys.has(key)));

const inOrder = (messages: readonly AlertMessage[]): readonly AlertMessage[] =>
	messages.toSorted((one, other) => one.sequence - other.sequence);

const withMessage = (
	state: OutboxState,
	message: AlertMessage,
	only: readonly string[] | undefined,
): OutboxState =>
	state.messages.some((each) => each.id === message.id)
		? state
		: {
				...state,
				sequence: Math.max(state.sequence, message.sequence),
				messages: [...state.messages, message],
				only: only === undefined ? state.only : adding(state.only, message.id, ...only),
			};

const sentAgain = (state: OutboxState, id: string, sink: string): OutboxState => {
	if (state.messages.some((each) => each.id === id)) {
		const only = state.only.has(id) ? adding(state.only, id, sink) : state.only;
		return { ...state, only, done: removing(state.done, id, sink) };
	}
	const message = state.kept.find((each) => each.id === id);
	if (message === undefined) return state;
	return {
		...state,
		kept: state.kept.filter((each) => each !== message),
		messages: [...state.messages, message],
		only: new Map([...state.only, [id, new Set([sink])]]),
		done: removing(state.done, id, sink),
	};
};

/** The state after a line. A line that repeats something changes nothing. */
export const applyLine = (state: OutboxState, line: OutboxLine): OutboxState => {
	switch (line.op) {
		case 'message':
			return withMessage(state, line.message, line.only);
		case 'done':
			return { ...state, done: adding(state.done, line.id, line.sink) };
		case 'untold':
			return line.why === 'told-by-peer'
				? { ...state, left: adding(state.left, line.incident, line.sink) }
				: { ...state, lost: adding(state.lost, line.incident, line.sink) };
		case 'told':
			return {
				...state,
				left: removing(state.left, line.incident, line.sink),
				lost: removing(state.lost, line.incident, line.sink),
			};
		case 'again':
			return sentAgain(state, line.id, line.sink);
		case 'kept':
			return {
				...state,
				kept: inOrder([
					...state.kept.filter((each) => each.id !== line.message.id),
					line.message,
				]).slice(-keptMax),
			};
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

/** Whether a receiver wants messages as severe as this one. */
export const wants = (sink: OutboxSink, { severity }: Pick<AlertMessage, 'severity'>): boolean =>
	rank[severity] >= rank[sink.minimum];

/** Whether a receiver has not heard from this host how an incident stands. */
export const isUntold = ({ left, lost }: OutboxState, incident: string, sink: string): boolean =>
	left.get(incident)?.has(sink) === true || lost.get(incident)?.has(sink) === true;

const isPending = (state: OutboxState, sink: OutboxSink, message: AlertMessage): boolean => {
	if (state.done.get(message.id)?.has(sink.name) === true) return false;
	const only = state.only.get(message.id);
	return only === undefined ? wants(sink, message) : only.has(sink.name);
};

/** The messages a receiver still has to get, in order. */
export const pendingFor = (state: OutboxState, sink: OutboxSink): readonly AlertMessage[] =>
	state.messages.filter((message) => isPending(state, sink, message));

/** The type of a message that only tries the receivers; it is worth nothing later. */
export const testType = 'alert.test';

/** With the messages that every receiver has among the kept ones, and of those the newest alone. */
export const pruned = (state: OutboxState, sinks: readonly OutboxSink[]): OutboxState => {
	const messages = state.messages.filter((message) =>
		sinks.some((sink) => isPending(state, sink, message)),
	);
	const waiting = new Set(messages.map((message) => message.id));
	const finished = state.messages.filter(
		(message) => !waiting.has(message.id) && message.type !== testType,
	);
	const named = new Set([...state.incidents.values()].map(({ incident }) => incident));
	for (const { data } of messages) named.add(String(data['incident']));
	return {
		...state,
		messages,
		kept:
			finished.length === 0 ? state.kept : inOrder([...state.kept, ...finished]).slice(-keptMax),
		done: onlyKeys(state.done, waiting),
		only: onlyKeys(state.only, waiting),
		left: onlyKeys(state.left, named),
		lost: onlyKeys(state.lost, named),
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
	return open === undefined ? { incident: name, condition, since: at } : { ...open, condition };
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
	...state.kept.map((message) => ({ op: 'kept', message }) as const),
	...state.messages.map((message): OutboxLine => {
		const only = state.only.get(message.id);
		return only === undefined
			? { op: 'message', message }
			: { op: 'message', message, only: [...only] };
	}),
	...[...state.done].flatMap(([id, sinks]) =>
		[...sinks].map((sink) => ({ op: 'done', id, sink, result: 'delivered' }) as const),
	),
	...untoldLines(state.left, 'told-by-peer'),
	...untoldLines(state.lost, 'given-up'),
];

const untoldLines = (sets: Sets, why: 'told-by-peer' | 'given-up'): readonly OutboxLine[] =>
	[...sets].flatMap(([incident, sinks]) =>
		[...sinks].map((sink): OutboxLine => ({ op: 'untold', incident, sink, why })),
	);

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
	typeof value === 'object' && value !== null;

const isCondition = (value: unknown): value is Condition =>
	isRecord(value) &&
	['key', 'name', 'subject', 'severity', 'summary', 'next'].every(
		(key) => typeof value[key] === 'string',
	);

const isMessage = (value: unknown): boolean =>
	isRecord(value) &&
	typeof value['id'] === 'string' &&
	Number.isSafeInteger(value['sequence']) &&
	typeof value['type'] === 'string' &&
	typeof value['timestamp'] === 'string' &&
	String(value['severity']) in rank &&
	isRecord(value['data']);

const isAcknowledgement = (value: unknown): boolean =>
	isRecord(value) && ['by', 'at', 'reason'].every((key) => typeof value[key] === 'string');

const isIncident = (value: unknown): boolean =>
	isRecord(value) &&
	typeof value['incident'] === 'string' &&
	typeof value['since'] === 'string' &&
	isCondition(value['condition']) &&
	(value['acknowledged'] === undefined || isAcknowledgement(value['acknowledged']));

const areTexts = (value: unknown): boolean =>
	Array.isArray(value) && value.every((each) => typeof each === 'string');

const fits = (value: Readonly<Record<string, unknown>>): boolean => {
	const has = (...keys: readonly string[]): boolean =>
		keys.every((key) => typeof value[key] === 'string');
	switch (value['op']) {
		case 'message':
			return (
				isMessage(value['message']) && (value['only'] === undefined || areTexts(value['only']))
			);
		case 'kept':
			return isMessage(value['message']);
		case 'done':
		case 'again':
			return has('id', 'sink');
		case 'untold':
			return has('incident', 'sink', 'why');
		case 'told':
			return has('incident', 'sink');
		case 'open':
			return isIncident(value['incident']);
		case 'close':
			return has('key');
		default:
			return value['op'] === 'sequence' && Number.isSafeInteger(value['sequence']);
	}
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
