import test from 'ava';
import fc from 'fast-check';
import { fenceDelayMs } from '#src/engine/fencing.ts';
import type { ResourceRecord } from '#src/store/record.ts';
import { type Host, pairOf, vmConfig } from '#test/engine/_pair.ts';

const names = ['a', 'b'];
const vms = names.map((name) => vmConfig(name, { priority: 3 }));
/** Detection, all attempts, the latency and the skew in the test configuration. */
const oneTurnMs = 3 * 21_000 + 30_000 + 18_000;

const inSync = fc.constantFrom(['left'], ['right'], ['left', 'right']);
const wanted = fc.constantFrom('running' as const, 'stopped' as const);
const change = fc.record({ inSync, wanted });

/** The same pair with each host knowing its own version of the records and the last one the other sent. */
const knowing = (
	host: Host,
	own: readonly ResourceRecord[],
	theirs: readonly ResourceRecord[],
): number => {
	const { state } = host;
	const { document } = state.peer;
	if (document === null) throw new Error('the pair never met');
	return fenceDelayMs({
		...state,
		persisted: {
			...state.persisted,
			resources: Object.fromEntries(
				own.map((record, index) => [
					`r-${names[index] ?? ''}`,
					{
						record,
						selfExcludedAt: null,
						held: null,
						detached: false,
						lastRun: null,
						lastDrill: null,
					},
				]),
			),
		},
		peer: {
			...state.peer,
			document: {
				...document,
				records: Object.fromEntries(
					theirs.map((record, index) => [`r-${names[index] ?? ''}`, record]),
				),
			},
		},
	});
};

test('whatever each host knows of the last changes, the two never fence in the same turn (V12)', (t) => {
	const [left, right] = pairOf(vms);
	const base = names.map((name) => left.record(name)) as ResourceRecord[];
	fc.assert(
		fc.property(
			fc.array(
				fc.record({
					change,
					writtenByLeft: fc.boolean(),
					known: fc.boolean(),
					acknowledged: fc.boolean(),
				}),
				{ minLength: 2, maxLength: 2 },
			),
			(changes) => {
				// Each resource has at most one newer version: written by one host; the other may know it,
				// and the writer may have seen that it does.
				const version = (has: (each: (typeof changes)[number]) => boolean): ResourceRecord[] =>
					base.map((record, index): ResourceRecord => {
						const each = changes[index];
						return each !== undefined && has(each)
							? {
									...record,
									...each.change,
									inSync: [...each.change.inSync],
									generation: record.generation + 1,
								}
							: record;
					});
				const one = knowing(
					left,
					version((each) => each.writtenByLeft || each.known),
					version((each) => (each.writtenByLeft ? each.known && each.acknowledged : each.known)),
				);
				const other = knowing(
					right,
					version((each) => !each.writtenByLeft || each.known),
					version((each) => (each.writtenByLeft ? each.known : each.known && each.acknowledged)),
				);
				t.true(Math.abs(one - other) >= oneTurnMs, `${one} and ${other}`);
			},
		),
	);
});

test('a host that alone holds the data of a VM goes first', (t) => {
	const [left, right] = pairOf(vms);
	const records = names.map((name, index) => {
		const record = left.record(name);
		if (record === undefined) throw new Error('no record');
		return index === 0 ? { ...record, inSync: ['right'] } : record;
	});
	t.is(knowing(right, records, records), 0);
	t.is(knowing(left, records, records), oneTurnMs);
});

test('the turns count from the youngest beat that was echoed, however late the loss is noticed (V12)', (t) => {
	const [left, right] = pairOf(vms);
	const { echoedMs } = left.state.peer;
	if (echoedMs === null) throw new Error('the pair never met');
	left.nowMs += 3 * oneTurnMs;
	left.hears(right, 'suspect');
	t.is(left.state.persisted.contactLost?.atMs, echoedMs);
	left.hears(right);
	t.is(left.state.persisted.contactLost, null);
});
