import type { AlertMessage } from '#src/alert/message.ts';

/**
 * Alerts for an incoming webhook of Slack. The text stands alone: a notification on a phone shows nothing
 * else. https://api.slack.com/messaging/webhooks
 */

/** The three characters that Slack takes for its own. */
const escaped = (text: string): string =>
	text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

const signs = {
	critical: ':red_circle:',
	warning: ':large_yellow_circle:',
	info: ':large_blue_circle:',
} as const;

const headline = ({ type, severity, data }: AlertMessage): string => {
	const summary = escaped(String(data['summary']));
	if (type === 'condition.resolved') return `:white_check_mark: *RESOLVED* ${summary}`;
	if (type === 'condition.acknowledged') {
		const by = escaped(String(data['acknowledgedBy']));
		const reason = escaped(String(data['acknowledgedReason']));
		return `:eyes: *ACKNOWLEDGED by ${by}*${reason === '' ? '' : ` (${reason})`} ${summary}`;
	}
	return `${signs[severity]} *${severity.toUpperCase()}* ${summary}`;
};

/** The body of the request. It is the same for every attempt. */
export const slackBody = (message: AlertMessage): string => {
	const { type, timestamp, data } = message;
	const next = escaped(String(data['next']));
	const origin = [
		`pair ${escaped(String(data['pair']))}`,
		`told by ${escaped(String(data['host']))}`,
		timestamp,
		...(data['key'] === undefined ? [] : [escaped(String(data['key']))]),
	];
	const lines = [
		headline(message),
		...(next === '' || type === 'condition.acknowledged' ? [] : [`next: ${next}`]),
		`_${origin.join(', ')}_`,
	];
	return JSON.stringify({ text: lines.join('\n') });
};
