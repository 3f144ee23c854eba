import { alertmanagerBody, eventShownMs } from '#src/alert/alertmanager.ts';
import type { Sink } from '#src/alert/driver-delivery.ts';
import { failedFor, post } from '#src/alert/driver-post.ts';
import { secretReader } from '#src/alert/driver-secret.ts';
import { webhookSender } from '#src/alert/driver-webhook.ts';
import type { Send } from '#src/alert/driver-webhook.ts';
import type { AlertMessage } from '#src/alert/message.ts';
import { pagerDutyBody } from '#src/alert/pagerduty.ts';
import type { Attempt } from '#src/alert/retry.ts';
import { parseRoutingKey, parseSecretUrl } from '#src/alert/secret-line.ts';
import { slackBody } from '#src/alert/slack.ts';
import { webhookBody } from '#src/alert/webhook.ts';
import type { ReceiverConfig } from '#src/config/alerts.ts';
import { lastWords } from '#src/std/tool.ts';
import type { Tools } from '#src/std/tool.ts';

type Of<Kind extends ReceiverConfig['kind']> = Extract<ReceiverConfig, { readonly kind: Kind }>;

const json = { 'content-type': 'application/json' };

/** Sends with a secret that is read anew for every attempt. */
const withSecret = (
	file: string,
	parse: (text: string, file: string) => string,
	send: (secret: string, message: AlertMessage, signal: AbortSignal) => Promise<Attempt>,
): Send => {
	const secretNow = secretReader(file, parse);
	return async (message, signal) => {
		let secret: string;
		try {
			secret = await secretNow();
		} catch (error) {
			return failedFor(error);
		}
		return await send(secret, message, signal);
	};
};

const slackSender = ({ urlFile, limitMs }: Of<'slack'>): Send =>
	withSecret(urlFile, parseSecretUrl, (url, message, signal) =>
		post({
			method: 'POST',
			url,
			headers: json,
			body: slackBody(message),
			limitMs,
			signal,
			secrets: [url],
		}),
	);

const pagerDutySender = ({ routingKeyFile, url, limitMs }: Of<'pagerduty'>): Send =>
	withSecret(routingKeyFile, parseRoutingKey, (routingKey, message, signal) =>
		post({
			method: 'POST',
			url,
			headers: json,
			body: pagerDutyBody(message, routingKey),
			limitMs,
			signal,
			secrets: [routingKey],
		}),
	);

/** Without another word for so many repetitions it counts as over: three of them may get lost. */
const repeatsUntilOver = 4;

/** One member that takes it is enough: the others hear of it from that one, and at the next repetition. */
const together = (attempts: readonly Attempt[]): Attempt =>
	attempts.find(({ result }) => result === 'delivered') ??
	attempts.find(({ result }) => result === 'failed') ??
	attempts[0] ?? { result: 'failed', detail: 'it has no URL', retryAfterMs: null };

const alertmanagerSink = ({ urls, repeatMs, limitMs }: Of<'alertmanager'>) => {
	const send = async (
		messages: readonly AlertMessage[],
		shownMs: number,
		signal: AbortSignal,
	): Promise<Attempt> => {
		const nowMs = Date.now();
		const now = new Date(nowMs).toISOString();
		const until = new Date(nowMs + shownMs).toISOString();
		const body = alertmanagerBody(messages, { now, until });
		const calls = urls.map((each) => {
			const url = `${each.replace(/\/+$/, '')}/api/v2/alerts`;
			return post({ method: 'POST', url, headers: json, body, limitMs, signal, secrets: [] });
		});
		return together(await Promise.all(calls));
	};
	const openMs = repeatsUntilOver * repeatMs;
	return {
		send: (message: AlertMessage, signal: AbortSignal) =>
			send([message], message.data['key'] === undefined ? eventShownMs : openMs, signal),
		repeat: {
			everyMs: repeatMs,
			send: (messages: readonly AlertMessage[], signal: AbortSignal) =>
				send(messages, openMs, signal),
		},
	};
};

/** The usual places of programs; nothing of the agent's own environment is passed on. */
const commandPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

const commandSender =
	({ file, args, limitMs }: Of<'command'>, tools: Tools): Send =>
	async (message, signal) => {
		const failed = (detail: string): Attempt => ({ result: 'failed', detail, retryAfterMs: null });
		const call = await tools.run({
			file,
			args,
			limitMs,
			signal,
			input: `${JSON.stringify({ id: message.id, ...(JSON.parse(webhookBody(message)) as object) })}\n`,
			sparse: true,
			environment: { PATH: commandPath },
		});
		if (call.end !== 'exited') return failed(call.detail);
		if (call.exitCode === 0) return { result: 'delivered' };
		const words = lastWords(call.stdout, call.stderr);
		return failed(`${file} ended with ${call.exitCode}${words === '' ? '' : `: ${words}`}`);
	};

const waysTo = (receiver: ReceiverConfig, tools: Tools): Pick<Sink, 'send' | 'repeat'> => {
	switch (receiver.kind) {
		case 'webhook':
			return { send: webhookSender(receiver) };
		case 'slack':
			return { send: slackSender(receiver) };
		case 'pagerduty':
			return { send: pagerDutySender(receiver) };
		case 'alertmanager':
			return alertmanagerSink(receiver);
		case 'command':
			return { send: commandSender(receiver, tools) };
	}
};

/** The receivers of a configuration and the ways to them. */
export const sinksTo = (receivers: readonly ReceiverConfig[], tools: Tools): readonly Sink[] =>
	receivers.map((receiver) => ({
		name: receiver.name,
		minimum: receiver.minimum,
		...waysTo(receiver, tools),
	}));
