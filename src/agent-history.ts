import { join } from 'node:path';
import type { Parts } from '#src/agent-drivers.ts';
import type { Note } from '#src/engine/action.ts';
import type { State } from '#src/engine/state.ts';
import type { PeerNote } from '#src/heartbeat/recorder.ts';
import type { MonotonicMs } from '#src/ports.ts';
import { readHistory } from '#src/store/driver-history.ts';
import {
	asOfPeer,
	type HistoryQuery,
	type NoteEntry,
	peerJournalFolder,
} from '#src/store/journal.ts';
import { version } from '#src/version.ts';

/** What the agent writes down, of this host and of its peer, and what it answers of it. */
export class History {
	readonly #parts: Pick<Parts, 'journal' | 'peerJournal'>;
	readonly #directory: string;

	constructor(parts: Pick<Parts, 'journal' | 'peerJournal'>, directory: string) {
		this.#parts = parts;
		this.#directory = directory;
	}

	/** Writes a sentence down; the copy of it that the peer is to keep, or null when it takes none. */
	note(note: Note, { peer }: State, nowMs: MonotonicMs): PeerNote | null {
		this.#parts.journal.note(note, nowMs);
		const { level, message, fields } = note;
		// An agent of another version may not know such a frame, and would drop the connection.
		if (level === 'debug' || peer.document?.version !== version) return null;
		return { at: new Date().toISOString(), level, message, fields: { ...fields } };
	}

	/** Keeps what the peer said. */
	heard(notes: readonly PeerNote[], { peer, config }: State, nowMs: MonotonicMs): void {
		const boot = peer.bootId ?? '';
		for (const { at, ...note } of notes)
			this.#parts.peerJournal.note({ ...note, of: { host: config.peer, at, boot } }, nowMs);
	}

	/** The notes of this host, or what the peer told of its own. */
	async read(query: HistoryQuery): Promise<readonly NoteEntry[]> {
		const { journal, peerJournal } = this.#parts;
		if (query.peer === true) {
			await peerJournal.flush();
			const notes = await readHistory(join(this.#directory, peerJournalFolder), query);
			return notes.map(asOfPeer);
		}
		const recent = journal.recent(query);
		if (recent !== null) return recent;
		await journal.flush();
		return await readHistory(this.#directory, query);
	}

	async close(): Promise<void> {
		await Promise.all([this.#parts.journal.close(), this.#parts.peerJournal.close()]);
	}
}
