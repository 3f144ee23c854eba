import * as z from 'zod';
import { ageMs, name, sentence } from '#src/api/shape.ts';
import { healths, loadKinds } from '#src/ports-load.ts';

const share = z.number().min(0).nullable();
const limit = z.number().min(0).max(1);

/** How busy a host is, shares from 0 to 1; null: not known. */
export const loadSchema = z.strictObject(
	Object.fromEntries(loadKinds.map((kind) => [kind, share])) as Record<
		(typeof loadKinds)[number],
		typeof share
	>,
);

/** What is made of the load of the hosts. */
export const balanceSchema = z.strictObject({
	mode: z.enum(['auto', 'advise', 'off']),
	/** What this host does about its load and why, or why nothing; empty when it is not overloaded. */
	verdict: sentence,
	/** The same of the peer, as told last; null: not known. */
	peerVerdict: sentence.nullable(),
	/** The shares above which a host counts as overloaded, from 0 to 1. */
	limits: z.strictObject(
		Object.fromEntries(loadKinds.map((kind) => [kind, limit])) as Record<
			(typeof loadKinds)[number],
			typeof limit
		>,
	),
	/** What `vmpair balance` would do now about the load of this host. */
	order: z.strictObject({ kind: z.enum(['calm', 'stay', 'move']), vm: name.nullable(), sentence }),
});

/** What a VM used between the last two readings. */
export const vmLoadSchema = z.strictObject({
	/** Physical CPUs that its virtual ones kept busy: 1.5 is one and a half. */
	cpus: z.number().min(0),
	/** MiB a second that devices wrote into its memory; null: not known. */
	inflowMibPerS: z.number().min(0).nullable(),
});

export const healthSchema = z.strictObject({
	check: name,
	/** What it counts as; `pending`: it has not said the same for long enough. */
	state: z.enum([...healths, 'pending']),
	/** Its last answer, and how old that is; null: there is none yet. */
	said: z.enum(healths).nullable(),
	detail: sentence,
	ageMs: ageMs.nullable(),
	action: z.enum(['alert', 'evacuate']),
});

export type BalanceView = Readonly<z.infer<typeof balanceSchema>>;
export type VmLoadView = Readonly<z.infer<typeof vmLoadSchema>>;
export type HealthView = Readonly<z.infer<typeof healthSchema>>;
