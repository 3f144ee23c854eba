/** Running tools with a time limit, and waiting for conditions: the lab never sleeps for luck. */
import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';

export type Outcome = {
	/** Exit code; -1 when the tool was ended by its time limit or a signal. */
	readonly code: number;
	readonly stdout: string;
	readonly stderr: string;
	readonly ms: number;
	readonly timedOut: boolean;
};

export type RunOptions = {
	readonly timeoutMs?: number;
	readonly input?: string;
	readonly cwd?: string;
	readonly env?: Record<string, string>;
	/** Do not throw when the exit code is not 0. */
	readonly anyCode?: boolean;
};

/** Runs one tool to its end. Throws on a non-zero exit unless `anyCode`. */
export async function run(
	command: string,
	args: readonly string[],
	options: RunOptions = {},
): Promise<Outcome> {
	const started = performance.now();
	const result = await execa(command, [...args], {
		reject: false,
		timeout: options.timeoutMs ?? 60_000,
		forceKillAfterDelay: 2000,
		...(options.input === undefined ? { stdin: 'ignore' as const } : { input: options.input }),
		...(options.cwd === undefined ? {} : { cwd: options.cwd }),
		...(options.env === undefined ? {} : { env: options.env }),
	});
	const outcome: Outcome = {
		code: result.exitCode ?? -1,
		stdout: result.stdout,
		stderr: result.stderr,
		ms: Math.round(performance.now() - started),
		timedOut: result.timedOut,
	};
	if (outcome.code !== 0 && options.anyCode !== true) {
		const shown = [command, ...args].join(' ').slice(0, 400);
		const why = outcome.timedOut ? 'ran out of time' : `exit ${outcome.code}`;
		const spawn = result.exitCode === undefined ? (result.shortMessage ?? '') : '';
		throw new Error(
			`${shown}: ${why}: ${(outcome.stderr || outcome.stdout || spawn).slice(-2000)}`,
		);
	}
	return outcome;
}

export type UntilOptions = {
	readonly what: string;
	readonly timeoutMs: number;
	readonly everyMs?: number;
	/** Ends the wait early, with the signal's reason. */
	readonly signal?: AbortSignal;
};

/** Polls until `probe` gives a value other than undefined; a probe that throws counts as not yet. */
export async function until<T>(
	probe: () => Promise<T | undefined> | T | undefined,
	options: UntilOptions,
): Promise<T> {
	const deadline = performance.now() + options.timeoutMs;
	let last = '';
	for (;;) {
		options.signal?.throwIfAborted();
		try {
			const value = await probe();
			if (value !== undefined) return value;
		} catch (thrown) {
			last = thrown instanceof Error ? thrown.message : String(thrown);
		}
		if (performance.now() > deadline) {
			throw new Error(`waited ${options.timeoutMs} ms in vain for ${options.what} ${last}`.trim());
		}
		await delay(options.everyMs ?? 200);
	}
}

/** A short stable key for a cache, from everything the cached thing is made of. */
export const keyOf = (...inputs: readonly string[]): string =>
	createHash('sha256').update(inputs.join('\0')).digest('hex').slice(0, 16);

/** One line of progress on stderr, with the seconds since the start. */
export function progress(text: string): void {
	process.stderr.write(`[lab ${(performance.now() / 1000).toFixed(1).padStart(6)}] ${text}\n`);
}
