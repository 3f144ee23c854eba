import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { condition } from '#src/alert/condition.ts';
import { Outbox } from '#src/alert/driver-outbox.ts';
import { sinksTo } from '#src/alert/driver-receivers.ts';
import { tools } from '#src/std/driver-tool.ts';
import { startFive } from '#test/alert/five.ts';

/**
 * An outage of every receiver at once, in real time: conditions come and go meanwhile, each receiver answers 503 or
 * fails, and then takes everything again. Prints one JSON object: for each kind, the seconds from the return until
 * everything had been delivered, and whether it came in order.
 *
 * Usage: `node bench/outage.ts [SECONDS OF THE OUTAGE [SECONDS BETWEEN CONDITIONS]]`, 600 and 15 when left out
 */
const outageMs = Number(process.argv[2] ?? '600') * 1000;
/** A condition begins this often during the outage, and is over when the next but two begins, ms. */
const everyMs = Number(process.argv[3] ?? '15') * 1000;

const directory = await mkdtemp(join(tmpdir(), 'vmpair-outage-'));
const ends: (() => unknown)[] = [];
const five = await startFive(
	{
		teardown: (end) => {
			ends.push(end);
		},
	},
	directory,
	{ limitMs: 5000, repeatMs: 60_000 },
);
await five.take(() => [503, 'away'], false);
const outbox = await Outbox.open({
	directory: join(directory, 'state'),
	pairId: 'pair',
	host: 'alpha',
	first: true,
	sinks: sinksTo(
		five.all.map(({ config }) => config),
		tools,
	),
	problem: (code, detail) => console.error(code, detail),
	settleMs: 0,
	resolveHoldMs: 0,
});

const expected: string[] = [];
const open: number[] = [];
const endMs = performance.now() + outageMs;
for (let index = 0; performance.now() < endMs; index += 1) {
	open.push(index);
	expected.push(`c${index} fired`);
	if (open.length > 3) expected.push(`c${open.shift() ?? 0} resolved`);
	outbox.conditions(
		open.map((each) =>
			condition({
				name: `c${each}`,
				subject: 'ldap',
				pairId: 'pair',
				severity: 'critical',
				summary: `c${each}`,
				next: '',
			}),
		),
	);
	await sleep(Math.min(everyMs, Math.max(0, endMs - performance.now())));
}

const tookS = new Map<string, number>();
await five.take(() => [200, 'ok'], true);
const backMs = performance.now();
while (tookS.size < five.all.length) {
	await sleep(20);
	for (const { pending, name } of outbox.view())
		if (pending === 0 && !tookS.has(name))
			tookS.set(name, Math.round((performance.now() - backMs) / 10) / 100);
}
const result = five.all.map(({ kind, words }) => {
	const heard = [...new Set(words().map(({ name, state }) => `${name} ${state}`))];
	const all = new Set(heard).symmetricDifference(new Set(expected)).size === 0;
	const firings = (list: readonly string[]): string =>
		list.filter((each) => each.endsWith('fired')).join();
	const inOrder =
		firings(heard) === firings(expected) &&
		expected.every((each) => {
			const [name] = each.split(' ');
			return heard.indexOf(`${name} fired`) <= heard.indexOf(each);
		});
	return { kind, deliveredAfterS: tookS.get(kind), all, inOrder };
});
console.log(JSON.stringify({ outageS: outageMs / 1000, alerts: expected.length, result }, null, 1));
await outbox.close();
for (const end of ends) await end();
await rm(directory, { recursive: true });
