import test from 'ava';
import fc from 'fast-check';
import { same } from '#src/std/same.ts';

test('plain data is the same as its copy, and as the copy with its keys in another order', (t) => {
	fc.assert(
		fc.property(fc.jsonValue(), (value) => {
			t.true(same(value, JSON.parse(JSON.stringify(value))));
			if (typeof value !== 'object' || value === null || Array.isArray(value)) return;
			t.true(same(value, Object.fromEntries(Object.entries(value).toReversed())));
		}),
	);
});

test('plain data that differs anywhere is not the same', (t) => {
	fc.assert(
		fc.property(fc.jsonValue(), fc.jsonValue(), (one, other) => {
			const sorted = (value: unknown): string =>
				JSON.stringify(value, (_key, part: unknown) =>
					typeof part === 'object' && part !== null && !Array.isArray(part)
						? Object.fromEntries(Object.entries(part).toSorted(([a], [b]) => (a < b ? -1 : 1)))
						: part,
				);
			t.is(same(one, other), sorted(one) === sorted(other));
		}),
	);
	t.false(same({ a: 1 }, { b: 1 }));
	t.false(same([], {}));
	t.false(same({ a: [1, 2] }, { a: [1] }));
	t.false(same(null, {}));
});
