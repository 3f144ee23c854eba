import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ExecutionContext } from 'ava';

/** One request, as it came. */
export interface Heard {
	readonly method: string;
	readonly path: string;
	readonly body: string;
	/** Wall-clock time. */
	readonly atMs: number;
	/** What it was answered; 0 as long as it waits. */
	status: number;
}

export interface Listener {
	/** Without a path. */
	readonly url: string;
	readonly heard: Heard[];
	/** Status and body of the next answers; a promise leaves them waiting. */
	answer: (heard: Heard) => Promise<readonly [number, string]> | readonly [number, string];
	/** Resolves when so many requests have come. */
	until(count: number): Promise<void>;
}

const bodyOf = async (request: IncomingMessage): Promise<string> => {
	const chunks: Buffer[] = [];
	for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
	return Buffer.concat(chunks).toString();
};

/** A real HTTP server on loopback that takes anything. */
export const listen = async (t: Pick<ExecutionContext, 'teardown'>): Promise<Listener> => {
	const waiting = new Set<() => void>();
	const server = createServer((request, response) => {
		void (async () => {
			const { method = '', url: path = '' } = request;
			const heard = { method, path, body: await bodyOf(request), atMs: Date.now(), status: 0 };
			listener.heard.push(heard);
			for (const check of waiting) check();
			const [status, body] = await listener.answer(heard);
			heard.status = status;
			response.writeHead(status);
			response.end(body);
		})();
	});
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	t.teardown(() => {
		server.closeAllConnections();
		server.close();
	});
	const listener: Listener = {
		url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
		heard: [],
		answer: () => [200, 'ok'],
		until: (count) =>
			new Promise((resolve) => {
				const check = (): void => {
					if (listener.heard.length < count) return;
					waiting.delete(check);
					resolve();
				};
				waiting.add(check);
				check();
			}),
	};
	return listener;
};
