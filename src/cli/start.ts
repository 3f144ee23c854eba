import { apiClient } from '#src/api/driver-client.ts';
import type { Status, VmView } from '#src/api/view.ts';
import { act, actOptions, vmOf } from '#src/cli/act.ts';
import { askName } from '#src/cli/ask.ts';
import { namedVm } from '#src/cli/names.ts';
import { parseOptions, usageError } from '#src/cli/options.ts';
import type { Surroundings } from '#src/cli/surroundings.ts';
import { ago } from '#src/std/span.ts';

/** What a start from this host's copy would lose, as far as it can be known. */
const lossLines = (status: Status, vm: VmView): string[] => {
	const others = vm.inSync.filter((host) => host !== status.self);
	const peer = status.hosts.find((host) => !host.self);
	const own = vm.sights.find((sight) => sight.host === status.self);
	if (vm.inSync.includes(status.self)) {
		return [`The record says that ${status.self} has every acknowledged write of ${vm.vm}.`];
	}
	return [
		`The copy of ${vm.vm} on ${status.self} is ${own?.disk ?? 'not visible'} and NOT current.`,
		others.length === 0
			? 'No host is known to have every acknowledged write.'
			: `Every write that was acknowledged since ${status.self} was excluded is on ${others.join(' and ')} alone, and would be LOST.`,
		`${peer?.host ?? 'The peer'} was heard ${ago(peer?.heardAgeMs ?? null)}; if its disks can be saved, bring it back instead.`,
	];
};

const confirmStale = async (
	name: string,
	typed: string | undefined,
	around: Surroundings,
): Promise<void> => {
	const status = await apiClient(around.socketPath).status();
	for (const line of lossLines(status, namedVm(status, name))) around.warn(line);
	if (typed === name) return;
	if (typed !== undefined || !around.interactive) {
		throw usageError(`--accept-stale discards writes: confirm it with --confirm ${name}`, 'start');
	}
	await askName(name, 'VM');
};

/** `vmpair start VM [--accept-stale [--confirm VM]]` */
export const start = async (argv: string[], around: Surroundings): Promise<number> => {
	const { values, positionals } = parseOptions(
		'start',
		argv,
		{
			...actOptions,
			'accept-stale': { type: 'boolean', default: false },
			confirm: { type: 'string' },
		},
		['VM'],
	);
	const [vm = ''] = positionals;
	const acceptStale = values['accept-stale'];
	if (acceptStale) await confirmStale(vm, values.confirm, around);
	return await act(
		{ verb: 'start', vm, by: around.user, acceptStale },
		{
			reached: (status) => vmOf(status, vm)?.state === 'running',
			vm,
			done: `${vm} runs`,
		},
		{ json: values.json, wait: !values['no-wait'] },
		around,
	);
};
