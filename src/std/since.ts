/** Remembers since when each key of a changing set has been in it. */
export class Since {
	readonly #since = new Map<string, number>();

	/** Takes the present set; keys that left it are forgotten. */
	update(keys: readonly string[], nowMs: number): void {
		const present = new Set(keys);
		for (const key of this.#since.keys()) if (!present.has(key)) this.#since.delete(key);
		for (const key of present) if (!this.#since.has(key)) this.#since.set(key, nowMs);
	}

	/** How long the key has been in the set, ms; 0 when it is not. */
	ageMs(key: string, nowMs: number): number {
		return nowMs - (this.#since.get(key) ?? nowMs);
	}
}
