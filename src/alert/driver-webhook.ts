import { createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Attempt } from '#src/alert/retry.ts';
import { attemptOf } from '#src/alert/retry.ts';
import type { AlertMessage } from '#src/alert/webhook.ts';
import { parseSecrets, signedText, webhookBody, webhookHeaders } from '#src/alert/webhook.ts';
import { messageOf, VmpairError } from '#src/std/error.ts';

export interface WebhookTarget {
	readonly url: string;
	readonly secretFile: string;
	/** Time limit of one attempt. */
	readonly limitMs: number;
}

const hmac = (secret: string, text: string): string =>
	createHmac('sha256', Buffer.from(secret, 'base64')).update(text).digest('base64');

/** The wait that a receiver asks for, in ms: seconds or a date; null when it asks for none. */
const retryAfterMsOf = (header: string | null): number | null => {
	if (header === null) return null;
	if (/^\d{1,6}$/.test(header)) return Number(header) * 1000;
	const atMs = Date.parse(header);
	return Number.isNaN(atMs) ? null : Math.max(0, atMs - Date.now());
};

/** Why a request failed; the innermost cause of fetch says more than its message. */
const reasonOf = (error: unknown): string => {
	const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
	return messageOf(cause);
};

const readSecrets = async (file: string): Promise<readonly string[]> => {
	try {
		return parseSecrets(await readFile(file, 'utf8'), file);
	} catch (error) {
		if (error instanceof VmpairError) throw error;
		throw new VmpairError('webhook-secret-unreadable', messageOf(error), {
			next: `Create ${file}, readable by its owner alone.`,
			cause: error,
		});
	}
};

/** Sends one message once; never throws. `signal` ends it early when the agent stops. */
export type SendWebhook = (message: AlertMessage, signal: AbortSignal) => Promise<Attempt>;

/** How long an attempt waits for its secret file before it takes the secret it knows. */
const secretLimitMs = 500;

/**
 * Reads the secret at every attempt, so that a rotation needs neither reload nor restart, and falls back to
 * the one it read last: the alert that the disk hangs must not wait for the disk.
 */
const secretReader = (file: string): (() => Promise<readonly string[]>) => {
	let known: readonly string[] | null = null;
	let reading: Promise<readonly string[]> | null = null;
	const read = async (): Promise<readonly string[]> => {
		try {
			known = await readSecrets(file);
			return known;
		} finally {
			reading = null;
		}
	};
	return async () => {
		// One read at a time: on a disk that hangs each would hold a thread for good.
		reading ??= read();
		const { promise, resolve, reject } = Promise.withResolvers<readonly string[]>();
		reading.then(resolve, reject);
		const timer = setTimeout(() => {
			if (known === null) reject(new Error(`${file} could not be read within ${secretLimitMs} ms`));
			else resolve(known);
		}, secretLimitMs);
		try {
			return await promise;
		} finally {
			clearTimeout(timer);
		}
	};
};

/** The sender of one receiver. */
export const webhookSender = (target: WebhookTarget): SendWebhook => {
	const secretsNow = secretReader(target.secretFile);
	return async (message, signal) => {
		try {
			const secrets = await secretsNow();
			const body = webhookBody(message);
			const timestampSeconds = Math.floor(Date.now() / 1000);
			const text = signedText(message.id, timestampSeconds, body);
			const signatures = secrets.map((secret) => hmac(secret, text));
			const response = await fetch(target.url, {
				method: 'POST',
				headers: webhookHeaders(message.id, timestampSeconds, signatures),
				body,
				redirect: 'manual',
				signal: AbortSignal.any([signal, AbortSignal.timeout(target.limitMs)]),
			});
			// Nobody reads what the receiver answers, and it may be endless.
			await response.body?.cancel();
			return attemptOf(response.status, retryAfterMsOf(response.headers.get('retry-after')));
		} catch (error) {
			return { result: 'failed', detail: reasonOf(error), retryAfterMs: null };
		}
	};
};
