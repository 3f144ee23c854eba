import test from 'ava';
import fc from 'fast-check';
import { createDetector, detect, observe } from '#src/heartbeat/detector.ts';
import type { DetectorInput, DetectorState } from '#src/heartbeat/detector.ts';

const timing = { beatIntervalMs: 200, suspectMs: 600, detectionMs: 3000 };
const names = ['management', 'replication'] as const;

const fresh = (): DetectorState => createDetector(names, timing, 0);
const after = (inputs: readonly DetectorInput[], from = fresh()): DetectorState =>
	inputs.reduce(detect, from);
const beat = (
	nowMs: number,
	link: string = names[0],
	echoedSentMs: number | null = null,
): DetectorInput => ({ type: 'beat', nowMs, link, echoedSentMs, rttMs: null });
/** Ticks as the thread makes them, up to and with `toMs`. */
const ticks = (fromMs: number, toMs: number): DetectorInput[] => {
	const list: DetectorInput[] = [];
	for (let nowMs = fromMs; nowMs < toMs; nowMs += 200) list.push({ type: 'tick', nowMs });
	return [...list, { type: 'tick', nowMs: toMs }];
};

test('a new detector is suspect, and silent after D without a beat', (t) => {
	t.is(observe(fresh()).hearing, 'suspect');
	t.is(observe(after(ticks(0, 2999))).hearing, 'suspect');
	t.is(observe(after(ticks(0, 3000))).hearing, 'silent');
});

test('three missed beats make suspect, D makes silent, one beat makes online', (t) => {
	const online = after([...ticks(0, 800), beat(1000)]);
	t.is(observe(online).hearing, 'online');
	t.is(observe(after(ticks(1000, 1599), online)).hearing, 'online');
	t.is(observe(after(ticks(1000, 1600), online)).hearing, 'suspect');
	t.is(observe(after(ticks(1000, 3999), online)).hearing, 'suspect');
	const silent = after(ticks(1000, 4000), online);
	t.is(observe(silent).hearing, 'silent');
	t.is(observe(after([beat(4100, names[1])], silent)).hearing, 'online');
});

test('a link down with the other up leaves the peer online', (t) => {
	const state = after([beat(100, names[0]), ...ticks(100, 600), beat(700, names[1])]);
	t.is(observe(state).hearing, 'online');
	t.deepEqual(
		observe(state).links.map((link) => link.state),
		['silent', 'up'],
	);
});

test('carrier lost on every link makes suspect at once, on one link it does not', (t) => {
	const lost = (link: string): DetectorInput => ({
		type: 'carrier',
		link,
		carrier: false,
		nowMs: 150,
	});
	const both = [beat(100, names[0]), beat(100, names[1])];
	t.is(observe(after([...both, lost(names[0])])).hearing, 'online');
	const gone = after([...both, lost(names[0]), lost(names[1])]);
	t.is(observe(gone).hearing, 'suspect');
	t.is(observe(after([lost(names[0]), lost(names[1])], gone)).hearing, 'suspect');
	const proven = after([beat(160, names[1]), lost(names[1])], gone);
	t.is(observe(proven).hearing, 'online', 'a beat proves a path whose device says otherwise');
	const back = after([{ type: 'carrier', link: names[0], carrier: true, nowMs: 170 }], gone);
	t.is(observe(back).hearing, 'online');
});

test('only D is stretched', (t) => {
	const stretched = after([beat(0, names[0], 0), { type: 'factor', factor: 3, nowMs: 0 }]);
	t.is(observe(after(ticks(0, 600), stretched)).hearing, 'suspect');
	t.is(observe(after(ticks(0, 8999), stretched)).hearing, 'suspect');
	t.true(observe(after(ticks(0, 8999), stretched)).echoed);
	t.is(observe(after(ticks(0, 9000), stretched)).hearing, 'silent');
});

test('echoed holds while a beat younger than D was echoed, counted from its sending', (t) => {
	const state = after([...ticks(0, 2000), beat(2000, names[0], 500)]);
	t.true(observe(state).echoed);
	t.true(observe(after([...ticks(2000, 3400), beat(3499)], state)).echoed);
	const late = after([...ticks(2000, 3400), beat(3500)], state);
	t.false(observe(late).echoed, 'beats that echo nothing new do not count');
	t.is(observe(late).hearing, 'online');
	t.false(observe(after([{ type: 'identity', nowMs: 2001 }], state)).echoed);
});

test('a refused connect is remembered until a beat comes', (t) => {
	const refused = after([{ type: 'refused', link: names[0], refused: true, nowMs: 1 }]);
	t.true(observe(refused).links[0]?.refused);
	t.false(observe(after([beat(2)], refused)).links[0]?.refused);
});

test('a stall of our own is not silence of the peer, yet a lasting one is noticed', (t) => {
	const online = after([beat(0, names[0], 0)]);
	const woken = after([{ type: 'tick', nowMs: 60_000 }], online);
	t.is(observe(woken).hearing, 'online');
	t.false(observe(woken).echoed, 'an echo is a promise: it is not prolonged');
	t.is(observe(woken).echoedMs, 0);
	t.is(observe(after(ticks(60_000, 60_400), woken)).hearing, 'suspect');
	const always = Array.from({ length: 15 }, (_, index) => 700 * (index + 1));
	t.is(
		observe(
			after(
				always.map((nowMs) => ({ type: 'tick', nowMs })),
				online,
			),
		).hearing,
		'silent',
	);
});

const anyInput: fc.Arbitrary<(nowMs: number) => DetectorInput> = fc.oneof(
	fc.constant((nowMs: number): DetectorInput => ({ type: 'tick', nowMs })),
	fc
		.tuple(fc.constantFrom(...names), fc.option(fc.nat(5000)), fc.option(fc.nat(100)))
		.map(([link, ageMs, rttMs]) => (nowMs: number): DetectorInput => ({
			type: 'beat',
			nowMs,
			link,
			echoedSentMs: ageMs === null ? null : nowMs - ageMs,
			rttMs,
		})),
	fc
		.tuple(fc.constantFrom(...names), fc.option(fc.boolean()))
		.map(([link, carrier]) => (nowMs: number): DetectorInput => ({
			type: 'carrier',
			nowMs,
			link,
			carrier,
		})),
	fc
		.tuple(fc.constantFrom(...names), fc.boolean())
		.map(([link, refused]) => (nowMs: number): DetectorInput => ({
			type: 'refused',
			nowMs,
			link,
			refused,
		})),
	fc
		.constantFrom(1 as const, 3 as const)
		.map((factor) => (nowMs: number): DetectorInput => ({ type: 'factor', nowMs, factor })),
	fc.constant((nowMs: number): DetectorInput => ({ type: 'identity', nowMs })),
);

/** Any inputs; with gaps of at most `gapMs` between them. */
const anyHistory = (gapMs: number): fc.Arbitrary<DetectorInput[]> =>
	fc.array(fc.tuple(anyInput, fc.nat(gapMs)), { maxLength: 60 }).map((steps) => {
		let nowMs = 0;
		return steps.map(([input, passedMs]) => input((nowMs += passedMs)));
	});

test('silent is never said sooner than D after a beat, and always said D after the last one', (t) => {
	fc.assert(
		fc.property(anyHistory(599), (history) => {
			let state = fresh();
			let heardMs = 0;
			let factor = 1;
			for (const input of history) {
				state = detect(state, input);
				if (input.type === 'beat') heardMs = input.nowMs;
				if (input.type === 'factor') factor = input.factor;
				const silent = input.nowMs - heardMs >= timing.detectionMs * factor;
				if ((observe(state).hearing === 'silent') !== silent) return false;
			}
			return true;
		}),
	);
	t.pass();
});

test('whatever comes, online means a link is up, and echoed means a young echo of this peer', (t) => {
	fc.assert(
		fc.property(anyHistory(4000), (history) => {
			let state = fresh();
			let echoedMs = -Infinity;
			let factor = 1;
			for (const input of history) {
				state = detect(state, input);
				if (input.type === 'beat') echoedMs = Math.max(echoedMs, input.echoedSentMs ?? -Infinity);
				if (input.type === 'identity') echoedMs = -Infinity;
				if (input.type === 'factor') factor = input.factor;
				const { hearing, echoed, links } = observe(state);
				const up = links.some((link) => link.state === 'up');
				if (hearing !== 'silent' && (hearing === 'online') !== up) return false;
				if (echoed !== input.nowMs - echoedMs < timing.detectionMs * factor) return false;
			}
			return true;
		}),
	);
	t.pass();
});

test('between two inputs nothing changes before the announced time', (t) => {
	fc.assert(
		fc.property(anyHistory(900), fc.nat(599), (history, passedMs) => {
			const state = after(history);
			const now = observe(state);
			const nowMs = state.nowMs + passedMs;
			if (now.nextMs !== null && nowMs >= now.nextMs) return true;
			const later = observe(detect(state, { type: 'tick', nowMs }));
			return JSON.stringify(later) === JSON.stringify(now);
		}),
	);
	t.pass();
});

test('time that runs backwards changes nothing', (t) => {
	const state = after([beat(1000)]);
	t.deepEqual(detect(state, { type: 'tick', nowMs: 10 }), state);
	t.deepEqual(detect(state, { type: 'tick', nowMs: Number.NaN }), state);
});
