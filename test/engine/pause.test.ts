import test from 'ava';
import fc from 'fast-check';
import type { Request } from '#src/api/request.ts';
import { conditions } from '#src/engine/conditions.ts';
import { statusView } from '#src/engine/view.ts';
import { encodeState, decodeState } from '#src/store/state-file.ts';
import { engineConfig, exchange, healthy, Host, pairOf, unconnected } from '#test/engine/_pair.ts';

const hourMs = 3_600_000;
let asked = 0;

const ask = (host: Host, request: Request): string => {
	asked += 1;
	const id = `ask-${asked}`;
	host.take({ type: 'requested', id, request, at: `2026-01-01T00:00:00.${asked}Z` });
	return id;
};

const pause = (host: Host, forMs = hourMs): string =>
	ask(host, { verb: 'pause', by: 'root', reason: 'new switch', forMs, until: '01:00' });

const replyTo = (host: Host, id: string) =>
	host.sent('reply').find(({ request }) => request === id)?.reply ?? null;

const isPaused = (host: Host): boolean => host.persisted?.pair.pause !== undefined;

/** Both hosts live on and hear each other. */
const together = (left: Host, right: Host, forMs: number): void => {
	for (const endMs = left.nowMs + forMs; left.nowMs < endMs;) {
		const stepMs = Math.min(30_000, endMs - left.nowMs);
		left.at(left.nowMs + stepMs);
		right.at(right.nowMs + stepMs);
		left.hears(right);
		right.hears(left);
		exchange(left, right);
	}
};

const paused = (forMs = hourMs): [Host, Host] => {
	const [left, right] = pairOf();
	const id = pause(left, forMs);
	exchange(left, right);
	if (replyTo(left, id)?.status !== 'done') throw new Error('the pair is not paused');
	return [left, right];
};

test('a pause is durable on both hosts before it is answered, and ends for both when its time is over', (t) => {
	const [left, right] = pairOf();
	const id = pause(left);
	t.true(isPaused(left));
	t.is(replyTo(left, id), null, 'the peer does not know it yet');
	exchange(left, right);
	t.true(isPaused(right));
	t.like(replyTo(left, id), { status: 'done', message: 'the pair is paused until 01:00' });
	together(left, right, hourMs - 2000);
	t.true(isPaused(left) && isPaused(right));
	together(left, right, 3000);
	t.false(isPaused(left) || isPaused(right));
	t.deepEqual(left.persisted?.pair, right.persisted?.pair);
	t.is(left.persisted?.pauseClock, null);
	t.true(left.persisted?.pair.armed);
	t.true(left.notes.includes('the pause is over: the pair acts by itself again'));
});

test('status and conditions say who paused the pair, why, and how long still', (t) => {
	const [left, right] = paused();
	together(left, right, 1_800_000);
	const status = statusView(right.state, right.nowMs);
	t.is(status.verdict, 'paused');
	t.is(status.reason, 'by root until 01:00 (30 min left): new switch');
	t.is(status.next, 'vmpair resume');
	t.like(status.pause, { by: 'root', reason: 'new switch', forMs: hourMs });
	t.true(status.armed.armed);
	t.false(status.vms[0]?.failover.ready);
	t.like(
		conditions(right.state, right.nowMs).find(({ name }) => name === 'paused'),
		{ key: 'paused', severity: 'warning', next: 'vmpair resume' },
	);
});

test('a host that is started again goes on with what was left, also in another boot', (t) => {
	const [left, right] = paused();
	together(left, right, 1_800_000);
	// A reboot: another monotonic clock, which begins anew.
	const again = new Host(engineConfig('left', 'right'), left.persisted, 'boot-2');
	const leftMs = () => statusView(again.state, again.nowMs).pause?.leftMs ?? null;
	again.at(again.nowMs + 1_740_000);
	t.true((leftMs() ?? 0) > 0);
	again.at(again.nowMs + 121_000);
	t.is(leftMs(), 0, 'no more than the minute that was not written down is lost');
	again.hears(right);
	right.hears(again);
	exchange(again, right);
	t.is(leftMs(), null);
});

test('what the other host says is left counts where it is less', (t) => {
	const [left, right] = paused();
	const before = right.persisted;
	together(left, right, 3_000_000);
	// The right one comes back with the file of long ago.
	const again = new Host(engineConfig('right', 'left'), before, 'boot-2');
	left.hears(again);
	again.hears(left);
	exchange(left, again);
	again.at(again.nowMs + 1000);
	t.true((again.persisted?.pauseClock?.leftMs ?? hourMs) <= 660_000);
});

test('while the pair is paused a dead peer is not fenced and nothing is taken over; resume does both', (t) => {
	const [left, right] = paused();
	right.hears(left, 'silent').sees(unconnected(healthy('web')));
	right.at(right.nowMs + 60_000);
	t.is(right.state.peer.status, 'lost');
	t.deepEqual(right.open('power-off'), []);
	t.regex(right.state.fencing.hold?.reason ?? '', /paused by root/);
	const id = ask(right, { verb: 'resume', by: 'root' });
	t.like(replyTo(right, id), { status: 'done' });
	right.at(right.nowMs + 60_000);
	t.is(right.open('power-off').length, 1);
});

test('a host whose peer is not heard is paused, and says that the peer may still act', (t) => {
	const [left, right] = pairOf();
	left.hears(right, 'silent').at(left.nowMs + 700);
	const id = pause(left);
	t.true(isPaused(left));
	left.at(left.nowMs + 16_000);
	t.like(replyTo(left, id), { status: 'refused', code: 'unconfirmed' });
	t.true(isPaused(left));
	t.false(isPaused(right));
});

test('a host whose peer is proven out is paused at once', (t) => {
	const [left, right] = pairOf();
	left.at(left.nowMs + 70_000).hears(right, 'suspect');
	left.readsPower('off');
	t.is(left.state.peer.status, 'out');
	const id = pause(left);
	t.like(replyTo(left, id), { status: 'done' });
});

const told = (host: Host) =>
	conditions(host.state, host.nowMs).find(({ name }) => name === 'paused');

test('a pause whose time is over while the peer is away stays, pages, and ends at once when it is back', (t) => {
	const [left, right] = paused();
	right.hears(left, 'silent').sees(unconnected(healthy('web')));
	right.at(right.nowMs + hourMs - 2000);
	t.is(told(right)?.severity, 'warning');
	right.at(right.nowMs + hourMs);
	t.true(isPaused(right));
	t.deepEqual(right.open('power-off'), []);
	const over =
		'the time of the pause is over, but left is lost: the pair stays paused until left is back, or until vmpair resume';
	t.like(told(right), {
		severity: 'critical',
		summary: `the pair was paused by root until 01:00: new switch; ${over}`,
		next: 'look at left; if the work is done: vmpair resume',
	});
	t.is(right.notes.filter((note) => note === over).length, 1, 'it is noted once');
	t.is(statusView(right.state, right.nowMs).pause?.leftMs, 0);
	// Its VM shows where the way goes; without it the verdict is the pause.
	right.sees(healthy('web')).at(right.nowMs + 1000);
	const again = new Host(left.state.config, left.persisted, 'boot-2');
	again.hears(right);
	right.hears(again);
	exchange(again, right);
	t.false(isPaused(right) || isPaused(again));
	t.deepEqual(again.persisted?.pair, right.persisted?.pair);
	t.is(told(right), undefined);
});

test('status says of an overdue pause that its time is over, and what it waits for', (t) => {
	const [left, right] = paused();
	left.hears(right, 'silent').at(left.nowMs + hourMs + 5000);
	const status = statusView(left.state, left.nowMs);
	t.is(status.verdict, 'paused');
	t.is(
		status.reason,
		'by root until 01:00: new switch; the time of the pause is over, but right is silent, but lives: the pair stays paused until right is back, or until vmpair resume',
	);
	t.is(status.next, 'look at right; if the work is done: vmpair resume');
});

test('an overdue pause outlives a peer that is proven out, and another start of this agent; resume ends it', (t) => {
	const [left, right] = paused();
	right
		.at(right.nowMs + 70_000)
		.hears(left, 'suspect')
		.sees(unconnected(healthy('web')));
	right.readsPower('off');
	t.is(right.hears(left, 'silent').state.peer.status, 'out');
	for (let minute = 0; minute < 61; minute += 1) {
		right.at(right.nowMs + 60_000);
		if (right.open('query-power').length > 0) right.readsPower('off');
	}
	t.regex(told(right)?.summary ?? '', /but left is out: the pair stays paused/);
	const down = conditions(right.state, right.nowMs).find(({ name }) => name === 'vm-down');
	t.regex(down?.summary ?? '', /paused by root until 01:00, and on until left is back: new switch/);
	t.is(right.record()?.owner, 'left');
	const again = new Host(right.state.config, right.persisted, 'boot-2');
	again.at(again.nowMs + 1000);
	t.is(told(again)?.severity, 'warning', 'a start of the agent is no news for the night');
	again.at(again.nowMs + 60_000);
	t.true(isPaused(again));
	t.is(told(again)?.severity, 'critical');
	t.like(replyTo(right, ask(right, { verb: 'resume', by: 'root' })), { status: 'done' });
	t.false(isPaused(right));
	t.is(right.record()?.owner, 'right', 'it is taken over as after any failure');
});

test('a few missed beats at the end of a pause page nobody', (t) => {
	const [left, right] = paused(60_000);
	together(left, right, 59_500);
	left.hears(right, 'suspect').at(left.nowMs + 700);
	t.true(isPaused(left));
	t.is(told(left)?.severity, 'warning');
	left.hears(right);
	t.false(isPaused(left));
});

test('a new pause takes the place of the one before; disarming ends it for good', (t) => {
	const [left, right] = paused(60_000);
	pause(right);
	exchange(left, right);
	together(left, right, 120_000);
	t.true(isPaused(left));
	ask(left, { verb: 'disarm', by: 'root', reason: 'more work' });
	exchange(left, right);
	t.false(isPaused(right));
	t.like(replyTo(right, pause(right)), { status: 'refused', code: 'disarmed' });
	t.like(replyTo(right, ask(right, { verb: 'resume', by: 'root' })), { code: 'disarmed' });
	ask(left, { verb: 'arm', by: 'root', reason: '' });
	exchange(left, right);
	t.false(isPaused(left));
	t.like(replyTo(left, ask(left, { verb: 'resume', by: 'root' })), {
		status: 'done',
		message: 'the pair is not paused',
	});
});

test('a pause outlives the state file, whose text says the same after it was read', (t) => {
	const [left] = paused();
	const hash = (text: string): string => text.length.toString(16).padStart(64, '0');
	const record = left.persisted ?? t.fail('nothing is durable');
	const decoded = decodeState(encodeState(record, hash), hash);
	t.deepEqual(decoded, { kind: 'record', record });
});

test('however both hosts pause, resume and miss each other, they agree once they meet, and only then it ends', (t) => {
	const verb = fc.constantFrom('pause', 'resume', 'meet', 'part', 'wait');
	const turns = fc.array(fc.tuple(verb, fc.boolean(), fc.integer({ min: 1, max: 400_000 })), {
		minLength: 1,
		maxLength: 12,
	});
	fc.assert(
		fc.property(turns, (list) => {
			const [left, right] = pairOf();
			let apart = false;
			for (const [what, first, forMs] of list) {
				const host = first ? left : right;
				const before = isPaused(host);
				if (what === 'pause') pause(host, 300_000);
				else if (what === 'resume') ask(host, { verb: 'resume', by: 'root' });
				else if (what === 'meet' || what === 'part') {
					apart = what === 'part';
					left.hears(right, apart ? 'silent' : 'online');
					right.hears(left, apart ? 'silent' : 'online');
					if (!apart) exchange(left, right);
				} else {
					host.at(host.nowMs + forMs);
					if (apart) t.is(isPaused(host), before, 'the clock alone ends nothing');
				}
			}
			left.hears(right);
			right.hears(left);
			exchange(left, right);
			together(left, right, 1000);
			t.deepEqual(left.persisted?.pair, right.persisted?.pair);
			together(left, right, 420_000);
			t.false(isPaused(left) || isPaused(right));
		}),
		{ numRuns: 60 },
	);
});
