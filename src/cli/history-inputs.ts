import { historyLine, localTime } from '#src/cli/history-text.ts';
import { exit, type Surroundings } from '#src/cli/surroundings.ts';
import { paint } from '#src/cli/text.ts';
import { readEntries } from '#src/store/driver-history.ts';
import { inputReader, type JournalEntry, type JournalInput } from '#src/store/journal.ts';
import { VmpairError } from '#src/std/error.ts';

const entriesMax = 1000;

/** What an entry says besides its time; `input` is the input in full, null when it was not kept. */
const saying = (
	entry: Exclude<JournalEntry, { readonly type: 'note' }>,
	input: JournalInput | null,
): string => {
	if (entry.type === 'start') return 'a run of the agent begins';
	if (entry.type === 'lost') return `${entry.entries} entries were not written: ${entry.reason}`;
	if (input !== null) {
		const { type, ...rest } = input;
		return `told ${type}  ${JSON.stringify(rest)}`;
	}
	return 'oversize' in entry
		? `told ${entry.of}  (${entry.oversize} bytes, too large to keep)`
		: 'told the same again as in an entry that is not kept any more';
};

/**
 * `vmpair history --inputs`: the newest entries of this host's journal files, with everything that the
 * agent was told. `since` is a wall-clock time in ISO 8601; null for all. Throws `not-permitted`.
 */
export const tellInputs = async (
	since: string | null,
	json: boolean,
	around: Surroundings,
): Promise<number> => {
	const inputOf = inputReader();
	const lines: string[] = [];
	let unreadable = 0;
	const line = (entry: JournalEntry, input: JournalInput | null): string => {
		if (json) return JSON.stringify(input === null ? entry : { ...entry, event: input });
		if (entry.type === 'note') return historyLine(entry, around.colour);
		return `${localTime(entry.at)}  ${paint(saying(entry, input), 'dim', around.colour)}`;
	};
	try {
		for await (const entry of readEntries(around.stateFolder, () => (unreadable += 1))) {
			const input = inputOf(entry);
			if (since !== null && entry.at < since) continue;
			lines.push(line(entry, input));
			if (lines.length > 2 * entriesMax) lines.splice(0, entriesMax);
		}
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error;
		throw new VmpairError('not-permitted', `this user may not read ${around.stateFolder}`, {
			next: 'run the command as root',
			cause: error,
		});
	}
	lines.slice(-entriesMax).forEach(around.print);
	if (lines.length === 0) around.warn(`vmpair: there are no such entries in ${around.stateFolder}`);
	if (unreadable > 0) {
		const count = `${unreadable} ${unreadable === 1 ? 'line' : 'lines'}`;
		around.warn(
			`vmpair: ${count} in ${around.stateFolder} could not be read; the others are whole`,
		);
	}
	return exit.done;
};
