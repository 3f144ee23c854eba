/** Time limits and intervals of the Xen driver, in ms. */
export interface XenTiming {
	/** One `xl list` or `xl info`. */
	readonly listMs: number;
	/** Pause after one listing before the next, when nothing wakes the watch. */
	readonly pollMs: number;
	/** From one look to the next while pauses must be verified (docs/protocol.md, section 5). */
	readonly closeMs: number;
	/** Xenstore events within this time lead to one listing. */
	readonly debounceMs: number;
	/** Free memory is asked for anew after this long, or when domains come and go. */
	readonly memoryMs: number;
	/** Limits of the calls of the port when the caller gives none. */
	readonly createMs: number;
	readonly controlMs: number;
	readonly destroyMs: number;
	/** A VM's whole memory over a slow link. */
	readonly migrateMs: number;
	/** Between two looks at a domain that is being destroyed. */
	readonly retryMs: number;
	/** First pause before a xenstore watcher that ended is started again. */
	readonly watcherMs: number;
}

/**
 * From a real pair whose CPUs are emulated, about 20 times slower than real ones: `xl list` up to 1.7 s,
 * `xl create` 12 to 31 s, `xl destroy` up to 22 s when a device does not close.
 */
export const defaultTiming: XenTiming = {
	listMs: 5000,
	pollMs: 5000,
	closeMs: 1000,
	debounceMs: 100,
	memoryMs: 10_000,
	createMs: 120_000,
	controlMs: 20_000,
	destroyMs: 60_000,
	migrateMs: 4 * 3_600_000,
	retryMs: 250,
	watcherMs: 1000,
};

/** Xen counts pauses; nobody pauses a VM more often than this by hand. */
export const unpausesMax = 16;

/** A call ends this much before its limit, so that its own account of what happened arrives in time. */
export const marginMs = 200;
