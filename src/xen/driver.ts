import type { Hypervisor } from '#src/ports-hypervisor.ts';
import { failed, succeeded, unknown } from '#src/ports-outcome.ts';
import type { HypervisorObservation, MonotonicMs, Outcome, VmName } from '#src/ports.ts';
import { setTimeout as delay } from 'node:timers/promises';
import type { ToolEnd, Tools } from '#src/std/tool.ts';
import type { Backends } from '#src/xen/backends.ts';
import {
	backendDomids,
	domainsOf,
	formerDomains,
	hasRest,
	hasTwin,
	instanceOf,
	migrationsOf,
	observationOf,
	observationsOf,
	parseDomainList,
	parseFreeMemory,
	presenceOf,
	twinsOf,
	type Domain,
	type Seen,
} from '#src/xen/domain.ts';
import { wordsOf } from '#src/xen/outcome.ts';
import { pauseAfter } from '#src/xen/pace.ts';
import type { ManagedVm } from '#src/xen/preflight.ts';
import { defaultTiming, marginMs, unpausesMax, type XenTiming } from '#src/xen/timing.ts';
import type { Migrations, Units } from '#src/xen/units.ts';

export interface XenOptions {
	readonly tools: Tools;
	readonly vms: readonly ManagedVm[];
	readonly units: Units;
	readonly migrations: Migrations;
	/** Answers `preflight()`. */
	readonly preflight: (vms: readonly ManagedVm[]) => Promise<string[]>;
	readonly backends: Backends;
	readonly timing?: Partial<XenTiming>;
}

/** Whole milliseconds that are left of a limit, at least 0. */
const deadlineIn = (limitMs: number) => {
	const atMs = performance.now() + limitMs;
	const leftMs = (): number => Math.max(0, Math.round(atMs - performance.now()));
	return { leftMs, within: (mostMs: number) => Math.min(leftMs(), mostMs) };
};

type Deadline = ReturnType<typeof deadlineIn>;

/** Milliseconds of the clock that all processes of this host share. */
const monotonicMs = (): MonotonicMs => Number(process.hrtime.bigint() / 1000n) / 1000;

type Listing = { readonly seen: Seen } | { readonly detail: string };

/** Xen through its `xl` toolstack. */
export class XenDriver implements Hypervisor {
	readonly #tools: Tools;
	readonly #timing: XenTiming;
	readonly #backends: Backends;
	readonly #preflight: XenOptions['preflight'];
	readonly #starts: Units;
	readonly #migrations: Migrations;
	#vms: readonly ManagedVm[];
	/** What the listing that began last showed; several may be under way. */
	#last: Seen = { domains: [], former: [], backends: new Set() };
	#lastNumber = 0;
	#listings = 0;
	#memory: { readonly domids: string; readonly atMs: number; readonly mib: number } | null = null;
	/** Counts what was done to domains: a listing that began before is out of date when it ends. */
	#acts = 0;
	/** Creates of an earlier run, or of unknown outcome, may be under way; once none is left there can be none. */
	#earlierCreates = true;
	#woken = false;
	#closely = false;
	/** A migration was there at the last look: xl renames domains without an event. */
	#migrates = false;
	#wakeUp: () => void = () => {};

	constructor(options: XenOptions) {
		this.#tools = options.tools;
		this.#vms = options.vms;
		this.#preflight = options.preflight;
		this.#starts = options.units;
		this.#migrations = options.migrations;
		this.#backends = options.backends;
		this.#timing = { ...defaultTiming, ...options.timing };
	}

	/** Replaces the managed VMs after the configuration changed. */
	manage(vms: readonly ManagedVm[]): void {
		this.#vms = vms;
		this.#wake();
	}

	preflight(): Promise<string[]> {
		return this.#preflight(this.#vms);
	}

	watch(
		onObserved: (observation: HypervisorObservation | null, beganMs: MonotonicMs) => void,
	): () => void {
		const state = { stopped: false };
		const stopWatcher = this.#startWatcher();
		void (async () => {
			while (!state.stopped) {
				this.#woken = false;
				const startMs = monotonicMs();
				const { observation, beganMs } = await this.#observe();
				if (!state.stopped) onObserved(observation, beganMs);
				await this.#nextRound(startMs);
			}
		})();
		return () => {
			state.stopped = true;
			stopWatcher();
			this.#wake();
		};
	}

	/** The next listing begins at once; when one is under way, another follows it. */
	#wake(): void {
		this.#woken = true;
		this.#wakeUp();
	}

	watchClosely(closely: boolean): void {
		this.#closely = closely;
		if (closely) this.#wake();
	}

	async #nextRound(startMs: MonotonicMs): Promise<void> {
		if (this.#woken) return;
		const haste = { closely: this.#closely, migrates: this.#migrates };
		const waitMs = pauseAfter(monotonicMs() - startMs, haste, this.#timing);
		if (waitMs === 0) return;
		await new Promise<void>((resolve) => {
			const timer = setTimeout(resolve, waitMs);
			this.#wakeUp = () => {
				clearTimeout(timer);
				resolve();
			};
		});
		this.#wakeUp = () => {};
	}

	/** Events carry no domain, so each only wakes the watch; without the watcher the poll goes on. */
	#startWatcher(): () => void {
		let debounce: NodeJS.Timeout | undefined;
		const stop = this.#tools.follow(
			{
				file: 'xenstore-watch',
				args: ['@releaseDomain', '@introduceDomain'],
				pauseMs: this.#timing.watcherMs,
			},
			{
				onLine: () => {
					debounce ??= setTimeout(() => {
						debounce = undefined;
						this.#wake();
					}, this.#timing.debounceMs);
				},
				onEnd: () => {},
			},
		);
		return () => {
			clearTimeout(debounce);
			stop();
		};
	}

	/** And when it began. A listing that something was done during is taken again: no older state follows a newer one. */
	async #observe(): Promise<{ observation: HypervisorObservation | null; beganMs: MonotonicMs }> {
		for (let attempt = 0; ; attempt += 1) {
			const beganMs = monotonicMs();
			const acts = this.#acts;
			const known = hasTwin(this.#vms, this.#last);
			// Asked first: an xl that ends in between has left what is listed, not what it had before.
			const moving = await this.#migrations.underWay(known);
			const listing = await this.#list(this.#timing.listMs);
			if ('detail' in listing) return { observation: null, beganMs };
			const freeMemoryMib = await this.#freeMemory(listing.seen);
			if (freeMemoryMib === null) return { observation: null, beganMs };
			const isNew = hasTwin(this.#vms, listing.seen) && !known;
			if (attempt < 3 && (acts !== this.#acts || isNew)) continue;
			const asked = this.#earlierCreates ? this.#starts.createsUnderWay() : new Set<VmName>();
			const creating = await asked;
			if (creating === null || moving === null) return { observation: null, beganMs };
			this.#earlierCreates = creating.size > 0;
			const vms = observationsOf(this.#vms, listing.seen, creating);
			const migrations = migrationsOf(this.#vms, listing.seen, moving);
			this.#migrates = migrations !== undefined;
			const shown = migrations === undefined ? {} : { migrations };
			return { observation: { vms, freeMemoryMib, ...shown }, beganMs };
		}
	}

	async #freeMemory(seen: Seen): Promise<number | null> {
		const domids = seen.domains.map((domain) => instanceOf(domain)).join(' ');
		const nowMs = performance.now();
		const last = this.#memory;
		const fresh =
			last !== null && last.domids === domids && nowMs - last.atMs < this.#timing.memoryMs;
		if (fresh) return last.mib;
		const ended = await this.#xl(['info', 'free_memory'], this.#timing.listMs);
		const mib =
			ended.end === 'exited' && ended.exitCode === 0 ? parseFreeMemory(ended.stdout) : null;
		this.#memory = mib === null ? null : { domids, atMs: nowMs, mib };
		return mib;
	}

	#xl(args: readonly string[], limitMs: number): Promise<ToolEnd> {
		return this.#tools.run({ file: 'xl', args, limitMs });
	}

	/** All domains and left-over devices now. Anything not understood is unknown, never "nothing". */
	async #list(limitMs: number): Promise<Listing> {
		this.#listings += 1;
		const number = this.#listings;
		const ended = await this.#xl(['list', '-v'], limitMs);
		if (ended.end !== 'exited' || ended.exitCode !== 0) return { detail: wordsOf(ended) };
		const list = parseDomainList(ended.stdout);
		if (list === null || list.unreadable.length > 0) {
			return { detail: 'the output of "xl list -v" is not understood' };
		}
		const { domains } = list;
		const names = await this.#backends.names();
		if (names === null) return { detail: 'the back-end devices of dom0 cannot be read' };
		const backends = backendDomids(names);
		const former = formerDomains(this.#vms, domains, backends, this.#last.former);
		const seen = { domains, former, backends };
		if (number > this.#lastNumber) {
			this.#lastNumber = number;
			this.#last = seen;
		}
		return { seen };
	}

	async #acted(outcome: Promise<Outcome>): Promise<Outcome> {
		try {
			return await outcome;
		} finally {
			this.#acts += 1;
			this.#wake();
		}
	}

	create(vm: VmName, limitMs = this.#timing.createMs): Promise<Outcome> {
		return this.#acted(this.#create(vm, limitMs - marginMs));
	}

	async #create(vm: VmName, limitMs: number): Promise<Outcome> {
		const deadline = deadlineIn(limitMs);
		const managed = this.#vms.find((each) => each.vm === vm);
		if (managed === undefined) return failed('vm-not-managed', `${vm} is not configured`);
		// A former domain's device may still write: a second one beside it would read what changes under it.
		if (observationOf(vm, this.#last) !== null || twinsOf(vm, this.#last).length > 0) {
			return failed('domain-exists', `${vm} has a domain or devices of one on this host already`);
		}
		const started = await this.#starts.create(managed, limitMs);
		if (started.result === 'unknown') this.#earlierCreates = true;
		return started.result === 'succeeded' ? this.#created(vm, deadline) : started;
	}

	/** `xl create` succeeds even when dom0 could not open the disk, so the devices are looked at. */
	async #created(vm: VmName, deadline: Deadline): Promise<Outcome> {
		const listing = await this.#list(this.#timing.listMs);
		if ('detail' in listing) return unknown(`xl create succeeded, then ${listing.detail}`);
		const domain = listing.seen.domains.find(({ name }) => name === vm);
		if (domain === undefined)
			return failed('domain-missing', 'xl create succeeded without a domain');
		const closed = await this.#backends.closedDisks(domain.domid);
		if (closed !== null && closed.length === 0) return succeeded({ instance: instanceOf(domain) });
		const cleared = await this.#destroy(vm, deadline);
		const rest = cleared.result === 'succeeded' ? '' : `; what was created is still there`;
		return failed(
			'disk-not-open',
			`this host could not open the disk of ${vm} (${closed?.join(' ') ?? 'it has none'}); is its resource Primary here?${rest}`,
		);
	}

	unpause(vm: VmName, limitMs = this.#timing.controlMs): Promise<Outcome> {
		return this.#acted(this.#setPaused(vm, false, limitMs - marginMs));
	}

	pause(vm: VmName, limitMs = this.#timing.controlMs): Promise<Outcome> {
		return this.#acted(this.#setPaused(vm, true, limitMs - marginMs));
	}

	/** Xen counts pauses: pause only when the flag is absent, unpause until it is gone. */
	async #setPaused(vm: VmName, wanted: boolean, limitMs: number): Promise<Outcome> {
		const deadline = deadlineIn(limitMs);
		const verb = wanted ? 'pause' : 'unpause';
		let words = '';
		for (let calls = 0; deadline.leftMs() > 0; calls += 1) {
			const domain = await this.#domainOf(vm, deadline, !wanted && calls === 0);
			if (domain === 'unknown') return unknown(`xl list did not answer while ${vm} was to ${verb}`);
			if (domain === null) return failed('no-domain', `${vm} has no domain on this host`);
			const presence = presenceOf(domain);
			if (presence === 'stopped' || presence === 'dying') {
				return failed('domain-ended', `${vm} cannot ${verb}: its domain is ${presence}`);
			}
			if (domain.paused === wanted) return succeeded({ instance: instanceOf(domain) });
			if (calls > (wanted ? 1 : unpausesMax)) {
				return failed(`${verb}-failed`, `${vm} is ${presence} after xl ${verb}: ${words}`);
			}
			const ended = await this.#xl([verb, String(domain.domid)], deadline.leftMs());
			if (ended.end === 'not-started') return failed(`${verb}-failed`, ended.detail);
			if (ended.end === 'unknown') return unknown(ended.detail);
			words = wordsOf(ended);
		}
		return unknown(`${verb} of ${vm} did not end within ${limitMs} ms: ${words}`);
	}

	/** `recalled`: a domain last seen paused may be taken from memory, which saves a listing in a takeover. */
	async #domainOf(
		vm: VmName,
		deadline: Deadline,
		recalled = false,
	): Promise<Domain | null | 'unknown'> {
		const known = this.#last.domains.find(({ name, paused }) => name === vm && paused);
		if (recalled && known !== undefined) return known;
		const listing = await this.#list(deadline.within(this.#timing.listMs));
		if ('detail' in listing) return 'unknown';
		return listing.seen.domains.find(({ name }) => name === vm) ?? null;
	}

	async shutdown(vm: VmName, limitMs = this.#timing.controlMs): Promise<Outcome> {
		const deadline = deadlineIn(limitMs - marginMs);
		const domain = await this.#domainOf(vm, deadline);
		if (domain === 'unknown') return unknown(`xl list did not answer while ${vm} was to shut down`);
		if (domain === null) return failed('no-domain', `${vm} has no domain on this host`);
		if (presenceOf(domain) === 'stopped') return succeeded(null);
		// -F: a guest without PV drivers gets an ACPI power button event instead.
		const ended = await this.#xl(['shutdown', '-F', String(domain.domid)], deadline.leftMs());
		if (ended.end === 'unknown') return unknown(ended.detail);
		if (ended.end === 'exited' && ended.exitCode === 0) return succeeded(null);
		return failed('shutdown-refused', wordsOf(ended));
	}

	destroy(vm: VmName, limitMs = this.#timing.destroyMs): Promise<Outcome> {
		return this.#acted(this.#destroy(vm, deadlineIn(limitMs - marginMs)));
	}

	destroyTwin(vm: VmName, limitMs = this.#timing.destroyMs): Promise<Outcome> {
		const deadline = deadlineIn(limitMs - marginMs);
		const gone = (seen: Seen): boolean => !hasRest(vm, seen);
		return this.#acted(this.#destroyed(vm, deadline, gone, (seen) => twinsOf(vm, seen)[0]));
	}

	receive(vm: VmName, limitMs = this.#timing.controlMs): Promise<Outcome> {
		return this.#acted(this.#migrations.receive(vm, limitMs - marginMs));
	}

	send(vm: VmName, limitMs = this.#timing.migrateMs): Promise<Outcome> {
		return this.#acted(this.#migrations.send(vm, limitMs - marginMs));
	}

	cutMigration(vm: VmName, limitMs = this.#timing.controlMs): Promise<Outcome> {
		return this.#acted(this.#migrations.cut(vm, limitMs - marginMs));
	}

	#destroy(vm: VmName, deadline: Deadline): Promise<Outcome> {
		const gone = (seen: Seen): boolean => observationOf(vm, seen) === null;
		const next = (seen: Seen) => domainsOf(vm, seen).find(({ dying }) => !dying);
		return this.#destroyed(vm, deadline, gone, next);
	}

	/**
	 * Not before the last block device is gone is the disk closed: until then writes may be in flight and
	 * the resource cannot be demoted.
	 */
	async #destroyed(
		vm: VmName,
		deadline: Deadline,
		gone: (seen: Seen) => boolean,
		next: (seen: Seen) => Domain | undefined,
	): Promise<Outcome> {
		let words = 'xl list did not answer';
		while (deadline.leftMs() > 0) {
			const listing = await this.#list(deadline.within(this.#timing.listMs));
			if ('detail' in listing) {
				// The last listing is cut short by the limit and would hide what was seen before.
				if (deadline.leftMs() > 0) words = listing.detail;
			} else {
				const { seen } = listing;
				if (gone(seen)) return succeeded(null);
				const domain = next(seen);
				if (domain === undefined) {
					words = 'block devices of it are still in use';
				} else {
					const ended = await this.#xl(['destroy', String(domain.domid)], deadline.leftMs());
					if (ended.end === 'not-started') return failed('destroy-failed', ended.detail);
					words = wordsOf(ended);
				}
			}
			await delay(this.#timing.retryMs);
		}
		return unknown(`${vm} is not gone yet: ${words}`);
	}
}
