import type { AlertMessage } from '#src/alert/message.ts';
import { VmpairError } from '#src/std/error.ts';

/**
 * Alerts as webhooks of the Standard Webhooks specification: an id that stays the same over all attempts,
 * the time of the attempt, a signature over both and the body, and a body with type, time and data.
 */

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
