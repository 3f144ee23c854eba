import type { Status } from '#src/api/view.ts';
import { act, vmOf } from '#src/cli/act.ts';
import { destinationOf } from '#src/cli/destination.ts';
import type { Surroundings } from '#src/cli/surroundings.ts';

/** It was seen on its way, and is not any more, and is not there either. */
const turnedBack = (vm: string, target: string): ((status: Status) => string | null) => {
	let began = false;
	return (status) => {
		const now = vmOf(status, vm);
		began ||= now?.state === 'moving';
		if (!began || now === undefined || now.state === 'moving' || now.owner === target) return null;
		return `${vm} was not migrated: it is ${now.state} on ${now.runsOn ?? now.owner ?? 'no host'}`;
	};
};

/** `vmpair migrate VM [--to HOST]`: moves it while it runs. Throws `unknown-vm` and `unknown-host`. */
export const migrate = async (argv: string[], around: Surroundings): Promise<number> => {
	const { vm, to, target, ...options } = await destinationOf('migrate', argv, around);
	return await act(
		{ verb: 'migrate', vm, to, by: around.user },
		{
			reached: (status) => {
				const now = vmOf(status, vm);
				return now?.owner === target && now.state === 'running';
			},
			missed: turnedBack(vm, target),
			vm,
			endsAgent: false,
			done: `${vm} runs on ${target}`,
		},
		options,
		around,
	);
};
