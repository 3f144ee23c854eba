import { parseOptions, usageError } from '#src/cli/options.ts';
import type { Surroundings } from '#src/cli/surroundings.ts';

/** Between the end of the agent and the end of its process: time for an error to be told. */
const exitMs = 200;

/** Words such as `NAME=VALUE` as a record. */
const record = (words: readonly string[]): Record<string, string> =>
	Object.fromEntries(
		words.map((word) => {
			const at = word.indexOf('=');
			if (at < 1) throw usageError(`expected NAME=VALUE, found "${word}"`, 'agent');
			return [word.slice(0, at), word.slice(at + 1)];
		}),
	);

/** `vmpair agent [--config FILE]`: runs until it is told to end. */
export const agent = async (argv: string[], _around: Surroundings): Promise<number> => {
	const { values } = parseOptions('agent', argv, {
		config: { type: 'string', default: '/etc/vmpair/vmpair.yaml' },
		// The others are for the demo and for tests: two hosts on one kernel, with cables in between.
		place: { type: 'string', multiple: true, default: [] },
		relay: { type: 'string', multiple: true, default: [] },
		tied: { type: 'boolean', default: false },
	});
	// Whoever started it is gone: nobody would ever end it.
	if (values.tied) process.stdin.on('close', () => process.kill(process.pid, 'SIGTERM')).resume();
	const relays = Object.entries(record(values.relay));
	const { runAgent } = await import('#src/agent.ts');
	const { usualPlaces } = await import('#src/agent-drivers.ts');
	try {
		return await runAgent({
			configPath: values.config,
			places: { ...usualPlaces, ...record(values.place) },
			relayPorts: Object.fromEntries(relays.map(([link, port]) => [link, Number(port)])),
		});
	} finally {
		// Everything is closed, or did not close in time: a tool that hangs must not hold the agent.
		setTimeout(() => process.exit(), exitMs).unref();
	}
};
