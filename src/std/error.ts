/**
 * The one error class. `code` is stable and kebab-case, `message` is a sentence for an admin, and
 * `next` says what happens now or what to do.
 */
export class VmpairError extends Error {
	readonly code: string;
	readonly next: string;

	constructor(code: string, message: string, options: { next: string; cause?: unknown }) {
		super(message, options.cause === undefined ? undefined : { cause: options.cause });
		this.name = 'VmpairError';
		this.code = code;
		this.next = options.next;
	}
}

/** The message of anything that was thrown, for logs and for `detail` fields. */
export const messageOf = (thrown: unknown): string =>
	thrown instanceof Error ? thrown.message : String(thrown);
