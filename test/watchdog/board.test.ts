import test from 'ava';
import { type BoardFacts, judge, type Proof, readProof, settle } from '#src/watchdog/board.ts';
import { readOrder } from '#src/watchdog/line.ts';

const facts = (changes: Partial<BoardFacts> = {}): BoardFacts => ({
	identity: 'iTCO_wdt',
	timeoutMs: 5000,
	active: false,
	nowayout: false,
	bootStatus: 0,
	machine: 'm1',
	bootId: 'boot-2',
	...changes,
});

const proof = (changes: Partial<Proof> = {}): Proof => ({
	format: 1,
	device: '/dev/watchdog0',
	identity: 'iTCO_wdt',
	machine: 'm1',
	timeoutMs: 5000,
	bootId: 'boot-1',
	closedMs: 100_000,
	markMs: 104_800,
	state: 'open',
	detail: '',
	at: '2026-01-01T00:00:00.000Z',
	...changes,
});

const settings = { device: '/dev/watchdog0', timeoutMs: 5000, softdog: false };

test('a board counts when a reset test with this very time-out has proven it here', (t) => {
	const proven = proof({ state: 'proven' });
	t.like(judge(facts(), settings, proven), {
		fit: true,
		counts: true,
		kind: 'tested',
		code: 'ready',
	});
	const untested = { fit: true, counts: false, kind: 'untested', code: 'untested' } as const;
	t.like(judge(facts(), settings, null), untested);
	t.like(judge(facts(), settings, proof({ state: 'failed' })), untested);
	t.like(judge(facts({ identity: 'other' }), settings, proven), untested);
	t.like(judge(facts({ machine: 'm2' }), settings, proven), untested);
	t.like(judge(facts({ timeoutMs: 4000 }), settings, proven), untested);
});

test('what is not known, too long or cannot be stopped is not held', (t) => {
	const code = (changes: Partial<BoardFacts>): string =>
		judge(facts(changes), settings, proof({ state: 'proven' })).code;
	t.is(code({ identity: null }), 'absent');
	t.is(code({ timeoutMs: null }), 'time-out-unknown');
	t.is(code({ timeoutMs: 5001 }), 'too-long');
	t.is(code({ timeoutMs: 1000 }), 'too-short');
	t.is(code({ nowayout: true }), 'no-way-out');
	t.is(judge(facts({ bootId: 'boot-1' }), settings, proof()).code, 'test-open');
	t.false(judge(facts({ timeoutMs: 60_000 }), settings, null).fit);
});

test('a watchdog in software counts only where the configuration says so, tested or not', (t) => {
	const soft = facts({ identity: 'Software Watchdog' });
	const proven = proof({ state: 'proven', identity: 'Software Watchdog' });
	t.like(judge(soft, settings, proven), {
		fit: true,
		counts: false,
		kind: 'softdog',
		code: 'softdog',
	});
	t.like(judge(soft, { ...settings, softdog: true }, null), { counts: true, kind: 'softdog' });
});

test('a reset test is proven by the boot after it, and only when its time fits', (t) => {
	const state = (changes: Partial<Proof>, seen: Partial<BoardFacts> = {}, nowMs = 5000): string =>
		settle(proof(changes), facts(seen), nowMs).state;
	t.is(state({}), 'proven');
	// Somebody pressed the button at once.
	t.is(state({ markMs: 100_900 }), 'failed');
	// The board itself says that it was the one.
	t.is(state({ markMs: 100_900 }, { bootStatus: 0x20 }), 'proven');
	// It lived far too long before that.
	t.is(state({ markMs: 107_001 }, { bootStatus: 0x20 }), 'failed');
	// The same boot: under way, then failed.
	t.is(state({}, { bootId: 'boot-1' }, 107_000), 'open');
	t.is(state({}, { bootId: 'boot-1' }, 107_001), 'failed');
	t.is(state({ state: 'failed' }), 'failed');
});

test('a damaged proof is none', (t) => {
	t.deepEqual(readProof(JSON.stringify(proof())), proof());
	t.is(readProof(JSON.stringify(proof()).slice(0, -5)), null);
	t.is(readProof('null'), null);
	for (const [key, value] of [
		['format', 2],
		['state', 'maybe'],
		['timeoutMs', -1],
		['closedMs', '1'],
		['identity', 7],
	] as const)
		t.is(readProof(JSON.stringify({ ...proof(), [key]: value })), null, key);
});

test('an order is taken word by word or not at all', (t) => {
	const hold = { device: '/dev/watchdog0', parameter: null, timeoutMs: 5000, grantMaxMs: 7000 };
	const settingsOf = { ...hold, softdog: false, sysrq: true };
	t.deepEqual(readOrder(JSON.stringify({ hold: settingsOf })), {
		order: 'hold',
		settings: settingsOf,
	});
	t.deepEqual(readOrder('{"grantUntilMs":12.5}'), { order: 'grant', untilMs: 12.5 });
	t.deepEqual(readOrder('{"disarm":true}'), { order: 'disarm' });
	for (const line of [
		'',
		'null',
		'[]',
		'{}',
		'{"grantUntilMs":"9"}',
		'{"grantUntilMs":-1}',
		'{"grantUntilMs":1e999}',
		'{"grantUntilMs":null}',
		'{"grantUntilMs":1,"disarm":true}',
		'{"disarm":false}',
		'{"constructor":1}',
		JSON.stringify({ hold }),
		JSON.stringify({ hold: { ...settingsOf, device: 'watchdog0' } }),
		JSON.stringify({ hold: { ...settingsOf, timeoutMs: 0 } }),
		JSON.stringify({ hold: { ...settingsOf, more: 1 } }),
	])
		t.is(readOrder(line), null, line);
});
