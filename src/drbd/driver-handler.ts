import { chmod, lstat, mkdtemp, rename, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import {
	formatAnswer,
	type HandlerExit,
	parseRequest,
	requestMax,
} from '#src/drbd/handler-line.ts';
import type { HandlerCall } from '#src/ports.ts';
import { assert } from '#src/std/assert.ts';
import { messageOf, VmpairError } from '#src/std/error.ts';

export interface HandlerServerOptions {
	/** Path of the unix socket; only its owner may connect. */
	readonly path: string;
	/** A handler waits for its exit code: call `answer` with the call's id. */
	onCall(call: HandlerCall): void;
	/** The client went away before it was answered; its answer is not awaited any more. */
	onGone(id: string): void;
	/** Something to log; the message is a sentence. */
	onNote?(message: string): void;
	/** More waiting calls than this are answered 1 at once: a resource has two or three at a time. */
	readonly callsMax?: number;
	/** A client that has not sent its line after this many milliseconds is sent away. */
	readonly requestMs?: number;
}

/** The agent's end of DRBD's handlers: a unix socket on which each call waits for its exit code. */
export class HandlerServer {
	readonly #options: HandlerServerOptions;
	readonly #callsMax: number;
	readonly #requestMs: number;
	readonly #sockets = new Set<Socket>();
	readonly #waiting = new Map<string, Socket>();
	#server: Server | null = null;
	#lastId = 0;

	constructor(options: HandlerServerOptions) {
		this.#options = options;
		this.#callsMax = options.callsMax ?? 64;
		this.#requestMs = options.requestMs ?? 2000;
	}

	/** Opens the socket. Throws when another agent answers on it, or it cannot be created. */
	async listen(): Promise<void> {
		const { path } = this.#options;
		await refuseSocketInUse(path);
		const server = createServer((socket) => this.#accept(socket));
		// One connection more is accepted, to be told why it gets no better answer.
		server.maxConnections = this.#callsMax * 2;
		const listening = new Promise<void>((resolve, reject) => {
			server.once('listening', resolve);
			server.once('error', reject);
		});
		try {
			const folder = await mkdtemp(`${path}.`);
			try {
				// In a folder of our own until its permissions are set: nobody else can connect even for an
				// instant.
				server.listen(join(folder, 's'));
				await listening;
				await chmod(join(folder, 's'), 0o600);
				await rename(join(folder, 's'), path);
			} finally {
				await rm(folder, { recursive: true });
			}
		} catch (error) {
			server.close();
			throw new VmpairError(
				'drbd-handler-socket',
				`DRBD's handlers cannot reach the agent: ${path} cannot be opened (${messageOf(error)}).`,
				{ next: 'Check the folder and its permissions, then start the agent again.', cause: error },
			);
		}
		server.on('error', (error) => this.#options.onNote?.(`Handler socket: ${error.message}.`));
		this.#server = server;
	}

	/** Ends a waiting call. False when its client is gone or it was answered before. */
	answer(id: string, exitCode: HandlerExit, reason: string): boolean {
		// 0, 5 and 6 would tell the kernel guesses: it would write on, or outdate a good copy.
		assert([1, 4, 7].includes(exitCode), 'a handler is answered 1, 4 or 7');
		const socket = this.#waiting.get(id);
		if (socket === undefined) return false;
		this.#waiting.delete(id);
		socket.end(formatAnswer(exitCode, reason));
		return true;
	}

	/** Closes the socket. Calls that still wait see their connection end and exit with 1. */
	async close(): Promise<void> {
		const server = this.#server;
		this.#server = null;
		this.#waiting.clear();
		for (const socket of this.#sockets) socket.destroy();
		if (server === null) return;
		await new Promise<void>((resolve) => server.close(() => resolve()));
		await rm(this.#options.path, { force: true });
	}

	#accept(socket: Socket): void {
		this.#sockets.add(socket);
		socket.setEncoding('utf8');
		let text = '';
		let id: string | null = null;
		const timer = setTimeout(() => {
			this.#refuse(socket, `no request within ${this.#requestMs} ms`);
		}, this.#requestMs);
		socket.on('data', (chunk: string) => {
			if (id !== null) return;
			text += chunk;
			const end = text.indexOf('\n');
			if (end < 0 && text.length <= requestMax) return;
			clearTimeout(timer);
			id = this.#take(socket, text.slice(0, Math.max(end, 0)));
		});
		socket.on('error', (error) => this.#options.onNote?.(`A handler's client: ${error.message}.`));
		socket.on('close', () => {
			clearTimeout(timer);
			this.#sockets.delete(socket);
			if (id !== null && this.#waiting.delete(id)) this.#options.onGone(id);
		});
	}

	/** Returns the id of the call, '' when it was refused. */
	#take(socket: Socket, line: string): string {
		const resource = line.length > requestMax ? null : parseRequest(line);
		if (resource === null) {
			this.#refuse(socket, 'this is not a request of the handler client');
			return '';
		}
		if (this.#waiting.size >= this.#callsMax) {
			this.#refuse(socket, `${this.#callsMax} calls wait already`);
			return '';
		}
		this.#lastId += 1;
		const id = `handler-${this.#lastId}`;
		this.#waiting.set(id, socket);
		this.#options.onCall({ id, handler: 'fence-peer', resource });
		return id;
	}

	#refuse(socket: Socket, reason: string): void {
		this.#options.onNote?.(`A handler's client was sent away: ${reason}.`);
		socket.end(formatAnswer(1, reason), () => socket.destroy());
	}
}

/** A socket that nobody listens on is left from an agent that was killed: it may be replaced. */
const refuseSocketInUse = async (path: string): Promise<void> => {
	const status = await lstat(path).catch(() => null);
	if (status === null) return;
	const answered =
		status.isSocket() &&
		(await new Promise<boolean>((resolve) => {
			const probe = connect(path);
			probe.once('connect', () => resolve(true));
			probe.once('error', () => resolve(false));
			probe.once('close', () => resolve(false));
			probe.setTimeout(1000, () => probe.destroy());
			probe.once('connect', () => probe.destroy());
		}));
	if (answered || !status.isSocket()) {
		throw new VmpairError(
			'drbd-handler-socket',
			answered
				? `Another agent listens on ${path} already.`
				: `${path} is in the way: it is not a socket.`,
			{
				next: answered
					? 'Stop the other agent first: one agent runs on a host.'
					: 'Remove it, then start the agent again.',
			},
		);
	}
};
