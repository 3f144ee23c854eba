import { createView, feed, type HelperEvent, parseSnapshot, type View } from '#src/drbd/events2.ts';
import { observe, type Seen } from '#src/drbd/observation.ts';
import { essence, type ManagedResource, type WatchTiming, watchTiming } from '#src/drbd/watch.ts';
import type { HostName, ResourceName, ResourceObservation } from '#src/ports.ts';
import type { Tools } from '#src/std/tool.ts';

export interface DrbdWatchOptions {
	readonly tools: Tools;
	readonly resources: readonly ManagedResource[];
	readonly drbdsetup?: string;
	readonly timing?: Partial<WatchTiming>;
	/**
	 * Every managed resource that is up: at each change, and at every consistency check. Null when DRBD
	 * did not answer in time or was not understood: unknown, not "nothing".
	 */
	onObserved(resources: readonly ResourceObservation[] | null): void;
	/** What a person has to correct (a third host, for instance), as sentences; at each change of them. */
	onFindings?(findings: readonly string[]): void;
	/** A handler that DRBD called for a managed resource, or its answer. */
	onHelper?(event: HelperEvent): void;
	/** Something to log; the message is a sentence. */
	onNote?(message: string): void;
}

const asMap = (resources: readonly ManagedResource[]): Map<ResourceName, HostName> =>
	new Map(resources.map(({ resource, peer }) => [resource, peer]));

/**
 * Follows `events2` and keeps it honest: started again when it ends or loses messages, compared with
 * a snapshot every few seconds. While the stream is down, snapshots alone are reported.
 */
export class DrbdWatch {
	readonly #options: DrbdWatchOptions;
	readonly #drbdsetup: string;
	readonly #timing: WatchTiming;
	#managed: ReadonlyMap<ResourceName, HostName> = new Map();
	#view: View = createView();
	#closeStream: () => void = () => {};
	#stopped = false;
	/** Counts lines, to see whether the stream moved during a snapshot. */
	#lines = 0;
	#checking = false;
	#checkAgain = false;
	#failures = 0;
	#reported = '';
	#problems = '';
	#findings = '';
	/** Told once: a newer DRBD may say the same again and again. */
	#toldUnknown = false;
	#emitTimer: NodeJS.Timeout | undefined;
	#checkTimer: NodeJS.Timeout | undefined;
	#restartTimer: NodeJS.Timeout | undefined;
	#completeTimer: NodeJS.Timeout | undefined;

	constructor(options: DrbdWatchOptions) {
		this.#options = options;
		this.#drbdsetup = options.drbdsetup ?? 'drbdsetup';
		this.#timing = { ...watchTiming, ...options.timing };
		this.#managed = asMap(options.resources);
	}

	start(): void {
		this.#open();
		this.#checkSoon(this.#timing.snapshotEveryMs);
	}

	/** Replaces the managed resources after the configuration changed, and reports at once. */
	manage(resources: readonly ManagedResource[]): void {
		this.#managed = asMap(resources);
		this.refresh();
	}

	stop(): void {
		this.#stopped = true;
		this.#closeStream();
		clearTimeout(this.#emitTimer);
		clearTimeout(this.#checkTimer);
		clearTimeout(this.#restartTimer);
		clearTimeout(this.#completeTimer);
	}

	/** Asks DRBD now instead of at the next consistency check, and reports. */
	refresh(): void {
		void this.#check();
	}

	#open(): void {
		this.#view = createView();
		const args = ['events2', '--timestamps', '--statistics', 'all'];
		let open = true;
		const close = this.#options.tools.follow(
			{ file: this.#drbdsetup, args, pauseMs: this.#timing.restartMs },
			{
				onLine: (line) => {
					if (open) this.#take(line);
				},
				onEnd: (detail) => {
					// It would be started again by itself, but not as soon as DRBD needs it: the pause here is
					// shorter, and each new stream starts with an empty view.
					queueMicrotask(() => {
						if (open) this.#restart(detail);
					});
				},
			},
		);
		this.#closeStream = () => {
			open = false;
			close();
		};
		this.#completeTimer = setTimeout(
			() => this.#restart(`no first state within ${this.#timing.answerMs} ms`),
			this.#timing.answerMs,
		);
	}

	#take(line: string): void {
		const wasComplete = this.#view.complete;
		this.#lines += 1;
		for (const event of feed(this.#view, `${line}\n`)) {
			if (this.#managed.has(event.resource)) this.#options.onHelper?.(event);
		}
		if (this.#view.unknownLines > 0 && !this.#toldUnknown) {
			this.#toldUnknown = true;
			this.#options.onNote?.(
				`A line of DRBD's events is not understood and passed over: ${line.slice(0, 200)}.`,
			);
		}
		if (this.#view.needsRestart) {
			this.#restart('the kernel dropped messages');
			return;
		}
		if (!this.#view.complete) return;
		if (!wasComplete) clearTimeout(this.#completeTimer);
		this.#emitTimer ??= setTimeout(() => {
			this.#emitTimer = undefined;
			this.#report(observe(this.#view, this.#managed), false);
		}, this.#timing.debounceMs);
	}

	/** The stream is of no use any more: what DRBD looks like is asked directly until a new one runs. */
	#restart(why: string): void {
		const timing = this.#timing;
		this.#closeStream();
		clearTimeout(this.#completeTimer);
		clearTimeout(this.#emitTimer);
		this.#emitTimer = undefined;
		this.#view = createView();
		if (this.#stopped) return;
		const pauseMs = Math.min(timing.restartMs * 2 ** this.#failures, timing.restartMaxMs);
		this.#failures = Math.min(this.#failures + 1, 16);
		this.#options.onNote?.(`The stream of DRBD events starts again in ${pauseMs} ms: ${why}.`);
		clearTimeout(this.#restartTimer);
		this.#restartTimer = setTimeout(() => this.#open(), pauseMs);
		void this.#check();
	}

	#checkSoon(delayMs: number): void {
		clearTimeout(this.#checkTimer);
		if (this.#stopped) return;
		this.#checkTimer = setTimeout(() => void this.#check(), delayMs);
	}

	async #check(): Promise<void> {
		if (this.#checking) {
			this.#checkAgain = true;
			return;
		}
		this.#checking = true;
		const answered = await this.#compare();
		this.#checking = false;
		if (this.#stopped) return;
		if (this.#checkAgain) {
			this.#checkAgain = false;
			void this.#check();
			return;
		}
		const { snapshotEveryMs, snapshotRetryMs } = this.#timing;
		this.#checkSoon(answered && this.#view.complete ? snapshotEveryMs : snapshotRetryMs);
	}

	/** False when DRBD did not answer. */
	async #compare(): Promise<boolean> {
		const linesBefore = this.#lines;
		const snapshot = await this.#snapshot();
		if (this.#stopped) return true;
		if (snapshot === null) {
			this.#reported = '';
			this.#options.onObserved(null);
			return false;
		}
		const asked = observe(snapshot, this.#managed);
		const agrees = (): boolean =>
			this.#lines !== linesBefore || essence(observe(this.#view, this.#managed)) === essence(asked);
		if (this.#view.complete && !agrees()) {
			await new Promise((resolve) => setTimeout(resolve, this.#timing.settleMs));
			if (this.#stopped) return true;
			if (this.#view.complete && !agrees()) {
				this.#restart('a snapshot differs from what the events had told');
				this.#report(asked, true);
				return true;
			}
		}
		if (!this.#view.complete) {
			this.#report(asked, true);
			return true;
		}
		this.#failures = 0;
		// The same state with fresh statistics: what is still to be resynced is not in the stream.
		if (this.#lines === linesBefore) this.#view = snapshot;
		this.#report(observe(this.#view, this.#managed), true);
		return true;
	}

	async #snapshot(): Promise<View | null> {
		const args = ['events2', '--now', '--statistics', 'all'];
		const end = await this.#options.tools.run({
			file: this.#drbdsetup,
			args,
			limitMs: this.#timing.answerMs,
		});
		if (end.end !== 'exited' || end.exitCode !== 0) return null;
		return parseSnapshot(end.stdout);
	}

	#report(seen: Seen, always: boolean): void {
		const problems = seen.problems.join('; ');
		if (problems !== this.#problems && problems !== '') {
			this.#options.onNote?.(
				`DRBD's state is not understood and therefore unknown: ${problems.slice(0, 500)}.`,
			);
		}
		this.#problems = problems;
		const findings = seen.findings.join('; ');
		if (findings !== this.#findings) this.#options.onFindings?.(seen.findings);
		this.#findings = findings;
		const text = problems === '' ? JSON.stringify(seen.resources) : 'null';
		if (!always && text === this.#reported) return;
		this.#reported = text;
		this.#options.onObserved(problems === '' ? seen.resources : null);
	}
}
