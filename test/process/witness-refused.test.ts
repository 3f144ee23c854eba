import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { WitnessCommand } from '#src/ports-witness.ts';
import { Secret } from '#src/std/secret.ts';
import { WitnessConnection } from '#src/witness/driver.ts';
import { makeCertificates, witnessServer } from '#test/process/redis.ts';
import { until } from '#test/process/stage.ts';
import { accepted, connected, healthy, pairId } from '#test/process/witness-record.ts';

const seed: WitnessCommand = {
	op: 'seed',
	host: 'alpha',
	expectedVersion: null,
	record: healthy(),
};
const refusal = async (connection: WitnessConnection): Promise<string> => {
	const opened = await connection.open();
	const codes = opened.state === 'open' ? [] : opened.findings.map(({ code }) => code);
	connection.close();
	return `${opened.state}: ${codes.join(' ')}`;
};

test('a certificate of another authority is refused, and so is a plain port', async (t) => {
	const server = await witnessServer(t, { encrypted: true });
	await accepted(t, await connected(t, server), seed);
	const other = join(server.folder, 'other');
	await makeCertificates(other);
	const { tls } = server.access();
	t.not(tls, null);
	if (tls === null) return;
	const wrong = { ...tls, caPem: readFileSync(join(other, 'ca.crt'), 'utf8') };
	const open = async (changes: Parameters<typeof server.access>[0]): Promise<string> =>
		await refusal(new WitnessConnection(server.access(changes), pairId));
	t.is(await open({ tls: wrong }), 'refused: certificate');
	t.is(await open({ tls: { ...tls, name: 'elsewhere.example.org' } }), 'refused: certificate');
	t.not(await open({ tls: null }), 'open: ');
});

test('a wrong password and rights that are too narrow are told apart', async (t) => {
	const rights =
		'resetchannels ~vmpair:other -@all +eval +exists +hget +hgetall +info +config|get +pubsub|numsub';
	const server = await witnessServer(t, { rights });
	const wrong = server.access({ password: new Secret('wrong') });
	t.is(await refusal(new WitnessConnection(wrong, pairId)), 'refused: password');
	const connection = new WitnessConnection(server.access(), pairId);
	t.is((await connection.open()).state, 'open');
	t.like(await connection.send({ op: 'read', host: 'alpha' }), {
		result: 'failed',
		code: 'witness-right',
	});
	connection.close();
	const other = new WitnessConnection(server.access(), 'other');
	t.is((await other.open()).state, 'open');
	t.like(await other.send({ op: 'read', host: 'alpha' }), { result: 'succeeded' });
	// It may look, and not write: nothing is half done.
	const own = { ...healthy(), pairId: 'other' };
	const trial = await other.send({ op: 'seed', host: 'a', expectedVersion: null, record: own });
	t.like(trial, { result: 'failed', code: 'witness-right' });
	t.like(await other.send({ op: 'read', host: 'alpha' }), {
		value: { reply: { refused: 'absent' } },
	});
	other.close();
});

const settings: readonly (readonly [string, readonly string[], string])[] = [
	['without an append-only file', ['--appendonly', 'no'], 'not-durable'],
	['which acknowledges before it is on disk', ['--appendfsync', 'everysec'], 'fsync'],
	['which pauses that in rewrites', ['--no-appendfsync-on-rewrite', 'yes'], 'fsync-rewrite'],
	['which may drop records', ['--maxmemory-policy', 'allkeys-lru'], 'eviction'],
	['of a Cluster', ['--cluster-enabled', 'yes'], 'cluster'],
	['which is a replica', ['--replicaof', '127.0.0.1', '1'], 'replica'],
];

test('a Redis that could lose what it acknowledged is refused, with the reason', async (t) => {
	for (const [what, words, code] of settings) {
		const server = await witnessServer(t, { settings: words });
		const connection = new WitnessConnection(server.access(), pairId);
		t.is(await refusal(connection), `refused: ${code}`, what);
		await server.kill();
	}
});

test('a Redis that a Sentinel watches is refused', async (t) => {
	const server = await witnessServer(t);
	await server.admin(async (redis) => {
		await redis.subscribe('__sentinel__:hello');
		t.is(
			await refusal(new WitnessConnection(server.access(), pairId)),
			'refused: sentinel-watched',
		);
	});
	await connected(t, server);
});

test('settings that change, and a Sentinel that comes, are seen while the connection stands', async (t) => {
	const server = await witnessServer(t);
	// Looked at again with every command, in the place of every few minutes.
	const connection = new WitnessConnection(server.access(), pairId, 0);
	t.teardown(() => connection.close());
	const trouble = async (): Promise<string> => {
		const opened = await connection.open();
		return opened.state === 'open' ? 'open' : opened.findings.map(({ code }) => code).join(' ');
	};
	const noticed = async (): Promise<void> => {
		await until(
			'the connection is given up',
			async () => (await connection.send({ op: 'read', host: 'alpha' })).result === 'unknown',
		);
	};
	t.is(await trouble(), 'open');
	await accepted(t, connection, seed);
	await server.admin((redis) => redis.config('SET', 'appendfsync', 'everysec'));
	await noticed();
	t.is(await trouble(), 'fsync');
	await server.admin((redis) => redis.config('SET', 'appendfsync', 'always'));
	t.is(await trouble(), 'open');
	await server.admin(async (redis) => {
		await redis.subscribe('__sentinel__:hello');
		await noticed();
		t.is(await trouble(), 'sentinel-watched');
	});
	t.is(await trouble(), 'open');
});
