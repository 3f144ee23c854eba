import type { LoadSight } from '#src/heartbeat/document.ts';
import { calm, type LoadVerdict } from '#src/migrate/load.ts';
import type { Sustained } from '#src/migrate/sustain.ts';
import type { Health, LoadSample } from '#src/ports-load.ts';
import type { MonotonicMs } from '#src/ports.ts';

/** What one run of the agent knows of the load of its host, and makes of it. */
export interface LoadState {
	/** The last reading; null: there is none that is young enough. */
	readonly sample: { readonly value: LoadSample; readonly atMs: MonotonicMs } | null;
	/** What is above its limit, and since when. */
	readonly sustained: Sustained;
	/** What the last reading led to. */
	readonly verdict: LoadVerdict;
	/** What two readings in a row led to: it is acted on and told. */
	readonly told: LoadVerdict;
	/** What the peer is told, and since when; it is told of load alone once in a while. */
	readonly sight: LoadSight | null;
	readonly sightAtMs: MonotonicMs;
	/** The key of the verdict that the peer was told. */
	readonly sightKey: string;
}

const noLoad: LoadState = {
	sample: null,
	sustained: {},
	verdict: calm,
	told: calm,
	sight: null,
	sightAtMs: 0,
	sightKey: calm.key,
};

/** What a health check of this host said. */
export interface CheckState {
	readonly health: Health;
	readonly detail: string;
	/** When it answered last. */
	readonly atMs: MonotonicMs;
	/** The first of the answers in a row that say the same. */
	readonly sinceMs: MonotonicMs;
	/** The first of the answers in a row that are not ok; null: the last one is. */
	readonly notOkSinceMs: MonotonicMs | null;
}

/** What one run of the agent knows of the health of both hosts. */
export interface HealthState {
	readonly checks: Readonly<Record<string, CheckState>>;
	/** Those of this host that count as critical, in the order of the configuration. */
	readonly critical: readonly { readonly check: string; readonly evacuate: boolean }[];
	/** The check because of which this host is emptied; null: none. */
	readonly evacuates: string | null;
	/** A check that empties a host is critical on the peer; and since when none is any more, if one was. */
	readonly peerIll: boolean;
	readonly peerWellSinceMs: MonotonicMs | null;
}

const noHealth: HealthState = {
	checks: {},
	critical: [],
	evacuates: null,
	peerIll: false,
	peerWellSinceMs: null,
};

/** How busy this host is, and whether it is well. */
export interface Burden {
	readonly load: LoadState;
	readonly health: HealthState;
}

/** Nothing was read yet. */
export const unburdened: Burden = { load: noLoad, health: noHealth };
