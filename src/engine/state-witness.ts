import type { MonotonicMs, ResourceName } from '#src/ports.ts';
import type { Vote, WatchdogObservation, WitnessRecord } from '#src/ports-witness.ts';
import type { Persisted } from '#src/store/record.ts';
import type { LeaseOrders } from '#src/witness/lease.ts';

/** What the witness last said. */
export interface WitnessView {
	readonly runId: string;
	/** Just before the question was sent; and when the answer was taken in. */
	readonly sentMs: MonotonicMs;
	readonly atMs: MonotonicMs;
	readonly record: WitnessRecord | null;
	/** Why there is no record to go by. */
	readonly trouble: 'absent' | 'other-pair' | 'unreadable' | null;
}

/** An exclusion that is written to the witness for one loss of replication (V5). */
interface WitnessExclusion {
	readonly loss: number;
	readonly generation: number;
	readonly landed: boolean;
}

export interface WitnessState {
	readonly view: WitnessView | null;
	/** Since when it is usable, or not. */
	readonly usable: boolean;
	readonly usableSinceMs: MonotonicMs;
	/** The peer's renewals as present in the witness, and when they were first read so (V1). */
	readonly peerRead: {
		readonly runId: string;
		readonly renewals: number | null;
		readonly atMs: MonotonicMs;
	} | null;
	/** A command of ours ended unknown at that time: nothing is written before a later answer. */
	readonly unknownMs: MonotonicMs | null;
	readonly exclusions: Readonly<Record<ResourceName, WitnessExclusion>>;
	readonly vote: Vote;
	readonly votedMs: MonotonicMs | null;
	/** When the vote last came back; what was read before says nothing (V3). */
	readonly voteBackMs: MonotonicMs;
	/** Counts the returns of the vote. */
	readonly round: number;
	/** Since when there is no vote; null while there is one. */
	readonly votelessMs: MonotonicMs | null;
	/** As the heartbeat thread confirmed it; null before its first word. */
	readonly echo: { readonly echoing: boolean; readonly heardMs: MonotonicMs | null } | null;
	/** When the present claim was first wanted, and until when none is. */
	readonly claimSinceMs: MonotonicMs | null;
	readonly claimRestUntilMs: MonotonicMs;
	/** A claim was sent in this run, or by an earlier one: it must be withdrawn in the witness. */
	readonly claimSent: boolean;
	readonly watchdog: WatchdogObservation | null;
	/** Good, or bad, for long enough to change the arbiter (L2). */
	readonly settled: 'usable' | 'unusable' | null;
	/** When the last look at the domains began. */
	readonly looked: MonotonicMs | null;
	readonly orders: LeaseOrders | null;
	/** Until then a pause of ours may have its effect: what is seen running may be what was before. */
	readonly pausesUntilMs: MonotonicMs;
	/** Until then an unpause of ours may have its effect: what is seen paused may run the next moment. */
	readonly unpausesUntilMs: MonotonicMs;
	/** When this host's lease last rested, or when its agent started: its feeder takes a moment after that. */
	readonly restedMs: MonotonicMs;
	readonly closely: boolean;
	/** Since when a VM is seen running here that needs a vote, and there is none. */
	readonly overdueMs: MonotonicMs | null;
	readonly resetAsked: boolean;
}

/** Nothing was heard of the witness yet; a claim of an earlier run of the agent still stands. */
export const initialWitness = (persisted: Persisted | null, nowMs: MonotonicMs): WitnessState => ({
	view: null,
	usable: false,
	usableSinceMs: nowMs,
	peerRead: null,
	unknownMs: null,
	exclusions: {},
	vote: 'none',
	votedMs: null,
	voteBackMs: nowMs,
	// Never that of an earlier run, which the peer may still name.
	round: Math.floor(nowMs),
	votelessMs: nowMs,
	echo: null,
	claimSinceMs: null,
	claimRestUntilMs: 0,
	claimSent: persisted?.witness?.claiming === true,
	watchdog: null,
	settled: null,
	looked: null,
	orders: null,
	pausesUntilMs: 0,
	unpausesUntilMs: 0,
	restedMs: nowMs,
	closely: false,
	overdueMs: null,
	resetAsked: false,
});
