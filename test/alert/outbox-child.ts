import process from 'node:process';
import { condition } from '#src/alert/condition.ts';
import { Outbox } from '#src/alert/driver-outbox.ts';
import { sinksTo } from '#src/alert/driver-receivers.ts';
import type { ReceiverConfig } from '#src/config/alerts.ts';
import { tools } from '#src/std/driver-tool.ts';

/** What the process is told as its one argument. */
export interface ChildOrder {
	readonly directory: string;
	readonly receivers: readonly ReceiverConfig[];
	/** The first condition that this run takes in; those of an earlier run before it are known already. */
	readonly begin: number;
	/** Behind the last one; null: it goes on until it is killed. */
	readonly end: number | null;
	/** So many conditions are open at a time, the newest ones. */
	readonly open: number;
}

/** What it says: the condition that is on disk now, or that nothing waits any more. */
export type ChildNews = { readonly durable: number } | { readonly empty: true };

/** Takes one condition after the other in, and says which are on disk, until it is killed or all are delivered. */
const run = async ({ directory, receivers, begin, end, open }: ChildOrder): Promise<void> => {
	const outbox = await Outbox.open({
		directory,
		pairId: 'pair',
		host: 'alpha',
		sinks: sinksTo(receivers, tools),
		first: true,
		problem: () => {},
		settleMs: 0,
		resolveHoldMs: 0,
	});
	const say = (news: ChildNews): void => void process.send?.(news);
	for (let index = begin; end === null || index < end; index += 1) {
		const from = Math.max(0, index + 1 - open);
		const names = Array.from({ length: index + 1 - from }, (_, step) => `c${from + step}`);
		outbox.conditions(
			names.map((name) =>
				condition({
					name,
					subject: 'ldap',
					pairId: 'pair',
					severity: 'warning',
					summary: name,
					next: '',
				}),
			),
		);
		await outbox.durable();
		say({ durable: index });
	}
	while (outbox.view().some(({ pending }) => pending > 0))
		await new Promise((resolve) => setTimeout(resolve, 10));
	await outbox.close();
	say({ empty: true });
	process.disconnect();
};

await run(JSON.parse(process.argv[2] ?? '') as ChildOrder);
