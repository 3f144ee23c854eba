import * as z from 'zod';
import type { NoteEntry } from '#src/store/journal.ts';
import { type Failover, noTimeline, type Timeline, withEntry } from '#src/store/timeline.ts';

/**
 * What is left of a host's death once it is back: what was seen when and by whom, how long each phase took, and which
 * VMs were down how long. Made of the notes of the host that lived and of those that the other one had sent before.
 */
const postMortemFormat = 1;

const ms = z.number();
const text = z.string();

const stepSchema = z.strictObject({
	/** The host that said it, and when by its own wall clock, ISO 8601. */
	host: text,
	at: text,
	level: z.enum(['info', 'warn', 'error']),
	message: text,
	fields: z.record(text, z.union([z.string(), z.number(), z.boolean(), z.null()])),
});

export const postMortemSchema = z.strictObject({
	format: z.literal(postMortemFormat),
	/** The host that was out, and the one that tells. */
	host: text,
	survivor: text,
	/** Wall-clock time at which it fell silent, ISO 8601. */
	at: text,
	/** What happened, in order: ms since it fell silent, by the survivor's monotonic clock. */
	phases: z.array(z.strictObject({ what: text, ms })).max(128),
	vms: z
		.array(
			z.strictObject({
				vm: text,
				/** From the silence to the first sight of it running; null: it did not run again before the host was back. */
				downMs: ms.nullable(),
			}),
		)
		.max(256),
	/** What both hosts said, in the order of their clocks; those of the dead host as far as they had arrived. */
	steps: z.array(stepSchema).max(400),
});

export type PostMortem = Readonly<z.infer<typeof postMortemSchema>>;

/** So many sentences of the dead host before it fell silent, and of the survivor since, are kept. */
const lastWordsMax = 40;
const stepsMax = 200;
/** What the survivor said this long before the silence belongs to the story, ms. */
const beforeMs = 10_000;

interface Outage {
	readonly silence: Omit<Failover, 'vms'>;
	readonly vms: Failover['vms'];
	readonly backMs: number;
	/** The boot of the survivor in which all of it happened. */
	readonly boot: string;
}

const isBack = ({ message, fields: { to } }: NoteEntry): boolean =>
	message === 'peer status change' && (to === 'online' || to === 'unknown');

/** The last time that the other host was proven out and came back. */
const lastOutage = (own: readonly NoteEntry[]): Outage | null => {
	let timeline: Timeline = noTimeline;
	let last: Outage | null = null;
	for (const entry of own) {
		const { silence, failover } = timeline;
		const proven = silence !== null && silence.proof !== null && silence.proof.kind !== 'left';
		if (proven && isBack(entry) && entry.ms >= silence.sinceMs) {
			const vms = failover?.at === silence.at ? failover.vms : [];
			last = { silence, vms, backMs: entry.ms, boot: entry.boot };
		}
		timeline = withEntry(timeline, entry);
	}
	return last;
};

const phasesOf = ({ silence, vms, backMs }: Outage, lastWordMs: number | null) => {
	const { sinceMs, lostMs, fences, proof } = silence;
	const times: (readonly [string, number | null])[] = [
		['the last word of it arrives', lastWordMs],
		['it is silent: three beats are missed on every link', sinceMs],
		['it counts as lost', lostMs],
		...fences.map((atMs) => ['its power-off is asked for', atMs] as const),
		[`it is proven out (${proof?.kind ?? 'unknown'})`, proof?.atMs ?? null],
		...vms.flatMap(({ vm, takenMs, startMs, runsMs }) => [
			[`${vm} is taken over`, takenMs] as const,
			[`the start of ${vm} is issued`, startMs] as const,
			[`${vm} runs`, runsMs] as const,
		]),
		['it is back', backMs],
	];
	return times
		.flatMap(([what, atMs]) => (atMs === null ? [] : [{ what, ms: Math.round(atMs - sinceMs) }]))
		.toSorted((one, other) => one.ms - other.ms)
		.slice(0, 128);
};

const stepOf = (host: string, { at, level, message, fields, of }: NoteEntry) =>
	level === 'debug' ? [] : [{ host, at: of?.at ?? at, level, message, fields: { ...fields } }];

/**
 * The post-mortem of the last time that the peer was proven out and came back; null when there was none.
 * @param own notes of this host, oldest first, up to the peer's return.
 * @param peer what the peer said, oldest first; `ms` and `boot` are this host's, when it arrived.
 */
export const postMortem = (
	survivor: string,
	own: readonly NoteEntry[],
	peer: readonly NoteEntry[],
): PostMortem | null => {
	const outage = lastOutage(own);
	if (outage === null) return null;
	const { silence, vms, backMs, boot } = outage;
	const { host, at, sinceMs } = silence;
	// The clock of another boot says nothing; what arrived after the silence is of the next life.
	const lastWords = peer
		.filter((entry) => entry.boot === boot && entry.ms <= sinceMs)
		.slice(-lastWordsMax);
	const seen = own.filter(
		(entry) => entry.boot === boot && entry.ms >= sinceMs - beforeMs && entry.ms <= backMs,
	);
	const steps = [
		...lastWords.flatMap((entry) => stepOf(host, entry)),
		...seen.flatMap((entry) => stepOf(survivor, entry)).slice(0, stepsMax),
	];
	return {
		format: postMortemFormat,
		host,
		survivor,
		at,
		phases: phasesOf(outage, lastWords.at(-1)?.ms ?? null),
		vms: vms.map(({ vm, runsMs }) => ({
			vm,
			downMs: runsMs === null ? null : Math.round(runsMs - sinceMs),
		})),
		steps: steps.toSorted((one, other) => (one.at < other.at ? -1 : Number(one.at > other.at))),
	};
};
