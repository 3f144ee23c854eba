import test from 'ava';
import { statusView } from '#src/engine/view.ts';
import { conditions } from '#src/engine/conditions.ts';
import type { FenceLevel } from '#src/fence/ladder.ts';
import { bmcOf, exchange, healthy, type Host, pairOf, unconnected } from '#test/engine/_pair.ts';

const outlets: FenceLevel = {
	devices: ['outlet-a', 'outlet-b'],
	attempts: 2,
	callMs: 5000,
	lateMs: 10_000,
};

const pairWithLadder = (): [Host, Host] =>
	pairOf(undefined, {
		fencing: {
			levels: [bmcOf('right'), outlets],
			ownLevels: [bmcOf('left')],
			perHourMax: 8,
			afterFence: 'on',
		},
	});

/** `left` runs the VM and has lost `right`; it fences first. */
const lost = (): [Host, Host] => {
	const [left, right] = pairWithLadder();
	left.at(10_000).hears(right, 'suspect');
	left.sees(unconnected(healthy('web', true)));
	for (const { level } of left.open('query-power')) left.readsPower('on', level);
	left.hears(right, 'silent');
	for (const { level } of left.open('query-power')) left.readsPower('on', level);
	return [left, right];
};

const levelOff = (host: Host): number | undefined => host.open('power-off')[0]?.level;

const endOff = (host: Host, code: 'fence-not-sent' | null): void => {
	const [action] = host.open('power-off');
	if (action === undefined) throw new Error('no off is under way');
	host.take({
		type: 'action-ended',
		id: action.id,
		outcome:
			code === null
				? { result: 'unknown', detail: 'time-out' }
				: { result: 'failed', code, detail: 'no session' },
	});
};

/** Goes on until the next `off`; what is asked meanwhile reads as given by level. */
const untilOff = (host: Host, power: readonly ('on' | 'off' | null)[]): number => {
	for (let second = 0; second < 400; second += 1) {
		for (const { level } of host.open('query-power')) host.readsPower(power[level] ?? null, level);
		if (levelOff(host) !== undefined) return levelOff(host) ?? -1;
		host.at(host.nowMs + 1000);
	}
	throw new Error('no further off was sent');
};

test('off of every device of any one level is the proof, whatever the other level reads', (t) => {
	const [left, right] = pairWithLadder();
	left.at(10_000).hears(right, 'suspect');
	const asked = left.open('query-power').map(({ level }) => level);
	t.deepEqual(new Set(asked), new Set([0, 1]));
	left.readsPower('on', 0).readsPower('off', 1);
	t.is(left.state.peer.status, 'out');
	t.regex(left.state.peer.proof?.by ?? '', /every fence device of its level 2 reads off/);
	left.at(21_000).readsPower('off', 0);
	left.readsPower('on', 1);
	t.is(left.state.peer.status, 'out', 'the first level still proves it');
	t.is(right.state.peer.status, 'online');
});

test('one outlet of two that reads off is no proof (V22)', (t) => {
	const [left, right] = pairWithLadder();
	left.at(10_000).hears(right, 'suspect');
	const query = left.open('query-power').find(({ level }) => level === 1);
	const value = [
		{ device: 'outlet-a', power: 'off', detail: '' },
		{ device: 'outlet-b', power: null, detail: 'no answer' },
		{ device: 'outlet-c', power: 'off', detail: '' },
	];
	left.take({
		type: 'action-ended',
		id: query?.id ?? -1,
		outcome: { result: 'succeeded', value },
	});
	t.not(left.state.peer.status, 'out');
	t.is(left.state.peer.power[1]?.state, null);
});

test('the second level is tried when the attempts of the first are used up, then a person is paged', (t) => {
	const [left] = lost();
	const way: number[] = [];
	for (let attempt = 0; attempt < 5; attempt += 1) {
		way.push(untilOff(left, ['on', 'on']));
		endOff(left, null);
	}
	t.deepEqual(way, [0, 0, 0, 1, 1]);
	left.at(left.nowMs + 15_000);
	t.deepEqual(left.state.persisted.openFence?.levels, [0, 1]);
	t.true(
		conditions(left.state, left.nowMs).some(({ name }) => name === 'fence-failed'),
		'every level is used up',
	);
});

test('a first level that is silent is passed over', (t) => {
	const [left] = lost();
	untilOff(left, ['on', 'on']);
	endOff(left, null);
	t.is(untilOff(left, [null, 'on']), 1);
});

test('a power-off that was not sent leaves an earlier one open that may still land', (t) => {
	const [left] = lost();
	untilOff(left, ['on', 'on']);
	const sentMs = left.nowMs;
	endOff(left, null);
	untilOff(left, ['on', 'on']);
	endOff(left, 'fence-not-sent');
	t.is(left.state.persisted.openFence?.atMs, sentMs);
	t.is(left.state.persisted.fences.length, 1);
});

test('an open fence is settled by the level it was sent through, not by an outlet that reads on', (t) => {
	const [left, right] = lost();
	t.is(untilOff(left, ['on', 'on']), 0);
	endOff(left, null);
	left.hears(right);
	left.sees(healthy('web', true));
	exchange(left, right);
	const later = (power: readonly ('on' | null)[]): void => {
		for (let second = 0; second < 130; second += 1) {
			left.at(left.nowMs + 1000);
			for (const { level } of left.open('query-power'))
				left.readsPower(power[level] ?? null, level);
		}
	};
	later([null, 'on']);
	t.not(left.state.persisted.openFence, null);
	later(['on', 'on']);
	t.is(left.state.persisted.openFence, null);
});

test('a silent device of one level degrades the pair and is told by name; without another level nothing is ready', (t) => {
	const [left] = pairWithLadder();
	const look = (power: readonly ('on' | null)[]) => {
		for (let second = 0; second < 130; second += 1) {
			left.at(left.nowMs + 1000);
			for (const { level } of left.open('query-power'))
				left.readsPower(power[level] ?? null, level);
		}
		const view = statusView(left.state, left.nowMs);
		const told = conditions(left.state, left.nowMs)
			.filter(({ name }) => name === 'fence-device-silent')
			.map(({ subject }) => subject);
		return { ready: view.vms[0]?.failover.ready, view, told };
	};
	const whole = look(['on', 'on']);
	t.deepEqual(whole.told, []);
	t.is(whole.ready, true, JSON.stringify(whole.view.vms[0]?.failover));
	const degraded = look([null, 'on']);
	t.deepEqual(degraded.told, ['bmc-of-right']);
	t.is(degraded.ready, true);
	t.is(degraded.view.verdict, 'degraded');
	t.regex(degraded.view.reason, /level 1 of 2 of the fencing of right is degraded: bmc-of-right/);
	const none = look([null, null]);
	t.deepEqual(none.told, ['bmc-of-right', 'outlet-a', 'outlet-b']);
	t.is(none.ready, false);
});

test('after a fence the host is switched on at every level it was switched off through, the last one first', (t) => {
	const [left] = lost();
	for (const expected of [0, 0, 0, 1]) {
		t.is(untilOff(left, ['on', 'on']), expected);
		endOff(left, null);
	}
	left.readsPower('off', 1);
	t.is(left.state.peer.status, 'out');
	t.deepEqual(left.state.fencing.powerOnDue, [1, 0]);
});

test('a reload that changes the devices forgets what was read of the old ones', (t) => {
	const [left] = pairWithLadder();
	const { config } = left.state;
	t.truthy(left.state.peer.power[1]);
	left.take({ type: 'config-changed', config: { ...config, digest: 'other' } });
	t.truthy(left.state.peer.power[1], 'nothing of the devices changed');
	const fencing = config.fencing === null ? null : { ...config.fencing, levels: [outlets] };
	left.take({ type: 'config-changed', config: { ...config, fencing } });
	t.deepEqual(left.state.peer.power, []);
});
