import { mock } from 'node:test';
import test from 'ava';
import { createMailbox } from '#src/heartbeat/mailbox.ts';
import { Votes } from '#src/heartbeat/votes.ts';
import { initialOrders } from '#src/witness/lease.ts';

test('an order that moves the grant reaches the feeder at once, and one that does not is no grant', (t) => {
	// Only what comes at once counts here, not what every second brings.
	mock.timers.enable({ apis: ['setInterval', 'setTimeout'] });
	t.teardown(() => mock.timers.reset());
	const grants: (number | null)[] = [];
	const options = {
		host: 'alpha',
		bootId: 'boot-a',
		timing: { leaseMs: 5000, pauseLeadMs: 2000 },
		echoing: true,
		released: false,
		module: '',
		settings: null,
	};
	const voter = {
		ask: async () => await Promise.resolve(null),
		grant: (untilMs: number | null) => grants.push(untilMs),
		watch: () => {},
	};
	const votes = new Votes(
		options,
		voter,
		createMailbox(() => {}),
		() => 10_000,
	);
	const orders = initialOrders(true);
	votes.obey(orders);
	t.deepEqual(grants, []);
	// A look that began 1.5 s ago has shown every VM paused: the next second would be too late.
	votes.obey({ ...orders, pausedMs: 8500 });
	t.deepEqual(grants, [10_500]);
	votes.obey({ ...orders, pausedMs: 8500, renewal: { watchdogMs: null } });
	t.deepEqual(grants, [10_500]);
	votes.obey({ ...orders, pausedMs: 8500, released: true });
	t.deepEqual(grants, [10_500, null]);
});
