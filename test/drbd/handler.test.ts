import { spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { HandlerServer } from '#src/drbd/driver-handler.ts';
import type { HandlerCall } from '#src/ports.ts';
import { encodeState } from '#src/store/state-file.ts';
import { type Persisted, stateFormat } from '#src/store/record.ts';

const client = new URL('../../deploy/drbd/drbd-handler', import.meta.url).pathname;

const temporaryFolder = async (t: { teardown(fn: () => Promise<void>): void }): Promise<string> => {
	const folder = await mkdtemp(join(tmpdir(), 'vmpair-handler-'));
	t.teardown(() => rm(folder, { recursive: true, force: true }));
	return folder;
};

interface Ended {
	readonly code: number | null;
	readonly stderr: string;
}

const runClient = (
	args: readonly string[],
	environment: Readonly<Record<string, string>>,
): { readonly ended: Promise<Ended>; hangUp(): void } => {
	const child = spawn(client, [...args], { env: { PATH: process.env['PATH'], ...environment } });
	let stderr = '';
	child.stderr.setEncoding('utf8');
	child.stderr.on('data', (text: string) => {
		stderr += text;
	});
	const ended = new Promise<Ended>((resolve) => {
		child.on('close', (code) => resolve({ code, stderr }));
	});
	return { ended, hangUp: () => child.kill('SIGKILL') };
};

interface Started {
	readonly server: HandlerServer;
	readonly path: string;
	readonly gone: Promise<string>;
	readonly notes: string[];
	onCall: (call: HandlerCall) => void;
}

const startServer = async (
	t: { teardown(fn: () => Promise<void>): void },
	options: { readonly callsMax?: number; readonly requestMs?: number } = {},
): Promise<Started> => {
	const path = join(await temporaryFolder(t), 'handler.sock');
	const gone = Promise.withResolvers<string>();
	const notes: string[] = [];
	const started: Started = {
		path,
		notes,
		gone: gone.promise,
		onCall: () => {},
		server: new HandlerServer({
			path,
			onCall: (call) => started.onCall(call),
			onGone: (id) => gone.resolve(id),
			onNote: (note) => notes.push(note),
			...options,
		}),
	};
	await started.server.listen();
	t.teardown(() => started.server.close());
	return started;
};

const fencePeer = (path: string, extra: Readonly<Record<string, string>> = {}) =>
	runClient(['fence-peer'], { DRBD_RESOURCE: 'vm1', VMPAIR_HANDLER_SOCKET: path, ...extra });

for (const exitCode of [4, 7, 1] as const) {
	test(`the client exits with ${exitCode} when the agent answers ${exitCode}`, async (t) => {
		const started = await startServer(t);
		started.onCall = (call) => {
			t.like(call, { handler: 'fence-peer', resource: 'vm1' });
			t.true(started.server.answer(call.id, exitCode, 'because\nof this'));
			t.false(started.server.answer(call.id, exitCode, 'twice'));
		};
		const { code, stderr } = await fencePeer(started.path).ended;
		t.is(code, exitCode);
		t.regex(stderr, /fence-peer vm1: because of this; exit code/);
	});
}

test('the socket belongs to its owner alone', async (t) => {
	const { path } = await startServer(t);
	t.is((await stat(path)).mode & 0o777, 0o600);
});

test('without an agent the client exits with 1 at once', async (t) => {
	const path = join(await temporaryFolder(t), 'nobody.sock');
	const { code, stderr } = await fencePeer(path).ended;
	t.is(code, 1);
	t.regex(stderr, /the agent does not listen/);
});

test('with a silent agent the client exits with 1 when its time is over', async (t) => {
	const started = await startServer(t);
	const called = Promise.withResolvers<HandlerCall>();
	started.onCall = called.resolve;
	const { code, stderr } = await fencePeer(started.path, { VMPAIR_HANDLER_LIMIT: '1' }).ended;
	t.is(code, 1);
	t.regex(stderr, /no answer from the agent within 1 s/);
	t.is(await started.gone, (await called.promise).id);
});

test('the agent is told when a client hangs up, and answers it no more', async (t) => {
	const started = await startServer(t);
	const called = Promise.withResolvers<HandlerCall>();
	started.onCall = called.resolve;
	const running = fencePeer(started.path);
	const { id } = await called.promise;
	running.hangUp();
	t.is(await started.gone, id);
	t.false(started.server.answer(id, 4, 'too late'));
});

test('an agent that stops lets its clients exit with 1', async (t) => {
	const started = await startServer(t);
	const called = Promise.withResolvers<HandlerCall>();
	started.onCall = called.resolve;
	const { ended } = fencePeer(started.path);
	await called.promise;
	await started.server.close();
	t.is((await ended).code, 1);
});

for (const answer of [
	'exit 0 fine\n',
	'exit 3 inconsistent\n',
	'exit 5 unreachable\n',
	'exit 6 primary\n',
	'exit 77 odd\n',
	'exit 4\n',
	'exit 7 ',
	' exit 7 leading space\n',
	'exit 7 one\nexit 4 two\n',
	'\n',
	'{"exit":7}\n',
	'x'.repeat(5000),
	'',
]) {
	test(`the client exits with 1 on the answer ${JSON.stringify(answer.slice(0, 24))}`, async (t) => {
		const path = join(await temporaryFolder(t), 'odd.sock');
		const server = createServer((socket) => {
			socket.on('error', () => {});
			socket.once('data', () => socket.end(answer));
		});
		await new Promise<void>((resolve) => server.listen(path, resolve));
		t.teardown(async () => {
			server.close();
		});
		t.is((await fencePeer(path).ended).code, 1);
	});
}

test('a call that is not one of DRBD is refused with the usage', async (t) => {
	for (const args of [[], ['unfence-peer'], ['fence-peer', 'vm1'], ['--help']]) {
		const { code, stderr } = await runClient(args, { DRBD_RESOURCE: 'vm1' }).ended;
		t.is(code, 1);
		t.regex(stderr, /usage: drbd-handler/);
	}
	for (const name of ['', 'a b', '../x', 'vm1\nfence-peer vm2']) {
		const { code, stderr } = await runClient(['fence-peer'], { DRBD_RESOURCE: name }).ended;
		t.is(code, 1);
		t.regex(stderr, /DRBD_RESOURCE is missing or not a name/);
	}
});

test('a client that cannot even load its modules exits with 1, whatever errno is', async (t) => {
	const folder = await temporaryFolder(t);
	// Perl would exit with errno here: 4 and 7 are answers the kernel acts on.
	for (const [errno, module] of [
		[4, 'Socket.pm'],
		[5, 'strict.pm'],
		[7, 'warnings.pm'],
	] as const) {
		await writeFile(join(folder, module), `$! = ${errno}; die "not readable";`);
		const child = spawn('/usr/bin/perl', [`-I${folder}`, client, 'fence-peer'], {
			stdio: 'ignore',
		});
		t.is(await new Promise((resolve) => child.on('close', resolve)), 1);
		await rm(join(folder, module));
	}
});

const say = (path: string, text: string): Promise<string> =>
	new Promise((resolve, reject) => {
		const socket = connect(path);
		let heard = '';
		socket.setEncoding('utf8');
		socket.on('data', (chunk: string) => {
			heard += chunk;
		});
		socket.on('error', reject);
		socket.on('close', () => resolve(heard));
		if (text !== '') socket.write(text);
	});

test('the server sends away whatever is not a request, and lives on', async (t) => {
	const started = await startServer(t, { requestMs: 200 });
	started.onCall = (call) => started.server.answer(call.id, 1, 'asked');
	for (const text of [
		'fence-peer\n',
		'fence-peer a/b\n',
		'fence-peer vm1 now\n',
		'outdate vm1\n',
		'\0\0\0\n',
		`fence-peer ${'x'.repeat(400)}`,
		'GET / HTTP/1.0\n',
	]) {
		t.regex(await say(started.path, text), /^exit 1 this is not a request/, text);
	}
	t.regex(await say(started.path, ''), /^exit 1 no request within 200 ms/);
	t.is(await say(started.path, 'fence-peer vm1\n'), 'exit 1 asked\n');
});

test('more calls than can wait are answered 1', async (t) => {
	const started = await startServer(t, { callsMax: 1 });
	const called = Promise.withResolvers<HandlerCall>();
	started.onCall = called.resolve;
	const first = fencePeer(started.path);
	const { id } = await called.promise;
	t.is((await fencePeer(started.path).ended).code, 1);
	started.server.answer(id, 7, 'out');
	t.is((await first.ended).code, 7);
});

test('a socket left from a killed agent is replaced, one in use is not', async (t) => {
	const { path } = await startServer(t);
	const second = new HandlerServer({ path, onCall: () => {}, onGone: () => {} });
	const error = await t.throwsAsync(second.listen());
	t.regex(error?.message ?? '', /Another agent listens/);

	const folder = await temporaryFolder(t);
	const left = join(folder, 'left.sock');
	// A process that is killed leaves its socket behind.
	const child = spawn('/usr/bin/perl', [
		'-MSocket',
		'-e',
		`socket(S,PF_UNIX,SOCK_STREAM,0); bind(S,pack_sockaddr_un("${left}")); listen(S,1)`,
	]);
	await new Promise((resolve) => child.on('close', resolve));
	const third = new HandlerServer({ path: left, onCall: () => {}, onGone: () => {} });
	await third.listen();
	await third.close();

	await writeFile(left, 'not a socket');
	const fourth = new HandlerServer({ path: left, onCall: () => {}, onGone: () => {} });
	t.regex((await t.throwsAsync(fourth.listen()))?.message ?? '', /is not a socket/);
});

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

const record = (inSync: readonly string[]): Persisted => ({
	format: stateFormat,
	pairId: 'pair',
	host: 'host1',
	bootId: randomUUID(),
	joinedBootId: null,
	peerBootIds: [],
	pair: { generation: 1, armed: true, by: 'admin', reason: '"host": "host9",', at: '' },
	resources: Object.fromEntries(
		['vm1', 'vm1.b', 'vm11'].map((name) => [
			name,
			{
				record: {
					generation: 3,
					owner: 'host1',
					inSync: name === 'vm1' ? [...inSync] : ['host1', 'host2'],
					uuids: null,
					wanted: 'running',
					journal: null,
				},
				selfExcludedAt: null,
				held: null,
				detached: false,
				lastRun: null,
				lastDrill: null,
			},
		]),
	),
	openFence: null,
	deviceWrong: false,
	contactLost: null,
	fences: [],
	witness: null,
	arbiter: null,
	leaving: null,
	loadMoves: {},
	pauseClock: null,
	standby: { by: 'admin', reason: '"owner": "host9",', at: '' },
});

const beforeResync = async (
	t: { teardown(fn: () => Promise<void>): void },
	text: string | null,
	resource = 'vm1',
): Promise<Ended> => {
	const path = join(await temporaryFolder(t), 'state.json');
	if (text !== null) await writeFile(path, text);
	return runClient(['before-resync-target'], {
		DRBD_RESOURCE: resource,
		VMPAIR_STATE_FILE: path,
	}).ended;
};

test('a resync is allowed from a host that the record counts in sync', async (t) => {
	for (const inSync of [['host1', 'host2'], ['host2']]) {
		const { code, stderr } = await beforeResync(t, encodeState(record(inSync), sha256));
		t.is(code, 0, stderr);
	}
});

test('the state file of an agent of format 1 is read by the handler of today', async (t) => {
	const file = new URL('../fixture/store/state-v1.json', import.meta.url);
	for (const resource of ['ldap', 'samba', 'vm-1.a']) {
		const { code, stderr } = await beforeResync(t, await readFile(file, 'utf8'), resource);
		t.is(code, 0, stderr);
	}
});

test('a resync over the only good copy is refused', async (t) => {
	for (const inSync of [['host1'], []]) {
		const { code, stderr } = await beforeResync(t, encodeState(record(inSync), sha256));
		t.is(code, 1);
		t.regex(stderr, /no other host is in sync/);
	}
});

test('a resync is refused when the record cannot be read or does not know the resource', async (t) => {
	const good = encodeState(record(['host1', 'host2']), sha256);
	const resigned = (text: string): string => {
		const body = text.slice(0, text.indexOf('\t"checksum"'));
		return `${body}\t"checksum": "${sha256(body)}"\n}\n`;
	};
	const cases: readonly [string, string | null, string][] = [
		['missing', null, 'vm1'],
		['empty', '', 'vm1'],
		['cut', good.slice(0, -20), 'vm1'],
		['changed', good.replace('"host1","host2"', '"host1","host3"'), 'vm1'],
		['unknown resource', good, 'vm2'],
		['pattern as name', good, 'vm.'],
		['newer format', resigned(good.replace('"format": 1', '"format": 2')), 'vm1'],
		['no host', resigned(good.replace(/\t"host": .*\n/, '')), 'vm1'],
		['odd list', resigned(good.replace('["host1","host2"]', '["host1",["host2"]]')), 'vm1'],
		['twice', resigned(good.replace(/(\t\t"vm1": .*\n)/, '$1$1')), 'vm1'],
		['not json', 'x\n'.repeat(100), 'vm1'],
	];
	for (const [title, text, resource] of cases) {
		const { code, stderr } = await beforeResync(t, text, resource);
		t.is(code, 1, title);
		t.regex(stderr, /refused/, title);
	}
});
