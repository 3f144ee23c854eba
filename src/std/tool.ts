/** One call of an external program. No shell is involved: `args` reach it as they are. */
export interface ToolCall {
	/** A name in the search path, or an absolute path. */
	readonly file: string;
	readonly args: readonly string[];
	/** The program and everything it started is ended after this long; the call is then `unknown`. */
	readonly limitMs: number;
	/** Added to the own environment; `LC_ALL=C` always is. A secret belongs here or into `input`. */
	readonly environment?: Readonly<Record<string, string>>;
	/** Written to its standard input, which is then closed. Without it the input is empty. */
	readonly input?: string;
	/** Ends the program early; the call is then `unknown`. */
	readonly signal?: AbortSignal;
	/** How far it steps back behind others, 0 (the standard) to 19. */
	readonly niceness?: number;
	/** For programs that are not ours: their environment is `PATH`, `LC_ALL=C` and `environment` alone. */
	readonly sparse?: boolean;
	/** Called once when nothing of the program is left, which may be long after the call when it cannot be ended. */
	readonly onGone?: () => void;
}

/**
 * How a call ended. `not-started`: the program was not found or may not be run, so nothing happened.
 * `unknown`: out of time, ended by a signal, or it wrote more than is kept: it may have done its work.
 */
export type ToolEnd =
	| {
			readonly end: 'exited';
			readonly exitCode: number;
			readonly stdout: string;
			readonly stderr: string;
	  }
	| { readonly end: 'not-started'; readonly detail: string }
	| { readonly end: 'unknown'; readonly detail: string };

/** What a followed program reports: each line it writes, and each of its ends. */
interface Follower {
	onLine(line: string): void;
	/** It ended, or could not be started; it is started again after a pause. */
	onEnd(detail: string): void;
}

/** Runs external programs; drivers are given one, so that each has a time limit and one way to end. */
export interface Tools {
	/** Never rejects. Resolves within `limitMs` and two seconds, even when the program cannot be ended. */
	run(call: ToolCall): Promise<ToolEnd>;
	/**
	 * Keeps a program running that should not end, and reads its lines. When it ends it is started again,
	 * after a pause that doubles from `pauseMs` to 30 s and is reset by a line. The returned function ends it for good.
	 */
	follow(
		call: Pick<ToolCall, 'file' | 'args' | 'environment'> & { readonly pauseMs: number },
		follower: Follower,
	): () => void;
}

/** An option with a secret: drbdadm repeats the whole command of drbdsetup that failed. */
const secretOption = /(-[\w-]*(?:secret|passw(?:or)?d)[=\s]+)(?:"[^"]*"|'[^']*'|[^\s']+)/gi;

/**
 * The last lines a program wrote, as one line for a `detail`: the reason usually stands at the end. What is given to an
 * option with a secret is left out.
 */
export const lastWords = (stdout: string, stderr: string, charactersMax = 300): string => {
	const shown = (stderr.trim() === '' ? stdout : stderr).replaceAll(secretOption, '$1***');
	const text = shown.trim().replaceAll(/\s*\n\s*/g, '; ');
	// oxlint-disable-next-line no-control-regex -- a tool's output must not steer the reader's terminal
	const printable = text.replaceAll(/[\u0000-\u001f\u007f]/g, ' ');
	return printable.length > charactersMax ? `…${printable.slice(-charactersMax)}` : printable;
};
