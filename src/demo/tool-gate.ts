import { execFileSync } from 'node:child_process';
import {
	chmodSync,
	closeSync,
	constants,
	mkdirSync,
	openSync,
	symlinkSync,
	writeFileSync,
	writeSync,
} from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/**
 * The tools of a simulated host: executables named `xl`, `drbdadm` and so on that hand their arguments
 * to the simulated world and print what it answers. The agent runs them as it runs the real ones.
 */

/**
 * One line to the world, then lines back: `o` for stdout, `e` for stderr, `x` for the exit code. In
 * plain sh, because the agent calls it often and a Node start takes 30 ms. The pipe is opened for
 * reading and writing, so that the world can write at once and never blocks.
 */
const script = `#!/bin/sh
calls=\${0%/*}/../calls
answer=$calls/$$
line=$$
for word in "\${0##*/}" "$@"; do line="$line	$word"; done
rm -f "$answer"
mkfifo "$answer" || exit 111
trap 'rm -f "$answer"' EXIT
exec 3<>"$answer"
printf '%s\\n' "$line" >"$calls/requests" || exit 111
while IFS= read -r text <&3; do
	case $text in
	o*) printf '%s\\n' "\${text#o}" ;;
	e*) printf '%s\\n' "\${text#e}" >&2 ;;
	x*) exit "\${text#x}" ;;
	esac
done
`;

/** Every tool that an agent may call on a host of the demo. */
const toolNames = [
	'xl',
	'drbdadm',
	'drbdsetup',
	'ipmitool',
	'ping',
	'systemctl',
	'systemd-run',
	'journalctl',
	'xenstore-watch',
	'modprobe',
] as const;
/** What a shell makes of SIGHUP. */
const hungUp = 129;
type ToolName = (typeof toolNames)[number];

/** One call that waits for its answer. Writing to a caller that is gone is harmless. */
export interface Call {
	readonly tool: ToolName;
	readonly args: readonly string[];
	out(text: string): boolean;
	error(text: string): void;
	exit(code: number): void;
}

export interface ToolGate {
	/** Folder for the search path of the agent. */
	readonly binFolder: string;
	/** Ends every call that waits: its caller is gone, and a tool is a process group of its own. */
	hangUp(): void;
	close(): void;
}

/** `onEnd` is told once, when the caller has its end or is gone. */
const answering = (
	path: string,
	{ tool, args, onEnd }: Pick<Call, 'tool' | 'args'> & { readonly onEnd: () => void },
): Call | null => {
	let fd: number | null;
	try {
		// Without a reader this fails at once instead of waiting: the caller was ended.
		fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
	} catch {
		return null;
	}
	const end = (): void => {
		if (fd === null) return;
		closeSync(fd);
		fd = null;
		onEnd();
	};
	const write = (prefix: string, text: string): boolean => {
		const lines = text.replace(/\n$/, '').split('\n');
		try {
			for (const line of lines) if (fd !== null) writeSync(fd, `${prefix}${line}\n`);
		} catch {
			end();
		}
		return fd !== null;
	};
	return {
		tool,
		args,
		out: (text) => text === '' || write('o', text),
		error: (text) => void write('e', text),
		exit: (code) => {
			write('x', String(code));
			end();
		},
	};
};

/** Puts the tools of one host into `folder` and hands every call to `onCall`. */
export const openToolGate = (folder: string, onCall: (call: Call) => void): ToolGate => {
	const binFolder = join(folder, 'bin');
	const callsFolder = join(folder, 'calls');
	mkdirSync(binFolder, { recursive: true });
	mkdirSync(callsFolder);
	const program = join(binFolder, 'tool');
	writeFileSync(program, script);
	chmodSync(program, 0o755);
	for (const name of toolNames) symlinkSync('tool', join(binFolder, name));
	const requests = join(callsFolder, 'requests');
	execFileSync('mkfifo', [requests]);
	// Open for writing too, so that it never ends when the last caller has closed it.
	const socket = new Socket({
		fd: openSync(requests, constants.O_RDWR | constants.O_NONBLOCK),
		writable: false,
	});
	socket.on('error', () => {});
	const open = new Map<string, Call>();
	createInterface({ input: socket }).on('line', (line) => {
		const [id = '', tool = '', ...args] = line.split('\t');
		const onEnd = (): void => void open.delete(id);
		const call = answering(join(callsFolder, id), { tool: tool as ToolName, args, onEnd });
		if (call === null) return;
		open.set(id, call);
		onCall(call);
	});
	const hangUp = (): void => {
		for (const call of open.values()) call.exit(hungUp);
	};
	const close = (): void => {
		hangUp();
		socket.destroy();
	};
	return { binFolder, hangUp, close };
};
