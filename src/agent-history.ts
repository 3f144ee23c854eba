import { join } from 'node:path';
import { monotonicMs, type Parts } from '#src/agent-drivers.ts';
import type { Note } from '#src/engine/action.ts';
import type { State } from '#src/engine/state.ts';
import type { PeerNote } from '#src/heartbeat/recorder.ts';
import type { MonotonicMs } from '#src/ports.ts';
import { messageOf } from '#src/std/error.ts';
import { readPostMortems, writePostMortem } from '#src/store/driver-post-mortem.ts';
import { readHistory } from '#src/store/driver-history.ts';
import {
	asOfPeer,
	type HistoryQuery,
	type NoteEntry,
	peerJournalFolder,
} from '#src/store/journal.ts';
import { type PostMortem, postMortem } from '#src/store/post-mortem.ts';
import { version } from '#src/version.ts';

/** An outage of many hours is still in so many of the newest notes. */
const entriesMax = 10_000;

/** What the agent writes down, of this host and of its peer, and what it answers of it. */
export class History {
	readonly #parts: Pick<Parts, 'journal' | 'peerJournal'>;
	readonly #directory: string;
	#due = true;
	#writing: Promise<void> = Promise.resolve();

	constructor(parts: Pick<Parts, 'journal' | 'peerJournal'>, directory: string) {
		this.#parts = parts;
		this.#directory = directory;
	}

	/**
	 * A host that was out is back: what is known of it is written down while it is there. `#due` keeps a link that
	 * flickers from reading the journals again and again; an agent that has just started may have missed the beginning.
	 */
	#follow({ message, fields }: Note, self: string): void {
		if (message !== 'peer status change') return;
		if (fields['to'] === 'out') this.#due = true;
		if (fields['to'] !== 'online' || !this.#due) return;
		this.#due = false;
		this.#writing = this.#writePostMortem(self).catch((error: unknown) => {
			const problem = { error: messageOf(error) };
			const told = 'the post-mortem could not be written; the history has what it is made of';
			this.#parts.journal.note({ level: 'warn', message: told, fields: problem }, monotonicMs());
		});
	}

	async #writePostMortem(self: string): Promise<void> {
		const { journal, peerJournal } = this.#parts;
		await Promise.all([journal.flush(), peerJournal.flush()]);
		const newest = { afterSeq: 0, since: null, limit: entriesMax };
		const [own, peer] = await Promise.all([
			readHistory(this.#directory, newest),
			readHistory(join(this.#directory, peerJournalFolder), newest),
		]);
		const found = postMortem(self, own, peer);
		if (found !== null) await writePostMortem(this.#directory, found);
	}

	/** The post-mortems that are kept, newest first. */
	async postMortems(): Promise<readonly PostMortem[]> {
		await this.#writing;
		return await readPostMortems(this.#directory);
	}

	/** Writes a sentence down; the copy of it that the peer is to keep, or null when it takes none. */
	note(note: Note, { peer, config }: State, nowMs: MonotonicMs): PeerNote | null {
		this.#parts.journal.note(note, nowMs);
		this.#follow(note, config.self);
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
		await this.#writing;
		await Promise.all([this.#parts.journal.close(), this.#parts.peerJournal.close()]);
	}
}
