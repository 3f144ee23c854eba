import type { BalanceSettings } from '#src/config/balance.ts';
import { type HostLoad, type LoadKind, loadKinds } from '#src/ports-load.ts';
import type { MonotonicMs } from '#src/ports.ts';

/** When a host counts as overloaded, and how long VMs rest after a move for load. */

/** Between two readings of the load, ms. */
export const sampleMs = 10_000;
/** What was not known for longer is not known any more, ms. */
export const missingMs = 3 * sampleMs;
/** So far, and so long, a load may dip below its limit without ending what began above it; ms. */
const dip = 0.1;
const dipMs = 3 * sampleMs;

const dayMs = 86_400_000;

/** Since when a kind of load is above its limit, when it was last read, and when it was last read to be above. */
interface Above {
	readonly sinceMs: MonotonicMs;
	readonly knownAtMs: MonotonicMs;
	readonly highAtMs: MonotonicMs;
}

export type Sustained = Readonly<Partial<Record<LoadKind, Above>>>;

const followKind = (
	before: Above | undefined,
	share: number | null,
	limit: number,
	nowMs: MonotonicMs,
): Above | null => {
	const lasting = before !== undefined && nowMs - before.knownAtMs <= missingMs ? before : null;
	if (share === null) return lasting;
	if (share > limit)
		return { sinceMs: lasting?.sinceMs ?? nowMs, knownAtMs: nowMs, highAtMs: nowMs };
	if (lasting === null || share < limit - dip || nowMs - lasting.highAtMs > dipMs) return null;
	return { ...lasting, knownAtMs: nowMs };
};

/**
 * What is above its limit after one more reading. Above begins it; a short dip and a reading that is missing do not end
 * it.
 */
export const followLoad = (
	before: Sustained,
	host: HostLoad,
	limits: BalanceSettings['limits'],
	nowMs: MonotonicMs,
): Sustained =>
	Object.fromEntries(
		loadKinds.flatMap((kind) => {
			const above = followKind(before[kind], host[kind], limits[kind], nowMs);
			return above === null ? [] : [[kind, above]];
		}),
	);

/** A kind of load that counts as too high. */
export interface Overload {
	readonly kind: LoadKind;
	/** The last reading; null: that one is missing. */
	readonly share: number | null;
	/** Null: a person asks, and does not wait. */
	readonly forMs: number | null;
}

/** What is above its limit for as long as it has to be. */
export const overloadsOf = (
	sustained: Sustained,
	host: HostLoad,
	holdMs: number,
	nowMs: MonotonicMs,
): readonly Overload[] =>
	loadKinds.flatMap((kind) => {
		const above = sustained[kind];
		if (above === undefined || nowMs - above.sinceMs < holdMs) return [];
		return [{ kind, share: host[kind], forMs: nowMs - above.sinceMs }];
	});

/** What is above its limit by the last reading alone. */
export const overloadsNow = (
	host: HostLoad,
	limits: BalanceSettings['limits'],
): readonly Overload[] =>
	loadKinds.flatMap((kind) => {
		const share = host[kind];
		return share !== null && share > limits[kind] ? [{ kind, share, forMs: null }] : [];
	});

/**
 * How long a VM rests after a move for load, ms: twice as long each time when it is moved again soon, up to a day.
 * @param moves how many there were, each within a day of the one before.
 */
export const restMs = (moves: number, cooldownMs: number): number =>
	Math.min(cooldownMs * 2 ** (moves - 1), Math.max(dayMs, cooldownMs));

/** After so long a move of a VM counts for nothing any more, ms. */
export const settledMs = (moves: number, cooldownMs: number): number =>
	Math.max(dayMs, restMs(moves, cooldownMs));

/** How many moves there are with one more, when the last one was so long ago; after a quiet day it counts anew. */
export const movesWith = (moves: number, agoMs: number): number => (agoMs < dayMs ? moves + 1 : 1);
