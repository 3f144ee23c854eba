import { readFileSync } from 'node:fs';
import type { Stage } from '#src/demo/stage.ts';
import { until } from '#test/process/stage.ts';

/**
 * A thread has no signal of its own: what kills or stops it, kills or stops its process. So the agent's threads are
 * reached as a person with a debugger would: Node opens its inspector, on a port of its choice, at SIGUSR1.
 */
process.env['NODE_OPTIONS'] = '--inspect-port=127.0.0.1:0';

interface Message {
	readonly id?: number;
	readonly method?: string;
	readonly params?: { readonly sessionId?: string; readonly message?: string };
}

const opened = async (url: string): Promise<WebSocket> => {
	const socket = new WebSocket(url);
	await new Promise<void>((resolve, reject) => {
		socket.addEventListener('open', () => resolve());
		socket.addEventListener('error', () => reject(new Error(`no inspector at ${url}`)));
	});
	return socket;
};

/** Runs `script` in the heartbeat thread of a host's agent; does not wait for its end. */
export const inHeartbeatThread = async (
	stage: Stage,
	host: string,
	script: string,
): Promise<void> => {
	const { agent, files } = stage.host(host);
	const logged = readFileSync(files.logFile, 'utf8').length;
	agent?.kill('SIGUSR1');
	let url = '';
	await until('the inspector listens', () => {
		const said = readFileSync(files.logFile, 'utf8').slice(logged);
		url = /Debugger listening on (ws:\S+)/.exec(said)?.[1] ?? '';
		return url !== '';
	});
	const socket = await opened(url);
	const sessions: string[] = [];
	socket.addEventListener('message', ({ data }) => {
		const { method, params } = JSON.parse(String(data)) as Message;
		if (method === 'NodeWorker.attachedToWorker') sessions.push(params?.sessionId ?? '');
	});
	const send = (method: string, params: object): void =>
		socket.send(JSON.stringify({ id: 1, method, params }));
	send('NodeWorker.enable', { waitForDebuggerOnStart: false });
	await until('the thread is found', () => sessions.length > 0);
	const message = { id: 1, method: 'Runtime.evaluate', params: { expression: script } };
	send('NodeWorker.sendMessageToWorker', {
		sessionId: sessions[0],
		message: JSON.stringify(message),
	});
	const { bufferedAmount } = socket;
	await until('it is sent', () => bufferedAmount === 0 || socket.bufferedAmount === 0);
	socket.close();
};
