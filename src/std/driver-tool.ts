import { setPriority } from 'node:os';
import { createInterface } from 'node:readline';
import { execa } from 'execa';
import type { ToolCall, ToolEnd, Tools } from '#src/std/tool.ts';

/** More output than this is not kept; no tool we call comes near it. */
const outputCharactersMax = 4_000_000;

/**
 * A program that is stuck in the kernel cannot be ended. The call does not wait for it any longer than
 * this after its limit.
 */
const lingerMs = 1000;

const common = {
	reject: false,
	// The programs' words are parsed, so they must not be translated.
	env: { LC_ALL: 'C' },
	// A program's own children (an agent's ipmitool, for instance) end with it: what is left of a call
	// that ran out of time must not act later, when something else has been decided.
	killDescendants: true,
	killSignal: 'SIGKILL',
	stripFinalNewline: false,
} as const;

const environmentOf = (call: Pick<ToolCall, 'environment' | 'sparse'>) => ({
	...common.env,
	...(call.sparse === true ? { PATH: process.env['PATH'] ?? '' } : {}),
	...call.environment,
});

/** Only what execa's result says without its message, which would repeat the arguments. */
interface Ended {
	readonly exitCode?: number | undefined;
	readonly signal?: string | undefined;
	readonly timedOut: boolean;
	readonly isCanceled: boolean;
	readonly isMaxBuffer: boolean;
	readonly code?: string | undefined;
	readonly stdout: string;
	readonly stderr: string;
}

const endOf = (call: ToolCall, result: Ended): ToolEnd => {
	const unknown = (detail: string): ToolEnd => ({
		end: 'unknown',
		detail: `${call.file} ${detail}`,
	});
	if (result.timedOut) return unknown(`did not answer within ${call.limitMs} ms`);
	if (result.isCanceled) return unknown('was called off');
	if (result.isMaxBuffer) return unknown('wrote more than can be read');
	if (result.exitCode !== undefined) {
		const { exitCode, stdout, stderr } = result;
		return { end: 'exited', exitCode, stdout, stderr };
	}
	if (result.signal !== undefined) return unknown(`was ended by ${result.signal}`);
	const reason = result.code === 'ENOENT' ? 'is not installed' : `cannot be run (${result.code})`;
	return { end: 'not-started', detail: `${call.file} ${reason}` };
};

/**
 * The agent runs before others for the sake of its heartbeats; its tools must not, or a host that is slow
 * already is starved by its own power queries.
 */
const asOthers = (pid: number | undefined, niceness = 0): void => {
	if (pid === undefined) return;
	try {
		setPriority(pid, niceness);
	} catch {
		// It has ended already, or it may not be changed: it goes on as it is.
	}
};

const run = async (call: ToolCall): Promise<ToolEnd> => {
	// Zero would mean no limit to execa.
	const limitMs = Math.max(1, Math.round(call.limitMs));
	const subprocess = execa(call.file, [...call.args], {
		...common,
		env: environmentOf(call),
		extendEnv: call.sparse !== true,
		timeout: limitMs,
		maxBuffer: outputCharactersMax,
		input: call.input ?? '',
		...(call.signal === undefined ? {} : { cancelSignal: call.signal }),
	});
	asOthers(subprocess.pid, call.niceness);
	let timer: NodeJS.Timeout | undefined;
	const ended = subprocess.then((result) => {
		call.onGone?.();
		return endOf(call, result);
	});
	const stuck = new Promise<ToolEnd>((resolve) => {
		const detail = `${call.file} did not answer within ${call.limitMs} ms and cannot be ended`;
		timer = setTimeout(() => resolve({ end: 'unknown', detail }), limitMs + lingerMs);
	});
	try {
		return await Promise.race([ended, stuck]);
	} finally {
		clearTimeout(timer);
	}
};

const pauseMsMax = 30_000;

const follow: Tools['follow'] = (call, follower) => {
	let stopped = false;
	let end = (): void => {};
	let pauseMs = call.pauseMs;
	let restart: NodeJS.Timeout | undefined;
	const start = async (): Promise<void> => {
		const subprocess = execa(call.file, [...call.args], {
			...common,
			env: environmentOf(call),
			stdin: 'ignore',
			stderr: 'ignore',
			buffer: false,
		});
		asOthers(subprocess.pid);
		end = () => void subprocess.kill();
		const lines = createInterface({ input: subprocess.stdout });
		lines.on('line', (line) => {
			pauseMs = call.pauseMs;
			if (!stopped) follower.onLine(line);
		});
		const result = await subprocess;
		lines.close();
		if (stopped) return;
		const how = result.exitCode ?? result.signal ?? result.code ?? 'unknown';
		follower.onEnd(`${call.file} ended (${how})`);
		restart = setTimeout(() => void start(), pauseMs);
		pauseMs = Math.min(2 * pauseMs, pauseMsMax);
	};
	void start();
	return () => {
		stopped = true;
		clearTimeout(restart);
		end();
	};
};

/** Runs programs of this machine. */
export const tools: Tools = { run, follow };
