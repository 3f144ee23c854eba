import type { Outcome, PowerState } from '#src/ports.ts';

/** What a fence device is asked for. There is no `reboot` and no `cycle`: their success proves nothing. */
export type FenceVerb = 'status' | 'off' | 'on' | 'monitor';

/** A call of a device's tool. Secrets are in `environment` or `input`, never in `args`. */
export interface FenceCall {
	readonly file: string;
	readonly args: readonly string[];
	readonly environment?: Readonly<Record<string, string>>;
	readonly input?: string;
}

/** Output of a tool that ended by itself. */
export interface ToolOutput {
	readonly exitCode: number;
	readonly stdout: string;
	readonly stderr: string;
}

export const power = (value: PowerState): Outcome<PowerState> => ({ result: 'succeeded', value });
export const done: Outcome = { result: 'succeeded', value: null };
export const unknown = (
	detail: string,
): { readonly result: 'unknown'; readonly detail: string } => ({
	result: 'unknown',
	detail,
});
export const failed = (
	code: string,
	detail: string,
): { readonly result: 'failed'; readonly code: string; readonly detail: string } => ({
	result: 'failed',
	code,
	detail,
});
