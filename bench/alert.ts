import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { condition } from '#src/alert/condition.ts';
import { Outbox } from '#src/alert/driver-outbox.ts';
import { sinksTo } from '#src/alert/driver-receivers.ts';
import { tools } from '#src/std/driver-tool.ts';
import { startReceiver } from '#test/alert/receiver.ts';

/**
 * The time from a condition to its signed request at a receiver on loopback, with the outbox on a real disk, for the
 * first host and for the second one that has to wait for the first. Prints one JSON object, in ms.
 *
 * Usage: `node bench/alert.ts [ROUNDS]`
 */
const rounds = Number(process.argv[2] ?? '200');

const measure = async (first: boolean): Promise<readonly number[]> => {
	const directory = await mkdtemp(join(tmpdir(), 'vmpair-bench-'));
	const receiver = await startReceiver();
	const secretFile = join(directory, 'secret');
	await writeFile(secretFile, receiver.secret);
	const outbox = await Outbox.open({
		directory,
		pairId: 'pair',
		host: 'alpha',
		first,
		sinks: sinksTo(
			[
				{
					kind: 'webhook',
					name: 'a',
					minimum: 'info',
					limitMs: 5000,
					url: receiver.url,
					secretFile,
				},
			],
			tools,
		),
		problem: (code, detail) => console.error(code, detail),
	});
	// The other host is online and sees nothing.
	outbox.heard([]);
	const open = [];
	const tookMs: number[] = [];
	for (let round = 0; round < rounds; round += 1) {
		const name = `condition-${round}`;
		open.push(
			condition({
				name,
				subject: null,
				pairId: 'pair',
				severity: 'critical',
				summary: name,
				next: '',
			}),
		);
		const startMs = performance.now();
		outbox.conditions(open);
		await receiver.until(() => receiver.accepted.length > round);
		tookMs.push((receiver.seen[round]?.atMs ?? Infinity) - startMs);
	}
	await outbox.close();
	await receiver.close();
	await rm(directory, { recursive: true });
	return tookMs.toSorted((one, other) => one - other);
};

const summary = (sorted: readonly number[]) => {
	const at = (share: number): number =>
		Math.round((sorted[Math.floor(share * (sorted.length - 1))] ?? NaN) * 10) / 10;
	return { p50: at(0.5), p99: at(0.99), worst: at(1) };
};

const first = summary(await measure(true));
const second = summary(await measure(false));
console.log(JSON.stringify({ rounds, first, second }));
