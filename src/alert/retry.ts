/**
 * How often an alert is tried. It has to reach a person tonight, so it is tried far more often than a
 * webhook of a shop would be.
 */

/** What an attempt came to. */
export type Attempt =
	| { readonly result: 'delivered' }
	/** The receiver will never take this message, whatever the time. */
	| { readonly result: 'refused'; readonly detail: string }
	| {
			readonly result: 'failed';
			readonly detail: string;
			/** The receiver asked not to be tried for so long. */
			readonly retryAfterMs: number | null;
	  };

/** Waits after the first, second, ... failed attempt. */
const firstWaitsMs = [1000, 2000, 5000, 10_000, 20_000] as const;
/**
 * While a message is young it is tried this often, so that it arrives within 30 s of the return of a
 * receiver that was away for ten minutes.
 */
const youngWaitMs = 25_000;
const youngMs = 3_600_000;
const oldWaitMs = 300_000;
/** A receiver may ask for a longer wait, within reason. */
const retryAfterMaxMs = 900_000;
/** After this long a message is given up. */
const expiryMs = 86_400_000;
/** A receiver that refuses a message as such gets it this often: it may have been its own mistake. */
const refusalsMax = 3;

/**
 * Wait before the next attempt in ms. `failures` counts failed attempts in a row, from 1; `ageMs` is the
 * age of the message; `random` is from 0 to below 1 and makes two hosts not try in step.
 */
export const retryWaitMs = (
	failures: number,
	ageMs: number,
	retryAfterMs: number | null,
	random: number,
): number => {
	const usualMs = firstWaitsMs[failures - 1] ?? (ageMs < youngMs ? youngWaitMs : oldWaitMs);
	const jitteredMs = usualMs * (0.8 + 0.2 * random);
	return Math.max(jitteredMs, Math.min(retryAfterMs ?? 0, retryAfterMaxMs));
};

/** After an attempt that itself took long the next one comes no sooner than this, ms. */
const shortestRestMs = 1000;

/**
 * What is left of a wait in ms after an attempt that took `tookMs`: the wait counts from its beginning, so that a
 * receiver that hung is tried again as soon as one that answered with an error. `askedMs`: what the receiver
 * asked for.
 */
export const restOfWaitMs = (waitMs: number, tookMs: number, askedMs: number): number =>
	Math.max(Math.min(waitMs, shortestRestMs), waitMs - tookMs, Math.min(askedMs, waitMs));

/**
 * What an HTTP status says of an attempt. Only 2xx is delivered. A redirect is a failure: a signed alert
 * does not follow to another place. 400, 413 and 422 are about this very message.
 */
export const attemptOf = (status: number, retryAfterMs: number | null): Attempt => {
	if (status >= 200 && status < 300) return { result: 'delivered' };
	const detail = `the receiver answered with HTTP status ${status}`;
	if (status === 400 || status === 413 || status === 422) return { result: 'refused', detail };
	return { result: 'failed', detail, retryAfterMs };
};

/** Attempts in a row that came to nothing, of one receiver. */
export interface Tries {
	readonly failures: number;
	/** Of the present message. */
	readonly refusals: number;
}

/** How a message ends for a receiver. */
export type Ending = 'delivered' | 'refused' | 'expired';

/**
 * What follows from an attempt: how the message ended for this receiver, or the wait in ms before it is
 * tried again. `ageMs` is the age of the message.
 */
export const afterAttempt = (
	tries: Tries,
	attempt: Attempt,
	ageMs: number,
	random: number,
): {
	readonly end: Ending | null;
	readonly waitMs: number;
	readonly tries: Tries;
} => {
	if (attempt.result === 'delivered')
		return { end: 'delivered', waitMs: 0, tries: { failures: 0, refusals: 0 } };
	const failures = tries.failures + 1;
	const refusals = attempt.result === 'refused' ? tries.refusals + 1 : 0;
	const end = refusals >= refusalsMax ? 'refused' : ageMs > expiryMs ? 'expired' : null;
	const askedMs = attempt.result === 'failed' ? attempt.retryAfterMs : null;
	return {
		end,
		waitMs: end === null ? retryWaitMs(failures, ageMs, askedMs, random) : 0,
		tries: { failures, refusals: end === null ? refusals : 0 },
	};
};
