import { type LeaseTiming, takeAfterMs } from '#src/witness/lease.ts';

/** Between two beats; small enough that three lost ones are told apart from a loaded network. */
const beatIntervalMs = 200;
/** Beats missed on every link before the peer is suspect (docs/protocol.md, section 3). */
export const suspectBeats = 3;
/** One power-status query in flight per device, this far apart. */
const powerQueryMs = 2000;
/** A peer whose agent is dead but whose kernel answers is held this long before it counts as lost (L9). */
const agentDownLostMs = 30_000;
/** Under the 121 s that DRBD waits for a handler that runs inside a promote. */
const handlerMs = 110_000;

/** By how much a lease and a watchdog outlast the detection time. */
export const leaseMarginMs = 2000;
/** G: what a watchdog needs to reset a host beyond its time-out. */
export const resetGraceMs = 2000;
/** The whole timing table, lease terms included. Milliseconds. */
export interface TimingTable {
	/** D: silence on every link after which the peer is lost. */
	readonly detectionMs: number;
	readonly beatIntervalMs: number;
	/** Silence after which the peer is suspect. */
	readonly suspectMs: number;
	/** Between two power-status queries of a suspect. */
	readonly powerQueryMs: number;
	readonly agentDownLostMs: number;
	/** A fence-peer handler is answered at the latest after this long. */
	readonly handlerMs: number;
	/** L: how long a vote keeps a VM runnable. */
	readonly leaseMs: number;
	/** T_wd: time-out of the watchdog. */
	readonly watchdogMs: number;
	/** T_take: silence after which a host with lease and watchdog has reset itself. */
	readonly takeMs: number;
}

/** How long a vote lasts, and how long before its end the pauses begin, ms. */
export const leaseTiming = (table: TimingTable): LeaseTiming => ({
	leaseMs: table.leaseMs,
	pauseLeadMs: leaseMarginMs,
});

/** What votes and claims are reckoned with, as the engine takes it; `watchdogs`: the hosts that have one. */
export const engineWitness = (table: TimingTable, watchdogs: readonly string[]) => ({
	...leaseTiming(table),
	watchdogMs: table.watchdogMs,
	takeMs: table.takeMs,
	watchdogs,
});

/** The table that derives from the detection time D (docs/protocol.md, section 5). */
export const timingTable = (detectionMs: number): TimingTable => {
	const leaseMs = detectionMs + leaseMarginMs;
	const watchdogMs = leaseMs;
	const takeMs = takeAfterMs(leaseMs, watchdogMs, resetGraceMs);
	return {
		detectionMs,
		beatIntervalMs,
		suspectMs: suspectBeats * beatIntervalMs,
		powerQueryMs,
		agentDownLostMs,
		handlerMs,
		leaseMs,
		watchdogMs,
		takeMs,
	};
};
