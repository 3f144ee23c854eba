import { chmodSync, chownSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSocketServer } from 'node:net';
import type * as z from 'zod';
import { alertRequestSchema, type AlertReply, type AlertRequest } from '#src/api/alert.ts';
import { requestSchema, type Reply, type Request } from '#src/api/request.ts';
import type { ErrorReply, HistoryEntry, Status } from '#src/api/view.ts';
import type { EngineState } from '#src/api/what-if.ts';
import type { FenceCheck } from '#src/fence/check.ts';
import { messageOf, VmpairError } from '#src/std/error.ts';
import type { PostMortem } from '#src/store/post-mortem.ts';

interface HistoryQuery {
	/** Only entries after this one. */
	readonly afterSeq: number;
	/** Only entries at or after this wall-clock time, ISO 8601; null for all. */
	readonly since: string | null;
	/** At most this many, the newest ones. */
	readonly limit: number;
	/** What the peer said of itself, as far as it was told here. */
	readonly peer: boolean;
}

/** What the agent answers with. A thrown `VmpairError` becomes an error reply with its code and next step. */
export interface Handlers {
	status(): Status;
	history(query: HistoryQuery): Promise<readonly HistoryEntry[]>;
	postMortems(): Promise<readonly PostMortem[]>;
	request(request: Request): Promise<Reply>;
	reload(): Promise<Reply>;
	fenceCheck(): Promise<FenceCheck>;
	/** The engine's state as it is, for a simulation of what it would do. */
	engine(): EngineState;
	alert(request: AlertRequest): Promise<AlertReply<AlertRequest['verb']>>;
}

export interface ApiServer {
	close(): Promise<void>;
}

const bodyBytesMax = 64 * 1024;
const historyMax = 10_000;
/** A request may have to wait for the peer's durable answer; this is beyond every limit of the engine. */
const answerLimitMs = 150_000;
const connectionsMax = 64;

class BadRequest extends VmpairError {
	readonly status: number;

	constructor(status: number, code: string, message: string) {
		super(code, message, { next: 'use the vmpair command of the same version as the agent' });
		this.status = status;
	}
}

const readBody = async (request: IncomingMessage): Promise<string> => {
	const chunks: Buffer[] = [];
	let bytes = 0;
	for await (const chunk of request as AsyncIterable<Buffer>) {
		bytes += chunk.length;
		if (bytes > bodyBytesMax) {
			throw new BadRequest(
				413,
				'request-too-large',
				`a request holds at most ${bodyBytesMax} bytes`,
			);
		}
		chunks.push(chunk);
	}
	return Buffer.concat(chunks).toString('utf8');
};

const parseBody = <Value>(schema: z.ZodType<Value>, body: string): Value => {
	let value: unknown;
	try {
		value = JSON.parse(body);
	} catch (error) {
		throw new BadRequest(400, 'request-invalid', `the request is not JSON: ${messageOf(error)}`);
	}
	const parsed = schema.safeParse(value);
	if (parsed.success) return parsed.data;
	const [issue] = parsed.error.issues;
	const where = issue?.path.join('.') ?? '';
	throw new BadRequest(
		400,
		'request-invalid',
		`the request is wrong at "${where}": ${issue?.message}`,
	);
};

const parseQuery = (parameters: URLSearchParams): HistoryQuery => {
	const number = (name: string, otherwise: number, max: number): number => {
		const text = parameters.get(name);
		if (text === null) return otherwise;
		const value = Number(text);
		if (Number.isSafeInteger(value) && value >= 0) return Math.min(value, max);
		throw new BadRequest(400, 'request-invalid', `"${name}" must be a whole number`);
	};
	const since = parameters.get('since');
	if (since !== null && Number.isNaN(Date.parse(since))) {
		throw new BadRequest(400, 'request-invalid', '"since" must be a time in ISO 8601');
	}
	return {
		afterSeq: number('after', 0, Number.MAX_SAFE_INTEGER),
		since,
		limit: number('limit', 1000, historyMax),
		peer: parameters.get('of') === 'peer',
	};
};

const within = async <Value>(answer: Promise<Value>): Promise<Value> => {
	let timer: NodeJS.Timeout | undefined;
	const limit = new Promise<never>((_resolve, reject) => {
		timer = setTimeout(() => {
			const message = 'the agent has not decided in time; what it does with the request is unknown';
			reject(new VmpairError('answer-overdue', message, { next: 'look at "vmpair status"' }));
		}, answerLimitMs);
	});
	try {
		return await Promise.race([answer, limit]);
	} finally {
		clearTimeout(timer);
	}
};

const answer = async (request: IncomingMessage, handlers: Handlers): Promise<unknown> => {
	const url = new URL(request.url ?? '/', 'http://agent');
	const route = `${request.method} ${url.pathname}`;
	if (route === 'GET /status') return handlers.status();
	if (route === 'GET /engine') return handlers.engine();
	if (route === 'GET /history') return await handlers.history(parseQuery(url.searchParams));
	if (route === 'GET /post-mortems') return await handlers.postMortems();
	if (route === 'POST /request') {
		return await within(handlers.request(parseBody(requestSchema, await readBody(request))));
	}
	if (route === 'POST /reload') return await within(handlers.reload());
	if (route === 'POST /fence-check') return await within(handlers.fenceCheck());
	if (route === 'POST /alert')
		return await within(handlers.alert(parseBody(alertRequestSchema, await readBody(request))));
	throw new BadRequest(404, 'request-unknown', `the agent does not know "${route}"`);
};

const send = (response: ServerResponse, status: number, value: unknown): void => {
	const body = JSON.stringify(value);
	response.writeHead(status, {
		'content-type': 'application/json',
		'content-length': Buffer.byteLength(body),
		// Every command is a connection of its own; none is kept.
		connection: 'close',
	});
	response.end(body);
};

const sendError = (response: ServerResponse, thrown: unknown): void => {
	const error =
		thrown instanceof VmpairError
			? thrown
			: new VmpairError('agent-error', messageOf(thrown), { next: 'see "vmpair history"' });
	const reply: ErrorReply = {
		error: { code: error.code, message: error.message, next: error.next },
	};
	if (response.headersSent) response.destroy();
	else send(response, thrown instanceof BadRequest ? thrown.status : 500, reply);
};

/** Group id of a group in /etc/group; an error that names the group when there is none. */
const groupId = (group: string): number => {
	for (const line of readFileSync('/etc/group', 'utf8').split('\n')) {
		const [name, , id] = line.split(':');
		if (name === group && id !== undefined) return Number(id);
	}
	throw new VmpairError('group-unknown', `there is no group "${group}" on this host`, {
		next: `create it with "groupadd --system ${group}" or change the group of the local socket`,
	});
};

/**
 * Makes sure that no second agent works on the same state: two would act on the same VMs. The name
 * lives in the kernel's abstract namespace, so it is free again the moment the holder is gone.
 */
const holdName = async (socketPath: string): Promise<() => void> => {
	const holder = createSocketServer((socket) => socket.destroy());
	await new Promise<void>((resolve, reject) => {
		holder.once('error', (error: NodeJS.ErrnoException) => {
			if (error.code !== 'EADDRINUSE') reject(error);
			const message = `another agent already serves ${socketPath}`;
			reject(
				new VmpairError('agent-already-runs', message, {
					next: 'stop it first: "systemctl stop vmpair"',
					cause: error,
				}),
			);
		});
		holder.listen({ path: `\0vmpair${socketPath}`.slice(0, 100) }, resolve);
	});
	holder.unref();
	return () => holder.close();
};

const listen = async (server: Server, socketPath: string, group: string | null): Promise<void> => {
	rmSync(socketPath, { force: true });
	await new Promise<void>((resolve, reject) => {
		server.once('error', reject);
		// The agent's umask keeps everybody else out until owner and mode are set.
		server.listen(socketPath, resolve);
	});
	if (group !== null) chownSync(socketPath, process.getuid?.() ?? 0, groupId(group));
	chmodSync(socketPath, group === null ? 0o600 : 0o660);
};

/**
 * Serves the local API on a unix socket. Throws `agent-already-runs` when another agent serves it.
 * `group` may use it besides root; null for root alone.
 */
export const serveApi = async (
	options: { readonly socketPath: string; readonly group: string | null },
	handlers: Handlers,
): Promise<ApiServer> => {
	const release = await holdName(options.socketPath);
	const server = createServer((request, response) => {
		answer(request, handlers).then(
			(value) => send(response, 200, value),
			(error: unknown) => sendError(response, error),
		);
	});
	server.headersTimeout = 5000;
	server.requestTimeout = 10_000;
	server.maxConnections = connectionsMax;
	await listen(server, options.socketPath, options.group);
	return {
		close: async () => {
			const closed = new Promise<void>((resolve) => server.close(() => resolve()));
			server.closeAllConnections();
			await closed;
			rmSync(options.socketPath, { force: true });
			release();
		},
	};
};
