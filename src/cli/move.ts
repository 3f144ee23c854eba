import { act, vmOf } from '#src/cli/act.ts';
import { destinationOf } from '#src/cli/destination.ts';
import type { Surroundings } from '#src/cli/surroundings.ts';

/** `vmpair move VM [--to HOST]`: stop here, hand over, start there. Throws `unknown-vm` and `unknown-host`. */
export const move = async (argv: string[], around: Surroundings): Promise<number> => {
	const { vm, to, target, ...options } = await destinationOf('move', argv, around);
	return await act(
		{ verb: 'move', vm, to, by: around.user },
		{
			reached: (status) => {
				const now = vmOf(status, vm);
				const settled = now?.wanted === 'stopped' ? 'stopped' : 'running';
				return now?.owner === target && now.state === settled;
			},
			vm,
			done: `${vm} is on ${target}`,
		},
		options,
		around,
	);
};
