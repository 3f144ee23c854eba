import { apiClient } from '#src/api/driver-client.ts';
import { act, actOptions, vmOf } from '#src/cli/act.ts';
import { namedHost, namedVm } from '#src/cli/names.ts';
import { parseOptions } from '#src/cli/options.ts';
import type { Surroundings } from '#src/cli/surroundings.ts';

/** `vmpair move VM [--to HOST]`: stop here, hand over, start there. Throws `unknown-vm` and `unknown-host`. */
export const move = async (argv: string[], around: Surroundings): Promise<number> => {
	const { values, positionals } = parseOptions(
		'move',
		argv,
		{ ...actOptions, to: { type: 'string' } },
		['VM'],
	);
	const [vm = ''] = positionals;
	const before = await apiClient(around.socketPath).status();
	if (values.to !== undefined) namedHost(before, values.to);
	const { owner } = namedVm(before, vm);
	const other = before.hosts.find((host) => host.host !== owner)?.host ?? '';
	const target = values.to ?? other;
	return await act(
		{ verb: 'move', vm, to: values.to ?? null, by: around.user },
		{
			reached: (status) => {
				const now = vmOf(status, vm);
				const settled = now?.wanted === 'stopped' ? 'stopped' : 'running';
				return now?.owner === target && now.state === settled;
			},
			vm,
			endsAgent: false,
			done: `${vm} is on ${target}`,
		},
		{ json: values.json, wait: !values['no-wait'] },
		around,
	);
};
