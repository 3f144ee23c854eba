import test from 'ava';
import { engineConfig, exchange, healthy, Host, vmConfig } from '#test/engine/_pair.ts';
import type { MigrationObservation, Presence } from '#src/ports.ts';

const vms = [vmConfig('web')];

/** What one host's hypervisor shows of the VM. */
const shows = (
	host: Host,
	presence: Presence | null,
	migration: Partial<MigrationObservation> = {},
): void => {
	const reason = presence === 'stopped' ? ('suspend' as const) : null;
	const domain = { vm: 'web', presence, reason, neverRan: presence === 'paused', instance: '1' };
	host.take({
		type: 'hypervisor-observed',
		observation: {
			vms: presence === null ? [] : [{ ...domain, presence }],
			migrations:
				Object.keys(migration).length === 0
					? []
					: [{ vm: 'web', twin: null, underWay: false, ...migration }],
			freeMemoryMib: 4096,
		},
	});
};

/** Two hosts together, the VM running on the left one, its migration asked for. */
const migrating = (of = vms): { left: Host; right: Host } => {
	const left = new Host(engineConfig('left', 'right', of));
	const right = new Host(engineConfig('right', 'left', of));
	left.sees(healthy('web', true));
	right.sees(healthy('web', false, true));
	shows(left, 'running');
	shows(right, null);
	left.hears(right);
	right.hears(left);
	exchange(left, right);
	for (const host of [left, right]) host.at(host.nowMs + 100);
	exchange(left, right);
	left.take({
		type: 'requested',
		id: 'r1',
		at: '2026-01-01T00:00:00Z',
		request: { verb: 'migrate', vm: 'web', to: null, by: 'test' },
	});
	exchange(left, right);
	return { left, right };
};

const tick = (left: Host, right: Host): void => {
	for (const host of [left, right]) host.at(host.nowMs + 1000);
	exchange(left, right);
};

/** Up to the sending: both allowed, the target Primary and waiting. */
const sending = (): { left: Host; right: Host } => {
	const { left, right } = migrating();
	left.ends('allow-two-primaries');
	right.ends('allow-two-primaries');
	exchange(left, right);
	right.ends('promote');
	right.sees(healthy('web', true, true));
	left.sees(healthy('web', true, true));
	tick(left, right);
	right.ends('receive-vm');
	exchange(left, right);
	return { left, right };
};

test('a migration takes its steps on two engines, and the guest goes on where it came', (t) => {
	const { left, right } = sending();
	t.is(left.open('send-vm').length, 1);
	shows(left, 'running', { underWay: true });
	shows(right, null, { twin: 'incoming', underWay: true });
	exchange(left, right);
	shows(right, 'paused');
	shows(left, null);
	left.ends('send-vm');
	tick(left, right);
	left.ends('demote');
	left.sees(healthy('web', false, true));
	right.sees(healthy('web', true, false));
	exchange(left, right);
	tick(left, right);
	t.is(right.record()?.owner, 'right');
	t.deepEqual(right.open('unpause-vm'), [], 'not before DRBD lets only one host be Primary');
	right.ends('forbid-two-primaries');
	tick(left, right);
	right.ends('unpause-vm');
	shows(right, 'running');
	tick(left, right);
	t.is(right.record()?.journal, null);
	t.deepEqual(left.record(), right.record());
	left.ends('forbid-two-primaries');
	tick(left, right);
	t.deepEqual(left.state.migrations, {});
});

test('a guest that xl lets go on is kept, and the target gives everything back', (t) => {
	const { left, right } = sending();
	shows(right, null, { twin: 'incoming' });
	left.ends('send-vm');
	shows(left, 'running');
	tick(left, right);
	t.is(left.record()?.journal?.kind === 'migration' && left.record()?.journal?.to, 'right');
	right.ends('destroy-twin');
	shows(right, null);
	tick(left, right);
	right.ends('demote');
	right.sees(healthy('web', false, true));
	left.sees(healthy('web', true, false));
	tick(left, right);
	left.ends('forbid-two-primaries');
	tick(left, right);
	t.is(left.record()?.journal, null);
	t.is(left.record()?.owner, 'left');
	t.deepEqual(left.open('shutdown-vm'), []);
});

test('a VM with a device of its host is offered the move instead, and evacuated cold only', (t) => {
	const bound = [vmConfig('web', { liveBlocker: 'it has a device of the host' })];
	const { left, right } = migrating(bound);
	const ask = (id: string, cold: boolean): void => {
		const request = { verb: 'evacuate', host: 'left', cold, by: 'test' } as const;
		left.take({ type: 'requested', id, at: '2026-01-01T00:00:00Z', request });
		exchange(left, right);
	};
	const answer = left.actions.find((each) => each.type === 'reply');
	t.is(answer?.reply.code, 'migration-blocked');
	t.is(answer?.reply.next, 'vmpair move web');
	ask('r2', false);
	tick(left, right);
	t.is(left.record('web')?.journal, null);
	ask('r3', true);
	t.is(left.record('web')?.journal?.kind, 'handover');
});
