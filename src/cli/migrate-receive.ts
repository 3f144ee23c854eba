import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { transportOf, type Start } from '#src/cli/migrate-transport.ts';
import { parseOptions, usageError } from '#src/cli/options.ts';
import { exit, type Surroundings } from '#src/cli/surroundings.ts';
import { awaitPeer, carry } from '#src/migrate/driver.ts';

/** For the last bytes to reach the peer once xl has ended. */
const lingerMs = 10_000;

/** What takes the VM: paused until the agent lets it run, and without a process of xl that stays, as at a create. */
const command = { file: 'xl', args: ['migrate-receive', '-e', '-p'] } as const;

type Xl = ChildProcessByStdio<Writable, Readable, null>;

/** xl's exit code once it has ended and its last words are with the peer. */
const conduct = async (socket: TLSSocket, xl: Xl): Promise<number> => {
	const { closed } = carry(socket, xl.stdout, xl.stdin);
	const [code] = (await once(xl, 'close')) as [number | null];
	let timer: NodeJS.Timeout | undefined;
	const late = new Promise<void>((resolve) => {
		timer = setTimeout(resolve, lingerMs);
	});
	await Promise.race([closed, late]);
	clearTimeout(timer);
	return code ?? exit.failed;
};

const take = async (start: Start, waitMs: number, around: Surroundings): Promise<number> => {
	const socket = await awaitPeer(start.route, waitMs, {
		ready: () => start.say('waiting'),
		refused: (why) => around.warn(`refused: ${why}`),
	});
	start.say('connected');
	// xl sees the end of the stream and takes back what it has done; this process stays until it has.
	process.on('SIGTERM', () => {
		socket.destroy();
		start.say('cut');
	});
	const xl = spawn(command.file, command.args, { stdio: ['pipe', 'pipe', 'inherit'] });
	try {
		return await conduct(socket, xl);
	} finally {
		socket.destroy();
	}
};

/**
 * `vmpair migrate-receive --vm VM`: waits for the peer's `migrate-send` and hands the stream to `xl migrate-receive`,
 * whose exit code becomes its own. Ends when nobody came in time.
 */
export const receive = async (argv: string[], around: Surroundings): Promise<number> => {
	const { values } = parseOptions('migrate-receive', argv, {
		config: { type: 'string', default: '/etc/vmpair/vmpair.yaml' },
		vm: { type: 'string' },
		// Seconds.
		wait: { type: 'string', default: '60' },
	});
	if (values.vm === undefined) {
		throw usageError('"vmpair migrate-receive" needs --vm', 'migrate-receive');
	}
	const start = await transportOf('receive', values.config, values.vm);
	try {
		return await take(start, Number(values.wait) * 1000, around);
	} finally {
		start.silence();
	}
};
