import * as z from 'zod';
import { pauseMaxMs } from '#src/store/record.ts';

/** Requests of people, as the CLI sends them to the agent over the local socket. */
const name = z.string().min(1).max(128);
const by = z.string().min(1).max(256);

export const requestSchema = z.discriminatedUnion('verb', [
	z.strictObject({ verb: z.literal('start'), vm: name, by, acceptStale: z.boolean() }),
	z.strictObject({ verb: z.literal('stop'), vm: name, by }),
	z.strictObject({ verb: z.literal('move'), vm: name, to: name.nullable(), by }),
	z.strictObject({
		verb: z.literal('drill'),
		vm: name,
		to: name.nullable(),
		/** The guest is destroyed, as by the death of its host, instead of being asked to shut down. */
		hard: z.boolean(),
		by,
	}),
	z.strictObject({ verb: z.literal('migrate'), vm: name, to: name.nullable(), by }),
	z.strictObject({ verb: z.literal('cancel-migration'), vm: name, by }),
	z.strictObject({ verb: z.literal('takeover'), confirmDead: name, by }),
	z.strictObject({ verb: z.literal('arm'), by, reason: z.string().max(1024) }),
	z.strictObject({ verb: z.literal('disarm'), by, reason: z.string().min(1).max(1024) }),
	z.strictObject({
		verb: z.literal('pause'),
		by,
		reason: z.string().min(1).max(1024),
		forMs: z.int().min(1).max(pauseMaxMs),
		/** Wall-clock time it would end, ISO 8601, for people. */
		until: z.string().min(1).max(64),
	}),
	z.strictObject({ verb: z.literal('resume'), by }),
	z.strictObject({
		verb: z.literal('leave'),
		by,
		how: z.enum(['migrate', 'hand-over', 'stop', 'cancel']),
	}),
	z.strictObject({ verb: z.literal('evacuate'), host: name, cold: z.boolean(), by }),
	z.strictObject({ verb: z.literal('balance'), by }),
	z.strictObject({
		verb: z.literal('standby'),
		on: z.boolean(),
		by,
		reason: z.string().max(1024),
	}),
	z.strictObject({ verb: z.literal('resolve'), vm: name, discard: name, by }),
]);

export type Request = Readonly<z.infer<typeof requestSchema>>;

/** The answer to a request: what happened or why it was refused, and what to do next. */
export interface Reply {
	readonly status: 'done' | 'accepted' | 'refused';
	/** Stable kebab-case reason for `--json`; `done` and `accepted` have one too. */
	readonly code: string;
	readonly message: string;
	/** The next step for the person; empty when there is none. */
	readonly next: string;
}
