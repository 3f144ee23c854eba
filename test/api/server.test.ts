import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { apiClient } from '#src/api/driver-client.ts';
import { serveApi, type Handlers } from '#src/api/driver-server.ts';
import { requestSchema, type Reply } from '#src/api/request.ts';
import { VmpairError } from '#src/std/error.ts';
import { exampleStatus, exampleVm } from '#test/cli/example.ts';

const done: Reply = { status: 'done', code: 'done', message: 'done', next: '' };

const handlers = (changes: Partial<Handlers> = {}): Handlers => ({
	status: () => exampleStatus([exampleVm('ldap')]),
	history: async () => [],
	request: async () => done,
	reload: async () => done,
	engine: () => ({ version: '0', state: {} }),
	postMortems: async () => [],
	fenceCheck: async () => ({ self: 'north', hosts: [] }),
	alert: async () => ({ message: 'heard' }),
	...changes,
});

const serve = async (t: ExecutionContext, changes: Partial<Handlers> = {}): Promise<string> => {
	const folder = mkdtempSync(join(tmpdir(), 'vmpair-api-'));
	const socketPath = join(folder, 'agent.sock');
	const server = await serveApi({ socketPath, group: null }, handlers(changes));
	t.teardown(async () => {
		await server.close();
		rmSync(folder, { recursive: true });
	});
	return socketPath;
};

const raw = async (socketPath: string, path: string, body: string): Promise<number> =>
	await new Promise((resolve, reject) => {
		const request = httpRequest({ socketPath, method: 'POST', path }, (response) => {
			response.resume();
			resolve(response.statusCode ?? 0);
		});
		request.on('error', reject);
		request.end(body);
	});

test('a client reads the status and sends a request', async (t) => {
	const seen: unknown[] = [];
	const socketPath = await serve(t, {
		request: async (request) => {
			seen.push(request);
			return done;
		},
	});
	const client = apiClient(socketPath);
	t.is((await client.status()).vms[0]?.vm, 'ldap');
	const request = requestSchema.parse({ verb: 'stop', vm: 'ldap', by: 'anna' });
	t.deepEqual(await client.request(request), done);
	t.deepEqual(seen, [request]);
});

test('the socket is for its owner alone when no group is named', async (t) => {
	t.is(statSync(await serve(t)).mode & 0o777, 0o600);
});

test('an error of the agent reaches the client with its code and its next step', async (t) => {
	const socketPath = await serve(t, {
		request: async () => {
			throw new VmpairError('vm-unknown', 'there is no VM "x"', { next: 'vmpair status' });
		},
	});
	const error = await t.throwsAsync(
		apiClient(socketPath).request({ verb: 'stop', vm: 'x', by: 'anna' }),
		{ instanceOf: VmpairError, message: 'there is no VM "x"' },
	);
	t.is(error?.code, 'vm-unknown');
	t.is(error?.next, 'vmpair status');
});

test('bad requests are answered, not obeyed, and the agent goes on', async (t) => {
	const socketPath = await serve(t);
	t.is(await raw(socketPath, '/request', 'not json'), 400);
	t.is(await raw(socketPath, '/request', '{"verb":"format"}'), 400);
	t.is(await raw(socketPath, '/request', 'x'.repeat(100_000)), 413);
	t.is(await raw(socketPath, '/nothing', ''), 404);
	t.is((await apiClient(socketPath).status()).self, 'north');
});

test('a second agent on the same socket is refused and the first one goes on', async (t) => {
	const socketPath = await serve(t);
	await t.throwsAsync(serveApi({ socketPath, group: null }, handlers()), {
		message: /another agent/,
	});
	t.is((await apiClient(socketPath).status()).self, 'north');
});

test('without an agent the client says that it is not running', async (t) => {
	const error = await t.throwsAsync(apiClient('/nonexistent/agent.sock').status(), {
		instanceOf: VmpairError,
	});
	t.is(error?.code, 'agent-unreachable');
});

test('an agent that is too slow is not told as one that does not run', async (t) => {
	let release = (): void => {};
	const held = new Promise<void>((resolve) => {
		release = resolve;
	});
	const socketPath = await serve(t, {
		history: async () => {
			await held;
			return [];
		},
		request: async () => {
			await held;
			return done;
		},
	});
	const client = apiClient(socketPath, { readMs: 50, requestMs: 50 });
	const asked = await t.throwsAsync(client.history({ afterSeq: 0, since: null, limit: 1 }), {
		instanceOf: VmpairError,
		message: 'the agent did not answer within 50ms; the host may be overloaded',
	});
	t.is(asked?.code, 'agent-slow');
	t.notRegex(asked?.next ?? '', /start/);
	const told = await t.throwsAsync(client.request({ verb: 'stop', vm: 'ldap', by: 'anna' }), {
		instanceOf: VmpairError,
		message: /may have carried out the request/,
	});
	t.is(told?.code, 'answer-overdue');
	t.regex(told?.next ?? '', /before you repeat it/);
	release();
});
