import { act, actOptions } from '#src/cli/act.ts';
import { parseOptions } from '#src/cli/options.ts';
import type { Surroundings } from '#src/cli/surroundings.ts';

/** `vmpair leave`: hands every VM over and says goodbye, before this host is switched off on purpose. */
export const leave = async (argv: string[], around: Surroundings): Promise<number> => {
	const { values } = parseOptions('leave', argv, actOptions);
	return await act(
		{ verb: 'leave', by: around.user },
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
