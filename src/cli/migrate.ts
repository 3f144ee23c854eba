import { apiClient } from '#src/api/driver-client.ts';
import type { Status } from '#src/api/view.ts';
import { act, actOptions, vmOf } from '#src/cli/act.ts';
import { destinationOf, type Destination } from '#src/cli/destination.ts';
import { dryRun } from '#src/cli/evacuate.ts';
import { targetWarnings } from '#src/cli/load-text.ts';
import { namedVm } from '#src/cli/names.ts';
import { parseOptions } from '#src/cli/options.ts';
import { exit, type Surroundings } from '#src/cli/surroundings.ts';

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

const cancel = async (argv: string[], around: Surroundings): Promise<number> => {
	const options = { ...actOptions, cancel: { type: 'boolean', default: false } } as const;
	const { values, positionals } = parseOptions('migrate', argv, options, ['VM']);
	const [vm = ''] = positionals;
	return await act(
		{ verb: 'cancel-migration', vm, by: around.user },
		{
			reached: (status) => vmOf(status, vm)?.state !== 'moving',
			vm,
			done: `${vm} is not on its way any more: vmpair status shows where it is`,
		},
		{ json: values.json, wait: !values['no-wait'] },
		around,
	);
};

const tellOnly = async ({ vm, target }: Destination, around: Surroundings): Promise<number> => {
	const status = await apiClient(around.socketPath).status();
	for (const line of dryRun([namedVm(status, vm)], target, false)) around.print(line);
	for (const line of targetWarnings(status, target)) around.print(line);
	return exit.done;
};

/**
 * `vmpair migrate VM [--to HOST] [--dry-run]`: moves it while it runs; `--cancel` has one that is on its way stay.
 * Throws `unknown-vm` and `unknown-host`.
 */
export const migrate = async (argv: string[], around: Surroundings): Promise<number> => {
	if (argv.includes('--cancel')) return await cancel(argv, around);
	const only = argv.includes('--dry-run');
	const words = argv.filter((word) => word !== '--dry-run');
	const { vm, to, target, ...options } = await destinationOf('migrate', words, around);
	if (only) return await tellOnly({ vm, to, target, ...options }, around);
	return await act(
		{ verb: 'migrate', vm, to, by: around.user },
		{
			reached: (status) => {
				const now = vmOf(status, vm);
				return now?.owner === target && now.state === 'running';
			},
			missed: turnedBack(vm, target),
			vm,
			done: `${vm} runs on ${target}`,
		},
		options,
		around,
	);
};
