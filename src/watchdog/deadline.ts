/** How far the feeder may feed. Times are CLOCK_MONOTONIC, ms. */
export interface Deadline {
	/** Until when feeding is granted; null before the first grant. */
	readonly untilMs: number | null;
	/** The time was over and nothing had come: no more feeding, unless a grant still comes before the reset. */
	readonly missed: boolean;
	/** The kernel was told to reset the host. */
	readonly resetCalled: boolean;
}

export const noDeadline: Deadline = { untilMs: null, missed: false, resetCalled: false };

/** Beyond a missed deadline before the kernel is told: a grant that was only late may still come. */
export const resetDelayMs = 1000;

/**
 * Takes a grant. Null when it is refused: it is over already, or reaches further than any vote does. A grant after a
 * missed deadline is taken: a vote that was got anew restarts the peer's clock, too.
 */
export const takeGrant = (
	deadline: Deadline,
	grant: { readonly untilMs: number; readonly maxMs: number },
	nowMs: number,
): Deadline | null =>
	grant.untilMs <= nowMs || grant.untilMs > nowMs + grant.maxMs || deadline.resetCalled
		? null
		: { ...deadline, untilMs: grant.untilMs, missed: false };

export interface Turn {
	readonly deadline: Deadline;
	/** Feed now. */
	readonly feed: boolean;
	/** The deadline was missed just now. */
	readonly missedNow: boolean;
	/** Tell the kernel now. */
	readonly reset: boolean;
}

/** What to do at `nowMs` with a board that is held. */
export const turn = (deadline: Deadline, sysrq: boolean, nowMs: number): Turn => {
	const { untilMs } = deadline;
	if (untilMs === null) return { deadline, feed: false, missedNow: false, reset: false };
	if (nowMs < untilMs) return { deadline, feed: true, missedNow: false, reset: false };
	const reset = sysrq && !deadline.resetCalled && nowMs >= untilMs + resetDelayMs;
	return {
		deadline: { untilMs, missed: true, resetCalled: deadline.resetCalled || reset },
		feed: false,
		missedNow: !deadline.missed,
		reset,
	};
};
