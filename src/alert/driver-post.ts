import type { Attempt } from '#src/alert/retry.ts';
import { attemptOf } from '#src/alert/retry.ts';
import { withoutSecrets } from '#src/alert/secret-line.ts';
import { messageOf } from '#src/std/error.ts';
import { lastWords } from '#src/std/tool.ts';

export interface Post {
	readonly method: 'GET' | 'POST';
	readonly url: string;
	readonly headers: Readonly<Record<string, string>>;
	readonly body: string | null;
	readonly limitMs: number;
	/** Ends it early when the agent stops. */
	readonly signal: AbortSignal;
	/** What must not be repeated to anybody, should the receiver repeat it. */
	readonly secrets: readonly string[];
}

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

/** So much of what a receiver says against a message is shown. */
const wordsMax = 200;

/** The first words of an answer: they say what is wrong. The rest may be endless. */
const firstWords = async (response: Response): Promise<string> => {
	const stream: ReadableStream<Uint8Array> | null = response.body;
	for await (const chunk of stream ?? [])
		return lastWords(Buffer.from(chunk).toString('utf8', 0, wordsMax), '', wordsMax);
	return '';
};

const answered = async (response: Response): Promise<Attempt> => {
	const retryAfterMs = retryAfterMsOf(response.headers.get('retry-after'));
	const attempt = attemptOf(response.status, retryAfterMs);
	if (attempt.result === 'delivered') {
		// Nobody reads it, and it may be endless.
		await response.body?.cancel();
		return attempt;
	}
	// The status is known; that its words do not come is no other error.
	const words = await firstWords(response).catch(() => '');
	return words === '' ? attempt : { ...attempt, detail: `${attempt.detail}: ${words}` };
};

/** An attempt that came to nothing for this reason. */
export const failedFor = (error: unknown): Attempt => ({
	result: 'failed',
	detail: reasonOf(error),
	retryAfterMs: null,
});

/** Makes one request; never throws. Redirects are not followed. */
export const post = async (call: Post): Promise<Attempt> => {
	const { method, url, headers, body, limitMs, signal, secrets } = call;
	let attempt: Attempt;
	try {
		const response = await fetch(url, {
			method,
			headers: { 'user-agent': 'vmpair', ...headers },
			body,
			redirect: 'manual',
			signal: AbortSignal.any([signal, AbortSignal.timeout(limitMs)]),
		});
		attempt = await answered(response);
	} catch (error) {
		attempt = failedFor(error);
	}
	return attempt.result === 'delivered'
		? attempt
		: { ...attempt, detail: withoutSecrets(attempt.detail, secrets) };
};
