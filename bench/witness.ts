import { availableParallelism, tmpdir } from 'node:os';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import type { WitnessRecord } from '#src/ports-witness.ts';
import { Secret } from '#src/std/secret.ts';
import { WitnessConnection } from '#src/witness/driver.ts';

/**
 * Many pairs on one witness: both hosts of each pair renew once a second, each over a connection of its own, on a
 * redis-server that makes every write durable. Measures one pair alone and all of them in one run; prints one JSON
 * object. Usage: `node bench/witness.ts [--pairs 1000] [--seconds 10]`.
 */
const { values } = parseArgs({
	options: {
		pairs: { type: 'string', default: '1000' },
		seconds: { type: 'string', default: '10' },
	},
});
const pairs = Number(values.pairs);
const seconds = Number(values.seconds);
const port = 17_379;
const hosts = ['alpha', 'beta'] as const;

const wait = async (ms: number): Promise<void> =>
	await new Promise((resolve) => setTimeout(resolve, ms));

const resource: WitnessRecord['resources'][string] = {
	generation: 1,
	owner: 'alpha',
	inSync: ['alpha', 'beta'],
	uuids: ['0123456789ABCDEE'],
	wanted: 'running',
	journal: null,
};

const record = (pairId: string): WitnessRecord => ({
	format: 1,
	pairId,
	version: 1,
	hosts: {
		alpha: { renewals: 0, bootId: 'boot', watchdogMs: 5000 },
		beta: { renewals: 0, bootId: 'boot', watchdogMs: 5000 },
	},
	claim: null,
	claimVersion: 1,
	resources: Object.fromEntries(
		Array.from({ length: 5 }, (_, index) => [`resource-${index}`, resource]),
	),
});

const connect = async (pairId: string): Promise<WitnessConnection> => {
	const connection = new WitnessConnection(
		{ address: '127.0.0.1', port, username: 'default', password: new Secret('bench'), tls: null },
		pairId,
	);
	for (let attempt = 0; attempt < 20; attempt += 1) {
		const opened = await connection.open();
		if (opened.state === 'open') return connection;
		if (opened.state === 'refused') throw new Error(JSON.stringify(opened.findings));
		await wait(200);
	}
	throw new Error('redis-server does not answer');
};

const renewalsOf = async (connection: WitnessConnection, host: string): Promise<number> => {
	for (;;) {
		const outcome = await connection.send({ op: 'read', host });
		if (outcome.result === 'succeeded' && outcome.value.reply.ok)
			return outcome.value.reply.record.hosts[host]?.renewals ?? 0;
		await wait(200);
	}
};

const percentile = (sorted: readonly number[], part: number): number =>
	Number((sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0).toFixed(2));

/** Renewals of the first `count` pairs, spread over each second, as hosts that know nothing of each other. */
const measure = async (connections: readonly (readonly WitnessConnection[])[], count: number) => {
	const tookMs: number[] = [];
	let lost = 0;
	const endMs = performance.now() + seconds * 1000;
	const renewing = connections.slice(0, count).flatMap((both, pair) =>
		both.map(async (connection, index) => {
			await wait((((pair * 2 + index) * 617) % (2 * count)) * (1000 / (2 * count)));
			let expectedRenewals = await renewalsOf(connection, hosts[index] ?? '');
			while (performance.now() < endMs) {
				const beganMs = performance.now();
				const outcome = await connection.send({
					op: 'renew',
					host: hosts[index] ?? '',
					bootId: 'boot',
					watchdogMs: 5000,
					expectedRenewals,
				});
				const ms = performance.now() - beganMs;
				if (outcome.result === 'succeeded' && outcome.value.reply.ok) tookMs.push(ms);
				else lost += 1;
				// Of one whose answer was lost nobody knows whether it counted.
				if (outcome.result === 'succeeded') expectedRenewals += 1;
				else expectedRenewals = await renewalsOf(connection, hosts[index] ?? '');
				await wait(Math.max(0, 1000 - ms));
			}
		}),
	);
	await Promise.all(renewing);
	const sorted = tookMs.toSorted((one, other) => one - other);
	return {
		pairs: count,
		renewals: sorted.length,
		lost,
		medianMs: percentile(sorted, 0.5),
		p99Ms: percentile(sorted, 0.99),
		worstMs: percentile(sorted, 1),
	};
};

const folder = await mkdtemp(join(tmpdir(), 'vmpair-bench-'));
const server = spawn(
	'redis-server',
	[
		'--bind',
		'127.0.0.1',
		'--port',
		String(port),
		'--dir',
		folder,
		'--requirepass',
		'bench',
		'--appendonly',
		'yes',
		'--appendfsync',
		'always',
		'--save',
		'',
	],
	{ stdio: 'ignore' },
);
try {
	await connect('first').then((connection) => connection.close());
	const connections: (readonly WitnessConnection[])[] = [];
	for (let pair = 0; pair < pairs; pair += 1) {
		const pairId = `pair-${pair}`;
		const both = [await connect(pairId), await connect(pairId)];
		const seed = { op: 'seed', host: 'alpha', expectedVersion: null } as const;
		await both[0]?.send({ ...seed, record: record(pairId) });
		connections.push(both);
	}
	const before = process.cpuUsage();
	const one = await measure(connections, 1);
	const all = await measure(connections, pairs);
	const spent = process.cpuUsage(before);
	console.log(
		JSON.stringify({
			processors: availableParallelism(),
			seconds,
			one,
			all,
			/** How much worse a renewal is for 1,000 pairs than for one. */
			p99Ratio: Number((all.p99Ms / one.p99Ms).toFixed(2)),
			/** Of the 800 ms after which a renewal counts as lost. */
			p99OfLimit: Number((all.p99Ms / 800).toFixed(4)),
			clientCpuPercent: Number(((spent.user + spent.system) / 1e4 / (2 * seconds)).toFixed(1)),
		}),
	);
	for (const connection of connections.flat()) connection.close();
} finally {
	server.kill('SIGKILL');
	await rm(folder, { recursive: true, force: true });
}
