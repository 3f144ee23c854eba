import type { XenTiming } from '#src/xen/timing.ts';

/** Why looks at the domains may have to follow each other more closely than usual. */
export interface Haste {
	/** Pauses must be verified: the watchdog is fed by looks that are no older than two seconds. */
	readonly closely: boolean;
	/** A migration is there: xl renames domains without an event. */
	readonly migrates: boolean;
}

/** A slow host has so many times the length of a look for itself before the next one begins. */
const restFactor = 2;

/**
 * From the end of a look at the domains, which took `tookMs`, to the beginning of the next one, ms.
 *
 * While a VM moves, the looks take at most a third of the host's time: on a host on which one takes more than a second,
 * a look each second leaves nothing for xl and the guest's memory (seen: 157 s instead of 40 s). The pause never gets
 * longer than the usual one, `pollMs`: a look each `listMs + pollMs` is what the time limits of a migration bear
 * (`goneMs` and `heldBackMs` in src/migrate/saga.ts). Looks that verify pauses stay as close as they are asked for.
 */
export const pauseAfter = (
	tookMs: number,
	{ closely, migrates }: Haste,
	{ closeMs, pollMs }: Pick<XenTiming, 'closeMs' | 'pollMs'>,
): number => {
	const untilDueMs = Math.max(0, closeMs - tookMs);
	if (closely) return untilDueMs;
	if (!migrates) return pollMs;
	return Math.max(untilDueMs, Math.min(restFactor * tookMs, pollMs));
};
