import { createHash } from 'node:crypto';
import * as promises from 'node:fs/promises';
import { join } from 'node:path';
import type { Persisted } from '#src/store/record.ts';
import { stateFormat } from '#src/store/record.ts';
import { decodeState, encodeState, stateFileName } from '#src/store/state-file.ts';
import { assert } from '#src/std/assert.ts';
import { messageOf, VmpairError } from '#src/std/error.ts';

const sizeMax = 16 * 1_048_576;
/** The loop waits for each write before it decides on; more than a few waiting ones are a bug. */
const waitingMax = 8;

/** The calls that make a file durable; a test counts their order. */
export type StateFiles = Pick<typeof promises, 'open' | 'rename' | 'mkdir'>;

export interface StateStoreOptions {
	/** The state directory of the configuration; created when it is missing. */
	readonly directory: string;
	/** Whose state this is; a file of another pair or host is refused. */
	readonly pairId: string;
	readonly host: string;
	/**
	 * Called once for a write that takes longer than `stallMs`: the disk hangs, the agent decides nothing
	 * until it answers, and somebody must be told.
	 */
	readonly stalled: (elapsedMs: number) => void;
	/** Called when such a write ended after all, well or not. */
	readonly recovered: (elapsedMs: number) => void;
	readonly stallMs?: number;
	readonly files?: StateFiles;
}

const hash = (text: string): string => createHash('sha256').update(text).digest('hex');

const codeOf = (error: unknown): unknown =>
	error instanceof Error && 'code' in error ? error.code : undefined;

/**
 * Moving the file away is safe only under conditions that need a page: this host would forget what nobody
 * else knows.
 */
const remedy = (path: string): string =>
	`Nothing is decided here until this is mended. VMs that run go on. Leave ${path} where it is and see the runbook state-damaged: without it this host forgets that a copy misses writes, or that a power-off may still land.`;

/** Reads the text of a file that is not too large, or null when there is none. */
const readText = async (path: string, files: StateFiles): Promise<string | null> => {
	try {
		await using handle = await files.open(path, 'r');
		const { size } = await handle.stat();
		if (size > sizeMax) throw new Error(`it has ${size} bytes, at most ${sizeMax} are read`);
		return await handle.readFile('utf8');
	} catch (error) {
		if (codeOf(error) === 'ENOENT') return null;
		throw new VmpairError(
			'state-unreadable',
			`The state file ${path} cannot be read: ${messageOf(error)}.`,
			{ next: 'Check the disk and the rights of the file, then start the agent.', cause: error },
		);
	}
};

/**
 * The durable record of this host. A write is on disk when it is reported: temporary file, fsync, rename,
 * fsync of the folder. Nothing is ever started from an empty state because a file was damaged.
 */
export class StateStore {
	readonly path: string;
	readonly #options: StateStoreOptions;
	readonly #files: StateFiles;
	#waiting = 0;
	#last: Promise<void> = Promise.resolve();

	constructor(options: StateStoreOptions) {
		this.#options = options;
		this.#files = options.files ?? promises;
		this.path = join(options.directory, stateFileName);
	}

	/**
	 * The record, or null when there is no file: a new host, which has to join before it may act. Throws
	 * `state-corrupt`, `state-newer-format`, `state-foreign` or `state-unreadable`.
	 */
	async load(): Promise<Persisted | null> {
		// A temporary file that a crash left behind was never acted on; the next write replaces it.
		const text = await readText(this.path, this.#files);
		if (text === null) return null;
		const decoded = decodeState(text, hash);
		if (decoded.kind === 'newer')
			throw new VmpairError(
				'state-newer-format',
				`The state file ${this.path} has format ${decoded.format}; this version of vmpair knows formats up to ${stateFormat}.`,
				{ next: 'Install the version of vmpair that wrote it, or a later one, and start that.' },
			);
		if (decoded.kind === 'corrupt')
			throw new VmpairError(
				'state-corrupt',
				`The state file ${this.path} is damaged: ${decoded.detail}.`,
				{ next: remedy(this.path) },
			);
		this.#checkOwner(decoded.record);
		return decoded.record;
	}

	/** Makes the record durable, then calls `done`; with `state-write-failed` when that is not sure. */
	persist(record: Persisted, done: (error: Error | null) => void): void {
		assert(record.pairId === this.#options.pairId, 'a state belongs to its pair');
		assert(record.host === this.#options.host, 'a state belongs to its host');
		assert(this.#waiting < waitingMax, 'the queue of state writes is bounded');
		this.#waiting += 1;
		const startMs = performance.now();
		const elapsedMs = () => Math.round(performance.now() - startMs);
		let late = false;
		// A write that hangs cannot be taken back and may still land: it is reported, never given up.
		const watch = setTimeout(() => {
			late = true;
			this.#options.stalled(elapsedMs());
		}, this.#options.stallMs ?? 5000);
		const finish = (error: Error | null): void => {
			clearTimeout(watch);
			this.#waiting -= 1;
			if (late) this.#options.recovered(elapsedMs());
			// Out of the chain of promises: a mistake in the caller must end the process, not pass unseen.
			queueMicrotask(() => done(error));
		};
		this.#last = this.#last
			.then(() => this.#write(record))
			.then(
				() => null,
				(error: unknown) => this.#writeError(error),
			)
			.then(finish);
	}

	async #write(record: Persisted): Promise<void> {
		const text = encodeState(record, hash);
		// What cannot be read back must not replace what can.
		const decoded = decodeState(text, hash);
		assert(decoded.kind === 'record', 'a state that is written can be read');
		const { directory } = this.#options;
		const temporary = `${this.path}.new`;
		await this.#files.mkdir(directory, { recursive: true, mode: 0o700 });
		{
			await using file = await this.#files.open(temporary, 'w', 0o600);
			await file.writeFile(text);
			// Before the rename: otherwise a power cut may leave the new name with no content.
			await file.sync();
		}
		await this.#files.rename(temporary, this.path);
		// The rename itself is durable only with the folder.
		await using folder = await this.#files.open(directory, 'r');
		await folder.sync();
	}

	#checkOwner(record: Persisted): void {
		const { pairId, host } = this.#options;
		if (record.pairId === pairId && record.host === host) return;
		throw new VmpairError(
			'state-foreign',
			`The state file ${this.path} belongs to host ${record.host} of pair ${record.pairId}; this is host ${host} of pair ${pairId}.`,
			{
				next: `Were the names changed in the configuration? Then set them right and start the agent. ${remedy(this.path)}`,
			},
		);
	}

	#writeError(error: unknown): VmpairError {
		return new VmpairError(
			'state-write-failed',
			`The state file ${this.path} could not be written: ${messageOf(error)}.`,
			{
				next: 'The agent decides nothing more; VMs that run go on. Check the disk and its free space, then start the agent.',
				cause: error,
			},
		);
	}
}
