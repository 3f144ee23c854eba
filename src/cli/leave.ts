import { act, actOptions } from '#src/cli/act.ts';
import { parseOptions, usageError } from '#src/cli/options.ts';
import type { Surroundings } from '#src/cli/surroundings.ts';

/** `vmpair leave [--migrate | --stop]`: empties this host and says goodbye, before it is switched off on purpose. */
export const leave = async (argv: string[], around: Surroundings): Promise<number> => {
	const { values } = parseOptions('leave', argv, {
		...actOptions,
		migrate: { type: 'boolean', default: false },
		stop: { type: 'boolean', default: false },
	});
	if (values.migrate && values.stop)
		throw usageError('--migrate and --stop exclude each other', 'leave');
	const how = values.migrate ? 'migrate' : values.stop ? 'stop' : 'hand-over';
	return await act(
		{ verb: 'leave', by: around.user, how },
		{
			reached: (status) => status.hosts.some((host) => host.self && host.state === 'left'),
			vm: null,
			endsAgent: true,
			done: 'this host has left the pair and may be switched off; it joins again when it boots',
		},
		{ json: values.json, wait: !values['no-wait'] },
		around,
	);
};
