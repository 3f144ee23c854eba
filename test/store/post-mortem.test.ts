import { readFileSync, writeFileSync } from 'node:fs';
import test from 'ava';
import fc from 'fast-check';
import { parse } from 'yaml';
import { postMortem, postMortemSchema } from '#src/store/post-mortem.ts';
import { postMortemLines } from '#src/cli/post-mortem-text.ts';
import { runScenario } from '#src/sim/run.ts';
import { parseScenario } from '#src/sim/scenario.ts';
import type { NoteEntry } from '#src/store/journal.ts';

/** Local time, as people are told: the same text in every time zone. */
const startMs = new Date(2026, 0, 1, 3).getTime();

/** The notes of both hosts of a story, as the journals of the one that lives have them. */
const journals = (story: string, survivor: string) => {
	const { notes, failures } = runScenario(parseScenario(parse(story)));
	if (failures.length > 0) throw new Error(failures.join('\n'));
	const entries = notes.map(({ host, note, atMs }, index): NoteEntry & { host: string } => {
		const at = new Date(startMs + atMs).toISOString();
		const of = host === survivor ? {} : { of: { host, at, boot: 'of the peer' } };
		return { host, seq: index + 1, at, ms: atMs, boot: 'boot-1', type: 'note', ...note, ...of };
	});
	return {
		own: entries.filter(({ host }) => host === survivor),
		peer: entries.filter(({ host }) => host !== survivor),
	};
};

const hang = `
format: 1
name: hang-and-return
story: A host hangs, is fenced, and comes back when somebody gives it power.
runsIn: [simulator]
world:
  hosts: [alpha, beta]
  vms:
    - { name: ledger1, host: alpha }
    - { name: ledger2, host: alpha, after: [ledger1] }
    - { name: ledger3, host: beta }
steps:
  - { do: migrate, host: alpha, vm: ledger2, at: 5s }
  - { do: cancel-migration, host: alpha, vm: ledger2, after: 1s }
  - { do: hang, host: alpha, at: 20s }
  - { do: power-on, host: alpha, after: 90s }
ends: 90s
expect:
  - { finally: { vm: ledger1, runsOn: beta, writing: true } }
`;

test('a host that was fenced and came back: phases, VMs and the words of both hosts', (t) => {
	const { own, peer } = journals(hang, 'beta');
	const found = postMortem('beta', own, peer);
	t.notThrows(() => postMortemSchema.parse(found));
	if (found === null) return;
	t.is(found.host, 'alpha');
	t.deepEqual(
		found.vms.map(({ vm }) => vm),
		['ledger1', 'ledger2'],
	);
	t.true(found.steps.some(({ host, message }) => host === 'alpha' && message === 'VM runs'));
	const text = `${postMortemLines(found, false).join('\n')}\n`;
	const golden = 'test/store/post-mortem.expect';
	if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(golden, text);
	t.is(text, readFileSync(golden, 'utf8'), 'run with UPDATE_GOLDEN=1 when the change is meant');
});

test('there is none while the host is away, and none of one that left or was never proven out', (t) => {
	const { own, peer } = journals(hang, 'beta');
	const back = own.findIndex(({ message, fields }) => message === 'fence' && fields !== null);
	t.is(postMortem('beta', own.slice(0, back + 20), peer), null);
	t.is(postMortem('alpha', peer, own), null, 'the host that died has nothing to tell');
	t.is(postMortem('beta', [], []), null);
});

test('whatever stands in the journals, it is bounded and fits its format', (t) => {
	const { own, peer } = journals(hang, 'beta');
	fc.assert(
		fc.property(
			fc.shuffledSubarray([...own, ...peer]),
			fc.integer({ min: 1, max: 6 }),
			(list, times) => {
				const many = Array.from({ length: times }, () => list).flat();
				const found = postMortem('beta', many, many);
				t.true(found === null || postMortemSchema.safeParse(found).success);
			},
		),
		{ numRuns: 200 },
	);
});
