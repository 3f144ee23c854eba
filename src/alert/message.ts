import type { Acknowledgement, Incident, Severity, TransitionKind } from '#src/alert/condition.ts';

/** One alert as it waits in the outbox. The same for every receiver. */
export interface AlertMessage {
	/** The same for every attempt: a receiver drops what it has seen under this id. */
	readonly id: string;
	/** Grows by one with every message of this host; each receiver gets them in this order. */
	readonly sequence: number;
	/** For instance `condition.fired`. */
	readonly type: string;
	/** When it happened, ISO 8601, however late it is delivered. */
	readonly timestamp: string;
	readonly severity: Severity;
	readonly data: Readonly<Record<string, string | number | null>>;
}

/** More does not help a person, and a body must stay under 20 kB. */
const textMax = 2000;
const short = (text: string): string =>
	text.length <= textMax ? text : `${text.slice(0, textMax - 1)}…`;

/** Who tells: the same condition told by both hosts has the same `key`. */
export interface Sender {
	readonly pairId: string;
	readonly host: string;
}

const acknowledgedBy = ({ by, at, reason }: Acknowledgement) => ({
	acknowledgedBy: by,
	acknowledgedAt: at,
	acknowledgedReason: reason,
});

/** The message for a condition that fired, became more severe, was acknowledged or resolved. */
export const conditionMessage = (
	sender: Sender,
	told: {
		readonly kind: TransitionKind | 'acknowledged';
		readonly incident: Incident;
		readonly at: string;
		readonly sequence: number;
	},
): AlertMessage => {
	const { incident, kind, sequence } = told;
	const { condition, acknowledged } = incident;
	return {
		id: `msg_${incident.incident}_${sequence}`,
		sequence,
		type: `condition.${kind}`,
		timestamp: told.at,
		severity: condition.severity,
		data: {
			pair: sender.pairId,
			host: sender.host,
			key: `${sender.pairId}/${condition.key}`,
			incident: incident.incident,
			status: kind === 'resolved' ? 'resolved' : 'firing',
			condition: condition.name,
			subject: condition.subject,
			severity: condition.severity,
			summary: short(condition.summary),
			next: kind === 'resolved' ? '' : short(condition.next),
			since: incident.since,
			sequence,
			...(acknowledged === undefined ? {} : acknowledgedBy(acknowledged)),
		},
	};
};

/** The message for something that happened once, for instance `failover.completed`. */
export const eventMessage = (
	sender: Sender,
	told: {
		readonly type: string;
		readonly severity: Severity;
		readonly summary: string;
		readonly next: string;
		readonly id: string;
		readonly at: string;
		readonly sequence: number;
	},
): AlertMessage => ({
	id: `msg_${told.id}_${told.sequence}`,
	sequence: told.sequence,
	type: told.type,
	timestamp: told.at,
	severity: told.severity,
	data: {
		pair: sender.pairId,
		host: sender.host,
		severity: told.severity,
		summary: short(told.summary),
		next: short(told.next),
		sequence: told.sequence,
	},
});
