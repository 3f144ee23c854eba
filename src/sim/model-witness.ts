import type { WitnessCommand, WitnessRecord } from '#src/ports-witness.ts';
import type { Impairment } from '#src/sim/model-wire.ts';
import type { Timer } from '#src/sim/queue.ts';
import type { LeaseState } from '#src/witness/lease.ts';

/** Witness, votes and watchdogs of the simulated world, as plain data. */

/** The third place: one server with the pair's record, and a link of its own to each host. */
export interface SimWitness {
	up: boolean;
	/** Counts its starts: the run id. */
	runs: number;
	record: WitnessRecord | null;
	readonly saved: Map<string, WitnessRecord | null>;
	/** The in-sync set that was last written, by resource, whatever became of the record since. */
	readonly written: Map<string, readonly string[]>;
	/** When each host was last seen to hold a claim, in true time. */
	readonly claimedMs: Map<string, number>;
	/** By host: nothing passes between it and the witness. */
	readonly cut: [boolean, boolean];
	/** By host: what the way to it does to packets. */
	readonly impaired: [Impairment | null, Impairment | null];
	/** Until then a command may be carried out long after its time-out. */
	slowUntilMs: number;
	/** What a host sends of this kind until then is carried out so much later. */
	readonly late: {
		readonly host: string;
		readonly op: WitnessCommand['op'];
		readonly untilMs: number;
		readonly byMs: number;
	}[];
}

/** The watchdog of a host: a timer in hardware that the feeder starts again and again. */
export interface SimWatchdog {
	readonly timeoutMs: number;
	/** Fed for the first time in this boot. */
	armed: boolean;
	/** It counts no more, and the feeder says so. */
	failed: boolean;
	/** Until when the feeder was last allowed to feed, in true time. */
	grantMs: number;
	/** What it still had to count when it was held. */
	leftMs: number;
	timer: Timer | null;
}

/** The heartbeat thread's connection to the witness: without one a command is not sent at all. */
export interface SimConnection {
	/** The run of the server that it leads to; null: none stands. */
	runs: number | null;
	/** A new one is being opened. */
	opening: boolean;
}

/** The heartbeat thread's part in votes. */
export interface SimVotes {
	readonly connection: SimConnection;
	lease: LeaseState;
	/** Beats of the peer are echoed. */
	echoing: boolean;
	/** Our beats are being echoed right now. */
	echoed: boolean;
	/** Beats of the peer arrive right now. */
	flows: boolean;
	/** When a beat of the peer was last received; null: never in this run. */
	heardMs: number | null;
	timer: Timer | null;
	told: string;
	/** The watchdog was stopped, as ordered. */
	released: boolean;
	closely: boolean;
}
