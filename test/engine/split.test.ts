import test from 'ava';
import { conditions } from '#src/engine/conditions.ts';
import { statusView } from '#src/engine/view.ts';
import type { CarriedAction } from '#src/engine/action.ts';
import type { ResourceObservation, VolumeEvidence } from '#src/ports.ts';
import { exchange, healthy, Host, pairOf, unconnected } from '#test/engine/_pair.ts';

const names = (host: Host): string[] =>
	conditions(host.state, host.nowMs).map((condition) => condition.name);

const replyOf = (host: Host, id: string) =>
	host.sent('reply').find((action) => action.request === id)?.reply;

const evidence = (current: string, bitmap: string): VolumeEvidence[] => [
	{ volume: 0, current, bitmap, history: [], outOfSyncKib: 8 },
];

const apart = (primary: boolean, change: Partial<ResourceObservation> = {}) =>
	unconnected(healthy('web', primary), {
		connection: 'StandAlone',
		suspended: [],
		...change,
	});

/** Ends the only open action of this type as the world says. */
const ends = (host: Host, type: CarriedAction['type'], result: 'unknown' | 'failed'): void => {
	const [action] = host.open(type);
	const outcome =
		result === 'unknown'
			? ({ result, detail: 'no answer' } as const)
			: ({ result, code: 'refused', detail: 'refused' } as const);
	host.take({ type: 'action-ended', id: action?.id ?? -1, outcome });
};

/** The VM runs on left, DRBD gave the connection up, and both have read their generations. */
const splitPair = (): [Host, Host] => {
	const [left, right] = pairOf();
	for (const host of [left, right]) {
		host.nowMs = 5000;
		host.sees(apart(host === left));
		host.hears(host === left ? right : left);
		// The first StandAlone may be a refused resync: one plain connect is tried at once.
		if (host.open('resource-connect').length > 0) host.ends('resource-connect');
		host.at(8000);
	}
	exchange(left, right);
	left.ends('read-evidence', evidence('BBBBBBBBBBBBBBBB', 'AAAAAAAAAAAAAAAA'));
	right.ends('read-evidence', evidence('CCCCCCCCCCCCCCCC', 'AAAAAAAAAAAAAAAA'));
	exchange(left, right);
	return [left, right];
};

const resolve = (host: Host, discard: string, id = 'order'): void => {
	const request = { verb: 'resolve', vm: 'web', discard, by: 'anna' } as const;
	host.take({ type: 'requested', id, request, at: '' });
};

test('StandAlone is suspected until the generations of both copies prove a split brain', (t) => {
	const [left, right] = pairOf();
	left.nowMs = 5000;
	left.sees(apart(true));
	t.true(names(left).includes('split-brain-suspected'));
	const [one, other] = splitPair();
	for (const host of [one, other]) {
		t.true(names(host).includes('split-brain'));
		t.false(names(host).includes('split-brain-suspected'));
	}
	t.is(right.open('resource-connect').length, 0);
});

test('the word of the kernel is enough, and lasts until the copies replicate again', (t) => {
	const [, right] = pairOf();
	right.nowMs = 5000;
	right.sees(apart(false)).take({ type: 'split-brain-reported', resource: 'r-web' });
	t.true(names(right).includes('split-brain'));
	right.sees(unconnected(healthy('web'))).sees(apart(false));
	t.true(names(right).includes('split-brain'), 'a reconnect does not end it');
	right.sees(healthy('web', false, true)).sees(apart(false));
	t.false(names(right).includes('split-brain'));
});

test('a split brain is never connected again by itself', (t) => {
	const [left, right] = splitPair();
	const before = [...left.actions, ...right.actions].length;
	left.at(60_000);
	right.at(60_000);
	const later = [...left.actions, ...right.actions].slice(before);
	t.false(later.some(({ type }) => /connect/.test(type)));
});

test('status shows both sides and what each would lose', (t) => {
	const [left] = splitPair();
	const [vm] = statusView(left.state, left.nowMs).vms;
	t.is(vm?.apart?.kind, 'split-brain');
	t.deepEqual(
		vm?.apart?.sides.map(({ host, volumes }) => [host, volumes?.[0]?.current]),
		[
			['left', 'BBBBBBBBBBBBBBBB'],
			['right', 'CCCCCCCCCCCCCCCC'],
		],
	);
	t.regex(vm?.apart?.sides[0]?.loses ?? '', /the VM runs there and is destroyed; every write/);
});

test('the host that gives up makes the record durable first, and discards only by that order', (t) => {
	const [left, right] = splitPair();
	resolve(right, 'right', 'wrong');
	t.is(replyOf(right, 'wrong')?.code, 'ask-other-host');
	resolve(left, 'west', 'nobody');
	t.is(replyOf(left, 'nobody')?.code, 'unknown-host');
	resolve(left, 'right');
	t.is(replyOf(left, 'order')?.status, 'accepted');
	t.is(left.record()?.generation, right.record()?.generation, 'nothing is gained yet');
	right.receives(left);
	const given = right.persisted?.resources['r-web'];
	t.like(given?.record, { owner: 'left', inSync: ['left'] });
	t.not(given?.selfExcludedAt, null);
	left.receives(right);
	t.deepEqual(left.record(), right.record());
	right.ends('snapshot', ['kept']);
	t.is(right.open('connect-discarding').length, 1);
	t.is(left.open('resource-connect').length, 0, 'not before the other has given up');
	right.ends('connect-discarding').sees(unconnected(healthy('web'), { suspended: [] }));
	left.receives(right);
	t.is(left.open('resource-connect').length, 1);
	left.sees(healthy('web', true));
	t.deepEqual(left.state.resolves, {});
});

test('a snapshot that cannot be made is told and does not stop the order', (t) => {
	const [left, right] = splitPair();
	resolve(left, 'right');
	exchange(left, right);
	ends(right, 'snapshot', 'failed');
	t.true(right.notes.includes('no snapshot of the copy that is given up'));
	t.is(right.open('connect-discarding').length, 1);
});

test('nothing is given up while the copies belong together, or without contact', (t) => {
	const [left, right] = pairOf();
	resolve(left, 'right');
	t.is(replyOf(left, 'order')?.code, 'nothing-to-resolve');
	const [one, other] = splitPair();
	one.hears(other, 'silent');
	resolve(one, 'right');
	t.is(replyOf(one, 'order')?.code, 'not-together');
	t.is(right.open('connect-discarding').length, 0);
});

test('a tool that runs out of its time twice is told, and forgotten when it ends', (t) => {
	const [, right] = pairOf();
	right.nowMs = 5000;
	right.sees();
	ends(right, 'resource-up', 'unknown');
	t.false(names(right).includes('tool-stuck'));
	right.at(7000);
	ends(right, 'resource-up', 'unknown');
	t.true(names(right).includes('tool-stuck'));
	right.at(10_000);
	ends(right, 'resource-up', 'failed');
	t.false(names(right).includes('tool-stuck'));
});

test('when a VM ran here is remembered for people, over a restart of the agent', (t) => {
	const [left] = pairOf();
	const look = (host: Host, presence: 'running' | null, at: string): void => {
		const vms =
			presence === null
				? []
				: [{ vm: 'web', presence, reason: null, neverRan: false, instance: '1' }];
		const observation = { vms, freeMemoryMib: 4096 };
		host.take({ type: 'hypervisor-observed', observation, at });
	};
	look(left, null, 'at 1');
	look(left, 'running', 'at 2');
	t.deepEqual(left.persisted?.resources['r-web']?.lastRun, { from: 'at 2', to: null });
	const again = new Host(left.state.config, left.persisted);
	look(again, 'running', 'at 3');
	look(again, null, 'at 4');
	t.deepEqual(again.persisted?.resources['r-web']?.lastRun, { from: 'at 2', to: 'at 4' });
});
