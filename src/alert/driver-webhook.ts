import { createHmac } from 'node:crypto';
import { failedFor, post } from '#src/alert/driver-post.ts';
import { secretReader } from '#src/alert/driver-secret.ts';
import type { AlertMessage } from '#src/alert/message.ts';
import type { Attempt } from '#src/alert/retry.ts';
import { parseSecrets, signedText, webhookBody, webhookHeaders } from '#src/alert/webhook.ts';

export interface WebhookTarget {
	readonly url: string;
	readonly secretFile: string;
	/** Time limit of one attempt. */
	readonly limitMs: number;
}

const hmac = (secret: string, text: string): string =>
	createHmac('sha256', Buffer.from(secret, 'base64')).update(text).digest('base64');

/** Sends one message once; never throws. `signal` ends it early when the agent stops. */
export type Send = (message: AlertMessage, signal: AbortSignal) => Promise<Attempt>;

/** The sender of one receiver of signed webhooks. */
export const webhookSender = ({ url, secretFile, limitMs }: WebhookTarget): Send => {
	const secretsNow = secretReader(secretFile, parseSecrets);
	return async (message, signal) => {
		let secrets: readonly string[];
		try {
			secrets = await secretsNow();
		} catch (error) {
			return failedFor(error);
		}
		const body = webhookBody(message);
		const timestampSeconds = Math.floor(Date.now() / 1000);
		const text = signedText(message.id, timestampSeconds, body);
		const signatures = secrets.map((secret) => hmac(secret, text));
		const headers = webhookHeaders(message.id, timestampSeconds, signatures);
		return await post({ method: 'POST', url, headers, body, limitMs, signal, secrets });
	};
};
