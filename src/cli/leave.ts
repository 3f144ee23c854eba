import type { Status } from '#src/api/view.ts';
import { act, actOptions, type Goal } from '#src/cli/act.ts';
import { readRecord } from '#src/cli/offline.ts';
import { parseOptions, usageError } from '#src/cli/options.ts';
import type { Surroundings } from '#src/cli/surroundings.ts';

/** It was being emptied, and is not any more: the other host, which was to take the VMs, is gone. */
export const staysAfterAll = (): ((status: Status) => string | null) => {
	let began = false;
	return ({ hosts, peer }) => {
		const emptied = hosts.some((host) => host.self && host.emptied === true);
		began ||= emptied;
		return began && !emptied ? `this host stays: ${peer} is not there to take its VMs` : null;
	};
};

/** What every way to leave waits for. */
export const leaveGoal = ({ stateFolder }: Surroundings): Goal => ({
	reached: () => false,
	vm: null,
	// The durable record says that the leave came to its end; an agent that merely died goes on with it.
	endedWith: () => readRecord(stateFolder).record.leaving?.done === true,
	done: 'this host has left the pair and may be switched off; it joins again when it boots',
});

const cancel = async (json: boolean, around: Surroundings): Promise<number> =>
	await act(
		{ verb: 'leave', by: around.user, how: 'cancel' },
		{ reached: () => true, vm: null, done: 'this host stays' },
		{ json, wait: true },
		around,
	);

/** `vmpair leave [--migrate | --stop | --cancel]`: empties this host and says goodbye, before it is switched off. */
export const leave = async (argv: string[], around: Surroundings): Promise<number> => {
	const { values } = parseOptions('leave', argv, {
		...actOptions,
		migrate: { type: 'boolean', default: false },
		stop: { type: 'boolean', default: false },
		cancel: { type: 'boolean', default: false },
		'at-shutdown': { type: 'boolean', default: false },
		config: { type: 'string' },
	});
	const { migrate, stop, 'at-shutdown': atShutdown } = values;
	if ([migrate, stop, values.cancel, atShutdown].filter(Boolean).length > 1)
		throw usageError('--migrate, --stop, --cancel and --at-shutdown exclude each other', 'leave');
	if (values.cancel) return await cancel(values.json, around);
	if (atShutdown)
		return await (
			await import('#src/cli/leave-at-shutdown.ts')
		).leaveAtShutdown(values.config, around);
	const how = migrate ? 'migrate' : stop ? 'stop' : 'hand-over';
	return await act(
		{ verb: 'leave', by: around.user, how },
		{ ...leaveGoal(around), ...(stop ? {} : { missed: staysAfterAll() }) },
		{ json: values.json, wait: !values['no-wait'] },
		around,
	);
};
