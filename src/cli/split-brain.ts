import { apiClient } from '#src/api/driver-client.ts';
import type { Status, VmView } from '#src/api/view.ts';
import { act, actOptions, vmOf } from '#src/cli/act.ts';
import { askName } from '#src/cli/ask.ts';
import { parseOptions, usageError } from '#src/cli/options.ts';
import { apartLines } from '#src/cli/split-brain-text.ts';
import { exit, type Surroundings } from '#src/cli/surroundings.ts';

const named = (status: Status, name: string): VmView => {
	const vm = vmOf(status, name);
	if (vm === undefined) throw usageError(`there is no VM "${name}" in this pair`, 'split-brain');
	return vm;
};

/** `vmpair split-brain show [VM]`: what both hosts hold, side by side. */
const show = async (argv: string[], around: Surroundings): Promise<number> => {
	const { values, positionals } = parseOptions(
		'split-brain',
		argv,
		{ json: { type: 'boolean', default: false } },
		argv.some((word) => !word.startsWith('-')) ? ['VM'] : [],
	);
	const status = await apiClient(around.socketPath).status();
	const [name] = positionals;
	const vms =
		name === undefined ? status.vms.filter((vm) => vm.apart !== null) : [named(status, name)];
	if (values.json) {
		around.print(JSON.stringify(vms.map(({ vm, resource, apart }) => ({ vm, resource, apart }))));
		return exit.done;
	}
	if (vms.length === 0) around.print('the copies and records of every VM belong together');
	for (const vm of vms) for (const line of apartLines(vm, around)) around.print(line);
	return exit.done;
};

/** Which copy goes, by either of the two options. */
const discardedHost = (
	status: Status,
	values: { readonly discard?: string | undefined; readonly keep?: string | undefined },
): string => {
	const { discard, keep } = values;
	if ((discard === undefined) === (keep === undefined))
		throw usageError('say which copy goes: --discard HOST or --keep HOST', 'split-brain');
	const hosts = status.hosts.map(({ host }) => host);
	const word = discard ?? keep ?? '';
	if (!hosts.includes(word))
		throw usageError(`"${word}" is not a host of this pair (${hosts.join(', ')})`, 'split-brain');
	return discard ?? hosts.find((host) => host !== keep) ?? '';
};

const confirm = async (
	vm: VmView,
	discard: string,
	typed: string | undefined,
	around: Surroundings,
): Promise<void> => {
	for (const line of apartLines(vm, around)) around.warn(line);
	around.warn('');
	around.warn(`${discard} gives up its copy of ${vm.vm}. What is written above is LOST there.`);
	around.warn(
		'A snapshot of its backing volume is made first where that is LVM and has room; "vmpair history" on that host names it.',
	);
	if (typed === discard) return;
	if (typed !== undefined || !around.interactive) {
		throw usageError(`this discards data: confirm it with --confirm ${discard}`, 'split-brain');
	}
	await askName(discard, 'host');
};

/** `vmpair split-brain resolve VM --discard HOST | --keep HOST [--confirm HOST]` */
const resolve = async (argv: string[], around: Surroundings): Promise<number> => {
	const { values, positionals } = parseOptions(
		'split-brain',
		argv,
		{
			...actOptions,
			discard: { type: 'string' },
			keep: { type: 'string' },
			confirm: { type: 'string' },
		},
		['VM'],
	);
	const status = await apiClient(around.socketPath).status();
	const vm = named(status, positionals[0] ?? '');
	const discard = discardedHost(status, values);
	// Asked on the wrong host it is refused with the right one's name; nothing has to be confirmed for that.
	if (discard !== status.self) await confirm(vm, discard, values.confirm, around);
	return await act(
		{ verb: 'resolve', vm: vm.vm, discard, by: around.user },
		{
			reached: (now) => {
				const seen = vmOf(now, vm.vm);
				return seen?.apart === null && seen.sights[0]?.connected === true;
			},
			vm: vm.vm,
			done: `${discard} has given its copy of ${vm.vm} up and takes over the data; "vmpair status -w" shows the resync`,
		},
		{ json: values.json, wait: !values['no-wait'] },
		around,
	);
};

/** `vmpair split-brain show|resolve` */
export const splitBrain = async (argv: string[], around: Surroundings): Promise<number> => {
	const [what, ...rest] = argv;
	if (what === 'show') return await show(rest, around);
	if (what === 'resolve') return await resolve(rest, around);
	throw usageError('say "show" or "resolve"', 'split-brain');
};
