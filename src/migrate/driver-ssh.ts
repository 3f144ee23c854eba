import { spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { sshArguments, sshFinding, type SshRoute } from '#src/migrate/ssh.ts';
import type { Tools } from '#src/std/tool.ts';

/** What ssh writes beyond this is dropped. */
const wordsMax = 4096;
/** For the whole look; ssh gives up its connection before. */
const lookMs = 20_000;

/**
 * Starts an ssh whose standard input and output are one socket, which leads to the migration port of the other host.
 * `said`: what ssh has written about it so far. Ssh ends with the socket.
 */
export const dialSsh = (route: SshRoute): { socket: Socket; said: () => string } => {
	// A socket for both directions is what TLS is laid over; ssh takes it as its standard input and output.
	const words = ['-c', 'exec ssh "$@" <&3 >&3 3<&-', 'sh', ...sshArguments(route)];
	const child = spawn('sh', words, {
		stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
		env: { ...process.env, LC_ALL: 'C' },
	});
	let text = '';
	child.stderr?.setEncoding('utf8').on('data', (piece: string) => {
		text = `${text}${piece}`.slice(-wordsMax);
	});
	const socket = child.stdio[3] as Socket;
	// What could not be started is seen at the socket, which closes.
	child.on('error', (error) => socket.destroy(error));
	socket.on('error', () => {}).once('close', () => child.kill());
	return { socket, said: () => text.trim().replaceAll(/\s*\n\s*/g, '; ') };
};

/** What is wrong with the way through ssh, as a sentence with a remedy; null when nothing is. */
export const sshPreflight = async (tools: Tools, route: SshRoute): Promise<string | null> => {
	const args = sshArguments(route);
	return sshFinding(route, await tools.run({ file: 'ssh', args, limitMs: lookMs }));
};
