import test from 'ava';
import { healthy, pairOf, unconnected } from '#test/engine/_pair.ts';

/** A question that took long is followed by a rest three times as long, unless somebody waits for the answer. */

test('a slow routine question of the power does not hold back the one that a silence asks for', (t) => {
	const [left, right] = pairOf();
	left.at(70_000);
	t.is(left.open('query-power').length, 1, 'as every minute');
	left.at(71_000).hears(right, 'suspect');
	left.at(73_000).readsPower('on');
	t.is(left.open('query-power').length, 1, 'that one was asked before the silence');
	left.at(76_000).readsPower('off');
	t.is(left.state.peer.status, 'out');

	right.at(70_000);
	right.at(73_000).readsPower('on');
	right.at(74_000).hears(left, 'suspect');
	t.is(right.open('query-power').length, 1, 'nor does its rest');
});

test('a question that was under way during an off does not hold back the one after it', (t) => {
	const [left, right] = pairOf();
	left.at(10_000).hears(right, 'suspect');
	left.sees(unconnected(healthy('web', true)));
	left.at(13_000).hears(right, 'silent');
	t.is(left.open('query-power').length, 1);
	left.ends('power-off');
	left.at(13_500).readsPower('on');
	t.is(left.open('query-power').length, 1, 'that one was asked before the off');
	left.at(14_000).readsPower('off');
	t.is(left.state.peer.status, 'out');
});

test('a peer that is suspected again and again is asked for its power at the pace of a slow device', (t) => {
	const [left, right] = pairOf();
	const asked: number[] = [];
	for (let second = 10; second < 40; second += 1) {
		left.at(second * 1000).hears(right, second % 2 === 0 ? 'suspect' : 'online');
		const question = left.state.inFlight.find(({ action }) => action.type === 'query-power');
		if (question === undefined || left.nowMs - question.sinceMs < 2000) continue;
		left.readsPower('on');
		asked.push(question.sinceMs);
	}
	t.deepEqual(asked, [10_000, 18_000, 26_000, 34_000]);
});
