/** What a fence device is asked for. There is no `reboot` and no `cycle`: their success proves nothing. */
export type FenceVerb = 'status' | 'off' | 'on';

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
