import type { MonotonicMs } from '#src/ports.ts';
import type { Vote, WitnessAnswer, WitnessCommand } from '#src/ports-witness.ts';

/**
 * Votes and what follows from them, for the heartbeat thread, the engine and the simulation alike
 * (docs/protocol.md, section 5). All times are of one host's own monotonic clock.
 */

/** Two clocks may differ by this much in rate, in thousandths (r). */
const driftPerMille = 5;

/** A check that every VM is paused counts for this long, ms. */
export const verifiedMs = 2000;

/** Between two renewals, ms. */
export const renewMs = 1000;

/**
 * T_take: silence after which a host with this lease and watchdog runs nothing any more,
 * (L + T_wd + G)(1 + r)/(1 - r), rounded up to 0.1 s.
 */
export const takeAfterMs = (leaseMs: number, watchdogMs: number, graceMs: number): number =>
	Math.ceil(
		((leaseMs + watchdogMs + graceMs) * (1000 + driftPerMille)) / (1000 - driftPerMille) / 100,
	) * 100;

/** What the main loop lets the heartbeat thread know; whole, the newest wins. */
export interface LeaseOrders {
	/** Renew, and say this of the own watchdog; null: this host does not renew. */
	readonly renewal: { readonly watchdogMs: number | null } | null;
	/** The witness's run that both hosts confirmed (V6); a renewal of any other is no vote. */
	readonly confirmedRunId: string | null;
	/** No VM here needs a vote, and none will before other orders (L1). */
	readonly exempt: boolean;
	/** When the check began that showed every VM paused that needs a vote; null: not shown. */
	readonly pausedMs: MonotonicMs | null;
	/** False: a claim is on its way; no beat is echoed (V2). */
	readonly echoing: boolean;
	/** The pair is disarmed, and peer and arbiter know it: the watchdog is stopped, not fed (V17). */
	readonly released: boolean;
}

export interface LeaseTiming {
	/** L. */
	readonly leaseMs: number;
	/** How long before the vote's end the pauses begin. */
	readonly pauseLeadMs: number;
}

export interface LeaseState {
	readonly timing: LeaseTiming;
	readonly orders: LeaseOrders;
	/** When we sent the youngest beat that the peer echoed. */
	readonly echoedMs: MonotonicMs | null;
	/** When we sent the youngest renewal that counts. */
	readonly renewedMs: MonotonicMs | null;
	/** Newest version seen in this run of the witness: one that goes back was restored. */
	readonly seen: { readonly runId: string; readonly version: number } | null;
	/** This host's number of renewals as the witness said it last, null without any: the next one names it. */
	readonly renewals: number | null;
}

/** What the thread goes by before its first orders: as the main loop's last run left it. */
export const initialOrders = (echoing: boolean, released = false): LeaseOrders => ({
	renewal: null,
	confirmedRunId: null,
	exempt: false,
	pausedMs: null,
	echoing,
	released,
});

export const createLease = (timing: LeaseTiming, orders: LeaseOrders): LeaseState => ({
	timing,
	orders,
	echoedMs: null,
	renewedMs: null,
	seen: null,
	renewals: null,
});

const later = (one: MonotonicMs | null, other: MonotonicMs): MonotonicMs =>
	one === null ? other : Math.max(one, other);

/** The peer echoed a beat that we sent at `sentMs`: counted from the sending, so delay proves nothing new. */
export const echoed = (lease: LeaseState, sentMs: MonotonicMs): LeaseState => ({
	...lease,
	echoedMs: later(lease.echoedMs, sentMs),
});

/** What is sent to the witness now: a renewal, or only a question before the main loop has ordered one. */
export const nextCommand = (
	{ orders: { renewal }, renewals }: LeaseState,
	{ host, bootId }: { readonly host: string; readonly bootId: string },
): WitnessCommand =>
	renewal === null
		? { op: 'read', host }
		: {
				op: 'renew',
				host,
				bootId,
				watchdogMs: renewal.watchdogMs,
				expectedRenewals: renewals,
			};

/** The renewal named another number than the witness has: an answer was lost, or an earlier run renewed. */
export const isOutrun = ({ reply }: WitnessAnswer): boolean =>
	!reply.ok && reply.refused === 'renewed';

/** The answer to such a command: what it says of the own renewals, and the vote that a renewal brings. */
export const answered = (
	lease: LeaseState,
	command: WitnessCommand,
	answer: WitnessAnswer,
): LeaseState => {
	const record = 'record' in answer.reply ? answer.reply.record : null;
	const renewals = record?.hosts[command.host]?.renewals ?? null;
	return { ...(command.op === 'renew' ? renewed(lease, answer) : lease), renewals };
};

/** An answer to a renewal. A vote only from the confirmed run, granted, and not older than what was seen. */
export const renewed = (lease: LeaseState, { runId, sentMs, reply }: WitnessAnswer): LeaseState => {
	if (!reply.ok) return lease;
	const { version } = reply.record;
	const restored = lease.seen?.runId === runId && version <= lease.seen.version;
	if (restored) return lease;
	const seen = { ...lease, seen: { runId, version } };
	if (runId !== lease.orders.confirmedRunId) return seen;
	return { ...seen, renewedMs: later(lease.renewedMs, sentMs) };
};

export const ordered = (lease: LeaseState, orders: LeaseOrders): LeaseState => ({
	...lease,
	orders,
	// A run that is not confirmed any more never granted anything.
	renewedMs: orders.confirmedRunId === lease.orders.confirmedRunId ? lease.renewedMs : null,
});

/** Sending time of the youngest vote; null without any. */
export const votedMs = ({ echoedMs, renewedMs }: LeaseState): MonotonicMs | null =>
	echoedMs === null ? renewedMs : later(renewedMs, echoedMs);

/** The vote at `nowMs`, and when time alone changes it (null: never). */
export const voteAt = (
	lease: LeaseState,
	nowMs: MonotonicMs,
): { readonly vote: Vote; readonly nextMs: MonotonicMs | null } => {
	const atMs = votedMs(lease);
	if (atMs === null) return { vote: 'none', nextMs: null };
	const endMs = atMs + lease.timing.leaseMs;
	const pauseMs = endMs - lease.timing.pauseLeadMs;
	if (nowMs < pauseMs) return { vote: 'held', nextMs: pauseMs };
	return nowMs < endMs ? { vote: 'ending', nextMs: endMs } : { vote: 'none', nextMs: null };
};

/**
 * Until when the watchdog may be fed: the vote's end, or a moment after all was seen paused; while no VM
 * needs a vote, L from now. Null: not at all.
 */
export const grantUntilMs = (lease: LeaseState, nowMs: MonotonicMs): MonotonicMs | null => {
	const { leaseMs } = lease.timing;
	const { exempt, pausedMs, released } = lease.orders;
	if (released) return null;
	const atMs = votedMs(lease);
	const ends = [
		...(atMs === null ? [] : [atMs + leaseMs]),
		...(pausedMs === null ? [] : [pausedMs + verifiedMs]),
		...(exempt ? [nowMs + leaseMs] : []),
	];
	return ends.length === 0 ? null : Math.max(...ends);
};

/** What the P3 clock counts from. */
export interface Silence {
	/** When this host first read the peer's present number of renewals in this run of the witness. */
	readonly readMs: MonotonicMs;
	/** The last beat of the peer on any path, or the start of this agent when it heard none. */
	readonly heardMs: MonotonicMs;
}

/** When a silent peer with lease and armed watchdog runs nothing any more (P3, V1). */
export const outAtMs = ({ readMs, heardMs }: Silence, takeMs: number): MonotonicMs =>
	Math.max(readMs, heardMs) + takeMs;
