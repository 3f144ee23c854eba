import type { AlertMessage } from '#src/alert/message.ts';

/**
 * Alerts as events of PagerDuty's Events API v2: a condition is one incident there by its key, whichever
 * host tells of it. https://developer.pagerduty.com/docs/events-api-v2-overview
 */

const dedupMax = 255;
const summaryMax = 1024;

const actions: Readonly<Record<string, 'resolve' | 'acknowledge'>> = {
	'condition.resolved': 'resolve',
	'condition.acknowledged': 'acknowledge',
};

/** The body of the request. */
export const pagerDutyBody = (message: AlertMessage, routingKey: string): string => {
	const { data, severity, type, timestamp, id } = message;
	const action = actions[type] ?? 'trigger';
	// What happened once is an incident of its own, that a person closes.
	const dedupKey = String(data['key'] ?? id).slice(0, dedupMax);
	const event = { routing_key: routingKey, event_action: action, dedup_key: dedupKey };
	if (action !== 'trigger') return JSON.stringify(event);
	return JSON.stringify({
		...event,
		client: 'vmpair',
		payload: {
			summary: String(data['summary']).slice(0, summaryMax),
			source: String(data['host']),
			severity,
			timestamp,
			component: String(data['subject'] ?? data['host']),
			group: String(data['pair']),
			class: String(data['condition'] ?? type),
			custom_details: { next: data['next'], ...data },
		},
	});
};
