import {
	diskStates,
	type DiskState,
	type ReplicationState,
	type ResourceObservation,
} from '#src/ports.ts';

/**
 * What DRBD's states mean for a resource as a whole. A VM needs all its volumes, so one bad volume
 * makes the resource bad: every predicate speaks of the worst volume.
 */

const resyncStates: ReadonlySet<ReplicationState> = new Set([
	'StartingSyncS',
	'StartingSyncT',
	'WFBitMapS',
	'WFBitMapT',
	'WFSyncUUID',
	'SyncSource',
	'SyncTarget',
	'PausedSyncS',
	'PausedSyncT',
	// Ahead and Behind: replication is given up for now and a resync follows.
	'Ahead',
	'Behind',
]);

const rank = (disk: DiskState): number => diskStates.indexOf(disk);

const worst = (
	{ volumes }: ResourceObservation,
	whose: 'disk' | 'peerDisk',
	none: DiskState,
): DiskState => {
	let low = volumes[0]?.[whose] ?? none;
	for (const { [whose]: disk } of volumes) if (disk !== low && rank(disk) < rank(low)) low = disk;
	return low;
};

const best = (
	{ volumes }: ResourceObservation,
	whose: 'disk' | 'peerDisk',
	none: DiskState,
): DiskState => {
	let high = volumes[0]?.[whose] ?? none;
	for (const { [whose]: disk } of volumes)
		if (disk !== high && rank(disk) > rank(high)) high = disk;
	return high;
};

/** The worst own disk of all volumes; `Diskless` when there is no volume. */
export const lowestDisk = (observation: ResourceObservation): DiskState =>
	worst(observation, 'disk', 'Diskless');

/** The best own disk of all volumes; `Diskless` when there is no volume. */
export const highestDisk = (observation: ResourceObservation): DiskState =>
	best(observation, 'disk', 'Diskless');

/** The worst peer disk of all volumes; `DUnknown` when there is no volume. */
export const lowestPeerDisk = (observation: ResourceObservation): DiskState =>
	worst(observation, 'peerDisk', 'DUnknown');

/** The best peer disk of all volumes; `DUnknown` when there is no volume. The peer is outdated only when this is. */
export const highestPeerDisk = (observation: ResourceObservation): DiskState =>
	best(observation, 'peerDisk', 'DUnknown');

/**
 * True when every own volume says in its metadata that it is not current. `Diskless` and `Failed` do not
 * count: such a disk can come back as current.
 */
export const isOutdated = (observation: ResourceObservation): boolean =>
	observation.volumes.length > 0 &&
	observation.volumes.every(({ disk }) => disk === 'Outdated' || disk === 'Inconsistent');

/** True when no volume has a disk any more: `Failed` is on its way to `Diskless` and takes no I/O either. */
export const hasNoDisk = (observation: ResourceObservation): boolean =>
	observation.volumes.every(({ disk }) => disk === 'Diskless' || disk === 'Failed');

const behind: ReadonlySet<DiskState> = new Set([
	'Diskless',
	'Detaching',
	'Failed',
	'Inconsistent',
	'Outdated',
]);

/** True for a disk that misses writes for certain. `Consistent` may be current; the rest is on its way. */
export const isBehind = (disk: DiskState): boolean => behind.has(disk);

/** True while the two kernels talk to each other about this resource. */
export const isConnected = (observation: ResourceObservation): boolean =>
	observation.connection === 'Connected';

const attached: ReadonlySet<DiskState> = new Set([
	'Inconsistent',
	'Outdated',
	'Consistent',
	'UpToDate',
]);

/**
 * True when DRBD has compared the copies of every volume: connected with both disks attached, or in use on one
 * side, for a Primary without a disk connects only to the very data it uses ("current UUID", drbd_receiver.c).
 */
export const isCompared = (observation: ResourceObservation): boolean =>
	isConnected(observation) &&
	(observation.role === 'Primary' ||
		observation.peerRole === 'Primary' ||
		observation.volumes.every(
			({ disk, peerDisk }) => attached.has(disk) && attached.has(peerDisk),
		));

/** True when the copies of every volume are connected and nothing is being made equal. */
export const isEstablished = (observation: ResourceObservation): boolean =>
	isConnected(observation) &&
	observation.volumes.length > 0 &&
	observation.volumes.every(({ replication }) => replication === 'Established');

/** True when both copies of every volume are current and every write goes to both. */
export const isEstablishedUpToDate = (observation: ResourceObservation): boolean =>
	isEstablished(observation) &&
	lowestDisk(observation) === 'UpToDate' &&
	lowestPeerDisk(observation) === 'UpToDate';

/** True while a resync of any volume runs, is about to start or is paused. A verify is not a resync. */
export const isResyncing = (observation: ResourceObservation): boolean =>
	observation.volumes.some((volume) => resyncStates.has(volume.replication));

/** True when every volume is past the first exchange: equal, or its resync runs or waits for its turn. */
export const isReplicating = (observation: ResourceObservation): boolean =>
	isConnected(observation) &&
	observation.volumes.every(
		({ replication }) => replication !== 'Off' && !replication.startsWith('WF'),
	);

/** True while DRBD holds back the guest's writes because it does not know that the peer is out. */
export const isFrozen = (observation: ResourceObservation): boolean =>
	observation.suspended.includes('fencing');

/** KiB still to be resynced over all volumes; null when DRBD does not say for one of them. */
export const outOfSyncKib = (observation: ResourceObservation): number | null =>
	observation.volumes.reduce<number | null>(
		(sum, { outOfSyncKib: kib }) => (sum === null || kib === null ? null : sum + kib),
		0,
	);

/**
 * - `now`: the kernel promotes without asking anybody.
 * - `handler`: it asks our fence-peer handler first and goes on only with its 4 or 7.
 * - `never`: it refuses whatever the handler says; only `--force` would do it, and we never use that.
 */
export type Promotable = 'now' | 'handler' | 'never';

/**
 * What `drbdadm primary` would do under `fencing resource-and-stonith` with our handler. It says
 * nothing of whether promoting is right: a `Consistent` disk may be stale, only the record knows.
 */
export const promotable = (observation: ResourceObservation): Promotable => {
	if (observation.role === 'Primary') return 'now';
	const disk = lowestDisk(observation);
	if (isConnected(observation)) {
		return disk === 'UpToDate' && observation.peerRole !== 'Primary' ? 'now' : 'never';
	}
	if (disk === 'Consistent') return 'handler';
	if (disk !== 'UpToDate') return 'never';
	return rank(highestPeerDisk(observation)) <= rank('Outdated') ? 'now' : 'handler';
};
