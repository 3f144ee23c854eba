import { rank } from '#src/alert/condition.ts';
import type { Severity } from '#src/alert/condition.ts';
import type { AlertMessage } from '#src/alert/message.ts';

/**
 * Alerts as Alertmanager takes them on /api/v2/alerts. The labels are the same from both hosts, so that
 * it knows them for one; what differs is in the annotations.
 */

interface Alert {
	readonly labels: Readonly<Record<string, string>>;
	readonly annotations: Readonly<Record<string, string>>;
	/** Times in ISO 8601. */
	readonly startsAt: string;
	readonly endsAt: string;
}

/** What happened once is shown for so long, ms. */
export const eventShownMs = 300_000;

/** `peer-out` becomes `VmpairPeerOut`. */
const alertName = (name: string): string =>
	`Vmpair${name
		.split(/[^A-Za-z0-9]+/)
		.map((word) => word.slice(0, 1).toUpperCase() + word.slice(1))
		.join('')}`;

const text = (value: string | number | null | undefined): string => String(value ?? '');

const labelsOf = ({ data, type }: AlertMessage, severity: Severity) => {
	const { pair, condition, subject } = data;
	return {
		alertname: alertName(text(condition ?? type)),
		pair: text(pair),
		severity,
		...(subject === undefined ? {} : { subject: text(subject) }),
	};
};

const annotationsOf = ({ data }: AlertMessage) => ({
	summary: text(data['summary']),
	...(text(data['next']) === '' ? {} : { next: text(data['next']) }),
	host: text(data['host']),
	...(data['acknowledgedBy'] === undefined
		? {}
		: { acknowledged_by: text(data['acknowledgedBy']) }),
});

/** The wall-clock times of an attempt, ISO 8601. */
interface Times {
	readonly now: string;
	/** Until when it shall count as open without another word. */
	readonly until: string;
}

/** Its severity is a label: the same condition with another one is another alert, and that one is over. */
const alertsOf = (message: AlertMessage, { now, until }: Times): readonly Alert[] => {
	const { type, severity, timestamp, data } = message;
	const startsAt = text(data['since'] ?? timestamp);
	const annotations = annotationsOf(message);
	const severities = (Object.keys(rank) as Severity[]).filter(
		(each) => each !== severity && (type === 'condition.resolved' || rank[each] < rank[severity]),
	);
	const over = severities.map((each) => ({
		labels: labelsOf(message, each),
		annotations,
		startsAt,
		endsAt: now,
	}));
	const endsAt = type === 'condition.resolved' ? now : until;
	const itself = { labels: labelsOf(message, severity), annotations, startsAt, endsAt };
	return type === 'condition.resolved' || type === 'condition.changed'
		? [itself, ...over]
		: [itself];
};

/** The body of the request with one message or with all that is open. */
export const alertmanagerBody = (messages: readonly AlertMessage[], times: Times): string =>
	JSON.stringify(messages.flatMap((message) => alertsOf(message, times)));
