import { setTimeout as delay } from 'node:timers/promises';
import {
	domainOf,
	loadSample,
	steadied,
	type KernelReading,
	type Reading,
} from '#src/load/sample.ts';
import type { LoadSample } from '#src/ports-load.ts';
import type { VmName } from '#src/ports.ts';
import type { Tools } from '#src/std/tool.ts';
import { parseDomainList } from '#src/xen/domain.ts';

/** Between two looks: `xl list` counts CPU time in tenths of a second, so that a look tells a hundredth of a CPU. */
const everyMs = 10_000;
/** Between the end of a slow look and the next one. */
const restMs = 1000;
/** A look ends before the next one is due. */
const limitMs = 8000;
/** A look steps back behind what decides about VMs and serves their I/O, but is not starved on a host that is full. */
const niceness = 5;

export interface LoadOptions {
	readonly tools: Tools;
	/** What dom0's kernel shows now, with the inflow of these domains; never rejects. */
	readonly kernel: (domids: ReadonlySet<number>) => Promise<KernelReading>;
	/** The managed VMs, as they are configured at the time. */
	readonly vms: () => readonly VmName[];
	/** A sample after each look but the first; null when Xen has never said how many CPUs there are. */
	readonly onSample: (sample: LoadSample | null) => void;
	/** Other intervals, for tests. */
	readonly timing?: { readonly everyMs: number; readonly restMs: number };
}

/**
 * How busy this host is, again and again. Each look starts one program, `xl list -v`: it shows the CPU time of all
 * domains in tenths of a second, where xentop shows whole seconds, an error of a tenth in ten. Everything else is read
 * from files of the kernel. The driver that watches the domains has looks of its own, which this one never delays.
 */
class LoadWatch {
	readonly #options: LoadOptions;
	#cpus: number | null = null;
	#last: Reading | null = null;
	#told: LoadSample | null = null;
	/** A program or a file of an earlier look has not answered yet: it is not asked again before it has. */
	readonly #pending = new Set<'xl' | 'kernel'>();
	readonly #stop = new AbortController();

	constructor(options: LoadOptions) {
		this.#options = options;
		void this.#run();
	}

	stop(): void {
		this.#stop.abort();
	}

	async #run(): Promise<void> {
		const timing = this.#options.timing ?? { everyMs, restMs };
		while (!this.#stop.signal.aborted) {
			const beganMs = performance.now();
			await this.#look();
			const leftMs = beganMs + timing.everyMs - performance.now();
			const pauseMs = Math.max(timing.restMs, leftMs);
			// It rejects when the watch is stopped, which the loop sees.
			await delay(pauseMs, undefined, { signal: this.#stop.signal }).catch(() => {});
		}
	}

	async #look(): Promise<void> {
		const { vms, onSample } = this.#options;
		const managed = vms();
		const reading = await this.#read(managed);
		this.#cpus ??= await this.#physicalCpus();
		const before = this.#last;
		this.#last = reading;
		if (before === null || this.#stop.signal.aborted) return;
		if (this.#cpus !== null)
			this.#told = steadied(
				this.#told,
				loadSample(before, reading, { vms: managed, cpus: this.#cpus }),
			);
		onSample(this.#cpus === null ? null : this.#told);
	}

	async #read(managed: readonly VmName[]): Promise<Reading> {
		const beganMs = performance.now();
		const listed = await this.#xl(['list', '-v']);
		const domains = listed === null ? null : parseDomainList(listed);
		const xen =
			domains === null || domains.unreadable.length > 0
				? null
				: // It read them at some moment of the call.
					{ atMs: (beganMs + performance.now()) / 2, domains: domains.domains };
		const domids = managed.flatMap((vm) => (xen === null ? [] : (domainOf(xen, vm)?.domid ?? [])));
		return { xen, kernel: await this.#kernel(new Set(domids)) };
	}

	async #kernel(domids: ReadonlySet<number>): Promise<Reading['kernel']> {
		if (this.#pending.has('kernel')) return null;
		this.#pending.add('kernel');
		const reading = this.#options.kernel(domids).finally(() => this.#pending.delete('kernel'));
		return await Promise.race([reading, delay(limitMs, null, { ref: false })]);
	}

	async #physicalCpus(): Promise<number | null> {
		const said = await this.#xl(['info', 'nr_cpus']);
		const count = /^\s*(\d{1,5})\s*$/.exec(said ?? '')?.[1];
		return count === undefined || Number(count) === 0 ? null : Number(count);
	}

	/** What xl wrote; null when it did not answer well. */
	async #xl(args: readonly string[]): Promise<string | null> {
		if (this.#pending.has('xl')) return null;
		this.#pending.add('xl');
		const ended = await this.#options.tools.run({
			file: 'xl',
			args,
			limitMs,
			niceness,
			signal: this.#stop.signal,
			onGone: () => this.#pending.delete('xl'),
		});
		return ended.end === 'exited' && ended.exitCode === 0 ? ended.stdout : null;
	}
}

/** Watches how busy this host is. The returned function ends it, with the program that it may be waiting for. */
export const watchLoad = (options: LoadOptions): (() => void) => {
	const watch = new LoadWatch(options);
	return () => watch.stop();
};
