import test from 'ava';
import { conditions } from '#src/engine/conditions.ts';
import type { EngineConfig } from '#src/engine/config.ts';
import type { Health } from '#src/ports-load.ts';
import { exchange, type Host, pairOf, vmConfig } from '#test/engine/_pair.ts';

const fan = { check: 'fan', holdMs: 120_000, action: 'evacuate', staleMs: 195_000 } as const;
const disk = { check: 'disk', holdMs: 0, action: 'alert', staleMs: 195_000 } as const;
const two = [vmConfig('web', { priority: 5 }), vmConfig('db')];

const pair = (change: Partial<EngineConfig> = {}): [Host, Host] =>
	pairOf(two, { healthChecks: [fan, disk], ...change });

const says = (host: Host, health: Health, check = 'fan'): void =>
	void host.take({ type: 'health-observed', reading: { check, health, detail: `${check}!` } });

/** The check runs every minute for so long. */
const runs = (left: Host, right: Host, on: Host, health: Health, forMs: number): void => {
	for (const endMs = left.nowMs + forMs; left.nowMs < endMs;) {
		left.at(left.nowMs + 60_000);
		right.at(right.nowMs + 60_000);
		for (const [host, other] of [
			[left, right],
			[right, left],
		] as const)
			host.hears(other);
		says(on, health);
		exchange(left, right);
	}
};

const told = (host: Host) =>
	conditions(host.state, host.nowMs).filter(({ name }) => name === 'health-check');

test('a check that is critical for its hold time empties the host, live and in order', (t) => {
	const [left, right] = pair();
	runs(left, right, left, 'critical', 120_000);
	t.is(left.record()?.journal, null);
	t.deepEqual(told(left), []);
	runs(left, right, left, 'critical', 60_000);
	t.like(left.record()?.journal, { kind: 'migration', to: 'right' });
	t.is(left.record('db')?.journal, null);
	t.true(left.notes.includes('a health check is critical'));
	const [condition] = told(left);
	t.like(condition, { subject: 'fan@left', severity: 'critical' });
	t.is(condition?.summary, 'the health check fan of left is critical: fan!; its VMs go to right');
	t.deepEqual(right.state.peer.document?.critical, [{ check: 'fan', evacuate: true }]);
	t.deepEqual(right.persisted?.loadMoves, {});
});

test('an answer between that is not critical begins the hold anew, and one that is old is none', (t) => {
	const [left, right] = pair();
	runs(left, right, left, 'critical', 120_000);
	says(left, 'unknown');
	runs(left, right, left, 'critical', 120_000);
	t.deepEqual(left.state.health.critical, []);
	runs(left, right, left, 'critical', 60_000);
	t.is(left.state.health.evacuates, 'fan');
	left.at(left.nowMs + 196_000);
	t.is(left.state.health.evacuates, null);
	t.deepEqual(left.document?.critical, []);
	t.like(told(left)[0], { severity: 'warning' });
	t.regex(told(left)[0]?.summary ?? '', /fan of left gives no usable answer/);
});

test('a check that only alerts moves nothing, and a warning is one for the morning', (t) => {
	const [left, right] = pair();
	says(left, 'critical', 'disk');
	exchange(left, right);
	t.is(left.record()?.journal, null);
	t.like(told(left)[0], { subject: 'disk@left', severity: 'critical' });
	says(left, 'warning', 'disk');
	t.like(told(left)[0], { subject: 'disk@left', severity: 'warning' });
	says(left, 'ok', 'disk');
	t.deepEqual(told(left), []);
	says(left, 'critical', 'a check that nobody configured');
	t.deepEqual(left.state.health.critical, []);
});

test('two hosts that are not well do not throw VMs at each other', (t) => {
	const [left, right] = pair();
	runs(left, right, right, 'critical', 180_000);
	t.is(right.state.health.evacuates, 'fan');
	runs(left, right, left, 'critical', 180_000);
	t.is(left.state.health.evacuates, null);
	t.regex(told(left)[0]?.summary ?? '', /its VMs stay: right is not well either/);
	says(right, 'ok');
	exchange(left, right);
	runs(left, right, left, 'critical', 60_000);
	t.regex(told(left)[0]?.summary ?? '', /its VMs stay: right was not well itself a short time ago/);
	runs(left, right, left, 'critical', 900_000);
	t.is(left.state.health.evacuates, 'fan');
});

test('a disarmed pair moves nothing by itself', (t) => {
	const [left, right] = pair();
	const request = { verb: 'disarm', by: 'test', reason: 'work' } as const;
	left.take({ type: 'requested', id: 'disarm', request, at: '' });
	exchange(left, right);
	runs(left, right, left, 'critical', 180_000);
	t.is(left.record()?.journal, null);
	t.regex(told(left)[0]?.summary ?? '', /its VMs stay: the pair is disarmed/);
});

test('a person may send VMs to a host that is not well, and is warned', (t) => {
	for (const request of [
		{ verb: 'evacuate', host: 'left', cold: false, by: 'test' },
		{ verb: 'standby', on: true, by: 'test', reason: 'work' },
		{ verb: 'migrate', vm: 'web', to: null, by: 'test' },
		{ verb: 'move', vm: 'web', to: null, by: 'test' },
	] as const) {
		const [left, right] = pair();
		says(right, 'critical', 'disk');
		exchange(left, right);
		left.take({ type: 'requested', id: 'ask', request, at: '' });
		const reply = left.sent('reply').at(-1)?.reply;
		t.is(reply?.status, 'accepted');
		t.regex(reply?.message ?? '', /; but right is not well: disk critical$/, request.verb);
	}
});
