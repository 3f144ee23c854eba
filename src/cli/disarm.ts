import { act, actOptions } from '#src/cli/act.ts';
import { parseOptions, usageError } from '#src/cli/options.ts';
import type { Surroundings } from '#src/cli/surroundings.ts';

/** `vmpair disarm --reason TEXT`: automatic failover off, for both hosts. VMs go on running. */
export const disarm = async (argv: string[], around: Surroundings): Promise<number> => {
	const { values } = parseOptions('disarm', argv, { ...actOptions, reason: { type: 'string' } });
	if (values.reason === undefined || values.reason === '') {
		throw usageError('say why, for those who look at the status: --reason TEXT', 'disarm');
	}
	return await act(
		{ verb: 'disarm', by: around.user, reason: values.reason },
		{
			reached: (status) => !status.armed.armed,
			vm: null,
			done: 'disarmed on both hosts: nothing is failed over until "vmpair arm"',
		},
		{ json: values.json, wait: !values['no-wait'] },
		around,
	);
};
