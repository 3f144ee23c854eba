/** The key `node:util` looks for when it prints an object; spelled out so that this file stays pure. */
const inspectKey: unique symbol = Symbol.for('nodejs.util.inspect.custom') as never;

const redacted = '[redacted]';

/**
 * A password that no log, JSON or error message can show by accident: only `reveal()` gives it.
 * Call `reveal()` where the value is handed to the tool that needs it, nowhere else.
 */
export class Secret {
	readonly #value: string;

	constructor(value: string) {
		this.#value = value;
	}

	/** The value itself. */
	reveal(): string {
		return this.#value;
	}

	/** `text` with every occurrence of the value replaced, for output of a tool that may echo it. */
	redactIn(text: string): string {
		return this.#value === '' ? text : text.replaceAll(this.#value, redacted);
	}

	toString(): string {
		return redacted;
	}

	toJSON(): string {
		return redacted;
	}

	[inspectKey](): string {
		return redacted;
	}
}
