import { readFileSync } from 'node:fs';
import test from 'ava';
import type { HistoryEntry } from '#src/api/view.ts';
import { noTimeline, phasesOf, withEntry, type Timeline } from '#src/store/timeline.ts';

const fieldOf = (written: string): string | null =>
	written === 'null' ? null : written.replace(/^"(.*)"$/, '$1');

/** What a host said in a story, from the trace that is kept of it. */
const entriesOf = (story: string, host: string): HistoryEntry[] => {
	const trace = new URL(`../scenario/${story}/trace.expect`, import.meta.url);
	const line = new RegExp(
		`^ *([0-9.]+) ${host} (info|warn|error): (.*?)((?: [A-Za-z]+=(?:"[^"]*"|\\S*))*)$`,
	);
	return readFileSync(trace, 'utf8')
		.split('\n')
		.flatMap((text, index): HistoryEntry[] => {
			const [, seconds, level, message = '', fields = ''] = line.exec(text) ?? [];
			if (seconds === undefined) return [];
			const ms = Math.round(Number(seconds) * 1000);
			return [
				{
					seq: index + 1,
					at: new Date(ms).toISOString(),
					ms,
					level: level as HistoryEntry['level'],
					message,
					fields: Object.fromEntries(
						[...fields.matchAll(/ ([A-Za-z]+)=("[^"]*"|\S*)/g)].map(([, key = '', value = '']) => [
							key,
							fieldOf(value),
						]),
					),
				},
			];
		});
};

const timelineOf = (entries: readonly HistoryEntry[]): Timeline =>
	entries.reduce(withEntry, noTimeline);

test('a power cut is told from the first silence to the last VM that runs', (t) => {
	const { failover, silence } = timelineOf(entriesOf('power-cut', 'beta'));
	t.is(failover?.host, 'alpha');
	t.is(failover?.sinceMs, 10_571);
	t.deepEqual(failover?.proof, { kind: 'power-off', atMs: 10_902 });
	t.deepEqual(failover?.vms.slice(0, 2), [
		{
			vm: 'ledger1',
			resource: 'ledger1',
			takenMs: 10_902,
			promoteMs: 10_902,
			startMs: 11_965,
			runsMs: 13_356,
		},
		{
			vm: 'ledger2',
			resource: 'ledger2',
			takenMs: 10_902,
			promoteMs: 10_902,
			startMs: 13_356,
			runsMs: 15_612,
		},
	]);
	t.deepEqual(failover === null || failover === undefined ? [] : phasesOf(failover), [
		{ name: 'proof', fromMs: 0, toMs: 331 },
		{ name: 'promote', fromMs: 331, toMs: 1394 },
		{ name: 'start', fromMs: 1394, toMs: 5041 },
	]);
	t.is(silence?.host ?? 'none', 'alpha');
});

test('a failover that a person ordered shows how long nothing was decided, and every power-off', (t) => {
	const { failover } = timelineOf(entriesOf('fence-device-slow', 'beta'));
	t.is(failover?.proof?.kind, 'person');
	t.deepEqual(failover?.fences, [59_800, 70_801]);
	t.is(failover?.lostMs, 12_979);
	t.is(failover?.vms[0]?.runsMs, 115_294);
});

test('at every moment of a failover its phases follow each other, and the last one is open until its end', (t) => {
	let timeline = noTimeline;
	let open = 0;
	for (const entry of entriesOf('power-cut', 'beta')) {
		timeline = withEntry(timeline, entry);
		if (timeline.failover === null) continue;
		const phases = phasesOf(timeline.failover);
		for (const [index, { fromMs, toMs }] of phases.entries()) {
			t.is(fromMs, phases[index - 1]?.toMs ?? 0);
			if (toMs === null) t.is(index, phases.length - 1);
		}
		if (phases.at(-1)?.toMs === null) open += 1;
	}
	t.true(open >= 5, `${open} moments were open`);
});

test('a host that leaves, and a calm pair, are no failover', (t) => {
	t.is(timelineOf(entriesOf('leave-and-repair', 'beta')).failover, null);
	t.deepEqual(timelineOf(entriesOf('calm', 'beta')).silence, null);
});

test('a boot ends what was under way, and the last failover is still told', (t) => {
	const story = entriesOf('power-cut', 'beta').filter(({ ms }) => ms < 12_000);
	const before = timelineOf(story);
	t.not(before.silence, null);
	const [first] = entriesOf('calm', 'beta');
	if (first === undefined) throw new Error('the calm story says nothing');
	const after = withEntry(before, first);
	t.is(after.silence, null);
	t.is(after.failover?.host, 'alpha');
});
