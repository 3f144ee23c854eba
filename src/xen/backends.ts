/** The back-end devices that dom0 has for domains: what is left of one that is gone shows here. */
export interface Backends {
	/** Names such as `vbd-3-51712`; null when they cannot be read. */
	names(): Promise<readonly string[] | null>;
	/**
	 * Block devices of a domain that dom0 did not open: they lack the device number that blkback
	 * shows of an open one. Null when it has no block device at all.
	 */
	closedDisks(domid: number): Promise<readonly string[] | null>;
}
