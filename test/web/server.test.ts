import { createHash } from 'node:crypto';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect, createServer } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { Secret } from '#src/std/secret.ts';
import { Site, type SiteOptions } from '#src/web/driver-server.ts';
import { pageOf, type PageView } from '#src/web/page.ts';
import { noTimeline } from '#src/store/timeline.ts';
import { fullStatus, metricsOf } from '#test/web/example.ts';

const token = 'a-token-of-the-test-1234';

const view = (): PageView =>
	pageOf({
		status: fullStatus(),
		samples: [],
		timeline: noTimeline,
		history: [],
		nowMs: 0,
		clock: (at) => at,
	});

const serve = async (
	t: ExecutionContext,
	changes: Partial<SiteOptions> = {},
): Promise<{ port: number; site: Site; problems: string[] }> => {
	const problems: string[] = [];
	const site = new Site({
		host: 'north',
		token: null,
		page: async () => view(),
		metrics: () => metricsOf(fullStatus()),
		problem: (detail) => problems.push(detail),
		...changes,
	});
	t.teardown(() => site.close());
	return { port: await site.listen('127.0.0.1', 0), site, problems };
};

interface Got {
	readonly status: number;
	readonly headers: IncomingMessage['headers'];
	readonly body: string;
}

const get = async (
	port: number,
	path: string,
	headers: Record<string, string> = {},
	method = 'GET',
): Promise<Got> =>
	await new Promise((resolve, reject) => {
		const request = httpRequest({ host: '127.0.0.1', port, path, method, headers }, (response) => {
			let body = '';
			response.setEncoding('utf8');
			response.on('data', (chunk: string) => {
				body += chunk;
			});
			response.on('end', () =>
				resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
			);
		});
		request.on('error', reject);
		request.end();
	});

/** Opens the stream; resolves with the first `count` messages. */
const events = async (port: number, count: number): Promise<readonly PageView[]> =>
	await new Promise((resolve, reject) => {
		const request = httpRequest({ host: '127.0.0.1', port, path: '/events' }, (response) => {
			let text = '';
			response.setEncoding('utf8');
			response.on('data', (chunk: string) => {
				text += chunk;
				const found = [...text.matchAll(/^data: (.*)\n\n/gm)].map(
					([, json = '']) => JSON.parse(json) as PageView,
				);
				if (found.length < count) return;
				request.destroy();
				resolve(found);
			});
		});
		request.on('error', reject);
		request.end();
	});

test('page and metrics are served to whoever is on this host', async (t) => {
	const { port } = await serve(t);
	const page = await get(port, '/');
	t.is(page.status, 200);
	t.is(page.headers['content-type'], 'text/html; charset=utf-8');
	t.regex(page.body, /<h1>PROTECTED<\/h1>/);
	const metrics = await get(port, '/metrics');
	t.regex(metrics.headers['content-type'] ?? '', /^text\/plain; version=0\.0\.4/);
	t.is(metrics.body, metricsOf(fullStatus()));
	t.is((await get(port, '/nothing')).status, 404);
});

test('every answer forbids what the page does not need, and lets exactly its own script and style in', async (t) => {
	const { port } = await serve(t);
	const { body } = await get(port, '/');
	for (const path of ['/', '/metrics', '/nothing']) {
		const { headers } = await get(port, path);
		t.regex(
			String(headers['content-security-policy']),
			/^default-src 'none'; .*frame-ancestors 'none'$/,
		);
		t.notRegex(String(headers['content-security-policy']), /unsafe/);
		t.is(headers['x-content-type-options'], 'nosniff');
		t.is(headers['cache-control'], 'no-store');
		t.is(headers['referrer-policy'], 'no-referrer');
	}
	const policy = String((await get(port, '/')).headers['content-security-policy']);
	for (const tag of ['script', 'style']) {
		const inline = [...body.matchAll(new RegExp(`<${tag}>([^]*?)</${tag}>`, 'g'))];
		t.is(inline.length, 1);
		const hash = createHash('sha256')
			.update(inline[0]?.[1] ?? '')
			.digest('base64');
		t.true(policy.includes(`${tag}-src 'sha256-${hash}'`), tag);
	}
	t.notRegex(body, /https?:\/\/(?!www\.w3\.org)/);
	t.notRegex(body, /\sstyle="|\son[a-z]+="/);
});

test('only GET is answered', async (t) => {
	const { port } = await serve(t);
	for (const method of ['POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS']) {
		const { status, headers } = await get(port, '/', {}, method);
		t.is(status, 405, method);
		t.is(headers.allow, 'GET');
	}
});

test('without a token nothing is served under a name that may lead here from anywhere', async (t) => {
	const { port } = await serve(t);
	const asked = async (host: string) => (await get(port, '/metrics', { host })).status;
	for (const host of [
		'localhost',
		`localhost:${port}`,
		'127.0.0.1:8080',
		'[::1]:7403',
		'LOCALHOST',
	])
		t.is(await asked(host), 200, host);
	for (const host of [
		'example.org',
		'localhost.example.org',
		'127.0.0.1.example.org',
		'192.0.2.1',
		'[::2]',
	])
		t.is(await asked(host), 421, host);
});

test('with a token nobody gets anything without it', async (t) => {
	const { port } = await serve(t, { token: new Secret(token) });
	for (const path of ['/', '/metrics', '/events', '/nothing']) {
		const { status, body } = await get(port, path);
		t.is(status, 401, path);
		t.notRegex(body, /PROTECTED|vmpair_|north/);
	}
	t.regex((await get(port, '/')).body, /<input type="password" name="token"/);
	t.is((await get(port, '/metrics')).headers['www-authenticate'], 'Bearer');
	const bearer = async (authorization: string) =>
		(await get(port, '/metrics', { authorization })).status;
	t.is(await bearer(`Bearer ${token}`), 200);
	t.is(await bearer(`bearer  ${token}`), 200);
	for (const wrong of [`Bearer ${token}x`, 'Bearer', token, `Basic ${token}`, 'Bearer x'])
		t.is(await bearer(wrong), 401, wrong);
	// Where a proxy stands in front, the name is its own affair.
	t.is(
		(await get(port, '/metrics', { authorization: `Bearer ${token}`, host: 'example.org' })).status,
		200,
	);
});

test('the token in the address is changed for a cookie that is not the token', async (t) => {
	const { port } = await serve(t, { token: new Secret(token) });
	t.is((await get(port, '/?token=wrong')).status, 401);
	t.is((await get(port, `/metrics?token=${token}`)).status, 401);
	const entered = await get(port, `/?token=${token}`);
	t.is(entered.status, 200);
	t.notRegex(entered.body, new RegExp(token));
	const [cookie = ''] = entered.headers['set-cookie'] ?? [];
	t.regex(cookie, /^vmpair-north=[\w-]{43}; HttpOnly; SameSite=Strict; Path=\/$/);
	t.false(cookie.includes(token));
	const [pair = ''] = cookie.split(';');
	t.is((await get(port, '/', { cookie: `other=1; ${pair}` })).status, 200);
	t.is((await get(port, '/', { cookie: `${pair}x` })).status, 401);
	t.is((await get(port, '/', { cookie: `vmpair-north=${token}` })).status, 401);
	const other = await serve(t, { token: new Secret(`${token}5`) });
	t.is((await get(other.port, '/', { cookie: pair })).status, 401);
});

test('open pages are told what is new, and nothing is made while nobody looks', async (t) => {
	let made = 0;
	const { port } = await serve(t, {
		page: async () => {
			made += 1;
			return view();
		},
	});
	const told = await events(port, 2);
	t.deepEqual(told[1], view());
	const before = made;
	t.true(before >= 2);
	await new Promise((resolve) => setTimeout(resolve, 2500));
	t.true(made <= before + 1, `${made - before} pages were made for nobody`);
});

test('a seventeenth open page is told to come back later', async (t) => {
	const { port } = await serve(t);
	const open = Array.from({ length: 16 }, () => {
		const request = httpRequest({ host: '127.0.0.1', port, path: '/events' });
		request.on('error', () => {});
		const opened = new Promise((resolve) => request.on('response', resolve));
		request.end();
		return { request, opened };
	});
	await Promise.all(open.map(({ opened }) => opened));
	const refused = await get(port, '/events');
	t.is(refused.status, 503);
	t.is(refused.headers['retry-after'], '30');
	t.is((await get(port, '/metrics')).status, 200);
	for (const { request } of open) request.destroy();
});

test('a browser that does not read is dropped, the others go on', async (t) => {
	// More than the kernel takes for a connection that nobody reads.
	const large = { ...view(), title: 'x'.repeat(12 * 1024 * 1024) };
	const { port } = await serve(t, { page: async () => large });
	const ask = 'GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n';
	const lazy = connect(port, '127.0.0.1', () => lazy.write(ask));
	lazy.pause();
	const ended = new Promise<void>((resolve) => {
		lazy.on('error', () => {});
		lazy.on('close', () => resolve());
	});
	await new Promise<void>((resolve) => {
		let bytes = 0;
		const eager = connect(port, '127.0.0.1', () => eager.write(ask));
		eager.on('data', (chunk) => {
			bytes += chunk.length;
			if (bytes < 4 * large.title.length) return;
			eager.destroy();
			resolve();
		});
	});
	// What the kernel took is still read; then the connection ends, and no whole message came.
	let got = 0;
	lazy.on('data', (chunk) => {
		got += chunk.length;
	});
	lazy.resume();
	await ended;
	t.true(got < large.title.length, `${got} bytes`);
});

test('a page that cannot be made is an answer with 500 and a told problem, and the server goes on', async (t) => {
	const { port, problems } = await serve(t, {
		page: async () => {
			throw new Error('no state yet');
		},
		metrics: () => {
			throw new Error('no status yet');
		},
	});
	t.is((await get(port, '/')).status, 500);
	t.is((await get(port, '/metrics')).status, 500);
	t.deepEqual(problems, ['no state yet', 'no status yet']);
	t.is((await get(port, '/nothing')).status, 404);
});

test('a port that is taken is an error of its own, never one of the process', async (t) => {
	const { site } = await serve(t);
	const holder = createServer();
	const port = await new Promise<number>((resolve) => {
		holder.listen(0, '127.0.0.1', () => {
			const address = holder.address();
			resolve(typeof address === 'object' ? (address?.port ?? 0) : 0);
		});
	});
	t.teardown(() => holder.close());
	await t.throwsAsync(site.listen('127.0.0.1', port), { code: 'EADDRINUSE' });
});

test('garbage, endless headers and strange addresses end their connection and nothing else', async (t) => {
	const { port } = await serve(t);
	const send = async (text: string): Promise<string> =>
		await new Promise((resolve) => {
			let answer = '';
			const socket = connect(port, '127.0.0.1', () => socket.end(text));
			socket.on('data', (chunk) => {
				answer += chunk.toString('latin1');
			});
			socket.on('error', () => {});
			socket.on('close', () => resolve(answer));
		});
	const head = 'Host: localhost\r\n';
	t.is(await send('\u0000\u0001\u0002\r\n\r\n'), '');
	t.is(await send(`GET / HTTP/1.1\r\n${head}X: ${'y'.repeat(40_000)}\r\n\r\n`), '');
	t.regex(await send(`GET //[ HTTP/1.1\r\n${head}Connection: close\r\n\r\n`), /^HTTP\/1\.1 400 /);
	t.regex(
		await send(`GET /../../etc/passwd HTTP/1.1\r\n${head}Connection: close\r\n\r\n`),
		/^HTTP\/1\.1 404 /,
	);
	t.is((await get(port, '/metrics')).status, 200);
});
