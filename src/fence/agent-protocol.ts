import type { FenceCall, FenceVerb, ToolOutput } from '#src/fence/call.ts';
import { normalParameterName } from '#src/fence/device.ts';
import type { AgentDevice } from '#src/fence/device.ts';
import { succeeded, unknown } from '#src/ports-outcome.ts';
import type { Outcome, PowerState } from '#src/ports.ts';
import type { Secret } from '#src/std/secret.ts';
import { lastWords } from '#src/std/tool.ts';

/**
 * The call of a ClusterLabs fence agent: no arguments, options as `key=value` lines on its input (FenceAgentAPI).
 * Nothing of them, so no secret either, is visible in the list of processes.
 */
export const agentCall = (
	device: AgentDevice,
	verb: FenceVerb,
	secrets: Readonly<Record<string, Secret>>,
): FenceCall => {
	const lines = [
		...Object.entries(device.parameters),
		...Object.entries(secrets).map(([name, secret]) => [name, secret.reveal()] as const),
	].map(([name, value]) => `${normalParameterName(name)}=${inQuotes(value)}`);
	// The last line of a name counts: nothing configured can change what is asked for.
	return { file: device.agent, args: [], input: `${[...lines, `action=${verb}`].join('\n')}\n` };
};

/**
 * An agent strips blanks around a line and then one pair of double quotes around the value
 * (fencing.py, _parse_input_stdin); a value with blanks or quotes at its ends needs such a pair to arrive as it is.
 */
const inQuotes = (value: string): string => (/^\s|\s$|^".*"$/.test(value) ? `"${value}"` : value);

/** A misspelt option is ignored by the agent, with a warning: the likeliest reason for what follows. */
const ignoredIn = ({ stderr }: ToolOutput): string => {
	const option = /Ignoring unknown option '([A-Za-z0-9_-]+)/.exec(stderr)?.[1];
	return option === undefined ? '' : `the agent does not know the option "${option}"; `;
};

/** The agent's own error line rather than the interpreter's warnings around it. */
const wordsOf = (output: ToolOutput): string => {
	const errors = output.stderr
		.split('\n')
		.flatMap((line) => /\bERROR:\s*(.+)$/.exec(line)?.[1]?.trim() ?? []);
	const error = errors[0]?.slice(0, 300) ?? lastWords(output.stdout, output.stderr);
	return `exit code ${output.exitCode}: ${ignoredIn(output)}${error}`;
};

/**
 * `status`: exit code 0 is on, 2 is off, everything else unknown. Off is a proof of death, so the agent must
 * also say it: 2 alone is how a shell or an interpreter ends that cannot read the agent.
 */
export const agentPower = (output: ToolOutput): Outcome<PowerState> => {
	const said = /^Status:\s*(on|off)\b/im.exec(output.stdout)?.[1]?.toLowerCase();
	if (output.exitCode === 0 && said !== 'off') return succeeded('on');
	if (output.exitCode === 2 && said === 'off') return succeeded('off');
	return unknown(wordsOf(output));
};

/**
 * `off` and `on`: 0 is success. Every failure is unknown: an agent also fails when it sent the command and
 * then waited in vain for the power to change.
 */
export const agentAct = (output: ToolOutput): Outcome =>
	output.exitCode === 0 ? succeeded(null) : unknown(wordsOf(output));
