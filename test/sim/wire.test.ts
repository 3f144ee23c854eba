import test from 'ava';
import { createWire, extraMs, impairmentOf, isDegraded } from '#src/sim/model-wire.ts';
import { runSeed, scenarioOfSeed } from '#src/sim/swarm.ts';
import { prng } from '#src/std/prng.ts';

test('a sound path delays nothing and draws no number', (t) => {
	const random = prng(1);
	const before = { ...random };
	t.is(extraMs(random, null), 0);
	t.deepEqual(random, before);
	t.is(impairmentOf({ loss: 0, jitter: 0 }), null);
	t.false(isDegraded({ networks: [{ wire: createWire() }] }));
});

test('a lost packet comes when TCP has sent it again, and each once more lost twice as late', (t) => {
	const random = prng(2);
	const half = impairmentOf({ loss: 50, jitter: 0 });
	const delays = Array.from({ length: 2000 }, () => extraMs(random, half));
	const share = (ms: number) => delays.filter((each) => each === ms).length / delays.length;
	t.true(Math.abs(share(0) - 0.5) < 0.05);
	t.true(Math.abs(share(200) - 0.25) < 0.05);
	t.true(Math.abs(share(600) - 0.125) < 0.05);
	const jitter = impairmentOf({ loss: 0, jitter: 40 });
	for (let times = 0; times < 100; times += 1) t.true(extraMs(random, jitter) <= 40);
});

test('a step of the wall clock changes nothing', (t) => {
	const seeds = Array.from({ length: 400 }, (_, index) => 1 + index).filter((seed) =>
		scenarioOfSeed(seed, 'honest').scenario.steps.some((step) => step.do === 'clock-step'),
	);
	t.true(seeds.length > 3);
	for (const seed of seeds.slice(0, 3)) {
		const withSteps = runSeed(seed, { traced: true });
		const without = runSeed(seed, { traced: true, without: 'clock-step' });
		const lines = withSteps.trace.filter((line) => !line.includes('step clock-step'));
		t.deepEqual(lines, without.trace);
	}
});

test('a seed without added faults is what it was before they were added', (t) => {
	let same = 0;
	for (let seed = 1; seed <= 200; seed += 1) {
		const { steps } = scenarioOfSeed(seed, 'honest').scenario;
		const before = scenarioOfSeed(seed, 'honest', 1).scenario.steps;
		if (JSON.stringify(steps) === JSON.stringify(before)) same += 1;
	}
	t.true(same > 80 && same < 150);
});
