import type { Telling } from '#src/alert/turn.ts';

/** Whom this host has told the peer knows this much later at most, ms: little beside its wait (`firstTellsMs`). */
const soonMs = 500;

/**
 * What this host says to its peer of what it tells, whenever that has changed: what it sees at once, whom it has told
 * at most twice a second. Every delivery changes that, and each word costs both hosts a decision.
 */
export class Said {
	readonly #tellings: () => readonly Telling[];
	#say: (tellings: readonly Telling[]) => void = () => {};
	#last = '[]';
	#timer: NodeJS.Timeout | null = null;
	#stopped = false;

	/** @param tellings all that is to be said now. */
	constructor(tellings: () => readonly Telling[]) {
		this.#tellings = tellings;
	}

	/** Who takes it from here on. */
	to(say: (tellings: readonly Telling[]) => void): void {
		this.#say = say;
		this.now();
	}

	/** Something may have changed that can wait for what changes next. */
	soon(): void {
		if (!this.#stopped) this.#timer ??= setTimeout(() => this.now(), soonMs);
	}

	now(): void {
		this.#cancel();
		const tellings = this.#tellings();
		const text = JSON.stringify(tellings);
		if (text === this.#last) return;
		this.#last = text;
		this.#say(tellings);
	}

	/** Nothing is said any more by itself. */
	stop(): void {
		this.#stopped = true;
		this.#cancel();
	}

	#cancel(): void {
		if (this.#timer !== null) clearTimeout(this.#timer);
		this.#timer = null;
	}
}
