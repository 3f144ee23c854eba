import type { ResolveOrder } from '#src/heartbeat/document.ts';
import type { MonotonicMs, VolumeEvidence } from '#src/ports.ts';

/** What is remembered of copies that stand apart, until the agent ends. */

/** What a copy that stands apart carries, and when that was read. */
export interface Evidence {
	readonly volumes: readonly VolumeEvidence[];
	readonly atMs: MonotonicMs;
}

/** The steps that end a frozen Primary which the other host has replaced, in their order (V15). */
export type ReleaseStep = 'pause' | 'detach' | 'fail-io' | 'destroy' | 'demote' | 'down' | 'up';

/** How far a superseded Primary is released, and how it goes. */
export interface Release {
	readonly step: ReleaseStep;
	/** When this step became due, and how often it was tried. */
	readonly sinceMs: MonotonicMs;
	readonly tries: number;
}

/** A connection that does not get on. */
export interface Stuck {
	/** `bitmap`: the exchange before a resync. `connecting`: both sides look for each other and no cable is out. */
	readonly what: 'bitmap' | 'connecting';
	readonly sinceMs: MonotonicMs;
	/** The one reconnect was tried. */
	readonly reconnected: boolean;
}

/** A person's order that the peer's copy is given up, taken on here. */
export interface Resolve {
	readonly order: ResolveOrder;
	readonly sinceMs: MonotonicMs;
}

/** How far this host is with giving its copy up for an order of the peer. */
export interface GiveUp {
	/** The order's id. */
	readonly id: string;
	/** A snapshot was made, or cannot be. */
	readonly snapshot: boolean;
	/** Tries to connect with the data given up; the next one not before this time. */
	readonly discards: number;
	readonly notBeforeMs: MonotonicMs;
	/** The last of them succeeded. */
	readonly connected: boolean;
}
