import { mkdir, open, readFile, rename } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { compacted, emptyOutbox, encodeOutboxLine, readOutbox } from '#src/alert/outbox.ts';
import type { OutboxLine, OutboxState } from '#src/alert/outbox.ts';
import { messageOf } from '#src/std/error.ts';

const outboxFileName = 'alerts.jsonl';

/** Between two attempts to write to a disk that fails. */
const retryMs = 1000;

export interface OutboxFileOptions {
	/** The state directory of the configuration; created when it is missing. */
	readonly directory: string;
	/** The file is written anew when it is larger. */
	readonly fileBytesMax: number;
	/** Told of a file that is damaged or cannot be written. */
	readonly problem: (code: string, detail: string) => void;
}

/** The file of the outbox: lines that are appended, and written anew as one state when there are too many. */
export class OutboxFile {
	readonly #options: OutboxFileOptions;
	readonly #path: string;
	/** What the file has to say as a whole. */
	readonly #state: () => OutboxState;
	#handle: FileHandle | null = null;
	#fileBytes = 0;
	#lines: OutboxLine[] = [];
	#writing: Promise<void> | null = null;
	#failing = false;
	#rewrite = true;
	#compactBytes = 0;
	#retry: NodeJS.Timeout | undefined;

	constructor(options: OutboxFileOptions, state: () => OutboxState) {
		this.#options = options;
		this.#path = join(options.directory, outboxFileName);
		this.#state = state;
	}

	/** What an earlier run left behind. It never throws: that alerts would not survive a crash is reported. */
	async load(): Promise<OutboxState> {
		try {
			await mkdir(this.#options.directory, { recursive: true, mode: 0o700 });
			return await this.#read();
		} catch (error) {
			this.#failed(error);
			// What cannot be read now may be read by a person later; it must not be written over.
			await rename(this.#path, `${this.#path}.unreadable`).catch(() => {});
			return emptyOutbox;
		}
	}

	append(lines: readonly OutboxLine[]): void {
		this.#lines.push(...lines);
		this.write();
	}

	/** The file is written anew rather than told of each change. */
	rewrite(): void {
		this.#rewrite = true;
		this.write();
	}

	/** One write at a time, so that a disk that hangs holds one thread of the pool and no more. */
	write(): void {
		if (this.#writing !== null || (this.#lines.length === 0 && !this.#rewrite)) return;
		this.#writing = this.#writeLines()
			.catch((error: unknown) => this.#failed(error))
			.then(() => {
				this.#writing = null;
				if (!this.#failing) this.write();
			});
	}

	/** Resolves when everything told so far is on disk, or when the disk failed. */
	async durable(): Promise<void> {
		while (this.#writing !== null) await this.#writing;
	}

	/** What the disk did not take until now stays unwritten: nothing is tried after this. */
	async close(): Promise<void> {
		await this.durable();
		clearTimeout(this.#retry);
		await this.#handle?.close();
		this.#handle = null;
	}

	async #writeLines(): Promise<void> {
		const sizeMax = Math.max(this.#options.fileBytesMax, 2 * this.#compactBytes);
		if (this.#rewrite || this.#handle === null || this.#fileBytes > sizeMax) {
			await this.#compact();
		} else {
			const text = this.#lines.splice(0).map(encodeOutboxLine).join('');
			await this.#handle.appendFile(text);
			await this.#handle.datasync();
			this.#fileBytes += Buffer.byteLength(text);
		}
		if (this.#failing) {
			this.#failing = false;
			this.#options.problem('alerts-durable-again', 'the outbox of alerts is written again');
		}
	}

	/** Writes the file anew with what still counts; a crash leaves the old file or the new one. */
	async #compact(): Promise<void> {
		const { directory } = this.#options;
		const text = compacted(this.#state()).map(encodeOutboxLine).join('');
		this.#lines = [];
		// What is asked for meanwhile is done afterwards.
		this.#rewrite = false;
		await this.#handle?.close();
		this.#handle = null;
		await mkdir(directory, { recursive: true, mode: 0o700 });
		{
			await using file = await open(`${this.#path}.new`, 'w', 0o600);
			await file.writeFile(text);
			await file.sync();
		}
		await rename(`${this.#path}.new`, this.#path);
		{
			await using folder = await open(directory, 'r');
			await folder.sync();
		}
		this.#handle = await open(this.#path, 'a', 0o600);
		this.#fileBytes = Buffer.byteLength(text);
		this.#compactBytes = this.#fileBytes;
	}

	async #read(): Promise<OutboxState> {
		let text: string;
		try {
			text = await readFile(this.#path, 'utf8');
		} catch (error) {
			if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return emptyOutbox;
			throw error;
		}
		const { state, unreadable } = readOutbox(text);
		if (unreadable > 0)
			this.#options.problem(
				'alert-outbox-damaged',
				`${unreadable} lines of ${this.#path} were cut short or are not of vmpair; the others count`,
			);
		return state;
	}

	#failed(error: unknown): void {
		if (!this.#failing) this.#options.problem('alert-outbox-write-failed', messageOf(error));
		this.#failing = true;
		// The next write tells everything anew, so nothing has to be remembered line by line.
		this.#rewrite = true;
		clearTimeout(this.#retry);
		this.#retry = setTimeout(() => this.write(), retryMs).unref();
	}
}
