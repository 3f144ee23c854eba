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

/** So long before the board fires the kernel is told: with a board that fails, the host is still down in time. */
const beforeBoardMs = 1500;
const delayMinMs = 1000;

/**
 * Beyond a missed deadline before the kernel is told, ms: a grant that was only late may still come, from an agent
 * that restarts for example, and the other host waits the whole time-out of the board anyway. `timeoutMs`: the
 * board's; null when nobody says what it is.
 */
export const resetDelayMs = (timeoutMs: number | null): number =>
	Math.max(delayMinMs, (timeoutMs ?? 0) - beforeBoardMs);

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

/** What to do at `nowMs` with a board that is held. `delayMs`: of the kernel's reset; null: only the board resets. */
export const turn = (deadline: Deadline, delayMs: number | null, nowMs: number): Turn => {
	const { untilMs } = deadline;
	if (untilMs === null) return { deadline, feed: false, missedNow: false, reset: false };
	if (nowMs < untilMs) return { deadline, feed: true, missedNow: false, reset: false };
	const reset = delayMs !== null && !deadline.resetCalled && nowMs >= untilMs + delayMs;
	return {
		deadline: { untilMs, missed: true, resetCalled: deadline.resetCalled || reset },
		feed: false,
		missedNow: !deadline.missed,
		reset,
	};
};
