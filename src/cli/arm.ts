import { act, actOptions } from '#src/cli/act.ts';
import { parseOptions } from '#src/cli/options.ts';
import type { Surroundings } from '#src/cli/surroundings.ts';

/** `vmpair arm [--reason TEXT]`: automatic failover on, for both hosts. */
export const arm = async (argv: string[], around: Surroundings): Promise<number> => {
	const { values } = parseOptions('arm', argv, { ...actOptions, reason: { type: 'string' } });
	return await act(
		{ verb: 'arm', by: around.user, reason: values.reason ?? '' },
		{
			reached: (status) => status.armed.armed,
			vm: null,
			done: 'armed on both hosts',
		},
		{ json: values.json, wait: !values['no-wait'] },
		around,
	);
};
