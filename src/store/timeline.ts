import type { HistoryEntry } from '#src/api/view.ts';

/**
 * The last failover, told from the notes of this host. Every time is on its monotonic clock, ms; null: it has not
 * happened, or was not written down.
 */

export interface FailoverVm {
	readonly vm: string;
	readonly resource: string;
	/** Its record says that this host owns it. */
	readonly takenMs: number;
	/** Its resource is being made Primary here. */
	readonly promoteMs: number | null;
	/** It is Primary, and the hypervisor was told to start the VM. */
	readonly startMs: number | null;
	readonly runsMs: number | null;
}

/** What is known of a peer that went silent. */
interface Silence {
	readonly host: string;
	/** Three beats were missed on every path, or the first that was seen of it. */
	readonly sinceMs: number;
	/** Wall-clock time of that, ISO 8601. */
	readonly at: string;
	readonly lostMs: number | null;
	/** When each power-off was sent. */
	readonly fences: readonly number[];
	readonly proof: { readonly kind: string; readonly atMs: number } | null;
}

export interface Failover extends Silence {
	readonly vms: readonly FailoverVm[];
}

export interface Timeline {
	/** The peer is silent now, and nothing was taken over yet. */
	readonly silence: Silence | null;
	readonly failover: Failover | null;
	readonly lastMs: number;
}

export const noTimeline: Timeline = { silence: null, failover: null, lastMs: 0 };

/** As many as are told; a pair has fewer VMs than this. */
const vmsMax = 256;
const fencesMax = 64;

const textOf = (entry: HistoryEntry, field: string): string => {
	const value = entry.fields[field];
	return typeof value === 'string' ? value : '';
};

const silent = ({ host, at, ms }: { host: string; at: string; ms: number }): Silence => ({
	host,
	sinceMs: ms,
	at,
	lostMs: null,
	fences: [],
	proof: null,
});

const told = (before: Timeline, change: (silence: Silence) => Silence): Timeline =>
	before.silence === null ? before : { ...before, silence: change(before.silence) };

const statusChanged = (before: Timeline, entry: HistoryEntry): Timeline => {
	const [host, to, proof] = ['host', 'to', 'proof'].map((field) => textOf(entry, field));
	if (host === undefined || to === 'online' || to === 'left' || to === 'unknown')
		return { ...before, silence: null };
	const begun: Timeline = {
		...before,
		silence: before.silence ?? silent({ host, at: entry.at, ms: entry.ms }),
	};
	if (to === 'lost') return told(begun, (each) => ({ ...each, lostMs: each.lostMs ?? entry.ms }));
	if (to !== 'out') return begun;
	const found = { kind: proof ?? '', atMs: entry.ms };
	return told(begun, (each) => ({ ...each, proof: each.proof ?? found }));
};

const takenOver = (before: Timeline, entry: HistoryEntry): Timeline => {
	// A host that said goodbye was expected to go: that is no failover.
	if (textOf(entry, 'proof') === 'left') return before;
	const silence =
		before.silence ?? silent({ host: textOf(entry, 'from'), at: entry.at, ms: entry.ms });
	const proof = silence.proof ?? { kind: textOf(entry, 'proof'), atMs: entry.ms };
	const goesOn = before.failover !== null && before.failover.at === silence.at;
	const vms = goesOn ? (before.failover?.vms ?? []) : [];
	const vm: FailoverVm = {
		vm: textOf(entry, 'vm'),
		resource: textOf(entry, 'resource'),
		takenMs: entry.ms,
		promoteMs: null,
		startMs: null,
		runsMs: null,
	};
	return {
		...before,
		silence: { ...silence, proof },
		failover: {
			...silence,
			proof,
			vms: [...vms.filter((each) => each.vm !== vm.vm), vm].slice(-vmsMax),
		},
	};
};

/** The first time that something happens to a VM of the failover counts: a VM may start again for other reasons. */
const happened = (
	before: Timeline,
	is: (vm: FailoverVm) => boolean,
	what: 'promoteMs' | 'startMs' | 'runsMs',
	atMs: number,
): Timeline => {
	const { failover } = before;
	if (failover === null) return before;
	const vms = failover.vms.map((each) =>
		is(each) && each[what] === null ? { ...each, [what]: atMs } : each,
	);
	return { ...before, failover: { ...failover, vms } };
};

const follow = (before: Timeline, entry: HistoryEntry): Timeline => {
	const vm = textOf(entry, 'vm');
	switch (entry.message) {
		case 'peer status change':
			return statusChanged(before, entry);
		case 'fence':
			return told(before, (each) => ({
				...each,
				fences: [...each.fences, entry.ms].slice(-fencesMax),
			}));
		case 'takeover':
			return takenOver(before, entry);
		case 'action promote':
			return happened(
				before,
				({ resource }) => resource === textOf(entry, 'subject'),
				'promoteMs',
				entry.ms,
			);
		case 'start issued':
			return happened(before, (each) => each.vm === vm, 'startMs', entry.ms);
		case 'VM runs':
			return happened(
				before,
				(each) => each.vm === vm && each.startMs !== null,
				'runsMs',
				entry.ms,
			);
		default:
			return before;
	}
};

/** A timeline after one more entry of the history of this host; entries come in the order of their numbers. */
export const withEntry = (before: Timeline, entry: HistoryEntry): Timeline => {
	// The clock began anew: the host booted, and what was under way has ended.
	const sameBoot = entry.ms >= before.lastMs;
	const from = sameBoot ? before : { ...before, silence: null };
	return { ...follow(from, entry), lastMs: entry.ms };
};

export interface Phase {
	readonly name: string;
	/** Since the silence began, ms. */
	readonly fromMs: number;
	/** Null while it goes on. */
	readonly toMs: number | null;
}

const known = (times: readonly (number | null)[]): readonly number[] =>
	times.filter((time) => time !== null);

/**
 * The phases of a failover, one after the other: the proof that the peer is out, the promotion up to the first start,
 * the starts of all VMs. The last one that is there may still go on.
 */
export const phasesOf = ({ sinceMs, proof, vms }: Failover): readonly Phase[] => {
	const starts = known(vms.map(({ startMs }) => startMs));
	const runs = known(vms.map(({ runsMs }) => runsMs));
	const ends: readonly (readonly [string, number | null])[] = [
		['proof', proof?.atMs ?? null],
		['promote', starts.length === 0 ? null : Math.min(...starts)],
		['start', runs.length < vms.length ? null : Math.max(...runs)],
	];
	const phases: Phase[] = [];
	let fromMs = 0;
	for (const [name, atMs] of ends) {
		const toMs = atMs === null ? null : Math.max(fromMs, atMs - sinceMs);
		phases.push({ name, fromMs, toMs });
		if (toMs === null) break;
		fromMs = toMs;
	}
	return phases;
};
