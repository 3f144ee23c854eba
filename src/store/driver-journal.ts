import { constants } from 'node:fs';
import { mkdir, open, readdir, rename, unlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import {
	asked,
	decodeEntry,
	encodeEntry,
	inputBody,
	journalFileName,
	journalFiles,
	limited,
	lineBytesMax,
	rotatedFileName,
	surplusFiles,
} from '#src/store/journal.ts';
import type {
	HistoryQuery,
	InputMemory,
	JournalBody,
	JournalInput,
	JournalNote,
	NoteEntry,
} from '#src/store/journal.ts';
import { assert } from '#src/std/assert.ts';
import { messageOf } from '#src/std/error.ts';

export interface JournalOptions {
	/** The state directory of the configuration; created when it is missing. */
	readonly directory: string;
	readonly bootId: string;
	/**
	 * Told when the journal is damaged, cannot be written or is written again. The agent goes on: a journal
	 * that fails must never stop a decision.
	 */
	readonly problem: (code: string, detail: string) => void;
	readonly fileBytesMax?: number;
	readonly filesMax?: number;
	/** Entries waiting for the disk take at most this much memory. */
	readonly waitingBytesMax?: number;
}

interface Waiting {
	readonly seq: number;
	readonly line: string;
	readonly bytes: number;
}

/** Wait between two writes of entries that nobody waits for: one fsync for all of them. */
const gatherMs = 200;
const retryMs = 1000;
/** Notes kept in memory, so that following the history reads no file. */
const recentMax = 2000;

/** Reads at most the last `bytes` of a file. */
const readTail = async (path: string, bytes: number): Promise<string> => {
	await using handle = await open(path, 'r');
	const { size } = await handle.stat();
	const length = Math.min(size, bytes);
	const buffer = Buffer.alloc(length);
	await handle.read(buffer, 0, length, size - length);
	return buffer.toString('utf8');
};

/** The bounded event journal of this host, written behind the back of the decisions. */
export class Journal {
	readonly #options: Required<JournalOptions>;
	#handle: FileHandle | null = null;
	#fileBytes = 0;
	#fileFirstSeq = 1;
	#seq = 0;
	#memory: InputMemory = new Map();
	#waiting: Waiting[] = [];
	#waitingBytes = 0;
	#lost = 0;
	#lostReason = '';
	#recent: NoteEntry[] = [];
	#timer: NodeJS.Timeout | null = null;
	#writing: Promise<void> | null = null;
	#failing: string | null = null;
	#onFailing: (problem: string | null) => void = () => {};
	#torn = false;
	#closed = false;
	/** Entries that were never written since the start, for the status. */
	entriesLost = 0;

	private constructor(options: JournalOptions) {
		this.#options = { fileBytesMax: 8 << 20, filesMax: 12, waitingBytesMax: 4 << 20, ...options };
		assert(this.#options.filesMax >= 2, 'a journal has its present file and one before it');
	}

	/**
	 * Opens the journal and goes on after its last entry. It never throws: a journal that cannot be opened
	 * is reported, and tried again with the next entries.
	 */
	static async open(options: JournalOptions): Promise<Journal> {
		const journal = new Journal(options);
		try {
			await mkdir(options.directory, { recursive: true, mode: 0o700 });
			await journal.#resume();
		} catch (error) {
			// The last number is unknown; the clock is far above any count, so that numbers still only grow.
			journal.#seq = Date.now();
			journal.#failed(error);
		}
		return journal;
	}

	/** Told now and at each change why nothing can be written, or null: the state file is on the same disk. */
	onFailing(callback: (problem: string | null) => void): void {
		this.#onFailing = callback;
		callback(this.#failing);
	}

	/** A run of the agent begins: what the engine starts from. */
	start(from: unknown, nowMs: number): void {
		this.#append({ type: 'start', from }, nowMs, true);
	}

	/** One sentence of the log. */
	note(note: JournalNote, nowMs: number): void {
		const { level, message, fields, of } = note;
		const urgent = level === 'warn' || level === 'error';
		const from = of === undefined ? {} : { of };
		this.#append({ type: 'note', level, message, fields, ...from }, nowMs, urgent);
	}

	/** One event that the engine was given. `changed` is false when its state is still the very same. */
	input(event: JournalInput, nowMs: number, changed: boolean): void {
		const made = inputBody(event, changed, this.#memory);
		if (made === null) return;
		const seq = this.#append(made.body, nowMs, false);
		if (seq === null || made.json === null) return;
		this.#memory = new Map([...this.#memory, [event.type, { seq, json: made.json }]]);
	}

	/** The answer from memory, or null when the files have to be read for it. */
	recent(query: HistoryQuery): readonly NoteEntry[] | null {
		const first = this.#recent[0];
		const covered = first !== undefined && query.afterSeq > 0 && query.afterSeq >= first.seq - 1;
		if (!covered && query.afterSeq !== this.#seq) return null;
		return limited(
			this.#recent.filter((entry) => asked(entry, query)),
			query,
		);
	}

	/** Writes what waits now. It resolves when that ended, well or not. */
	async flush(): Promise<void> {
		do await this.#write();
		while (this.#waiting.length > 0 && this.#failing === null);
	}

	/** Writes what waits and closes the file. */
	async close(): Promise<void> {
		await this.flush();
		this.#closed = true;
		if (this.#timer !== null) clearTimeout(this.#timer);
		this.#timer = null;
		await this.#handle?.close();
		this.#handle = null;
	}

	#append(body: JournalBody, nowMs: number, urgent: boolean): number | null {
		assert(!this.#closed, 'a closed journal takes no entries');
		const seq = this.#seq + 1;
		const at = new Date().toISOString();
		const entry = { seq, at, ms: nowMs, boot: this.#options.bootId, ...body };
		const line = encodeEntry(entry);
		const bytes = Buffer.byteLength(line);
		if (this.#waitingBytes + bytes > this.#options.waitingBytesMax) {
			this.#lose(1, 'the disk did not take them in time');
			return null;
		}
		this.#seq = seq;
		if (entry.type === 'note') {
			this.#recent.push(entry);
			if (this.#recent.length > recentMax) this.#recent.shift();
		}
		this.#waiting.push({ seq, line, bytes });
		this.#waitingBytes += bytes;
		this.#schedule(urgent ? 0 : gatherMs);
		return seq;
	}

	#lose(entries: number, reason: string): void {
		if (this.#lost === 0) this.#options.problem('journal-entries-lost', reason);
		this.#lost += entries;
		this.#lostReason = reason;
		this.entriesLost += entries;
		// A later "the same as" must not refer to an entry that was lost.
		this.#memory = new Map();
	}

	#schedule(delayMs: number): void {
		if (this.#writing !== null || (this.#timer !== null && delayMs > 0)) return;
		if (this.#timer !== null) clearTimeout(this.#timer);
		this.#timer = setTimeout(
			() => {
				this.#timer = null;
				void this.#write();
			},
			this.#failing === null ? delayMs : retryMs,
		);
		this.#timer.unref();
	}

	/** One write at a time, so that a disk that hangs holds one thread of the pool and no more. */
	async #write(): Promise<void> {
		if (this.#writing !== null) return await this.#writing;
		if (this.#waiting.length === 0) return;
		this.#writing = this.#writeBatch().catch((error: unknown) => this.#failed(error));
		await this.#writing;
		this.#writing = null;
		if (this.#waiting.length > 0 && !this.#closed) this.#schedule(gatherMs);
	}

	async #writeBatch(): Promise<void> {
		const { fileBytesMax } = this.#options;
		if (this.#handle === null) await this.#resume();
		const batch = this.#takeBatch();
		const text = `${this.#torn ? '\n' : ''}${batch.map((each) => each.line).join('')}`;
		this.#torn = true;
		await this.#handle?.appendFile(text);
		await this.#handle?.datasync();
		this.#torn = false;
		this.#waiting.splice(0, batch.length);
		const bytes = batch.reduce((sum, each) => sum + each.bytes, 0);
		this.#waitingBytes -= bytes;
		this.#fileBytes += bytes;
		if (this.#failing !== null) {
			this.#failing = null;
			this.#onFailing(null);
			this.#options.problem('journal-written-again', 'the event journal is written again');
		}
		this.#tellLost();
		if (this.#fileBytes >= fileBytesMax) await this.#rotate(batch.at(-1)?.seq ?? this.#seq);
	}

	/** Entries up to the size of a file: one batch never makes a file twice as large as it may be. */
	#takeBatch(): readonly Waiting[] {
		let bytes = 0;
		const end = this.#waiting.findIndex((each) => {
			bytes += each.bytes;
			return bytes > this.#options.fileBytesMax;
		});
		return this.#waiting.slice(0, end === -1 ? this.#waiting.length : Math.max(1, end));
	}

	#tellLost(): void {
		if (this.#lost === 0) return;
		const body = { type: 'lost', entries: this.#lost, reason: this.#lostReason } as const;
		this.#lost = 0;
		this.#append(body, performance.now(), false);
	}

	async #rotate(lastSeq: number): Promise<void> {
		const { directory, filesMax } = this.#options;
		await this.#handle?.close();
		this.#handle = null;
		await rename(
			join(directory, journalFileName),
			join(directory, rotatedFileName(this.#fileFirstSeq)),
		);
		for (const name of surplusFiles(await readdir(directory), filesMax))
			await unlink(join(directory, name));
		this.#memory = new Map();
		await this.#openFile();
		this.#fileFirstSeq = lastSeq + 1;
	}

	async #openFile(): Promise<void> {
		const { O_APPEND, O_CREAT, O_WRONLY } = constants;
		const path = join(this.#options.directory, journalFileName);
		this.#handle = await open(path, O_APPEND | O_CREAT | O_WRONLY, 0o600);
		this.#fileBytes = (await this.#handle.stat()).size;
		await using folder = await open(this.#options.directory, 'r');
		await folder.sync();
	}

	/** Opens the present file and finds the number of the last entry; a torn last line is kept and told. */
	async #resume(): Promise<void> {
		const { directory } = this.#options;
		const files = journalFiles(await readdir(directory)).toReversed();
		for (const name of files) {
			const lines = (await readTail(join(directory, name), 2 * lineBytesMax)).split('\n');
			const rest = lines.pop() ?? '';
			if (name === journalFileName && rest !== '' && !this.#torn) {
				this.#torn = true;
				this.#options.problem(
					'journal-torn-line',
					`the last line of ${name} was cut short (${Buffer.byteLength(rest)} bytes); the entries before it are whole`,
				);
			}
			const last = lines.findLast((line) => decodeEntry(line) !== null);
			const seq = last === undefined ? 0 : (decodeEntry(last)?.seq ?? 0);
			if (seq === 0) continue;
			this.#seq = Math.max(this.#seq, seq);
			break;
		}
		this.#fileFirstSeq = this.#seq + 1;
		this.#memory = new Map();
		await this.#openFile();
	}

	#failed(error: unknown): void {
		if (this.#failing === null) {
			this.#failing = messageOf(error);
			this.#onFailing(this.#failing);
			this.#options.problem('journal-write-failed', this.#failing);
		}
		void this.#handle?.close().catch(() => {});
		this.#handle = null;
		if (this.#waiting.length > 0 && !this.#closed) this.#schedule(retryMs);
	}
}
