import { readFile } from 'node:fs/promises';
import { messageOf, VmpairError } from '#src/std/error.ts';

/** How long an attempt waits for its secret file before it takes the secret it knows. */
const secretLimitMs = 500;
/** ... and so long when it knows none: without one it is lost anyway. */
const firstLimitMs = 5000;

/**
 * Reads the secret at every attempt, so that a rotation needs neither reload nor restart, and falls back to
 * the one it read last: the alert that the disk hangs must not wait for the disk. The promise rejects with
 * `alert-secret-unreadable` or with what `parse` throws.
 */
export const secretReader = <Value>(
	file: string,
	parse: (text: string, file: string) => Value,
): (() => Promise<Value>) => {
	let known: { readonly value: Value } | null = null;
	let reading: Promise<Value> | null = null;
	const read = async (): Promise<Value> => {
		try {
			const value = parse(await readFile(file, 'utf8'), file);
			known = { value };
			return value;
		} catch (error) {
			if (error instanceof VmpairError) throw error;
			throw new VmpairError('alert-secret-unreadable', messageOf(error), {
				next: `Create ${file}, readable by its owner alone.`,
				cause: error,
			});
		} finally {
			reading = null;
		}
	};
	return async () => {
		// One read at a time: on a disk that hangs each would hold a thread for good.
		reading ??= read();
		const { promise, resolve, reject } = Promise.withResolvers<Value>();
		reading.then(resolve, reject);
		const limitMs = known === null ? firstLimitMs : secretLimitMs;
		const timer = setTimeout(() => {
			if (known === null) reject(new Error(`${file} could not be read within ${limitMs} ms`));
			else resolve(known.value);
		}, limitMs);
		try {
			return await promise;
		} finally {
			clearTimeout(timer);
		}
	};
};
