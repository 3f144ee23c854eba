import { cpSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import type { WitnessCommand, WitnessRecord } from '#src/ports-witness.ts';
import { WitnessConnection } from '#src/witness/driver.ts';
import { type WitnessServer, witnessServer } from '#test/process/redis.ts';
import { until } from '#test/process/stage.ts';
import {
	accepted,
	ask,
	connected,
	healthy,
	pairId,
	resource,
} from '#test/process/witness-record.ts';

const seed: WitnessCommand = {
	op: 'seed',
	host: 'alpha',
	expectedVersion: null,
	record: healthy(),
};
const renew: WitnessCommand = {
	op: 'renew',
	host: 'alpha',
	bootId: 'boot-a',
	watchdogMs: null,
	expectedRenewals: 0,
};

/** Sends until the server answers again. */
const answered = async (connection: WitnessConnection, command: WitnessCommand) => {
	await until(
		'the witness answers',
		async () => (await connection.send(command)).result === 'succeeded',
	);
	return await ask(connection, { op: 'read', host: 'alpha' });
};

test('after kill -9 the record is there with every acknowledged renewal, under a new run id', async (t) => {
	const server = await witnessServer(t);
	const connection = await connected(t, server);
	await accepted(t, connection, seed);
	const before = await ask(connection, renew);
	await server.kill();
	const lost = await connection.send(renew);
	t.is(lost.result, 'unknown');
	await server.start();
	const after = await answered(connection, { op: 'read', host: 'alpha' });
	t.deepEqual(after.record, before.record);
	t.not(after.runId, before.runId);
	t.regex(after.runId, /^[0-9a-f]{40}$/);
});

test('an emptied witness says absent, under the same run id', async (t) => {
	const server = await witnessServer(t);
	const connection = await connected(t, server);
	await accepted(t, connection, seed);
	const { runId } = await ask(connection, renew);
	await server.admin((redis) => redis.flushall());
	const answer = await ask(connection, renew);
	t.like(answer, { ok: false, refused: 'absent', record: null, runId });
});

test('a witness restored from an older copy shows an older version, under a new run id', async (t) => {
	const server = await witnessServer(t);
	const connection = await connected(t, server);
	await accepted(t, connection, seed);
	const data = join(server.folder, 'data');
	const copy = join(server.folder, 'copy');
	cpSync(data, copy, { recursive: true });
	const before = await ask(connection, renew);
	await server.kill();
	rmSync(data, { recursive: true });
	cpSync(copy, data, { recursive: true });
	await server.start();
	const after = await answered(connection, { op: 'read', host: 'alpha' });
	t.not(after.runId, before.runId);
	t.true((after.record?.version ?? 0) < (before.record?.version ?? 0));
});

test('a witness that does not answer is unknown after 800 ms, and nothing is sent again later', async (t) => {
	const server = await witnessServer(t);
	const connection = await connected(t, server);
	await accepted(t, connection, seed);
	server.signal('SIGSTOP');
	const beganMs = performance.now();
	const outcomes = await Promise.all([connection.send(renew), connection.send(renew)]);
	const tookMs = performance.now() - beganMs;
	t.is(outcomes[0].result, 'unknown');
	// The second was never sent: renewals do not queue up.
	t.like(outcomes[1], { result: 'failed', code: 'witness-busy' });
	t.true(tookMs > 700 && tookMs < 3000, `${tookMs} ms`);
	// With no connection nothing waits either.
	for (let each = 0; each < 3; each += 1) t.is((await connection.send(renew)).result, 'unknown');
	server.signal('SIGCONT');
	const after = await answered(connection, { op: 'read', host: 'alpha' });
	// At most the one that was on its way when the server stopped.
	t.true((after.record?.hosts['alpha']?.renewals ?? 9) <= 1);
	const expectedRenewals = after.record?.hosts['alpha']?.renewals ?? 9;
	const again = await ask(connection, { ...renew, expectedRenewals });
	t.is(again.record?.hosts['alpha']?.renewals, (after.record?.hosts['alpha']?.renewals ?? 9) + 1);
});

test('a witness that stalls for a second costs one renewal and not two', async (t) => {
	const server = await witnessServer(t);
	const connection = await connected(t, server);
	await accepted(t, connection, seed);
	server.signal('SIGSTOP');
	setTimeout(() => server.signal('SIGCONT'), 1000);
	const beganMs = performance.now();
	t.is((await connection.send({ op: 'read', host: 'alpha' })).result, 'unknown');
	// The next second of the heartbeat thread, and a little for a machine that is busy.
	await new Promise((resolve) => {
		setTimeout(resolve, beganMs + 1200 - performance.now());
	});
	t.is((await connection.send({ op: 'read', host: 'alpha' })).result, 'succeeded');
});

test('a connection that is given up is reset, so that nothing waits in the kernel to be sent', async (t) => {
	const server = await witnessServer(t);
	const way = await heldBack(t, server.port);
	const connection = new WitnessConnection(server.access({ port: way.port }), pairId);
	t.is((await connection.open()).state, 'open');
	connection.close();
	await until('the connection is reset', () => way.errors.length > 0);
	t.deepEqual(way.errors, ['ECONNRESET']);
});

/** A way to the server whose traffic can be held back and let go later, as a network may. */
const heldBack = async (t: ExecutionContext, port: number) => {
	let held: (() => void)[] | null = null;
	const sockets: Socket[] = [];
	const errors: string[] = [];
	let over = false;
	const proxy = createServer((client) => {
		// A connection that is given up is opened anew, and may wait here while the test ends.
		if (over) {
			client.destroy();
			return;
		}
		const server = createConnection(port, '127.0.0.1');
		sockets.push(client, server);
		client.on('data', (bytes) => {
			if (held === null) server.write(bytes);
			else held.push(() => server.write(bytes));
		});
		server.on('data', (bytes) => client.write(bytes));
		// What was sent before is still on its way when the sender has given up.
		server.on('error', () => {});
		client.on('error', (error) => errors.push('code' in error ? String(error.code) : ''));
	});
	await new Promise<void>((resolve) => {
		proxy.listen(0, '127.0.0.1', resolve);
	});
	t.teardown(() => {
		over = true;
		for (const socket of sockets) socket.destroy();
		proxy.close();
	});
	const address = proxy.address();
	return {
		port: typeof address === 'object' ? (address?.port ?? 0) : 0,
		/** What the client's end was told, as codes of the system. */
		errors,
		hold: () => {
			held = [];
		},
		letGo: () => {
			const waiting = held ?? [];
			held = null;
			for (const write of waiting) write();
		},
	};
};

test('a takeover that lay in the network for long is refused under the next claim of the same host', async (t) => {
	const server = await witnessServer(t);
	const way = await heldBack(t, server.port);
	const slow = new WitnessConnection(server.access({ port: way.port }), pairId);
	t.teardown(() => slow.close());
	t.is((await slow.open()).state, 'open');
	const fast = await connected(t, server);
	const resources = { samba: resource(3, { owner: 'beta' }) };
	await accepted(t, fast, { ...seed, record: healthy({ resources }) });
	const claim = {
		op: 'claim',
		host: 'alpha',
		claimVersion: 1,
		against: 'beta',
		expectedRenewals: 0,
	} as const;
	await accepted(t, slow, claim);
	const takeover = {
		op: 'takeover',
		host: 'alpha',
		claimVersion: 2,
		resource: 'samba',
		expectedGeneration: 3,
		expectedRenewals: 0,
		record: resource(1003, { owner: 'alpha', inSync: ['alpha'] }),
	} as const;
	way.hold();
	t.is((await slow.send(takeover)).result, 'unknown');
	// The hosts met again, and lost each other once more: nothing else has changed for that command.
	await accepted(t, fast, { op: 'withdraw', host: 'alpha', claimVersion: 2 });
	const again = await accepted(t, fast, { ...claim, claimVersion: 3 });
	way.letGo();
	// Its reply reaches nobody; that it was carried out shows in the server's own count of scripts.
	await until('the server was asked', async () => (await evals(server)) === 5);
	t.deepEqual((await ask(fast, { op: 'read', host: 'alpha' })).record, again);
	await accepted(t, fast, { ...takeover, claimVersion: again.claimVersion });
});

test('sentMs lies between the call and its answer, on the clock of this host', async (t) => {
	const connection = await connected(t, await witnessServer(t));
	await accepted(t, connection, seed);
	const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6;
	const beforeMs = nowMs();
	const { sentMs } = await ask(connection, renew);
	t.true(sentMs >= beforeMs - 0.01 && sentMs <= nowMs());
});

/** How often the server has run a script. */
const evals = async (server: WitnessServer): Promise<number> => {
	const text = await server.admin((redis) => redis.info('commandstats'));
	return Number(/cmdstat_eval:calls=(\d+)/.exec(text)?.[1] ?? 0);
};

const renewalsOf = (seen: WitnessRecord | null, host: string): number =>
	(seen ?? healthy()).hosts[host]?.renewals ?? 0;

const claimOf = (seen: WitnessRecord | null): { readonly claimVersion: number } => ({
	claimVersion: (seen ?? healthy()).claimVersion,
});

/** What two hosts may send in a race; the seeds of renewals and generations make every order possible. */
const moves = (
	host: string,
	peer: string,
	seen: WitnessRecord | null,
): readonly WitnessCommand[] => [
	{ op: 'renew', host, bootId: host, watchdogMs: null, expectedRenewals: renewalsOf(seen, host) },
	{ op: 'claim', host, ...claimOf(seen), against: peer, expectedRenewals: renewalsOf(seen, peer) },
	{ op: 'withdraw', host, ...claimOf(seen) },
	{ op: 'read', host: 'alpha' },
];

const changeOf = (host: string, seen: WitnessRecord | null, takes: boolean): WitnessCommand => {
	const generation = seen?.resources['ldap']?.generation ?? 0;
	const decided = { host, ...claimOf(seen) };
	const common = { ...decided, resource: 'ldap', expectedGeneration: generation } as const;
	const record = resource(generation + 1, { owner: host });
	return takes
		? { op: 'takeover', ...common, expectedRenewals: null, record }
		: { op: 'change', ...common, record };
};

/** What holds at every version, whoever wrote it. */
const inOrder = (history: ReadonlyMap<number, string>): readonly WitnessRecord[] =>
	[...history]
		.toSorted(([one], [other]) => one - other)
		.map(([, text]) => JSON.parse(text) as WitnessRecord);

test('two hosts that race see one order: never two claims, and generations that only grow', async (t) => {
	const server = await witnessServer(t);
	const hosts = [await connected(t, server), await connected(t, server)] as const;
	const names = ['alpha', 'beta'] as const;
	const script = fc.array(fc.nat(5), { minLength: 8, maxLength: 24 });
	await fc.assert(
		fc.asyncProperty(script, script, async (one, other) => {
			await server.admin((redis) => redis.del(`vmpair:${pairId}`));
			await accepted(t, hosts[0], seed);
			const history = new Map<number, string>();
			const accepts: { host: string; op: string; record: WitnessRecord }[] = [];
			const run = async (index: 0 | 1, steps: readonly number[]): Promise<void> => {
				const host = names[index];
				let seen: WitnessRecord | null = null;
				for (const step of steps) {
					const command =
						moves(host, names[1 - index] ?? '', seen)[step] ?? changeOf(host, seen, step === 5);
					const answer = await ask(hosts[index], command);
					seen = answer.record;
					if (seen === null) throw new Error('the record is gone');
					// The same version is the same record, whoever reads it: there is one order.
					const text = JSON.stringify(seen);
					if ((history.get(seen.version) ?? text) !== text)
						throw new Error('two records of one version');
					history.set(seen.version, text);
					if (answer.ok) accepts.push({ host, op: command.op, record: answer.record });
				}
			};
			await Promise.all([run(0, one), run(1, other)]);
			const versions = inOrder(history);
			versions.forEach((record, at) => {
				const before = versions[at - 1];
				if (before === undefined) return;
				const grown = (of: (each: WitnessRecord) => number): boolean => of(record) >= of(before);
				const steady =
					grown(({ resources }) => resources['ldap']?.generation ?? 0) &&
					names.every((name) => grown(({ hosts: all }) => all[name]?.renewals ?? 0));
				// A claim passes to the other host only over a time without one: a whole version or more.
				const passed =
					before.claim !== null && record.claim !== null && record.version === before.version + 1;
				const same = JSON.stringify(before.claim) === JSON.stringify(record.claim);
				if (!steady || (passed && !same)) throw new Error(`wrong order at ${record.version}`);
			});
			const generations = accepts
				.filter(({ op }) => op === 'change' || op === 'takeover')
				.map(({ record }) => record.resources['ldap']?.generation);
			t.is(new Set(generations).size, generations.length, 'two writers got one generation');
			for (const { host, op, record } of accepts) {
				if (op === 'claim' || op === 'takeover') t.is(record.claim?.by, host);
				if (op === 'renew') t.not(record.claim?.against, host);
			}
		}),
		{ numRuns: 40 },
	);
});
