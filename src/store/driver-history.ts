import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
	asked,
	decodeEntry,
	firstSeqOf,
	journalFiles,
	limited,
	lineBytesMax,
} from '#src/store/journal.ts';
import type { HistoryQuery, JournalEntry, NoteEntry } from '#src/store/journal.ts';

const chunkBytes = 64 * 1024;

const isMissing = (error: unknown): boolean =>
	error instanceof Error && 'code' in error && error.code === 'ENOENT';

/**
 * The lines of one file, piece by piece: a whole file at once would stall the agent that answers. A file
 * that was rotated away meanwhile has none.
 */
async function* linesOf(path: string): AsyncGenerator<string> {
	let handle;
	try {
		handle = await open(path, 'r');
	} catch (error) {
		if (isMissing(error)) return;
		throw error;
	}
	await using file = handle;
	const decoder = new TextDecoder();
	const buffer = Buffer.alloc(chunkBytes);
	let rest = '';
	for (;;) {
		const { bytesRead } = await file.read(buffer, 0, chunkBytes);
		if (bytesRead === 0) break;
		const pieces = (rest + decoder.decode(buffer.subarray(0, bytesRead), { stream: true })).split(
			'\n',
		);
		rest = pieces.pop() ?? '';
		// A line without end is no line of ours; it must not fill the memory.
		if (rest.length > 2 * lineBytesMax) rest = '';
		yield* pieces;
	}
	if (rest !== '') yield rest;
}

const filesOf = async (directory: string): Promise<readonly string[]> => {
	try {
		return journalFiles(await readdir(directory));
	} catch (error) {
		if (isMissing(error)) return [];
		throw error;
	}
};

/**
 * Every entry of a journal, oldest first, each once. `unreadable` is told of every line that is torn or
 * not ours.
 */
export async function* readEntries(
	directory: string,
	unreadable: (line: string) => void,
): AsyncGenerator<JournalEntry> {
	let lastSeq = 0;
	for (const name of await filesOf(directory)) {
		for await (const line of linesOf(join(directory, name))) {
			if (line === '') continue;
			const entry = decodeEntry(line);
			if (entry === null) unreadable(line);
			// A write that failed half-way is repeated, so entries may stand there twice.
			else if (entry.seq > lastSeq) {
				lastSeq = entry.seq;
				yield entry;
			}
		}
	}
}

const notesOf = async (path: string, query: HistoryQuery): Promise<readonly NoteEntry[]> => {
	const found: NoteEntry[] = [];
	let lastSeq = 0;
	for await (const line of linesOf(path)) {
		// Most lines are inputs; they are passed over unparsed.
		if (!line.includes('"type":"note"')) continue;
		const entry = decodeEntry(line);
		if (entry?.type !== 'note' || entry.seq <= lastSeq) continue;
		lastSeq = entry.seq;
		if (asked(entry, query)) found.push(entry);
		// The newest are wanted: the oldest ones of a long file need not be kept.
		if (query.afterSeq === 0 && found.length > 2 * query.limit) found.splice(0, query.limit);
	}
	return found;
};

/** The notes that a query asks for, in the order of their numbers; also while no agent runs. */
export const readHistory = async (
	directory: string,
	query: HistoryQuery,
): Promise<readonly NoteEntry[]> => {
	const found: NoteEntry[] = [];
	// Newest file first: it is most often the only one that is needed.
	for (const name of (await filesOf(directory)).toReversed()) {
		const notes = await notesOf(join(directory, name), query);
		found.unshift(...notes);
		if (query.afterSeq === 0 && found.length >= query.limit) break;
		if (firstSeqOf(name) <= query.afterSeq + 1) break;
	}
	return limited(found, query);
};
