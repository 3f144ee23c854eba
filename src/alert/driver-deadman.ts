import { failedFor, post } from '#src/alert/driver-post.ts';
import { secretReader } from '#src/alert/driver-secret.ts';
import type { Attempt } from '#src/alert/retry.ts';
import { parseSecretUrl } from '#src/alert/secret-line.ts';

export interface DeadmanTarget {
	readonly urlFile: string;
	readonly everyMs: number;
	readonly limitMs: number;
}

/** How the pings do, for the status. */
export interface DeadmanView {
	/** Wall-clock time of the last ping that was taken, ISO 8601. */
	readonly lastPingAt: string | null;
	/** Pings in a row that came to nothing. */
	readonly failures: number;
	/** Why; empty when the last one was taken. */
	readonly lastError: string;
}

/**
 * Tells a service outside again and again that this agent lives, so that the service tells when it does
 * not: an agent cannot report its own death. One request at a time, and a failure is only shown.
 */
export class Deadman {
	readonly #target: DeadmanTarget;
	readonly #moving: () => boolean;
	readonly #stop = new AbortController();
	readonly #urlNow: () => Promise<string>;
	#timer: NodeJS.Timeout | undefined;
	#view: DeadmanView = { lastPingAt: null, failures: 0, lastError: '' };

	/** @param moving whether the agent decides; without it nothing is sent. */
	constructor(target: DeadmanTarget, moving: () => boolean) {
		this.#target = target;
		this.#moving = moving;
		this.#urlNow = secretReader(target.urlFile, parseSecretUrl);
		void this.#round();
	}

	get view(): DeadmanView {
		return this.#view;
	}

	stop(): void {
		this.#stop.abort();
		clearTimeout(this.#timer);
	}

	async #round(): Promise<void> {
		const beganMs = performance.now();
		if (this.#moving()) this.#take(await this.#ping());
		if (this.#stop.signal.aborted) return;
		const leftMs = this.#target.everyMs - (performance.now() - beganMs);
		this.#timer = setTimeout(() => void this.#round(), Math.max(0, leftMs));
	}

	async #ping(): Promise<Attempt> {
		let url: string;
		try {
			url = await this.#urlNow();
		} catch (error) {
			return failedFor(error);
		}
		const { limitMs } = this.#target;
		const { signal } = this.#stop;
		return await post({
			method: 'GET',
			url,
			headers: {},
			body: null,
			limitMs,
			signal,
			secrets: [url],
		});
	}

	#take(attempt: Attempt): void {
		const { lastPingAt, failures } = this.#view;
		this.#view =
			attempt.result === 'delivered'
				? { lastPingAt: new Date().toISOString(), failures: 0, lastError: '' }
				: { lastPingAt, failures: failures + 1, lastError: attempt.detail };
	}
}
