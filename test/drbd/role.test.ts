import test from 'ava';
import {
	highestDisk,
	highestPeerDisk,
	isConnected,
	isEstablishedUpToDate,
	isFrozen,
	isOutdated,
	isResyncing,
	lowestDisk,
	lowestPeerDisk,
	outOfSyncKib,
	promotable,
	type Promotable,
} from '#src/drbd/role.ts';
import type { DiskState, ResourceObservation, VolumeObservation } from '#src/ports.ts';

const volume = (change: Partial<VolumeObservation> = {}): VolumeObservation => ({
	volume: 0,
	disk: 'UpToDate',
	peerDisk: 'UpToDate',
	replication: 'Established',
	outOfSyncKib: 0,
	...change,
});

const resource = (
	change: Partial<ResourceObservation> = {},
	...volumes: readonly Partial<VolumeObservation>[]
): ResourceObservation => ({
	resource: 'vm1',
	role: 'Secondary',
	suspended: [],
	connection: 'Connected',
	peerRole: 'Secondary',
	volumes: volumes.length === 0 ? [volume()] : volumes.map(volume),
	...change,
});

test('the worst volume stands for the resource', (t) => {
	const mixed = resource({}, { disk: 'UpToDate' }, { disk: 'Consistent' }, { disk: 'Outdated' });
	t.is(lowestDisk(mixed), 'Outdated');
	t.is(highestDisk(mixed), 'UpToDate');
	t.is(
		lowestPeerDisk(resource({}, { peerDisk: 'DUnknown' }, { peerDisk: 'Outdated' })),
		'Outdated',
	);
	t.is(
		highestPeerDisk(resource({}, { peerDisk: 'DUnknown' }, { peerDisk: 'Outdated' })),
		'DUnknown',
	);
	t.is(lowestDisk(resource({ volumes: [] })), 'Diskless');
	t.is(lowestPeerDisk(resource({ volumes: [] })), 'DUnknown');
});

test('established means every volume current on both sides', (t) => {
	t.true(isEstablishedUpToDate(resource()));
	t.true(isEstablishedUpToDate(resource({}, {}, {})));
	for (const bad of [
		resource({}, {}, { disk: 'Inconsistent' }),
		resource({}, {}, { peerDisk: 'Outdated' }),
		resource({}, {}, { replication: 'SyncSource' }),
		resource({}, { replication: 'VerifyS' }),
		resource({ connection: 'Connecting' }),
		resource({ volumes: [] }),
	]) {
		t.false(isEstablishedUpToDate(bad));
	}
});

test('resync, freeze and connection are told apart', (t) => {
	t.true(isResyncing(resource({}, {}, { replication: 'PausedSyncT' })));
	t.false(isResyncing(resource({}, { replication: 'VerifyT' })));
	t.true(isFrozen(resource({ suspended: ['user', 'fencing'] })));
	t.false(isFrozen(resource({ suspended: ['user'] })));
	t.true(isConnected(resource()));
	t.false(isConnected(resource({ connection: 'NetworkFailure' })));
	t.is(outOfSyncKib(resource({}, { outOfSyncKib: 3 }, { outOfSyncKib: 4 })), 7);
	t.is(outOfSyncKib(resource({}, { outOfSyncKib: 3 }, { outOfSyncKib: null })), null);
});

test('a copy is outdated only when its metadata says so on every volume', (t) => {
	t.true(isOutdated(resource({}, { disk: 'Outdated' }, { disk: 'Inconsistent' })));
	t.false(isOutdated(resource({}, { disk: 'Outdated' }, { disk: 'UpToDate' })));
	t.false(isOutdated(resource({}, { disk: 'Diskless' })));
	t.false(isOutdated(resource({}, { disk: 'Failed' })));
	t.false(isOutdated(resource({ volumes: [] })));
});

test('what the kernel would say to a promote follows its table', (t) => {
	const alone: readonly [DiskState, DiskState, Promotable][] = [
		['UpToDate', 'DUnknown', 'handler'],
		['UpToDate', 'Consistent', 'handler'],
		['UpToDate', 'Outdated', 'now'],
		['UpToDate', 'Inconsistent', 'now'],
		['Consistent', 'DUnknown', 'handler'],
		['Consistent', 'Outdated', 'handler'],
		['Outdated', 'DUnknown', 'never'],
		['Inconsistent', 'DUnknown', 'never'],
		['Diskless', 'DUnknown', 'never'],
		['DUnknown', 'DUnknown', 'never'],
	];
	for (const [disk, peerDisk, expected] of alone) {
		const seen = resource({ connection: 'Connecting', peerRole: 'Unknown' }, { disk, peerDisk });
		t.is(promotable(seen), expected, `${disk} with ${peerDisk}`);
	}
	t.is(promotable(resource()), 'now');
	t.is(promotable(resource({ peerRole: 'Primary' })), 'never');
	t.is(promotable(resource({}, { disk: 'Inconsistent' })), 'never');
	t.is(promotable(resource({ connection: 'Connecting' }, {}, { disk: 'Outdated' })), 'never');
	const half = [{ peerDisk: 'Outdated' }, { peerDisk: 'DUnknown' }] as const;
	t.is(promotable(resource({ connection: 'Connecting' }, ...half)), 'handler');
	t.is(promotable(resource({ role: 'Primary', connection: 'Connecting' })), 'now');
});
