import test from 'ava';
import fc from 'fast-check';
import { condition, diffConditions, heldConditions } from '#src/alert/condition.ts';
import type { Cleared, Condition } from '#src/alert/condition.ts';

const make = (name: string, severity: Condition['severity'] = 'warning'): Condition =>
	condition({ name, subject: 'ldap', pairId: 'pair', severity, summary: name, next: '' });

const told = (previous: readonly Condition[], current: readonly Condition[]) =>
	diffConditions(previous, current).map(({ kind, condition: each }) => `${kind} ${each.key}`);

test('a condition about the pair has its name as key and the pair as subject', (t) => {
	const about = { name: 'disarmed', severity: 'info', summary: 's', next: 'n' } as const;
	t.like(condition({ ...about, subject: null, pairId: 'pair' }), {
		key: 'disarmed',
		subject: 'pair',
	});
	t.like(condition({ ...about, subject: 'ldap', pairId: 'pair' }), {
		key: 'disarmed/ldap',
		subject: 'ldap',
	});
});

test('what is new fires, what is gone resolves, what stays is not told again', (t) => {
	t.deepEqual(told([make('a'), make('b')], [make('b'), make('c')]), [
		'resolved a/ldap',
		'fired c/ldap',
	]);
	t.deepEqual(told([make('a')], [{ ...make('a'), summary: 'other words' }]), []);
});

test('a condition that becomes more severe is told, one that becomes less is not', (t) => {
	t.deepEqual(told([make('a', 'warning')], [make('a', 'critical')]), ['changed a/ldap']);
	t.deepEqual(told([make('a', 'critical')], [make('a', 'warning')]), []);
});

test('two conditions with one key are a mistake of the caller', (t) => {
	t.throws(() => diffConditions([], [make('a'), make('a')]), { message: /its own key/ });
});

test('after every difference exactly the present conditions are open', (t) => {
	const lists = fc.array(
		fc
			.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 4 })
			.map((names) => names.map((name) => make(name))),
	);
	fc.assert(
		fc.property(lists, (history) => {
			const open = new Set<string>();
			let previous: readonly Condition[] = [];
			for (const current of history) {
				for (const { kind, condition: each } of diffConditions(previous, current)) {
					if (kind === 'fired') t.false(open.has(each.key));
					if (kind === 'resolved') t.true(open.delete(each.key));
					else open.add(each.key);
				}
				t.deepEqual([...open].sort(), current.map((each) => each.key).sort());
				previous = current;
			}
		}),
	);
});

test('a condition that flickers is one incident, and one that stays away resolves', (t) => {
	const a = make('a');
	let cleared: Cleared = new Map();
	const openAfter = (current: readonly Condition[], nowMs: number): boolean => {
		const held = heldConditions([a], current, cleared, nowMs, 5000);
		cleared = held.cleared;
		return held.conditions.includes(a);
	};
	t.true(openAfter([], 0));
	t.true(openAfter([], 4999));
	t.true(openAfter([a], 5000), 'it is back');
	t.true(openAfter([], 6000));
	t.true(openAfter([], 10_999), 'the wait began anew');
	t.false(openAfter([], 11_000));
});
