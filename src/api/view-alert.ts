import * as z from 'zod';
import { ageMs, sentence } from '#src/api/shape.ts';

/** What the status says of alerts: what is wrong now, and how the receivers do. */

const count = z.int().min(0);

export const conditionSchema = z.strictObject({
	key: z.string(),
	name: z.string(),
	subject: z.string(),
	severity: z.enum(['critical', 'warning', 'info']),
	summary: sentence,
	next: sentence,
	/** How long it has lasted. */
	ageMs,
	/** Who sees to it, since when and why (`vmpair ack`); null while nobody does. */
	acknowledged: z.strictObject({ by: z.string(), at: z.string(), reason: z.string() }).nullable(),
});

/** How one receiver of alerts does. */
export const receiverSchema = z.strictObject({
	name: z.string(),
	/** Alerts that wait for it. */
	pending: count,
	/** Time of the oldest alert that waits, ISO 8601. */
	oldest: z.string().nullable(),
	/** Failed attempts since the last delivery. */
	failures: count,
	/** Why the last attempt failed; empty when it did not. */
	lastError: z.string(),
	lastDeliveredAt: z.string().nullable(),
});

/** How the dead-man ping does. */
export const deadmanSchema = z.strictObject({
	everyMs: z.number(),
	/** Wall-clock time of the last ping that was taken, ISO 8601. */
	lastPingAt: z.string().nullable(),
	/** Pings in a row that came to nothing. */
	failures: count,
	/** Why; empty when the last one was taken. */
	lastError: z.string(),
});

export type ConditionView = Readonly<z.infer<typeof conditionSchema>>;
