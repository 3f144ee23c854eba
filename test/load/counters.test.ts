import test from 'ava';
import {
	parseBusyMs,
	parseCapacity,
	parseCount,
	parseDom0Ticks,
	parseMemoryUse,
} from '#src/load/counters.ts';

test("dom0's time is the first line of /proc/stat: stolen time is busy, waiting for a disk is not", (t) => {
	const text =
		'cpu  212968 14005 21924 37232 716 0 377 1274 0 0\ncpu0 106507 6594 10376 20012 92 0 49 637 0 0\n';
	t.deepEqual(parseDom0Ticks(text), {
		busy: 212_968 + 14_005 + 21_924 + 377 + 1274,
		idle: 37_232 + 716,
	});
});

test('a first line that is cut short or of another kind is not understood', (t) => {
	for (const text of ['', 'cpu  1 2 3 4', 'cpu0 1 2 3 4 5 6 7 8', 'cpu  1 2 3 x 5 6 7 8', 'cpu -1'])
		t.is(parseDom0Ticks(text), null, text);
});

test("the memory that is gone is what dom0's programs could not get any more", (t) => {
	const text =
		'MemTotal:        1179648 kB\nMemFree:          120000 kB\nMemAvailable:     294912 kB\n';
	t.is(parseMemoryUse(text), 0.75);
	t.is(parseMemoryUse(text.replace('MemAvailable', 'MemOther')), null);
	t.is(parseMemoryUse(text.replace('294912', '1179649')), null);
	t.is(parseMemoryUse(''), null);
});

test("a disk's time with work is the tenth field, in old and new kernels", (t) => {
	// As Linux 6 shows it, and as Linux 4.14 did.
	t.is(
		parseBusyMs(
			'  103365    24140  2762586    34886    95306    98925 10955000    63308        0    28268   106541    47670       48  4393696     7104    20584     1242\n',
		),
		28_268,
	);
	t.is(parseBusyMs('1 2 3 4 5 6 7 8 0 4711 12\n'), 4711);
	t.is(parseBusyMs('1 2 3 4 5 6 7 8 0 4711\n'), null);
	t.is(parseBusyMs(''), null);
});

test('what a network device can carry is known only where the kernel knows it', (t) => {
	t.is(parseCapacity('1000\n'), 125_000_000);
	t.is(parseCapacity('25000\n'), 3_125_000_000);
	for (const text of ['-1\n', '0\n', '4294967295\n', '', 'x\n'])
		t.is(parseCapacity(text), null, text);
});

test('a count is a whole number alone', (t) => {
	t.is(parseCount('0\n'), 0);
	t.is(parseCount('616\n'), 616);
	for (const text of ['', '1 2', '1.5', '-1', 'abc']) t.is(parseCount(text), null, text);
});
