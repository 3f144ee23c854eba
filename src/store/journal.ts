/**
 * The event journal `events.jsonl`: everything the engine said (`note`), everything it was told (`input`,
 * so that one can see what a decision rested on), and where a run of the agent began (`start`). One
 * JSON object a line, bounded in size, never read by a decision: losing it costs explanations, not data.
 */

type NoteLevel = 'debug' | 'info' | 'warn' | 'error';

/** A sentence of the log, as the engine says it. */
export interface JournalNote {
	readonly level: NoteLevel;
	readonly message: string;
	readonly fields: Readonly<Record<string, string | number | boolean | null>>;
	/** Left out of this host's own: the host that said it, when by its wall clock, and in which boot. */
	readonly of?: { readonly host: string; readonly at: string; readonly boot: string };
}

/** Anything the engine is told; its shape is the engine's affair. */
export interface JournalInput {
	readonly type: string;
}

interface Stamp {
	/** Grows by one with every entry of this host, also over restarts. */
	readonly seq: number;
	/** Wall-clock time, ISO 8601, only for people. */
	readonly at: string;
	/** Monotonic time in ms that the engine was given; comparable within one boot only. */
	readonly ms: number;
	readonly boot: string;
}

export type JournalBody =
	/** A run of the agent begins: configuration and record that the engine starts from. */
	| { readonly type: 'start'; readonly from: unknown }
	| ({ readonly type: 'note' } & JournalNote)
	| { readonly type: 'input'; readonly event: JournalInput }
	/** The same as the input with this number: observations repeat themselves far more often than not. */
	| { readonly type: 'input'; readonly same: number }
	/** As the input with this number, but for some numbers in its JSON: what comes every second differs by a count. */
	| {
			readonly type: 'input';
			readonly like: number;
			readonly set: readonly (readonly [number, string])[];
	  }
	/** An input that was too large to keep. */
	| { readonly type: 'input'; readonly oversize: number; readonly of: string }
	/** So many entries could not be written before this one. */
	| { readonly type: 'lost'; readonly entries: number; readonly reason: string };

export type JournalEntry = Stamp & JournalBody;
export type NoteEntry = Stamp & { readonly type: 'note' } & JournalNote;

/** A larger line is not kept; about a thousand VMs in one observation fit. */
export const lineBytesMax = 512 * 1024;

export const journalFileName = 'events.jsonl';

/** The record of the other host has a journal of its own in this folder below the state directory. */
export const peerJournalFolder = 'peer';

/** One line with its end. */
export const encodeEntry = (entry: JournalEntry): string => `${JSON.stringify(entry)}\n`;

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
	typeof value === 'object' && value !== null && !Array.isArray(value);

const levels: ReadonlySet<unknown> = new Set(['debug', 'info', 'warn', 'error']);

const isChange = (value: unknown): boolean =>
	Array.isArray(value) &&
	value.every(
		(each) => Array.isArray(each) && Number.isSafeInteger(each[0]) && typeof each[1] === 'string',
	);

const fits = (value: Readonly<Record<string, unknown>>): boolean => {
	const { seq, at, ms, boot, type } = value;
	if (!Number.isSafeInteger(seq) || typeof at !== 'string') return false;
	if (typeof ms !== 'number' || typeof boot !== 'string') return false;
	switch (type) {
		case 'start':
			return 'from' in value;
		case 'note':
			return (
				levels.has(value['level']) &&
				typeof value['message'] === 'string' &&
				isRecord(value['fields'])
			);
		case 'input':
			return (
				typeof value['same'] === 'number' ||
				(typeof value['like'] === 'number' && isChange(value['set'])) ||
				typeof value['oversize'] === 'number' ||
				(isRecord(value['event']) && typeof value['event']['type'] === 'string')
			);
		case 'lost':
			return typeof value['entries'] === 'number';
		default:
			return false;
	}
};

/** The entry of a line without its end, or null when the line is torn or not ours. */
export const decodeEntry = (line: string): JournalEntry | null => {
	let value: unknown;
	try {
		value = JSON.parse(line);
	} catch {
		return null;
	}
	return isRecord(value) && fits(value) ? (value as unknown as JournalEntry) : null;
};

/** Digits anywhere in a JSON text, inside words as well: only their places must be the same. */
const digits = /\d+/g;

/** The same with a fraction, which may come and go: 0, then 0.002, then 0 again. */
const numbers = /\d+(?:\.\d+)?/g;

/** A change takes about 12 characters, so that a line of changes is at most a fifth of a long one. */
const changesMax = (json: string): number => Math.max(16, json.length / 64);

/** What makes one number into another, by the places of its digits in the text; `at` is the first of them. */
const changeOfNumber = (
	at: number,
	from: string,
	to: string,
): readonly (readonly [number, string])[] => {
	const [whole = '', fraction] = from.split('.');
	const [wanted = '', wantedFraction = '0'] = to.split('.');
	if (fraction === undefined) return whole === to ? [] : [[at, to]];
	return [
		...(whole === wanted ? [] : ([[at, wanted]] as const)),
		...(fraction === wantedFraction ? [] : ([[at + 1, wantedFraction]] as const)),
	];
};

/** What makes one JSON text into another that differs in numbers alone; null when more than a few differ, or else. */
const changeOf = (from: string, to: string): readonly (readonly [number, string])[] | null => {
	if (from.replaceAll(numbers, '0') !== to.replaceAll(numbers, '0')) return null;
	const wanted = to.match(numbers) ?? [];
	let at = 0;
	const changed = (from.match(numbers) ?? []).flatMap((text, index) => {
		const first = at;
		at += text.includes('.') ? 2 : 1;
		return changeOfNumber(first, text, wanted[index] ?? text);
	});
	if (changed.length > changesMax(to)) return null;
	const made = changedText(from, changed);
	// A fraction that goes away becomes ".0", which is the same as a number but not inside of a word.
	return made === to || JSON.stringify(JSON.parse(made)) === to ? changed : null;
};

const changedText = (from: string, set: readonly (readonly [number, string])[]): string => {
	const texts = new Map(set);
	let index = -1;
	return from.replaceAll(digits, (text) => {
		index += 1;
		return texts.get(index) ?? text;
	});
};

/** The last input of each type that stands in full in the present file, as JSON. */
export type InputMemory = ReadonlyMap<string, { readonly seq: number; readonly json: string }>;

/**
 * How an input is written: in full, as "the same as", as "like" another one, or not at all (null). A tick that
 * changed nothing is not written: it says nothing. `memory` starts empty in every file, so that a file hardly
 * needs the ones before it.
 */
export const inputBody = (
	event: JournalInput,
	changed: boolean,
	memory: InputMemory,
): { readonly body: JournalBody; readonly json: string | null } | null => {
	if (event.type === 'tick' && !changed) return null;
	const json = JSON.stringify(event);
	const last = memory.get(event.type);
	if (last?.json === json) return { body: { type: 'input', same: last.seq }, json: null };
	const set = last === undefined ? null : changeOf(last.json, json);
	if (last !== undefined && set !== null)
		return { body: { type: 'input', like: last.seq, set }, json: null };
	if (json.length > lineBytesMax)
		return { body: { type: 'input', oversize: json.length, of: event.type }, json: null };
	return { body: { type: 'input', event }, json };
};

const rotatedName = /^events-(\d{16})\.jsonl$/;

/** The name that a full file gets; names are in the order of time. */
export const rotatedFileName = (firstSeq: number): string =>
	`events-${String(firstSeq).padStart(16, '0')}.jsonl`;

/** A number that no entry of an older file reaches; infinite for the present file, which has none in its name. */
export const firstSeqOf = (name: string): number => Number(rotatedName.exec(name)?.[1] ?? Infinity);

/** The files of a journal among all names of a folder, oldest first, the present one last. */
export const journalFiles = (names: readonly string[]): readonly string[] => [
	...names.filter((name) => rotatedName.test(name)).sort(),
	...names.filter((name) => name === journalFileName),
];

/** The oldest rotated files, which go when at most `filesMax` files, the present one included, are kept. */
export const surplusFiles = (names: readonly string[], filesMax: number): readonly string[] => {
	const rotated = names.filter((name) => rotatedName.test(name)).sort();
	return rotated.slice(0, Math.max(0, rotated.length - (filesMax - 1)));
};

/** What `vmpair history` asks for. */
export interface HistoryQuery {
	/** Only entries after this number; 0 for all. */
	readonly afterSeq: number;
	/** Only entries at or after this wall-clock time, ISO 8601; null for all. */
	readonly since: string | null;
	/** What the peer said, as far as it was told; left out: this host's own notes. */
	readonly peer?: boolean;
	/** At most so many: the oldest ones after `afterSeq`, else the newest ones. */
	readonly limit: number;
}

/** True for an entry that a query asks for, its limit aside. */
export const asked = (entry: NoteEntry, query: HistoryQuery): boolean =>
	entry.seq > query.afterSeq && (query.since === null || entry.at >= query.since);

/** A note of the other host with the time of its own clock. */
export const asOfPeer = (entry: NoteEntry): NoteEntry =>
	entry.of === undefined ? entry : { ...entry, at: entry.of.at, boot: entry.of.boot };

/** Applies the limit of a query to the entries it asks for, which are in the order of their numbers. */
export const limited = (
	entries: readonly NoteEntry[],
	query: HistoryQuery,
): readonly NoteEntry[] =>
	query.afterSeq > 0 ? entries.slice(0, query.limit) : entries.slice(-query.limit);

/**
 * Gives back the inputs of a journal in full. Returns a function that takes all its entries one after the
 * other and gives the input, or null for an entry that is none or was not kept.
 */
export const inputReader = (): ((entry: JournalEntry) => JournalInput | null) => {
	const full = new Map<number, JournalInput>();
	const latest = new Map<string, number>();
	return (entry) => {
		if (entry.type !== 'input') return null;
		if ('same' in entry) return full.get(entry.same) ?? null;
		if ('like' in entry) {
			const from = full.get(entry.like);
			if (from === undefined) return null;
			return JSON.parse(changedText(JSON.stringify(from), entry.set)) as JournalInput;
		}
		if (!('event' in entry)) return null;
		// Only the last one of a type is ever referred to.
		full.delete(latest.get(entry.event.type) ?? 0);
		latest.set(entry.event.type, entry.seq);
		full.set(entry.seq, entry.event);
		return entry.event;
	};
};
