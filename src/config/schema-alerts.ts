import * as z from 'zod';
import { duration, file, list, name, section, simpleName, text } from '#src/config/shape.ts';

/** The section `alerts` of `vmpair.yaml`: who is told what is wrong, and how. */

const receiver = {
	name: name('the name of a receiver', simpleName).describe('Names the receiver in messages.'),
	minimum: z
		.enum(['info', 'warning', 'critical'], {
			error: 'expected info, warning or critical',
		})
		.default('info')
		.describe('The least severe alerts that are sent.'),
	limit: duration(1000, 60_000).default(15_000).describe('Time limit of one attempt.'),
};

/** An address that everybody may read: it must hold no secret. */
const url = (why: string) =>
	z
		.url({
			protocol: /^https?$/,
			error: 'expected a URL that starts with https:// or http://',
			abort: true,
		})
		.refine((written) => /^[^/]*\/\/[^/?#@]*([/?#]|$)/.test(written), {
			error: `expected a URL without a user and a password${why}`,
		});

const webhook = section(
	{
		...receiver,
		url: url(': the signature proves the sender').describe(
			'Receives alerts by POST, as Standard Webhooks describes it.',
		),
		secretFile: file.describe(
			'File with the signing secret (whsec_...) on its first line; during a rotation the old one on the second.',
		),
	},
	'the settings of a webhook',
);

const slack = section(
	{
		...receiver,
		urlFile: file.describe(
			'File with the URL of the incoming webhook on its first line; who knows it can post.',
		),
	},
	'the settings of a Slack channel',
);

const pagerduty = section(
	{
		...receiver,
		routingKeyFile: file.describe(
			'File with the integration key (Events API v2) of the service on its first line.',
		),
		url: url('')
			.default('https://events.pagerduty.com/v2/enqueue')
			.describe('Where events go, for a service in the EU or one that takes the same events.'),
	},
	'the settings of a PagerDuty service',
);

const alertmanager = section(
	{
		...receiver,
		urls: list(url(''), 'URLs', 8)
			.min(1, { error: 'expected at least one URL' })
			.describe('Every member of the cluster, without /api/v2/alerts: http://10.0.0.9:9093.'),
		repeat: duration(10_000, 600_000)
			.default(60_000)
			.describe(
				'What is open is sent again this often; after four times as long without a word it counts as over there.',
			),
	},
	'the settings of an Alertmanager',
);

const command = section(
	{
		...receiver,
		command: file.describe('The program; it gets the alert as JSON on its standard input.'),
		arguments: list(text('a text', /^[^\0]{0,1024}$/), 'arguments', 64)
			.default([])
			.describe('Given to it as they are; everybody on the host can read them.'),
	},
	'the settings of a command',
);

const deadman = section(
	{
		urlFile: file.describe(
			"File with the URL of this host's own check on its first line; it is fetched with GET.",
		),
		every: duration(15_000, 3_600_000)
			.default(60_000)
			.describe('So often, as long as the agent lives and decides.'),
		limit: duration(1000, 60_000).default(10_000).describe('Time limit of one ping.'),
	},
	'the settings of the dead-man ping',
);

/** The lists below `alerts`, each with receivers of one kind. */
export const receiverLists = [
	'webhooks',
	'slack',
	'pagerduty',
	'alertmanager',
	'commands',
] as const;

export const alertsSchema = section(
	{
		webhooks: list(webhook, 'webhooks', 16).default([]).describe('Receivers of signed webhooks.'),
		slack: list(slack, 'Slack channels', 16).default([]).describe('Slack, by incoming webhooks.'),
		pagerduty: list(pagerduty, 'PagerDuty services', 16)
			.default([])
			.describe('PagerDuty, by its Events API v2.'),
		alertmanager: list(alertmanager, 'Alertmanagers', 16)
			.default([])
			.describe('Alertmanagers of Prometheus.'),
		commands: list(command, 'commands', 16)
			.default([])
			.describe('Programs on this host, for mail or SMS.'),
		deadman: deadman
			.optional()
			.describe('Tells a service outside every so often that this agent lives.'),
	},
	'the receivers of alerts',
);
