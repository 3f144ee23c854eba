import * as z from 'zod';
import { ageMs, name, sentence } from '#src/api/shape.ts';

/**
 * What `vmpair what-if --json` prints: what the engines of both hosts would do in a simulated pair that stands where
 * the real one stands. All times are counted from what is supposed to happen, ms; they are about right, not promised.
 */
export const whatIfVersion = 1;

const questionSchema = z.discriminatedUnion('kind', [
	/** The host loses power at once; its fence devices go on answering. */
	z.strictObject({ kind: z.literal('dead'), host: name }),
	/** Nothing passes on this link in either direction. */
	z.strictObject({ kind: z.literal('cut'), link: name }),
	/** Somebody types `vmpair migrate VM`. */
	z.strictObject({ kind: z.literal('migrate'), vm: name }),
]);

/**
 * - `stays`: it runs on where it is. `moved`: it goes to the other host live.
 * - `taken-over`: the other host starts it after a proof. `restarted`: it was down, and runs again on the same host.
 * - `frozen`: it runs, and its writes are held back to the end. `stays-down`: it ran and does not run again by itself.
 * - `stopped`: it does not run now either.
 */
const fates = [
	'stays',
	'moved',
	'taken-over',
	'restarted',
	'frozen',
	'stays-down',
	'stopped',
] as const;

const vmSchema = z.strictObject({
	vm: name,
	/** Where it runs now, and at the end. */
	from: name.nullable(),
	to: name.nullable(),
	fate: z.enum(fates),
	/** How long it did not run, and how long its writes were held back; up to the end where that lasts. */
	downMs: ageMs,
	heldMs: ageMs,
	/** 1 for the first VM that is started, 2 for the next; null: it is not started. */
	order: z.int().min(1).nullable(),
	/** What entitled the other host: the kind of proof that the peer is out. */
	proof: z.string().max(64).nullable(),
	/** What is in the way of one that stays down or frozen, and the next step; else empty. */
	blocker: sentence,
	next: sentence,
});

const momentSchema = z.strictObject({ afterMs: ageMs, host: name, text: sentence });

const alertSchema = z.strictObject({
	afterMs: ageMs,
	/** The host that sees it first. */
	host: name,
	key: z.string().max(512),
	severity: z.enum(['critical', 'warning', 'info']),
	summary: sentence,
	next: sentence,
	/** When no host sees it any more; null: it is still open at the end. */
	resolvedMs: ageMs.nullable(),
});

const courseSchema = z.strictObject({
	/** What only this course takes for granted; empty when there is one course only. */
	assuming: sentence,
	/** What the agent would answer to the request; null when the question is none. */
	reply: z
		.strictObject({
			status: z.enum(['done', 'accepted', 'refused']),
			code: z.string().max(64),
			message: sentence,
			next: sentence,
		})
		.nullable(),
	moments: z.array(momentSchema),
	vms: z.array(vmSchema),
	alerts: z.array(alertSchema),
	/** For how long it was followed, and whether nothing more happened at the end. */
	followedMs: ageMs,
	quiet: z.boolean(),
});

export const whatIfSchema = z.strictObject({
	apiVersion: z.literal(whatIfVersion),
	/** The host whose agent was asked. */
	self: name,
	peer: name,
	question: questionSchema,
	/** Why nothing would be done by itself; empty when the pair is armed. */
	idle: sentence,
	/** What every course takes for granted. */
	assumptions: z.array(sentence),
	/** One, or two where it is not known which of the links DRBD uses. */
	courses: z.array(courseSchema).min(1).max(2),
});

/**
 * What the agent hands out for it: the whole state of its engine. Only a program of the very same version can take it
 * for its own; every other one must leave it alone.
 */
export const engineStateSchema = z.object({
	version: z.string().max(64),
	state: z.record(z.string(), z.unknown()),
});

export type EngineState = Readonly<z.infer<typeof engineStateSchema>>;
export type Question = Readonly<z.infer<typeof questionSchema>>;
export type WhatIf = Readonly<z.infer<typeof whatIfSchema>>;
export type Course = WhatIf['courses'][number];
export type CourseVm = Course['vms'][number];
export type CourseAlert = Course['alerts'][number];
