import type { Dom0Ticks } from '#src/load/counters.ts';
import type { HostLoad, LoadSample, VmLoad } from '#src/ports-load.ts';
import type { VmName } from '#src/ports.ts';
import { type Domain, instanceOf, presenceOf } from '#src/xen/domain.ts';

/** Counters of one network device. */
interface NetworkCounters {
	readonly rxBytes: number;
	readonly txBytes: number;
	/** What it can carry in one direction. */
	readonly bytesPerS: number;
}

/** What dom0's kernel shows at one moment. Null: it could not be read. */
export interface KernelReading {
	/** Monotonic. */
	readonly atMs: number;
	readonly dom0: Dom0Ticks | null;
	/** Share of dom0's memory that is not available. */
	readonly memory: number | null;
	/** How long each disk below a DRBD device had work, ms, by its name. */
	readonly disksMs: ReadonlyMap<string, number> | null;
	/** The watched network devices whose speed is known, by their names. */
	readonly network: ReadonlyMap<string, NetworkCounters> | null;
	/** Bytes that the back ends of a domain have put into its memory, by its id. */
	readonly inflowBytes: ReadonlyMap<number, number | null>;
}

/** What Xen shows of all domains at one moment. */
interface DomainReading {
	readonly atMs: number;
	readonly domains: readonly Domain[];
}

/** Where a link of the pair ends on this host: at the device when it is configured, else at the address. */
export interface LinkEnd {
	readonly device: string | null;
	readonly address: string;
}

/** One look at this host. */
export interface Reading {
	/** Null: Xen did not answer. */
	readonly xen: DomainReading | null;
	/** Null: a file did not answer. */
	readonly kernel: KernelReading | null;
}

/** Three decimals: a thousandth of a host matters to nobody, and the event journal keeps every sample. */
const rounded = (value: number): number => Math.round(value * 1000) / 1000;

const roundedOrNull = (value: number | null): number | null =>
	value === null ? null : rounded(value);

/** Two readings are never taken at the very same time, so that a share may come out a little above 1. */
const share = (part: number, whole: number): number | null =>
	whole <= 0 ? null : rounded(Math.min(1, part / whole));

/** What a counter grew by; null when it went down: it began anew, and what it had counted is lost. */
const grown = (before: number | null | undefined, after: number | null): number | null =>
	typeof before !== 'number' || after === null || after < before ? null : after - before;

/** The largest of shares that are all known; null when one is not, or there is none. */
const busiest = (shares: readonly (number | null)[]): number | null =>
	shares.reduce<number | null>(
		(most, each, index) =>
			each === null || (index > 0 && most === null) ? null : Math.max(most ?? 0, each),
		null,
	);

/** Seconds that all domains ran together. One that ended in between has taken its last ones with it. */
const ranSeconds = (before: DomainReading, after: DomainReading): number | null => {
	const had = new Map(before.domains.map((each) => [instanceOf(each), each.cpuSeconds]));
	const ran = after.domains.map((each) =>
		// A domain that was created in between has run all of its time since.
		grown(had.get(instanceOf(each)) ?? 0, each.cpuSeconds),
	);
	return ran.reduce<number | null>(
		(sum, each) => (sum === null || each === null ? null : sum + each),
		0,
	);
};

const cpuUse = (before: Reading, after: Reading, cpus: number): number | null => {
	if (before.xen === null || after.xen === null) return null;
	const seconds = ranSeconds(before.xen, after.xen);
	const elapsedS = (after.xen.atMs - before.xen.atMs) / 1000;
	return seconds === null ? null : share(seconds, cpus * elapsedS);
};

const dom0Use = (before: KernelReading, after: KernelReading): number | null => {
	if (before.dom0 === null || after.dom0 === null) return null;
	const busy = grown(before.dom0.busy, after.dom0.busy);
	// The kernel takes back what it had counted as waiting for a disk, proc(5): idle time may shrink a little.
	const idle = Math.max(0, after.dom0.idle - before.dom0.idle);
	return busy === null ? null : share(busy, busy + idle);
};

/** A disk or device that appeared in between was not watched for all of the time: it counts in the next sample. */
const inBoth = <Counters>(
	before: ReadonlyMap<string, Counters>,
	after: ReadonlyMap<string, Counters>,
): readonly (readonly [Counters, Counters])[] =>
	[...after].flatMap(([name, now]) => {
		const then = before.get(name);
		return then === undefined ? [] : [[then, now] as const];
	});

const diskUse = (before: KernelReading, after: KernelReading): number | null => {
	if (before.disksMs === null || after.disksMs === null) return null;
	const elapsedMs = after.atMs - before.atMs;
	return busiest(
		inBoth(before.disksMs, after.disksMs).map(([then, now]) => {
			const busyMs = grown(then, now);
			return busyMs === null ? null : share(busyMs, elapsedMs);
		}),
	);
};

const networkUse = (before: KernelReading, after: KernelReading): number | null => {
	if (before.network === null || after.network === null) return null;
	const elapsedS = (after.atMs - before.atMs) / 1000;
	return busiest(
		inBoth(before.network, after.network).map(([then, now]) => {
			const received = grown(then.rxBytes, now.rxBytes);
			const sent = grown(then.txBytes, now.txBytes);
			if (received === null || sent === null) return null;
			return share(Math.max(received, sent), now.bytesPerS * elapsedS);
		}),
	);
};

const inflowOf = (before: Reading, after: Reading, domid: number): number | null => {
	if (before.kernel === null || after.kernel === null) return null;
	const bytes = grown(
		before.kernel.inflowBytes.get(domid),
		after.kernel.inflowBytes.get(domid) ?? null,
	);
	const elapsedS = (after.kernel.atMs - before.kernel.atMs) / 1000;
	return bytes === null || elapsedS <= 0 ? null : rounded(bytes / 2 ** 20 / elapsedS);
};

/** The running domain of a VM. */
export const domainOf = (reading: DomainReading, vm: VmName): Domain | undefined =>
	reading.domains.find((each) => each.name === vm && presenceOf(each) === 'running');

/** A VM that was restarted in between has another domain, and its counters began anew: it is in the next sample. */
const vmLoads = (before: Reading, after: Reading, vms: readonly VmName[]): readonly VmLoad[] => {
	const { xen: then } = before;
	const { xen: now } = after;
	if (then === null || now === null) return [];
	const elapsedS = (now.atMs - then.atMs) / 1000;
	return vms.flatMap((vm) => {
		const was = domainOf(then, vm);
		const is = domainOf(now, vm);
		if (was === undefined || is === undefined || instanceOf(was) !== instanceOf(is)) return [];
		const seconds = grown(was.cpuSeconds, is.cpuSeconds);
		if (seconds === null || elapsedS <= 0) return [];
		const cpus = rounded(seconds / elapsedS);
		return [{ vm, cpus, inflowMibPerS: inflowOf(before, after, is.domid) }];
	});
};

/** How busy this host was between two readings. `cpus`: its physical CPUs. */
export const loadSample = (
	before: Reading,
	after: Reading,
	of: { readonly vms: readonly VmName[]; readonly cpus: number },
): LoadSample => {
	const kernels =
		before.kernel === null || after.kernel === null
			? null
			: ([before.kernel, after.kernel] as const);
	const host: HostLoad = {
		cpu: cpuUse(before, after, of.cpus),
		dom0: kernels === null ? null : dom0Use(...kernels),
		memory: roundedOrNull(after.kernel?.memory ?? null),
		disk: kernels === null ? null : diskUse(...kernels),
		network: kernels === null ? null : networkUse(...kernels),
	};
	return { cpus: of.cpus, host, vms: vmLoads(before, after, of.vms) };
};

/** What a VM must change by to be told anew: a hundredth of all CPUs, or 1 MiB/s, a hundredth of a link of 1 Gbit/s. */
const noticeable = { cpuShare: 0.01, inflowMibPerS: 1 };

const near = (one: number | null, other: number | null, step: number): boolean =>
	one === null || other === null ? one === other : Math.abs(one - other) < step;

/**
 * The sample as it is told after `told`: a VM whose load hardly changed is told as before. Every event is kept in the
 * bounded event journal, and decisions are replayed from there, so nothing may be left out on the way to it. But what
 * is told again in the same words costs little: else the noise of 200 VMs would displace all else within a day. The
 * host's own values are exact.
 */
export const steadied = (told: LoadSample | null, now: LoadSample): LoadSample => {
	const before = new Map(told?.vms.map((each) => [each.vm, each]));
	return {
		...now,
		vms: now.vms.map((each) => {
			const last = before.get(each.vm);
			if (last === undefined) return each;
			const same =
				near(last.cpus, each.cpus, noticeable.cpuShare * now.cpus) &&
				near(last.inflowMibPerS, each.inflowMibPerS, noticeable.inflowMibPerS);
			return same ? last : each;
		}),
	};
};
