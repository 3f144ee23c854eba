/** Limits of the actions when the caller gives none, in milliseconds. */
export interface DrbdTiming {
	/** Above drbdadm's own 121 s, so that its verdict is heard: our handler runs inside of a promote. */
	readonly promoteMs: number;
	readonly actionMs: number;
	/** A device that is held open: udev, LVM and blkback let go within a few seconds. */
	readonly heldOpenRetryMs: number;
	readonly heldOpenRetries: number;
}

export const drbdTiming: DrbdTiming = {
	promoteMs: 125_000,
	actionMs: 30_000,
	heldOpenRetryMs: 250,
	heldOpenRetries: 20,
};
