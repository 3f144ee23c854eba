import { apiClient } from '#src/api/driver-client.ts';
import { act, actOptions } from '#src/cli/act.ts';
import { isEmpty } from '#src/cli/evacuate.ts';
import { parseOptions, usageError } from '#src/cli/options.ts';
import type { Surroundings } from '#src/cli/surroundings.ts';

/** `vmpair standby on --reason TEXT` and `standby off`: keeps this host empty, also after a boot. */
export const standby = async (argv: string[], around: Surroundings): Promise<number> => {
	const options = { ...actOptions, reason: { type: 'string', default: '' } } as const;
	const { values, positionals } = parseOptions('standby', argv, options, ['on or off']);
	const [word] = positionals;
	if (word !== 'on' && word !== 'off')
		throw usageError('say "vmpair standby on" or "vmpair standby off"', 'standby');
	if (word === 'on' && values.reason === '')
		throw usageError('say why, for those who look at the status: --reason TEXT', 'standby');
	const { self, peer } = await apiClient(around.socketPath).status();
	return await act(
		{ verb: 'standby', on: word === 'on', by: around.user, reason: values.reason },
		{
			reached: (status) => isEmpty(status, self),
			missed: (status) => {
				const stays = status.conditions.find(({ name }) => name === 'not-emptied');
				return stays === undefined ? null : stays.summary;
			},
			vm: null,
			done: `${self} is in standby: nothing runs here, its VMs are on ${peer}`,
		},
		{ json: values.json, wait: !values['no-wait'] },
		around,
	);
};
