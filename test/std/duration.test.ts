import test from 'ava';
import fc from 'fast-check';
import { formatDuration, parseDuration } from '#src/std/duration.ts';

const accepted: ReadonlyArray<readonly [string, number]> = [
	['500ms', 500],
	['3s', 3000],
	['1h30m', 5_400_000],
	['1d', 86_400_000],
	['0s', 0],
	['1d2h3m4s5ms', 93_784_005],
	['90s', 90_000],
];

for (const [text, durationMs] of accepted)
	test(`${text} is ${durationMs} ms`, (t) => {
		t.is(parseDuration(text), durationMs);
	});

for (const text of [
	'',
	'3',
	'3 s',
	' 3s',
	'3s ',
	'-3s',
	'+3s',
	'1.5s',
	'3S',
	'3sec',
	'1m1h',
	'3s3s',
])
	test(`"${text}" is not a duration`, (t) => {
		t.is(parseDuration(text), null);
	});

test('a duration too long to count exactly is refused', (t) => {
	t.is(parseDuration('999999999d'), null);
	t.is(parseDuration(`${'9'.repeat(400)}s`), null);
});

test('what is formatted is read back as the same number', (t) => {
	fc.assert(
		fc.property(fc.integer({ min: 0, max: 1_000_000_000 }), (durationMs) =>
			t.is(parseDuration(formatDuration(durationMs)), durationMs),
		),
	);
	t.is(formatDuration(0), '0s');
	t.is(formatDuration(5_400_000), '1h30m');
});

test('a duration that is negative or not whole is a mistake of the caller', (t) => {
	for (const wrong of [-1, 0.5, Number.NaN, Infinity])
		t.throws(() => formatDuration(wrong), { instanceOf: RangeError });
});
