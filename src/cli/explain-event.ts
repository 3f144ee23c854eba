import type { HistoryEntry } from '#src/api/view.ts';
import type { EventStory } from '#src/cli/explain-text.ts';
import { readEntries } from '#src/store/driver-history.ts';
import { inputReader, type JournalInput } from '#src/store/journal.ts';
import { VmpairError } from '#src/std/error.ts';

/** What was told longer ago stands in "vmpair history --inputs", ms. */
const beforeMs = 5000;
const toldMax = 6;
/** What belongs to a decision follows it at once, ms. */
const afterMs = 10_000;
const followedMax = 8;
/** An observation of many VMs would fill the screen. */
const textMax = 300;

interface Told {
	readonly text: string;
	readonly ms: number;
}

const textOf = ({ type, ...rest }: JournalInput): string => {
	if (type === 'tick') return 'that time had passed';
	const text = `${type} ${JSON.stringify(rest)}`;
	return text.length <= textMax ? text : `${text.slice(0, textMax)}…`;
};

const missing = (seq: number, folder: string): VmpairError =>
	new VmpairError('unknown-subject', `there is no event #${seq} in ${folder}`, {
		next: '"vmpair history --numbers" shows the events of this host that are kept',
	});

/**
 * One entry of the history of this host by its number, from its files. Throws `unknown-subject` when it is not kept
 * (any more) or is no entry of the history, and `not-permitted`.
 */
export const readEvent = async (folder: string, seq: number): Promise<EventStory> => {
	const inputOf = inputReader();
	let told: Told[] = [];
	let entry: HistoryEntry | null = null;
	let caused = false;
	const followed: HistoryEntry[] = [];
	try {
		for await (const each of readEntries(folder, () => {})) {
			const input = inputOf(each);
			// Times are comparable within one boot of the host only.
			if (each.type === 'start') told = [];
			if (entry === null) {
				if (input !== null && input.type !== 'tick') {
					told.push({ text: textOf(input), ms: each.ms });
					if (told.length > toldMax) told.shift();
				}
				if (each.seq < seq) continue;
				if (each.seq > seq || each.type !== 'note') throw missing(seq, folder);
				entry = each;
			} else if (input !== null && !caused && each.ms <= entry.ms) {
				// A step's notes are written before what it was told: this is what brought the entry about.
				caused = true;
				told.push({ text: textOf(input), ms: each.ms });
			} else if (each.type === 'note') {
				if (each.ms - entry.ms > afterMs || each.ms < entry.ms) break;
				followed.push(each);
				if (followed.length === followedMax) break;
			}
		}
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error;
		throw new VmpairError('not-permitted', `this user may not read ${folder}`, {
			next: 'run the command as root',
			cause: error,
		});
	}
	if (entry === null) throw missing(seq, folder);
	const at = entry.ms;
	const toldBefore = told
		.map(({ text, ms }) => ({ text, beforeMs: at - ms }))
		.filter(({ beforeMs: age }) => age >= 0 && age <= beforeMs);
	return { entry, toldBefore, followed };
};
