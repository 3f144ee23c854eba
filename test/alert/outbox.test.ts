import test from 'ava';
import fc from 'fast-check';
import { condition } from '#src/alert/condition.ts';
import {
	applyLine,
	compacted,
	emptyOutbox,
	encodeOutboxLine,
	overflow,
	pendingFor,
	pruned,
	readOutbox,
	without,
} from '#src/alert/outbox.ts';
import type { OutboxLine } from '#src/alert/outbox.ts';
import type { AlertMessage } from '#src/alert/message.ts';

const message = (
	sequence: number,
	severity: AlertMessage['severity'] = 'warning',
): AlertMessage => ({
	id: `msg_${sequence}`,
	sequence,
	type: 'condition.fired',
	timestamp: '2026-03-01T03:00:00.000Z',
	severity,
	data: { summary: 'something', pair: 'pair' },
});

const incident = (name: string) => ({
	incident: `incident-${name}`,
	since: '2026-03-01T03:00:00.000Z',
	condition: condition({
		name,
		subject: 'ldap',
		pairId: 'pair',
		severity: 'warning',
		summary: 's',
		next: '',
	}),
});

const lines: fc.Arbitrary<OutboxLine[]> = fc
	.array(
		fc.oneof(
			fc.constant('message' as const),
			fc.record({ id: fc.integer({ min: 1, max: 8 }), sink: fc.constantFrom('one', 'two') }),
			fc.record({ open: fc.constantFrom('a', 'b') }),
			fc.record({ close: fc.constantFrom('a', 'b') }),
		),
		{ maxLength: 40 },
	)
	.map((steps) => {
		let sequence = 0;
		return steps.map((step): OutboxLine => {
			if (step === 'message') {
				sequence += 1;
				return { op: 'message', message: message(sequence) };
			}
			if ('id' in step)
				return { op: 'done', id: `msg_${step.id}`, sink: step.sink, result: 'delivered' };
			if ('open' in step) return { op: 'open', incident: incident(step.open) };
			return { op: 'close', key: `${step.close}/ldap` };
		});
	});

const sinks = [
	{ name: 'one', minimum: 'info' },
	{ name: 'two', minimum: 'info' },
] as const;

test('a file that was written anew says the same as all its lines before', (t) => {
	fc.assert(
		fc.property(lines, (all) => {
			const state = pruned(all.reduce(applyLine, emptyOutbox), sinks);
			const again = readOutbox(compacted(state).map(encodeOutboxLine).join(''));
			t.is(again.unreadable, 0);
			t.deepEqual(again.state, state);
		}),
	);
});

test('what is cut off the end of a file costs what was written last and nothing else', (t) => {
	fc.assert(
		fc.property(lines, fc.nat(), (all, cut) => {
			const texts = all.map(encodeOutboxLine);
			const whole = texts.join('');
			const torn = whole.slice(0, whole.length - (cut % (whole.length + 1)));
			const complete = all.slice(0, torn.split('\n').length - 1);
			const { state } = readOutbox(torn);
			// The very last line may be whole but for its end.
			const expected = [complete, all.slice(0, complete.length + 1)].map((each) =>
				each.reduce(applyLine, emptyOutbox),
			);
			t.true(
				expected.some(
					(each) => JSON.stringify([...each.messages]) === JSON.stringify([...state.messages]),
				),
			);
		}),
	);
});

test('a message waits for each receiver that wants it until that one has it', (t) => {
	let state = [message(1, 'info'), message(2, 'critical')].reduce(
		(before, each) => applyLine(before, { op: 'message', message: each }),
		emptyOutbox,
	);
	const all = { name: 'all', minimum: 'info' } as const;
	const pager = { name: 'pager', minimum: 'critical' } as const;
	const waiting = (sink: typeof all | typeof pager) =>
		pendingFor(state, sink).map((each) => each.sequence);
	t.deepEqual([waiting(all), waiting(pager)], [[1, 2], [2]]);
	state = applyLine(state, { op: 'done', id: 'msg_2', sink: 'pager', result: 'delivered' });
	t.deepEqual([waiting(all), waiting(pager)], [[1, 2], []]);
	state = applyLine(state, { op: 'done', id: 'msg_1', sink: 'all', result: 'delivered' });
	t.deepEqual(
		pruned(state, [all, pager]).messages.map((each) => each.sequence),
		[2],
	);
});

test('when too many wait, the oldest that page nobody go first', (t) => {
	const state = [message(1, 'critical'), message(2), message(3), message(4, 'critical')].reduce(
		(before, each) => applyLine(before, { op: 'message', message: each }),
		emptyOutbox,
	);
	t.deepEqual(
		overflow(state, 3).map((each) => each.sequence),
		[2],
	);
	t.deepEqual(
		overflow(state, 1).map((each) => each.sequence),
		[2, 3, 1],
	);
	t.deepEqual(
		without(state, overflow(state, 2)).messages.map((each) => each.sequence),
		[1, 4],
	);
});

test('lines that are torn or foreign are counted and passed over', (t) => {
	const whole = encodeOutboxLine({ op: 'message', message: message(1) });
	const { state, unreadable } = readOutbox(`${whole}{"op":"other"}\n3\n{"op":"message","mes`);
	t.is(unreadable, 3);
	t.is(state.messages.length, 1);
});
