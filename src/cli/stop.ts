import { act, actOptions, vmOf } from '#src/cli/act.ts';
import { parseOptions } from '#src/cli/options.ts';
import type { Surroundings } from '#src/cli/surroundings.ts';

/** `vmpair stop VM` */
export const stop = async (argv: string[], around: Surroundings): Promise<number> => {
	const { values, positionals } = parseOptions('stop', argv, actOptions, ['VM']);
	const [vm = ''] = positionals;
	return await act(
		{ verb: 'stop', vm, by: around.user },
		{
			reached: (status) => vmOf(status, vm)?.state === 'stopped',
			vm,
			done: `${vm} is stopped and stays so until it is started again`,
		},
		{ json: values.json, wait: !values['no-wait'] },
		around,
	);
};
