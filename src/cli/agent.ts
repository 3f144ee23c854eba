import { parseOptions } from '#src/cli/options.ts';
import type { Surroundings } from '#src/cli/surroundings.ts';

/** `vmpair agent [--config FILE]`: runs until it is told to end. */
export const agent = async (argv: string[], _around: Surroundings): Promise<number> => {
	const { values } = parseOptions('agent', argv, {
		config: { type: 'string', default: '/etc/vmpair/vmpair.yaml' },
		// The others are for the demo and for tests: two hosts on one kernel, with cables in between.
		'boot-id-file': { type: 'string', default: '/proc/sys/kernel/random/boot_id' },
		'xen-backends': { type: 'string' },
		tied: { type: 'boolean', default: false },
		relay: { type: 'string', multiple: true, default: [] },
	});
	const relayPorts = Object.fromEntries(
		values.relay.map((word) => {
			const [link = '', port] = word.split('=');
			return [link, Number(port)];
		}),
	);
	// Whoever started it is gone: nobody would ever end it.
	if (values.tied) process.stdin.on('close', () => process.kill(process.pid, 'SIGTERM')).resume();
	const { runAgent } = await import('#src/agent.ts');
	return await runAgent({
		configPath: values.config,
		bootIdPath: values['boot-id-file'],
		relayPorts,
		xenBackendFolder: values['xen-backends'] ?? null,
	});
};
