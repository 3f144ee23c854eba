import type { Condition, Severity, TransitionKind } from '#src/alert/condition.ts';
import { VmpairError } from '#src/std/error.ts';

/**
 * Alerts as webhooks of the Standard Webhooks specification: an id that stays the same over all attempts,
 * the time of the attempt, a signature over both and the body, and a body with type, time and data.
 */

/** One alert as it waits in the outbox. The same for every receiver. */
export interface AlertMessage {
	/** `webhook-id`: the receiver drops what it has seen under this id. */
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

/** The message for a condition that fired, became more severe or resolved. */
export const conditionMessage = (
	sender: Sender,
	told: {
		readonly kind: TransitionKind;
		readonly condition: Condition;
		readonly incident: string;
		readonly since: string;
		readonly at: string;
		readonly sequence: number;
	},
): AlertMessage => {
	const { condition, incident, kind, sequence } = told;
	return {
		id: `msg_${incident}_${sequence}`,
		sequence,
		type: `condition.${kind}`,
		timestamp: told.at,
		severity: condition.severity,
		data: {
			pair: sender.pairId,
			host: sender.host,
			key: `${sender.pairId}/${condition.key}`,
			incident,
			status: kind === 'resolved' ? 'resolved' : 'firing',
			condition: condition.name,
			subject: condition.subject,
			severity: condition.severity,
			summary: short(condition.summary),
			next: kind === 'resolved' ? '' : short(condition.next),
			since: told.since,
			sequence,
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

/** The body of the request. It is the same for every attempt. */
export const webhookBody = (message: AlertMessage): string =>
	JSON.stringify({ type: message.type, timestamp: message.timestamp, data: message.data });

/** What is signed with HMAC-SHA256. `timestampSeconds` is the time of the attempt, in seconds since 1970. */
export const signedText = (id: string, timestampSeconds: number, body: string): string =>
	`${id}.${timestampSeconds}.${body}`;

/** The headers of an attempt; one signature for each secret that is valid during a rotation. */
export const webhookHeaders = (
	id: string,
	timestampSeconds: number,
	signatures: readonly string[],
): Readonly<Record<string, string>> => ({
	'content-type': 'application/json',
	'user-agent': 'vmpair',
	'webhook-id': id,
	'webhook-timestamp': String(timestampSeconds),
	'webhook-signature': signatures.map((each) => `v1,${each}`).join(' '),
});

const secretLine = /^whsec_((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)$/;

/**
 * The secrets of a secret file, base64: the first line is the present one, the second, if any, the one that
 * is being replaced. Throws `webhook-secret-invalid`; the text of a secret is never part of the message.
 */
export const parseSecrets = (text: string, file: string): readonly string[] => {
	const lines = text.split('\n').map((line) => line.trim());
	const written = lines.filter((line) => line !== '');
	const secrets = written.map((line) => secretLine.exec(line)?.[1] ?? '');
	// 24 to 64 bytes, as the specification has it, are 32 to 88 characters.
	const valid = secrets.every((secret) => secret.length >= 32 && secret.length <= 88);
	if (valid && secrets.length >= 1 && secrets.length <= 2) return secrets;
	throw new VmpairError(
		'webhook-secret-invalid',
		`The file ${file} holds no usable signing secret: one or two lines with whsec_ and 24 to 64 bytes in base64 are expected.`,
		{ next: `Run: (printf whsec_; head -c 32 /dev/urandom | base64 -w0; echo) > ${file}` },
	);
};
