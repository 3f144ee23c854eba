/**
 * A seeded, splittable random number generator: sfc32 (Chris Doty-Humphrey's small fast counter,
 * PractRand), seeded through splitmix32. Same seed, same numbers, on every machine. Not for secrets.
 */
export interface Prng {
	a: number;
	b: number;
	c: number;
	counter: number;
}

const splitmix32 = (seed: number): (() => number) => {
	let state = seed | 0;
	return () => {
		state = (state + 0x9e3779b9) | 0;
		let mixed = state ^ (state >>> 16);
		mixed = Math.imul(mixed, 0x21f0aaad);
		mixed ^= mixed >>> 15;
		mixed = Math.imul(mixed, 0x735a2d97);
		return (mixed ^ (mixed >>> 15)) >>> 0;
	};
};

/** A generator for a whole-number seed; seeds above 2^32 differ too. */
export const prng = (seed: number): Prng => {
	const next = splitmix32((seed >>> 0) ^ Math.imul(Math.floor(seed / 2 ** 32), 0x85ebca6b));
	const made: Prng = { a: next(), b: next(), c: next(), counter: 1 };
	for (let round = 0; round < 12; round += 1) nextUint32(made);
	return made;
};

/** The next number, 0 to 2^32 - 1. */
export const nextUint32 = (state: Prng): number => {
	const result = (state.a + state.b + state.counter) | 0;
	state.counter = (state.counter + 1) | 0;
	state.a = state.b ^ (state.b >>> 9);
	state.b = (state.c + (state.c << 3)) | 0;
	state.c = (((state.c << 21) | (state.c >>> 11)) + result) | 0;
	return result >>> 0;
};

/** A whole number from 0 to `count` - 1. */
export const below = (state: Prng, count: number): number =>
	Math.floor((nextUint32(state) / 2 ** 32) * count);

/** A whole number from `low` to `high`, both included. */
export const between = (state: Prng, low: number, high: number): number =>
	low + below(state, high - low + 1);

/** True with this probability, 0 to 1. */
export const chance = (state: Prng, probability: number): boolean =>
	nextUint32(state) < probability * 2 ** 32;

/** One of the items; the list must not be empty. */
export const pick = <const Items extends readonly [unknown, ...unknown[]]>(
	state: Prng,
	items: Items,
): Items[number] => items[below(state, items.length)];

/** A generator of its own, so that drawing more here does not shift the numbers there. */
export const split = (state: Prng): Prng => prng(nextUint32(state));
