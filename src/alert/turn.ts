import { rank } from '#src/alert/condition.ts';
import type { Acknowledgement, Incident, Severity } from '#src/alert/condition.ts';
import type { AlertMessage } from '#src/alert/message.ts';
import { isUntold, pendingFor, wants } from '#src/alert/outbox.ts';
import type { OutboxSink, OutboxState } from '#src/alert/outbox.ts';

/**
 * Which of the two hosts tells a receiver of a condition that both see. Each says to the other what it
 * sees and whom it has told; a receiver is known by its name. Whatever is not known is told: two messages
 * are better than none.
 */

/** What a host says to its peer about one condition. */
export interface Telling {
	/** The key of the condition, without the pair. */
	readonly key: string;
	/** It still sees the condition. */
	readonly open: boolean;
	readonly severity: Severity;
	/** Receivers that know of it from this host, and not yet that it is over. */
	readonly told: string[];
	readonly acknowledged: Acknowledgement | null;
}

/** The peer's by key, as it said them last; null when it never did in this run, or can see nothing any more. */
export type PeerTellings = ReadonlyMap<string, Telling> | null;

/** So many are said to the peer; of those beyond, both hosts tell. */
const tellingsMax = 256;

/**
 * The second host waits so long for the first one to see the same, ms: together with an attempt it stays
 * within the second in which somebody must be told.
 */
export const firstSeesMs = 600;
/** ... and so long for the first one, which does see it, to have told the receiver, ms. */
export const firstTellsMs = 5000;

/** The condition that a message is about, without the pair; null for what happened once. */
const keyOf = ({ data }: AlertMessage): string | null => {
	const { key, pair } = data;
	return typeof key === 'string' ? key.slice(String(pair).length + 1) : null;
};

/** What this host says to its peer. Empty as long as all is well. */
export const tellingsOf = (
	state: OutboxState,
	sinks: readonly OutboxSink[],
): readonly Telling[] => {
	const waiting = sinks.map((sink) => ({ sink, messages: pendingFor(state, sink) }));
	const tellings = new Map<string, Telling>();
	for (const { sink, messages } of waiting)
		for (const message of messages) {
			const key = keyOf(message);
			if (key === null || message.type !== 'condition.resolved') continue;
			if (isUntold(state, String(message.data['incident']), sink.name)) continue;
			const told = [...(tellings.get(key)?.told ?? []), sink.name];
			const { severity } = message;
			tellings.set(key, { key, open: false, severity, told, acknowledged: null });
		}
	for (const [key, { incident, condition, acknowledged }] of state.incidents) {
		const told = waiting.filter(
			({ sink, messages }) =>
				wants(sink, condition) &&
				!isUntold(state, incident, sink.name) &&
				!messages.some((message) => keyOf(message) === key),
		);
		tellings.set(key, {
			key,
			open: true,
			severity: condition.severity,
			told: told.map(({ sink }) => sink.name),
			acknowledged: acknowledged ?? null,
		});
	}
	return [...tellings.values()].slice(0, tellingsMax);
};

/** Send it now (0), look again after so many ms or when the peer says something new, or leave it to the peer (null). */
export type Turn = number | null;

interface Standing {
	/** The name of the receiver. */
	readonly sink: string;
	readonly peer: PeerTellings;
	/** The peer is heard now: what it sees and tells is what it said last. */
	readonly heard: boolean;
	/** This host is the first of the two. */
	readonly first: boolean;
	/** How long the message has waited on this host, ms; Infinity when it is from an earlier run. */
	readonly ageMs: number;
	/** The peer has told the receiver of the incident, this host has not. */
	readonly left: boolean;
}

const turnOfFiring = (
	severity: Severity,
	{ sink, first, ageMs }: Standing,
	theirs: Telling | undefined,
): Turn => {
	const told = theirs?.told.includes(sink) === true;
	if (told && rank[theirs?.severity ?? severity] >= rank[severity]) return null;
	if (first) return 0;
	return Math.max(0, (theirs?.open === true ? firstTellsMs : firstSeesMs) - ageMs);
};

/**
 * Who has told that it began tells that it is over, when neither host sees it any more: a receiver that
 * knows it by its key would take it for over at the first word. A peer that is not heard may see still what it saw
 * last: nothing is over then before it is heard again, or is known to be out.
 */
const turnOfResolving = ({ sink, left }: Standing, theirs: Telling | undefined): Turn => {
	if (!left) return theirs?.open === true ? Infinity : 0;
	return theirs?.told.includes(sink) === true ? Infinity : null;
};

/** Whether it is this host's turn to send a message to a receiver. */
export const turnOf = (message: AlertMessage, standing: Standing): Turn => {
	const key = keyOf(message);
	if (standing.peer === null || key === null) return 0;
	const theirs = standing.peer.get(key);
	switch (message.type) {
		case 'condition.fired':
		case 'condition.changed':
			return standing.heard ? turnOfFiring(message.severity, standing, theirs) : 0;
		case 'condition.resolved':
			return turnOfResolving(standing, theirs);
		default:
			return 0;
	}
};

/** What a receiver gets next. */
export interface Due {
	/** Not to be told by this host, to be taken away first; null: nothing is. */
	readonly leave: AlertMessage | null;
	/** To be sent now; null: nothing is. */
	readonly message: AlertMessage | null;
	/** Until something may be to be sent, ms. */
	readonly waitMs: number;
}

/** The first message whose turn it is; what waits for the peer holds up only what is about the same. */
export const dueOf = (
	pending: readonly AlertMessage[],
	turnFor: (message: AlertMessage) => Turn,
): Due => {
	const held = new Set<string>();
	let waitMs = Infinity;
	for (const [index, message] of pending.entries()) {
		const key = keyOf(message);
		if (key !== null && held.has(key)) continue;
		const turn = turnFor(message);
		// What waits for the peer to say that it is over, and has begun anew meanwhile, is not over.
		const anew = turn === Infinity && pending.slice(index + 1).some((each) => keyOf(each) === key);
		if (turn === null || anew) return { leave: message, message: null, waitMs: 0 };
		if (turn === 0) return { leave: null, message, waitMs: 0 };
		waitMs = Math.min(waitMs, turn);
		if (key !== null) held.add(key);
	}
	return { leave: null, message: null, waitMs };
};

/** An incident that this host had left to the peer, and a receiver that the peer does not tell of it any more. */
export interface Orphan {
	readonly incident: Incident;
	readonly sink: string;
}

/** What of this host's open incidents a receiver knows from nobody now, although the peer is online. */
export const orphansOf = (
	state: OutboxState,
	sinks: readonly OutboxSink[],
	peer: PeerTellings,
): readonly Orphan[] => {
	if (peer === null || state.left.size === 0) return [];
	return [...state.incidents].flatMap(([key, incident]) =>
		[...(state.left.get(incident.incident) ?? [])]
			.filter((name) => peer.get(key)?.told.includes(name) !== true)
			.filter((name) => {
				const sink = sinks.find((each) => each.name === name);
				return (
					sink !== undefined && !pendingFor(state, sink).some((message) => keyOf(message) === key)
				);
			})
			.map((sink) => ({ incident, sink })),
	);
};
