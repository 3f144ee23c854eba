import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Web, type WebSource } from '#src/agent-web.ts';
import type { HistoryEntry } from '#src/api/view.ts';
import type { WebConfig } from '#src/config/web.ts';
import { fullStatus } from '#test/web/example.ts';

const listening = async (port = 0): Promise<{ server: Server; port: number }> => {
	const server = createServer();
	await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
	const address = server.address();
	if (typeof address !== 'object' || address === null) throw new Error('no address');
	return { server, port: address.port };
};

const freePort = async (): Promise<number> => {
	const { server, port } = await listening();
	await new Promise((resolve) => server.close(resolve));
	return port;
};

const started = (t: ExecutionContext, changes: Partial<WebSource> = {}) => {
	const notes: string[] = [];
	const web = new Web({
		nowMs: () => performance.now(),
		note: ({ fields }) => notes.push(String(fields['detail'])),
		status: () => fullStatus(),
		history: async () => [],
		...changes,
	});
	t.teardown(() => web.close());
	return { web, notes };
};

const config = (port: number, changes: Partial<WebConfig> = {}): WebConfig => ({
	listen: [{ address: '127.0.0.1', port }],
	tokenFile: null,
	page: true,
	metrics: true,
	...changes,
});

/**
 * Asks until somebody answers; the status and the text. A port that was just closed may still be held by a child that
 * another test is about to start, a copy of this process until it has become its program: then 15 s pass.
 */
const asked = async (
	port: number,
	path: string,
	headers: Record<string, string> = {},
): Promise<{ status: number; text: string }> => {
	for (let attempt = 0; ; attempt += 1) {
		try {
			const response = await fetch(`http://127.0.0.1:${port}${path}`, {
				headers: { ...headers, connection: 'close' },
			});
			return { status: response.status, text: await response.text() };
		} catch (error) {
			if (attempt === 500) throw error;
			await new Promise((resolve) => setTimeout(resolve, 50));
		}
	}
};

test('what the configuration names is served, and what it no longer names is not', async (t) => {
	const { web, notes } = started(t);
	const [first, second] = [await freePort(), await freePort()];
	web.configure('north', config(first));
	t.regex((await asked(first, '/')).text, /PROTECTED/);
	t.regex((await asked(first, '/metrics')).text, /^process_resident_memory_bytes \d{7,}$/m);
	web.configure('north', config(second, { page: false }));
	t.is((await asked(second, '/')).status, 404);
	t.is((await asked(second, '/metrics')).status, 200);
	await t.throwsAsync(fetch(`http://127.0.0.1:${first}/`));
	await web.close();
	await t.throwsAsync(fetch(`http://127.0.0.1:${second}/metrics`));
	t.deepEqual(web.advice, []);
	t.deepEqual(notes, []);
});

test('a port that somebody else holds is advice with a remedy, and every other address is served', async (t) => {
	const { web, notes } = started(t);
	const { server, port } = await listening();
	const free = await freePort();
	const listen = [
		{ address: '127.0.0.1', port },
		{ address: '127.0.0.1', port: free },
	];
	web.configure('north', config(port, { listen }));
	t.is((await asked(free, '/metrics')).status, 200);
	while (web.advice.length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
	t.regex(
		web.advice[0] ?? '',
		/not served on 127\.0\.0\.1 port \d+, another program has port \d+: ss -ltnp .*tried again/,
	);
	t.deepEqual(notes, [...web.advice]);
	await new Promise((resolve) => server.close(resolve));
	web.configure('north', config(port));
	t.is((await asked(port, '/metrics')).status, 200);
	t.deepEqual(web.advice, []);
});

test('the token is read anew with every configuration, and a bad file serves nobody', async (t) => {
	const folder = await mkdtemp(join(tmpdir(), 'vmpair-web-'));
	t.teardown(() => rm(folder, { recursive: true, force: true }));
	const tokenFile = join(folder, 'web.token');
	const { web } = started(t);
	const port = await freePort();
	const get = async (token: string) =>
		(await asked(port, '/metrics', { authorization: `Bearer ${token}` })).status;
	await writeFile(tokenFile, 'first-token-0123456789\n');
	web.configure('north', config(port, { tokenFile }));
	t.is(await get('first-token-0123456789'), 200);
	await writeFile(tokenFile, 'second-token-0123456789\n');
	web.configure('north', config(port, { tokenFile }));
	// The old listener answers until the new one has its place.
	while ((await get('second-token-0123456789')) !== 200);
	t.is(await get('first-token-0123456789'), 401);
	await writeFile(tokenFile, 'short\n');
	web.configure('north', config(port, { tokenFile }));
	while (web.advice.length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
	t.regex(web.advice[0] ?? '', /not served: .*web\.token holds no token: vmpair config check/);
	await t.throwsAsync(fetch(`http://127.0.0.1:${port}/metrics`));
});

test('a history that a hung disk does not give keeps no page back', async (t) => {
	const { web } = started(t, { history: async () => await new Promise(() => {}) });
	const port = await freePort();
	web.configure('north', config(port));
	const { status, text } = await asked(port, '/');
	t.is(status, 200);
	t.regex(text, /PROTECTED/);
	t.regex(text, /Nothing yet\./);
});

test('the history is followed from where it was left, and a failover in it is told', async (t) => {
	const entry = (seq: number, message: string, fields: HistoryEntry['fields']): HistoryEntry => ({
		seq,
		at: '2026-01-01T00:00:00.000Z',
		ms: seq * 1000,
		level: 'warn',
		message,
		fields,
	});
	const all = [
		entry(1, 'peer status change', { host: 'south', from: 'online', to: 'suspect' }),
		entry(2, 'takeover', { vm: 'ldap', resource: 'ldap', from: 'south', proof: 'person' }),
	];
	const queries: number[] = [];
	const { web } = started(t, {
		history: async ({ afterSeq }) => {
			queries.push(afterSeq);
			return all.filter(({ seq }) => seq > afterSeq);
		},
	});
	const port = await freePort();
	web.configure('north', config(port));
	t.regex((await asked(port, '/')).text, /south went silent.*a person confirmed it/);
	all.push(entry(3, 'start issued', { vm: 'ldap' }), entry(4, 'VM runs', { vm: 'ldap' }));
	// Answers within half a second are the same one.
	let { text } = await asked(port, '/');
	while (!text.includes('+3.0 s')) ({ text } = await asked(port, '/'));
	t.deepEqual([...new Set(queries)].slice(0, 2), [0, 2]);
});

test('a status that cannot be made is an answer with 500 and one line in the log', async (t) => {
	const { web, notes } = started(t, {
		status: () => {
			throw new Error('no state');
		},
	});
	const port = await freePort();
	web.configure('north', config(port));
	t.is((await asked(port, '/')).status, 500);
	t.is((await asked(port, '/metrics')).status, 500);
	t.deepEqual(notes, ['no state']);
});
