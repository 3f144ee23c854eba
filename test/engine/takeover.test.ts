import test from 'ava';
import { conditions } from '#src/engine/conditions.ts';
import { holdWords } from '#src/engine/fencing.ts';
import { statusView } from '#src/engine/view.ts';
import type { ResourceObservation } from '#src/ports.ts';
import type { ResourceRecord } from '#src/store/record.ts';
import { engineConfig, exchange, Host, healthy, pairOf, unconnected } from '#test/engine/_pair.ts';

const replyOf = (host: Host, id: string) =>
	host.sent('reply').find((action) => action.request === id)?.reply;

test('a healthy pair seeds its records, arms, and starts the VM on the preferred host', (t) => {
	const [left, right] = pairOf();
	t.deepEqual(left.record()?.inSync, ['left', 'right']);
	t.is(left.record()?.owner, 'left');
	t.deepEqual(left.record(), right.record());
	t.is(replyOf(left, 'arm')?.status, 'done');
	t.true(left.notes.includes('VM runs'));
	t.true(right.state.persisted.pair.armed);
});

test('power that reads off takes a suspect straight to out and the VM over, record first', (t) => {
	const [left, right] = pairOf();
	right.nowMs = 5000;
	right.hears(left, 'suspect');
	t.is(right.open('query-power').length, 1, 'the power is asked at once');
	right.readsPower('off');
	t.is(right.state.peer.status, 'out');
	t.deepEqual(right.record(), {
		generation: 1001,
		owner: 'right',
		inSync: ['right'],
		uuids: null,
		wanted: 'running',
		journal: null,
	});
	t.deepEqual(right.persisted?.resources['r-web']?.record, right.record());
	t.is(right.open('promote').length, 1, 'although DRBD still looks connected');
});

test('while the peer is out, replication waits for it and not for the link', (t) => {
	const [left, right] = pairOf();
	right.nowMs = 5000;
	right.hears(left, 'suspect').readsPower('off');
	right.sees(unconnected(healthy('web')));
	const list = conditions(right.state, right.nowMs);
	const nextOf = (name: string) => list.find((each) => each.name === name)?.next;
	t.regex(nextOf('replication-down') ?? '', /repair left and power it on/);
	t.is(nextOf('replication-down'), nextOf('peer-out'));
	t.is(statusView(right.state, right.nowMs).vms[0]?.failover.next, nextOf('peer-out'));
});

test('a host whose disk takes nothing protects nobody, and says so until it takes something', (t) => {
	const [, right] = pairOf();
	const told = () => conditions(right.state, right.nowMs).map(({ name }) => name);
	right.take({ type: 'disk-observed', problem: 'ENOSPC' });
	t.deepEqual(told(), ['state-disk']);
	const { verdict, reason } = statusView(right.state, right.nowMs);
	t.is(verdict, 'unprotected');
	t.regex(reason, /disk of the state file on right takes nothing \(ENOSPC\)/);
	right.take({ type: 'disk-observed', problem: null });
	t.deepEqual(told(), []);
	t.is(statusView(right.state, right.nowMs).verdict, 'protected');
});

test('a host that writes alone by an older file keeps the other one counted out', (t) => {
	const restored = (self: string, peer: string, record: Partial<ResourceRecord>): Host => {
		const [left, right] = pairOf();
		const { state } = self === 'left' ? left : right;
		const { ['r-web']: local } = state.persisted.resources;
		if (local === undefined) throw new Error('there is no record');
		const resources = { 'r-web': { ...local, record: { ...local.record, ...record } } };
		return new Host(engineConfig(self, peer), { ...state.persisted, resources });
	};
	const meets = (seen: ResourceObservation) => {
		const left = restored('left', 'right', { generation: 4, inSync: ['left'] });
		const right = restored('right', 'left', { generation: 10 });
		left.sees(seen).domains({ vm: 'web', presence: 'running' }).hears(right);
		right
			.sees(unconnected(healthy('web')))
			.domains()
			.hears(left);
		return left.receives(right).record();
	};
	const lone = unconnected(healthy('web', true), { suspended: [] });
	t.like(meets(lone), { generation: 12, inSync: ['left'], owner: 'left' });
	t.like(meets(unconnected(healthy('web', true))), { generation: 10 }, 'its writes are held back');
	t.like(meets(healthy('web', true)), { generation: 10 }, 'its writes go to both');
});

test('a host that lost its state file says of each VM that it may be down, unless its peer is there', (t) => {
	const [left] = pairOf();
	const forgetful = new Host(engineConfig('right', 'left'), null, 'boot-2');
	forgetful.sees(unconnected(healthy('web'))).domains();
	const down = () =>
		conditions(forgetful.state, forgetful.nowMs).find(({ name }) => name === 'vm-down');
	t.is(down(), undefined, 'it has just started');
	forgetful.hears(left, 'silent').at(5000);
	t.regex(down()?.summary ?? '', /web shall run and may be down: this host has no state file/);
	t.regex(down()?.next ?? '', /start the agent on left/);
	forgetful.sees(healthy('web', false, true));
	t.is(down(), undefined, 'DRBD hears it in use there');
	forgetful.sees(healthy('web')).hears(left);
	t.is(down(), undefined);
});

test('a living peer is not confirmed dead, and the refusal says once that it is one', (t) => {
	const [, right] = pairOf();
	right.take({
		type: 'requested',
		id: 'dead',
		at: '2026-01-01T00:00:00.000Z',
		request: { verb: 'takeover', confirmDead: 'left', by: 'anna' },
	});
	const reply = replyOf(right, 'dead');
	t.is(reply?.code, 'peer-alive');
	t.regex(reply?.message ?? '', /^left is heard/);
});

test('the handler of the promote that follows a proof is answered 7', (t) => {
	const [left, right] = pairOf();
	right.nowMs = 5000;
	right.hears(left, 'suspect').readsPower('off');
	right.take({
		type: 'handler-called',
		call: { id: 'h', handler: 'fence-peer', resource: 'r-web' },
	});
	t.is(right.sent('answer-handler')[0]?.exitCode, 7);
});

test('a promote that nobody decided gets 1 from the handler (V19)', (t) => {
	const [, right] = pairOf();
	right.sees(unconnected(healthy('web', false, true)));
	right.take({
		type: 'handler-called',
		call: { id: 'h', handler: 'fence-peer', resource: 'r-web' },
	});
	t.is(right.sent('answer-handler')[0]?.exitCode, 1);
});

test('silence with replication still connected is a dead agent, not a dead host', (t) => {
	const [left, right] = pairOf();
	right.nowMs = 5000;
	right.hears(left, 'silent');
	t.is(right.state.peer.status, 'agent-down');
	right.readsPower('on').at(60_000);
	t.is(right.open('power-off').length, 0);
});

test('the second in the fencing order waits for the attempts and the latency of the first', (t) => {
	const [left, right] = pairOf();
	right.nowMs = 10_000;
	right.sees(unconnected(healthy('web', false, true)));
	right.hears(left).hears(left, 'silent').readsPower('on');
	t.is(right.state.peer.status, 'lost');
	t.is(right.open('power-off').length, 0);
	t.regex(holdWords(right.state.fencing.hold, right.nowMs) ?? '', /waiting 111 s/);
	right.at(10_000 + 3 * 21_000 + 30_000 + 18_000);
	t.is(right.open('power-off').length, 1);
	t.is(right.persisted?.openFence?.target, 'left');
});

test('the first in the order fences a lost peer that froze its VM, and thaws by proof', (t) => {
	const [left, right] = pairOf();
	left.nowMs = 10_000;
	left.hears(right, 'silent').readsPower('on');
	t.is(left.state.peer.status, 'agent-down');
	left.sees(unconnected(healthy('web', true)));
	left.take({
		type: 'handler-called',
		call: { id: 'h', handler: 'fence-peer', resource: 'r-web' },
	});
	t.is(left.state.peer.status, 'lost');
	left.ends('power-off').readsPower('off');
	t.deepEqual(left.record()?.inSync, ['left']);
	t.is(left.sent('answer-handler')[0]?.exitCode, 7);
	t.is(left.state.persisted.openFence, null);
});

test('a host that an unknown power-off took down after all gets power again where the policy says on', (t) => {
	const [left, right] = pairOf();
	const { fencing } = left.state.config;
	if (fencing === null) throw new Error('the pair has no fence device');
	const config = { ...left.state.config, fencing: { ...fencing, afterFence: 'on' as const } };
	left.state = { ...left.state, config };
	left.nowMs = 10_000;
	left.hears(right, 'silent').readsPower('on');
	left.sees(unconnected(healthy('web', true)));
	const off = left.open('power-off')[0];
	left.take({
		type: 'action-ended',
		id: off?.id ?? -1,
		outcome: { result: 'unknown', detail: 'no answer' },
	});
	t.is(left.persisted?.openFence?.target, 'right');
	left.readsPower('off');
	t.is(left.persisted?.openFence, null);
	left.sees(unconnected(healthy('web', true), { suspended: [] }));
	t.is(left.open('power-on').length, 1);
});

test('replication cut with agents in contact: the peer outdates its copy, then the handler gets 4', (t) => {
	const [left, right] = pairOf();
	left.sees(unconnected(healthy('web', true)));
	left.take({
		type: 'handler-called',
		call: { id: 'h', handler: 'fence-peer', resource: 'r-web' },
	});
	right.sees(unconnected(healthy('web', false, true)));
	exchange(left, right);
	t.is(left.sent('answer-handler').length, 0, 'not before the disk was read back');
	right.ends('outdate');
	const [volume] = healthy('web').volumes;
	right.sees(
		unconnected(healthy('web', false, true), {
			volumes: volume ? [{ ...volume, disk: 'Outdated', peerDisk: 'DUnknown' }] : [],
		}),
	);
	exchange(left, right);
	t.is(left.sent('answer-handler')[0]?.exitCode, 4);
	t.deepEqual(left.record()?.inSync, ['left']);
	t.deepEqual(right.record(), left.record());
	t.is(right.open('promote').length, 0);
});

test('a host that has not joined neither fences nor takes over', (t) => {
	const [left, right] = pairOf();
	const persisted = right.persisted;
	const again = new Host(right.state.config, persisted, 'boot-2');
	again.sees(unconnected(healthy('web'), { volumes: [] })).domains();
	again.nowMs = 20_000;
	again.hears(left, 'silent').readsPower('off');
	t.is(again.state.peer.status, 'out');
	again.at(30_000);
	t.is(again.open('promote').length, 0);
	t.is(again.open('power-off').length, 0);
	t.is(again.record()?.owner, 'left');
});

test('a resource whose disk was not there when it came up is brought up again until it is', (t) => {
	const [, right] = pairOf();
	const halfUp = unconnected(healthy('web'), {
		connection: 'StandAlone',
		volumes: healthy('web').volumes.map((volume) => ({ ...volume, disk: 'Diskless' })),
	});
	right.nowMs = 5000;
	right.sees();
	const [first] = right.open('resource-up');
	t.truthy(first);
	right.sees(halfUp);
	right.take({
		type: 'action-ended',
		id: first?.id ?? -1,
		outcome: { result: 'failed', code: 'drbd-refused', detail: 'open(/dev/vg/web) failed' },
	});
	t.is(right.open('resource-up').length, 0, 'not at once');
	right.at(30_000);
	t.is(right.open('resource-up').length, 1);
	right.ends('resource-up');
	right.sees(unconnected(healthy('web')));
	right.at(60_000);
	t.is(right.open('resource-up').length, 0);
});
