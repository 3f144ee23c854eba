import test, { type ExecutionContext } from 'ava';
import type { Host } from '#test/engine/_pair.ts';
import { exchange, pairOf, vmConfig } from '#test/engine/_pair.ts';

const two = [vmConfig('web'), vmConfig('db')];

/** Asks for a drill and returns the code and the sentence of the answer. */
const asked = (host: Host, vm: string, change: { hard?: boolean; to?: string } = {}): string => {
	const { hard = false, to = null } = change;
	const request = { verb: 'drill' as const, vm, to, hard, by: 'anna' };
	const before = host.sent('reply').length;
	host.take({ type: 'requested', id: `drill-${vm}`, at: '', request });
	const replies = host.sent('reply').slice(before);
	return replies.map(({ reply: { code, message } }) => `${code}: ${message}`).join();
};

const journal = (t: ExecutionContext, host: Host, drill: 'shutdown' | 'destroy'): void => {
	t.deepEqual(host.record('web')?.journal, {
		kind: 'handover',
		from: 'left',
		to: 'right',
		start: true,
		drill,
	});
};

test('a drill is the hand-over of a move: the guest is asked to shut down', (t) => {
	const [left, right] = pairOf(two);
	t.regex(asked(left, 'web'), /^accepted: drill: web is shut down on left and started on right/);
	journal(t, left, 'shutdown');
	exchange(left, right);
	journal(t, right, 'shutdown');
	t.is(left.open('shutdown-vm').length, 1);
	t.is(left.open('destroy-vm').length, 0);
});

test('the hard way the guest is destroyed at once, and that is no accident', (t) => {
	const [left, right] = pairOf(two);
	t.regex(asked(left, 'web', { hard: true }), /^accepted: drill: web is destroyed on left/);
	exchange(left, right);
	t.is(left.open('shutdown-vm').length, 0);
	t.is(left.open('destroy-vm').length, 1);
	left.domains({ vm: 'db', presence: 'running' });
	t.is(left.state.vmStates['web']?.vanishedMs, null);
});

test('the owner is asked by the other host, with the way that was wished', (t) => {
	const [left, right] = pairOf(two);
	t.is(asked(right, 'web', { hard: true }), '');
	exchange(left, right);
	journal(t, left, 'destroy');
});

test('a drill is refused with the reason while anything is degraded, and a move is not', (t) => {
	const reasonOf = (spoil: (left: Host, right: Host) => void): string => {
		const [left, right] = pairOf(two);
		spoil(left, right);
		const said = asked(left, 'web');
		t.is(left.record('web')?.journal?.kind, said.startsWith('accepted') ? 'handover' : undefined);
		return said;
	};
	t.regex(
		reasonOf((left, right) => {
			asked(left, 'db');
			exchange(left, right);
		}),
		/^drill-blocked: no drill of web now: db is being moved/,
	);
	t.regex(
		reasonOf((left) => left.domains({ vm: 'db', presence: 'running' })),
		/^drill-blocked: .*it does not run on left/,
	);
	t.regex(
		reasonOf((left, right) => left.hears(right, 'silent')),
		/^drill-blocked: .*left and right are not in contact/,
	);
});
