/**
 * Bugs that can be planted: each breaks one rule on its way between engine and world, and proves that
 * a checker sees it. None of them is ever on outside of the tests.
 */
export const mutations = [
	'none',
	/** The record is reported durable but never reaches the disk. */
	'persist-skipped',
	/** Every fence-peer call is answered 7. */
	'handler-always-fenced',
	/** The fence-peer call is answered 4 without the peer's outdate. */
	'handler-always-outdated',
	/** `outdate` is reported done but not done. */
	'outdate-not-done',
	/** A power status of a host that answers nobody reads `off`. */
	'silence-is-off',
	/** `create-vm` and `unpause-vm` promote by force when the role is missing. */
	'start-without-promote',
	/** The peer's answers never arrive but are taken as given: documents are echoed back. */
	'promote-forced',
	/** before-resync-target lets every resync pass. */
	'resync-unchecked',
	/** Both fence devices act on every `off`, however late. */
	'fence-both',
	/** Nothing is ever fenced or started any more after the first fault. */
	'idle',
] as const;

export type Mutation = (typeof mutations)[number];
