import process from 'node:process';
import { condition } from '#src/alert/condition.ts';
import { Outbox } from '#src/alert/driver-outbox.ts';

/** Tells one condition after the other to a receiver that is away, and says which are on disk, until it is killed. */
const outbox = await Outbox.open({
	directory: process.argv[2] ?? '',
	pairId: 'pair',
	host: 'alpha',
	sinks: [
		{
			name: 'on-call',
			minimum: 'info',
			send: () => Promise.resolve({ result: 'failed', detail: 'away', retryAfterMs: null }),
		},
	],
	first: true,
	problem: () => {},
});

const open = [];
for (let index = 0; ; index += 1) {
	const name = `condition-${index}`;
	open.push(
		condition({
			name,
			subject: null,
			pairId: 'pair',
			severity: 'warning',
			summary: name,
			next: '',
		}),
	);
	outbox.conditions(open);
	await outbox.durable();
	process.send?.(name);
}
