import type { Outcome } from '#src/ports.ts';

/** The three ways in which an action ends, as every driver reports them. */

type Succeeded<Value> = Extract<Outcome<Value>, { readonly result: 'succeeded' }>;
export type Failed = Extract<Outcome, { readonly result: 'failed' }>;
export type Unknown = Extract<Outcome, { readonly result: 'unknown' }>;

/** It happened; `value` is what was asked for, null when nothing was. */
export const succeeded = <Value>(value: Value): Succeeded<Value> => ({
	result: 'succeeded',
	value,
});

/** It did not happen and will not any more: `code` is stable, `detail` holds the tool's own words. */
export const failed = (code: string, detail: string): Failed => ({
	result: 'failed',
	code,
	detail,
});

/** It may have happened or may still happen: out of time, no answer, or one that is not understood. */
export const unknown = (detail: string): Unknown => ({ result: 'unknown', detail });
