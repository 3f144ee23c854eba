import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { messageOf } from '#src/std/error.ts';
import type { Secret } from '#src/std/secret.ts';
import { bearerOf, cookieOf, headersOf, isOwnHost } from '#src/web/access.ts';
import { enteredDocument, pageDocument, script, tokenDocument } from '#src/web/document.ts';
import { contentType } from '#src/web/exposition.ts';
import type { PageView } from '#src/web/page.ts';
import { style } from '#src/web/style.ts';

export interface SiteOptions {
	/** Names the cookie: both agents may be reached as localhost. */
	readonly host: string;
	/** Whoever asks must have it; null: nobody needs one, and only loopback is served. */
	readonly token: Secret | null;
	/** Null: there is no page. */
	readonly page: (() => Promise<PageView>) | null;
	/** Null: there are no metrics. */
	readonly metrics: (() => string) | null;
	/** Told of a page or metrics that could not be made; the agent goes on. */
	readonly problem: (detail: string) => void;
}

const newsMs = 1000;
/** One answer serves everybody who asks within this time: a crowd costs the agent no more than one person, ms. */
const cachedMs = 500;
const watchersMax = 16;
/** A browser that does not read what it is sent is dropped, bytes. */
const unreadMax = 512 * 1024;
const connectionsMax = 64;
const headerBytesMax = 16 * 1024;

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();

const hashOf = (text: string): string => `sha256-${sha256(text).toString('base64')}`;

const headers = headersOf({ script: hashOf(script), style: hashOf(style) });

const html = 'text/html; charset=utf-8';
const plain = 'text/plain; charset=utf-8';

/** In a time that says nothing about where two texts begin to differ, nor about their length. */
const equal = (one: string, other: string): boolean => timingSafeEqual(sha256(one), sha256(other));

/** Makes something at most once within `cachedMs`. */
const cached = <Value>(make: () => Value): (() => Value) => {
	let last: { readonly value: Value; readonly atMs: number } | null = null;
	return () => {
		const nowMs = performance.now();
		if (last === null || nowMs - last.atMs > cachedMs) last = { value: make(), atMs: nowMs };
		return last.value;
	};
};

interface Answer {
	readonly status: number;
	readonly type: string;
	readonly body: string;
	readonly more?: Readonly<Record<string, string>>;
}

const say = (status: number, text: string, more = {}): Answer => ({
	status,
	type: plain,
	body: `${text}\n`,
	more,
});

/** Page and metrics of one agent, on as many addresses as it is told to listen on. It only ever reads. */
export class Site {
	readonly #options: SiteOptions;
	readonly #servers: Server[] = [];
	readonly #watchers = new Set<ServerResponse>();
	readonly #page: (() => Promise<PageView>) | null;
	readonly #metrics: (() => string) | null;
	#timer: NodeJS.Timeout | null = null;

	constructor(options: SiteOptions) {
		this.#options = options;
		this.#page = options.page === null ? null : cached(options.page);
		this.#metrics = options.metrics === null ? null : cached(options.metrics);
	}

	/** Serves one more address; port 0 takes a free one. Resolves with the port; rejects when it cannot be had. */
	async listen(address: string, port: number): Promise<number> {
		const server = createServer({ maxHeaderSize: headerBytesMax }, (request, response) => {
			this.#answer(request, response).catch((error: unknown) => this.#failed(response, error));
		});
		server.headersTimeout = 5000;
		server.requestTimeout = 10_000;
		server.keepAliveTimeout = 5000;
		server.timeout = 30_000;
		server.maxConnections = connectionsMax;
		server.on('clientError', (_error, socket) => socket.destroy());
		await new Promise<void>((resolve, reject) => {
			server.once('error', reject);
			server.listen(port, address, resolve);
		});
		server.on('error', (error) => this.#options.problem(messageOf(error)));
		this.#servers.push(server);
		const bound = server.address();
		return typeof bound === 'object' && bound !== null ? bound.port : port;
	}

	async close(): Promise<void> {
		if (this.#timer !== null) clearTimeout(this.#timer);
		this.#timer = null;
		const closed = this.#servers.map(
			async (server) =>
				await new Promise<void>((resolve) => {
					server.close(() => resolve());
					server.closeAllConnections();
				}),
		);
		await Promise.all(closed);
	}

	#failed(response: ServerResponse, error: unknown): void {
		this.#options.problem(messageOf(error));
		if (response.headersSent) response.destroy();
		else this.#send(response, say(500, 'the agent could not make this; see "vmpair history"'));
	}

	#send(response: ServerResponse, { status, type, body, more = {} }: Answer): void {
		response.writeHead(status, {
			...headers,
			'content-type': type,
			'content-length': Buffer.byteLength(body),
			...more,
		});
		response.end(body);
	}

	async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
		const refused = this.#refusal(request);
		if (refused !== null) return this.#send(response, refused);
		const { pathname, searchParams } = new URL(request.url ?? '/', 'http://agent');
		if (pathname === '/' && this.#page !== null) {
			const entered = this.#enter(searchParams.get('token'));
			if (entered !== null) return this.#send(response, entered);
		}
		if (!this.#known(request)) return this.#send(response, this.#unknown(pathname));
		if (pathname === '/' && this.#page !== null)
			return this.#send(response, {
				status: 200,
				type: html,
				body: pageDocument(await this.#page()),
			});
		if (pathname === '/events' && this.#page !== null) return this.#watch(response);
		if (pathname === '/metrics' && this.#metrics !== null)
			return this.#send(response, { status: 200, type: contentType, body: this.#metrics() });
		this.#send(response, say(404, 'there is nothing here'));
	}

	/** What is refused before anything else is looked at. */
	#refusal({ method, headers: asked, url }: IncomingMessage): Answer | null {
		if (method !== 'GET') return say(405, 'only GET is answered here', { allow: 'GET' });
		if (!URL.canParse(url ?? '/', 'http://agent')) return say(400, 'this is no address');
		if (this.#options.token === null && !isOwnHost(asked.host))
			return say(
				421,
				'without a token this is served as localhost or 127.0.0.1 only; a proxy in front must ask for one of these',
			);
		return null;
	}

	get #cookieName(): string {
		return `vmpair-${this.#options.host}`;
	}

	/** Not the token itself: it opens this page and nothing else, until the token changes. */
	#cookieValue(token: Secret): string {
		return createHmac('sha256', token.reveal()).update(this.#cookieName).digest('base64url');
	}

	#enter(given: string | null): Answer | null {
		const { token } = this.#options;
		if (token === null || given === null) return null;
		if (!equal(given, token.reveal()))
			return { status: 401, type: html, body: tokenDocument('This is not the token.') };
		const cookie = `${this.#cookieName}=${this.#cookieValue(token)}; HttpOnly; SameSite=Strict; Path=/`;
		return { status: 200, type: html, body: enteredDocument(), more: { 'set-cookie': cookie } };
	}

	#known({ headers: asked }: IncomingMessage): boolean {
		const { token } = this.#options;
		if (token === null) return true;
		const bearer = bearerOf(asked.authorization);
		if (bearer !== null) return equal(bearer, token.reveal());
		const cookie = cookieOf(asked.cookie, this.#cookieName);
		return cookie !== null && equal(cookie, this.#cookieValue(token));
	}

	#unknown(pathname: string): Answer {
		if (pathname === '/' && this.#page !== null)
			return {
				status: 401,
				type: html,
				body: tokenDocument('The token is in the file that "web.tokenFile" names.'),
			};
		return say(401, 'the token is missing or wrong', { 'www-authenticate': 'Bearer' });
	}

	#watch(response: ServerResponse): void {
		if (this.#watchers.size >= watchersMax)
			return this.#send(response, say(503, 'too many pages are open', { 'retry-after': '30' }));
		response.writeHead(200, { ...headers, 'content-type': 'text/event-stream' });
		response.write('retry: 2000\n\n');
		this.#watchers.add(response);
		response.on('close', () => this.#watchers.delete(response));
		if (this.#timer === null) this.#timer = setTimeout(() => void this.#news(), 0);
	}

	/** Tells every open page what is new; nothing is made while nobody looks. */
	async #news(): Promise<void> {
		try {
			const view = await this.#page?.();
			const event = `data: ${JSON.stringify(view)}\n\n`;
			for (const watcher of this.#watchers) {
				if (watcher.writableLength > unreadMax) watcher.destroy();
				else watcher.write(event);
			}
		} catch (error) {
			this.#options.problem(messageOf(error));
			// It tells the connection alive; the page itself notices that there is no news.
			for (const watcher of this.#watchers) watcher.write(': no news\n\n');
		}
		if (this.#timer === null) return;
		this.#timer = this.#watchers.size === 0 ? null : setTimeout(() => void this.#news(), newsMs);
	}
}
