import * as z from 'zod';

/** What people ask of the alerts of this host; none of it concerns the engine. */
const name = z.string().min(1).max(128);
const by = z.string().min(1).max(256);

export const alertRequestSchema = z.discriminatedUnion('verb', [
	/** Null: every receiver. */
	z.strictObject({ verb: z.literal('test'), receiver: name.nullable(), by }),
	z.strictObject({ verb: z.literal('list') }),
	z.strictObject({
		verb: z.literal('replay'),
		receiver: name,
		/** What happened at or after this wall-clock time, ISO 8601, or this one message. */
		which: z.union([
			z.strictObject({ since: z.iso.datetime() }),
			z.strictObject({ id: z.string().min(1).max(256) }),
		]),
	}),
	z.strictObject({
		verb: z.literal('ack'),
		key: z.string().min(1).max(512),
		by,
		reason: z.string().max(1024),
	}),
]);

export type AlertRequest = Readonly<z.infer<typeof alertRequestSchema>>;

/** One message, without what a person does not need to find it. */
interface MessageView {
	readonly id: string;
	readonly type: string;
	/** When it happened, ISO 8601. */
	readonly at: string;
	readonly severity: 'critical' | 'warning' | 'info';
	readonly summary: string;
}

export interface AlertList {
	readonly open: readonly {
		readonly key: string;
		readonly incident: string;
		readonly severity: 'critical' | 'warning' | 'info';
		readonly since: string;
		readonly summary: string;
		readonly next: string;
		readonly acknowledged: {
			readonly by: string;
			readonly at: string;
			readonly reason: string;
		} | null;
	}[];
	readonly receivers: readonly {
		readonly name: string;
		readonly failures: number;
		readonly lastError: string;
		readonly lastDeliveredAt: string | null;
		/** In the order in which they will be sent. */
		readonly waiting: readonly MessageView[];
	}[];
	/** What can be sent again, oldest first. */
	readonly kept: readonly MessageView[];
}

/** How each receiver took a trial. */
export interface AlertTrials {
	readonly trials: readonly {
		readonly receiver: string;
		readonly result: 'delivered' | 'failed' | 'waiting';
		readonly detail: string;
		/** From the order to the answer, ms. */
		readonly tookMs: number;
	}[];
}

/** What a `replay` or an `ack` came to. */
export interface AlertDone {
	readonly message: string;
}

export type AlertReply<Verb extends AlertRequest['verb']> = Verb extends 'list'
	? AlertList
	: Verb extends 'test'
		? AlertTrials
		: AlertDone;
