import test from 'ava';
import fc from 'fast-check';
import { below, between, chance, nextUint32, pick, prng, split } from '#src/std/prng.ts';

test('the same seed gives the same numbers on every machine', (t) => {
	const random = prng(1);
	t.deepEqual(
		Array.from({ length: 4 }, () => nextUint32(random)),
		[2_420_951_833, 2_513_034_076, 3_847_892_949, 4_064_752_930],
	);
});

test('neighbouring seeds and seeds beyond 32 bits differ', (t) => {
	const firsts = [0, 1, 2, 3, 2 ** 32, 2 ** 32 + 1, 2 ** 40].map((seed) => nextUint32(prng(seed)));
	t.is(new Set(firsts).size, firsts.length);
});

test('numbers stay inside their bounds', (t) => {
	fc.assert(
		fc.property(fc.nat(), fc.integer({ min: 1, max: 1_000_000 }), (seed, count) => {
			const random = prng(seed);
			const low = below(random, count);
			const number = between(random, 5, 5 + count);
			return low >= 0 && low < count && number >= 5 && number <= 5 + count;
		}),
	);
	t.pass();
});

test('draws are spread evenly enough', (t) => {
	const random = prng(7);
	const counts = Array.from({ length: 10 }, () => 0);
	for (let index = 0; index < 20_000; index += 1) {
		const at = below(random, 10);
		counts[at] = (counts[at] ?? 0) + 1;
	}
	t.true(counts.every((count) => count > 1800 && count < 2200));
	const heads = Array.from({ length: 10_000 }, () => chance(random, 0.3)).filter(Boolean).length;
	t.true(heads > 2800 && heads < 3200);
	t.true(['a', 'b'].includes(pick(random, ['a', 'b'])));
});

test('a split generator does not follow its parent', (t) => {
	const parent = prng(3);
	const child = split(parent);
	const drawn = nextUint32(child);
	t.not(drawn, nextUint32(parent));
	const again = prng(3);
	t.is(nextUint32(split(again)), drawn);
});
