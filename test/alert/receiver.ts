import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';

/** One request that the receiver got, with its signature verified. */
export interface Received {
	readonly id: string;
	readonly atMs: number;
	readonly body: {
		readonly type: string;
		readonly timestamp: string;
		readonly data: Readonly<Record<string, string | number | null>>;
	};
}

export interface Receiver {
	readonly url: string;
	readonly secret: string;
	/** Requests that were answered with 2xx. */
	readonly accepted: Received[];
	/** Every verified request. */
	readonly seen: Received[];
	/** Requests whose signature was wrong. */
	readonly unverified: string[];
	/** What the next requests are answered with; a promise leaves them waiting. */
	answer: (request: Received) => Promise<Answer> | Answer;
	/** Resolves when `condition` holds; it is checked after every request. */
	until(condition: () => boolean): Promise<void>;
	close(): Promise<void>;
}

export interface Answer {
	readonly status: number;
	readonly headers?: Readonly<Record<string, string>>;
}

/** A real HTTP server on loopback that verifies signatures with a library that is not ours. */
export const startReceiver = async (port = 0): Promise<Receiver> => {
	const secret = `whsec_${Buffer.alloc(32, 5).toString('base64')}`;
	const webhook = new Webhook(secret);
	const waiting = new Set<() => void>();
	const server: Server = createServer((request, response) => {
		const chunks: Buffer[] = [];
		request.on('data', (chunk: Buffer) => chunks.push(chunk));
		request.on('end', () => {
			const text = Buffer.concat(chunks).toString();
			const id = String(request.headers['webhook-id']);
			try {
				webhook.verify(text, request.headers as Record<string, string>);
			} catch (error) {
				receiver.unverified.push(String(error));
			}
			const received = { id, atMs: performance.now(), body: JSON.parse(text) as Received['body'] };
			receiver.seen.push(received);
			void Promise.resolve(receiver.answer(received)).then(({ status, headers }) => {
				if (status >= 200 && status < 300) receiver.accepted.push(received);
				response.writeHead(status, { ...headers });
				response.end();
				for (const check of waiting) check();
			});
			for (const check of waiting) check();
		});
	});
	await new Promise<void>((resolve) => {
		server.listen(port, '127.0.0.1', resolve);
	});
	const receiver: Receiver = {
		url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
		secret,
		accepted: [],
		seen: [],
		unverified: [],
		answer: () => ({ status: 204 }),
		until: (condition) =>
			new Promise((resolve) => {
				const check = (): void => {
					if (!condition()) return;
					waiting.delete(check);
					resolve();
				};
				waiting.add(check);
				check();
			}),
		close: async () => {
			server.closeAllConnections();
			await new Promise((resolve) => {
				server.close(resolve);
			});
		},
	};
	return receiver;
};
