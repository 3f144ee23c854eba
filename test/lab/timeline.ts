/** The story of a run on one clock: faults, what the agents said, what the guests wrote. Pure. */
import type { Entry } from './ledger.ts';
import type { Alert } from './tape.ts';
import type { Happened } from './play.ts';
import type { Freeze, Note } from './watch.ts';

export type Line = {
	/** Milliseconds since the first step. */
	readonly ms: number;
	readonly who: string;
	readonly text: string;
};

/** From the first step, in ms; undefined when it did not happen. */
export type Milestones = {
	readonly suspect: number | undefined;
	readonly proof: number | undefined;
	readonly takeover: number | undefined;
	readonly promoted: number | undefined;
	readonly startIssued: number | undefined;
	/** By VM: the first write of a guest boot that began after the fault. */
	readonly firstWrite: Readonly<Record<string, number>>;
	/** The first alert that arrived. */
	readonly alert: number | undefined;
};

const telling = [
	'peer status change',
	'power reading',
	'fence',
	'takeover',
	'start issued',
	'VM runs',
	'fence-peer handler answered',
	'replication link',
	'status change',
	'condition',
	'proof',
	'action promote',
	'action demote',
	'action create',
	'action power-off',
	'action resume-io',
	'action connect',
	'the peer has booted',
	'hand-over',
	'pair ',
	'no fence',
	'VM start waits',
];

const isTelling = (note: Note): boolean =>
	note.level === 'warn' ||
	note.level === 'error' ||
	telling.some((start) => note.message.startsWith(start));

const fieldsOf = (note: Note): string =>
	Object.entries(note.fields)
		.filter(([, value]) => value !== null && value !== '')
		.map(([key, value]) => `${key}=${String(value)}`)
		.join(' ');

const longSilenceMs = 1000;

function ledgerLines(entries: readonly Entry[], zeroMs: number): Line[] {
	const lines: Line[] = [];
	const last = new Map<string, Entry>();
	for (const entry of entries) {
		const before = last.get(entry.vm);
		const ms = Math.round(entry.atMs - zeroMs);
		const gapMs = before === undefined ? 0 : Math.round(entry.atMs - before.atMs);
		if (entry.kind === 'boot') {
			const text = `guest boot ${entry.boot} found ${entry.number} as its last record`;
			lines.push({ ms, who: entry.vm, text });
		} else if (before?.kind === 'boot') {
			lines.push({ ms, who: entry.vm, text: `first write of boot ${entry.boot}` });
		} else if (gapMs > longSilenceMs) {
			lines.push({ ms, who: entry.vm, text: `writes again after ${gapMs} ms of silence` });
		}
		last.set(entry.vm, entry);
	}
	return lines;
}

/** All lines, oldest first. `zeroMs` is the time of the first step on the outer clock. */
export function timeline(
	zeroMs: number,
	happened: readonly Happened[],
	notes: readonly Note[],
	entries: readonly Entry[],
	alerts: readonly Alert[],
): Line[] {
	const at = (ms: number): number => Math.round(ms - zeroMs);
	const lines: Line[] = [
		...happened.map(({ atMs, text }) => ({ ms: at(atMs), who: 'world', text })),
		...notes.filter(isTelling).map((note) => ({
			ms: at(note.atMs),
			who: note.host,
			text: `${note.message} ${fieldsOf(note)}`.trim(),
		})),
		...ledgerLines(entries, zeroMs),
		...alerts.map(({ atMs, body }) => ({
			ms: at(atMs),
			who: 'alert',
			text: `${body.type} from ${body.data.host}: ${body.data.condition ?? ''} ${body.data.summary}`,
		})),
	];
	return lines.filter((line) => line.ms >= -2000).toSorted((a, b) => a.ms - b.ms);
}

/** What a bad network cost: how often a host was taken out of the data, and how long writes were held back. */
export type Cost = {
	readonly exclusions: number;
	readonly freezes: number;
	readonly frozenMs: number;
	readonly longestMs: number;
};

/** From the first step to the end, over all VMs. */
export function costOf(
	zeroMs: number,
	endMs: number,
	notes: readonly Note[],
	freezes: readonly Freeze[],
): Cost {
	const lasted = freezes
		.filter(({ fromMs }) => fromMs >= zeroMs)
		.map(({ fromMs, toMs }) => Math.round((toMs ?? endMs) - fromMs));
	// Each host writes its record down; the owner's is the one that counts.
	const inSync = new Map<string, string>();
	let exclusions = 0;
	for (const { atMs, host, message, fields } of notes.toSorted((a, b) => a.atMs - b.atMs)) {
		if (message !== 'record changed' || fields['owner'] !== host) continue;
		const resource = String(fields['resource']);
		const now = String(fields['inSync']);
		if (atMs >= zeroMs && now === host && inSync.get(resource) !== host) exclusions += 1;
		inSync.set(resource, now);
	}
	return {
		exclusions,
		freezes: lasted.length,
		frozenMs: lasted.reduce((sum, ms) => sum + ms, 0),
		longestMs: Math.max(0, ...lasted),
	};
}

const first = (notes: readonly Note[], test: (note: Note) => boolean): number | undefined =>
	notes.find(test)?.atMs;

/** The moments the targets speak of, counted from the first step. */
export function milestones(
	zeroMs: number,
	notes: readonly Note[],
	entries: readonly Entry[],
	alerts: readonly Alert[],
): Milestones {
	const after = notes.filter((note) => note.atMs >= zeroMs).toSorted((a, b) => a.atMs - b.atMs);
	const since = (atMs: number | undefined): number | undefined =>
		atMs === undefined ? undefined : Math.round(atMs - zeroMs);
	const became = (to: string) => (note: Note) =>
		note.message === 'peer status change' && note.fields['to'] === to;
	const says = (message: string) => (note: Note) => note.message === message;
	const old = new Set(entries.filter((each) => each.atMs < zeroMs).map((each) => each.boot));
	const firstWrite: Record<string, number> = {};
	for (const { atMs, kind, vm, boot } of entries) {
		if (kind !== 'ack' || old.has(boot) || firstWrite[vm] !== undefined) continue;
		firstWrite[vm] = Math.round(atMs - zeroMs);
	}
	return {
		suspect: since(first(after, became('suspect'))),
		proof: since(first(after, became('out'))),
		takeover: since(first(after, says('takeover'))),
		promoted: since(first(after, (note) => note.message.startsWith('action create'))),
		startIssued: since(first(after, says('start issued'))),
		firstWrite,
		alert: since(alerts.find((alert) => alert.atMs >= zeroMs)?.atMs),
	};
}
