import { act, actOptions } from '#src/cli/act.ts';
import { parseOptions } from '#src/cli/options.ts';
import type { Surroundings } from '#src/cli/surroundings.ts';

/** `vmpair resume`: the end of a pause, before its time. */
export const resume = async (argv: string[], around: Surroundings): Promise<number> => {
	const { values } = parseOptions('resume', argv, actOptions);
	return await act(
		{ verb: 'resume', by: around.user },
		{ reached: (status) => status.pause === null, vm: null, done: 'the pair acts by itself again' },
		{ json: values.json, wait: !values['no-wait'] },
		around,
	);
};
