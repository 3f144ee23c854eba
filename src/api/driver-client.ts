import { request as httpRequest } from 'node:http';
import type { AlertReply, AlertRequest } from '#src/api/alert.ts';
import type { Reply, Request } from '#src/api/request.ts';
import type { ErrorReply, HistoryEntry, Status } from '#src/api/view.ts';
import type { EngineState } from '#src/api/what-if.ts';
import type { FenceCheck } from '#src/fence/check.ts';
import { formatDuration } from '#src/std/duration.ts';
import { messageOf, VmpairError } from '#src/std/error.ts';
import type { PostMortem } from '#src/store/post-mortem.ts';

/** Asks the agent of this host over its local socket. Throws `VmpairError` with the agent's own code. */
export interface Client {
	status(): Promise<Status>;
	/** Entries after `afterSeq`, at or after `since` (ISO 8601, null for all), at most `limit`. */
	history(query: {
		afterSeq: number;
		since: string | null;
		limit: number;
		/** What the peer said of itself, as far as it was told here. */
		peer?: boolean;
	}): Promise<HistoryEntry[]>;
	/** Of hosts that were out and came back, newest first. */
	postMortems(): Promise<PostMortem[]>;
	request(request: Request): Promise<Reply>;
	reload(): Promise<Reply>;
	/** The state of the agent's engine. Throws `version-mismatch` unless the agent is of `version`, as this program is. */
	engine(version: string): Promise<EngineState>;
	/** Has the agent ask every fence device of both hosts now. */
	fenceCheck(): Promise<FenceCheck>;
	/** Asks about the alerts of this host, or has it do something with them. */
	alert<Asked extends AlertRequest>(request: Asked): Promise<AlertReply<Asked['verb']>>;
}

/** Code of the error that is thrown when nobody answers on the socket. */
export const unreachableCode = 'agent-unreachable';
/** Code of the error that is thrown when the agent is there and does not answer a question in time. */
const slowCode = 'agent-slow';

/** True when nobody answered, be it that no agent runs or that it is too slow. */
export const isUnanswered = (error: unknown): error is VmpairError =>
	error instanceof VmpairError && (error.code === unreachableCode || error.code === slowCode);

/** The status format that this program reads. */
const apiVersionRead: number = 1;

/** How long the agent may take, ms. */
interface ClientLimits {
	readonly readMs: number;
	readonly requestMs: number;
}

/** A request's limit is beyond the agent's own, so that the agent's answer is what the person sees. */
const usualLimits: ClientLimits = { readMs: 3000, requestMs: 160_000 };
const bodyBytesMax = 32 * 1024 * 1024;

interface Call {
	readonly method: 'GET' | 'POST';
	readonly path: string;
	readonly body: string;
	readonly limitMs: number;
}

const notCarriedOut = (socketPath: string, error: unknown): VmpairError | null => {
	const code = (error as NodeJS.ErrnoException).code;
	if (code === 'EACCES' || code === 'EPERM') {
		return new VmpairError('not-permitted', `this user may not use ${socketPath}`, {
			next: 'run the command as root, or join the group of the socket',
			cause: error,
		});
	}
	if (code !== 'ENOENT' && code !== 'ECONNREFUSED') return null;
	return new VmpairError(unreachableCode, 'the agent on this host is not running', {
		next: 'systemctl status vmpair; systemctl start vmpair',
		cause: error,
	});
};

/** Why there is no answer. Only what was never sent is known not to be carried out. */
const unanswered = (
	socketPath: string,
	{ method, limitMs }: Call,
	late: boolean,
	error: unknown,
): VmpairError => {
	const refused = notCarriedOut(socketPath, error);
	if (refused !== null) return refused;
	const why = late
		? `the agent did not answer within ${formatDuration(limitMs)}`
		: `the agent broke off before it answered: ${messageOf(error)}`;
	if (method === 'POST') {
		return new VmpairError('answer-overdue', `${why}; it may have carried out the request`, {
			next: 'look at "vmpair status" before you repeat it',
			cause: error,
		});
	}
	const next = 'vmpair status again; journalctl -u vmpair -n 50';
	return late
		? new VmpairError(slowCode, `${why}; the host may be overloaded`, { next, cause: error })
		: new VmpairError(unreachableCode, why, { next, cause: error });
};

const exchange = async (
	socketPath: string,
	call: Call,
	signal: AbortSignal,
): Promise<{ readonly status: number; readonly text: string }> =>
	await new Promise((resolve, reject) => {
		const request = httpRequest(
			{
				socketPath,
				method: call.method,
				path: call.path,
				headers: { 'content-length': Buffer.byteLength(call.body) },
				signal,
			},
			(response) => {
				let text = '';
				response.setEncoding('utf8');
				response.on('data', (chunk: string) => {
					text += chunk;
					if (text.length > bodyBytesMax) request.destroy(new Error('the answer is too large'));
				});
				response.on('error', reject);
				response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
			},
		);
		request.on('error', reject);
		request.end(call.body);
	});

const call = async (socketPath: string, parts: Call): Promise<unknown> => {
	const limit = AbortSignal.timeout(parts.limitMs);
	let answer;
	try {
		answer = await exchange(socketPath, parts, limit);
	} catch (error) {
		throw unanswered(socketPath, parts, limit.aborted, error);
	}
	const value: unknown = JSON.parse(answer.text);
	if (answer.status < 400) return value;
	const { error } = value as ErrorReply;
	throw new VmpairError(error.code, error.message, { next: error.next });
};

/** A client for the agent that serves `socketPath`. It keeps no connection. */
export const apiClient = (socketPath: string, limits = usualLimits): Client => {
	const read = { method: 'GET', body: '', limitMs: limits.readMs } as const;
	const write = { method: 'POST', limitMs: limits.requestMs } as const;
	return {
		status: async () => {
			const status = (await call(socketPath, { ...read, path: '/status' })) as Status;
			if (status.apiVersion !== apiVersionRead) {
				throw new VmpairError(
					'version-mismatch',
					`the agent speaks status format ${String(status.apiVersion)}, this program reads ${apiVersionRead}`,
					{ next: 'restart the agent after the upgrade: systemctl restart vmpair' },
				);
			}
			return status;
		},
		history: async ({ afterSeq, since, limit, peer }) => {
			const query = new URLSearchParams({ after: String(afterSeq), limit: String(limit) });
			if (since !== null) query.set('since', since);
			if (peer === true) query.set('of', 'peer');
			return (await call(socketPath, {
				...read,
				path: `/history?${query.toString()}`,
			})) as HistoryEntry[];
		},
		postMortems: async () =>
			(await call(socketPath, { ...read, path: '/post-mortems' })) as PostMortem[],
		request: async (request) =>
			(await call(socketPath, {
				...write,
				path: '/request',
				body: JSON.stringify(request),
			})) as Reply,
		engine: async (version) => {
			const engine = (await call(socketPath, { ...read, path: '/engine' })) as EngineState;
			if (engine.version === version) return engine;
			throw new VmpairError(
				'version-mismatch',
				`the agent is of version ${engine.version}, this program of ${version}`,
				{ next: 'restart the agent after the upgrade: systemctl restart vmpair' },
			);
		},
		fenceCheck: async () =>
			(await call(socketPath, { ...write, path: '/fence-check', body: '' })) as FenceCheck,
		alert: async <Asked extends AlertRequest>(request: Asked) =>
			(await call(socketPath, {
				...write,
				path: '/alert',
				body: JSON.stringify(request),
			})) as AlertReply<Asked['verb']>,
		reload: async () => (await call(socketPath, { ...write, path: '/reload', body: '' })) as Reply,
	};
};
