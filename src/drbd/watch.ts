import type { HelperEvent } from '#src/drbd/events2.ts';
import type { Seen } from '#src/drbd/observation.ts';
import type { HostName, ResourceName } from '#src/ports.ts';

/** A resource to manage and the host its other copy is on. */
export interface ManagedResource {
	readonly resource: ResourceName;
	readonly peer: HostName;
}

/** Times of the watch, in milliseconds. */
export interface WatchTiming {
	/** A burst of changes is reported once, at most this long after its first line. */
	readonly debounceMs: number;
	/** A snapshot is compared with the stream this often. */
	readonly snapshotEveryMs: number;
	/** How soon it is asked again when DRBD did not answer, or while the stream is down. */
	readonly snapshotRetryMs: number;
	/** Limit of one snapshot, and of the stream's first dump. */
	readonly answerMs: number;
	/** Pause before the stream is started again; doubled up to the maximum while it keeps ending. */
	readonly restartMs: number;
	readonly restartMaxMs: number;
	/** Lines that are already on their way get this long before a difference counts. */
	readonly settleMs: number;
}

export const watchTiming: WatchTiming = {
	debounceMs: 20,
	snapshotEveryMs: 10_000,
	snapshotRetryMs: 1000,
	answerMs: 5000,
	restartMs: 250,
	restartMaxMs: 5000,
	settleMs: 100,
};

/** The observed state without its statistics, which the stream does not keep up to date. */
export const essence = (seen: Seen): string =>
	JSON.stringify(
		seen.resources.map((resource) => ({
			...resource,
			volumes: resource.volumes.map((volume) => ({ ...volume, outOfSyncKib: null })),
		})),
	);

/** Handlers by which the kernel says that data is in danger, whether anything is configured for them or not. */
const graveHelpers: ReadonlySet<string> = new Set([
	'split-brain',
	'pri-on-incon-degr',
	'pri-lost',
	'pri-lost-after-sb',
	'local-io-error',
	'out-of-sync',
]);

/** What the history says of a handler call: the kernel's own word of what happened to a resource. */
export const helperNote = ({ resource, helper, phase, exitCode }: HelperEvent) => ({
	level: graveHelpers.has(helper) ? ('warn' as const) : ('debug' as const),
	message: phase === 'called' ? 'DRBD called a handler' : 'a handler of DRBD answered',
	fields: { resource, handler: helper, ...(phase === 'called' ? {} : { exitCode }) },
});

/** The kernel found both copies written on their own, could not settle it, and gives the connection up. */
export const isSplitBrain = ({ helper, phase }: HelperEvent): boolean =>
	helper === 'split-brain' && phase === 'called';
