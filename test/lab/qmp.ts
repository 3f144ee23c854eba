/** QEMU's machine protocol: one short connection for each command, with a time limit. */
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

type Reply = {
	readonly QMP?: unknown;
	readonly return?: unknown;
	readonly error?: { desc: string };
};

/** Runs one command and returns its answer. QEMU takes one connection at a time. */
export async function qmp(
	socketPath: string,
	command: string,
	args: Record<string, unknown> = {},
	timeoutMs = 60_000,
): Promise<unknown> {
	const socket = connect(socketPath);
	socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`QMP ${command}: no answer`)));
	const send = (execute: string, values: Record<string, unknown>): boolean =>
		socket.write(`${JSON.stringify({ execute, arguments: values })}\n`);
	try {
		let capable = false;
		socket.once('error', () => socket.destroy());
		for await (const line of createInterface({ input: socket })) {
			const reply = JSON.parse(line) as Reply;
			if (reply.error !== undefined) throw new Error(`QMP ${command}: ${reply.error.desc}`);
			if (reply.QMP !== undefined) send('qmp_capabilities', {});
			else if ('return' in reply && !capable) {
				capable = true;
				send(command, args);
			} else if ('return' in reply) return reply.return;
		}
		throw new Error(`QMP ${command}: the connection ended`);
	} finally {
		socket.destroy();
	}
}

/** Runs one line of the human monitor (`savevm` has no other door); an answer with text is an error. */
export async function monitor(socketPath: string, line: string): Promise<void> {
	const text = await qmp(socketPath, 'human-monitor-command', { 'command-line': line }, 120_000);
	if (typeof text === 'string' && text.trim() !== '') throw new Error(`${line}: ${text.trim()}`);
}
