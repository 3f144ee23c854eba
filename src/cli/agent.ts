import { parseOptions } from '#src/cli/options.ts';
import type { Surroundings } from '#src/cli/surroundings.ts';

/** `vmpair agent [--config FILE]`: runs until it is told to end. */
export const agent = async (argv: string[], _around: Surroundings): Promise<number> => {
	const { values } = parseOptions('agent', argv, {
		config: { type: 'string', default: '/etc/vmpair/vmpair.yaml' },
	});
	const { runAgent } = await import('#src/agent.ts');
	return await runAgent({ configPath: values.config });
};
