import { apiClient } from '#src/api/driver-client.ts';
import type { Status, VmView } from '#src/api/view.ts';
import { act, actOptions } from '#src/cli/act.ts';
import { namedHost } from '#src/cli/names.ts';
import { targetWarnings } from '#src/cli/load-text.ts';
import { parseOptions } from '#src/cli/options.ts';
import { exit, type Surroundings } from '#src/cli/surroundings.ts';

/** VMs that a host has, running or not. */
export const vmsOn = (status: Status, host: string): readonly VmView[] =>
	status.vms.filter(({ owner }) => owner === host);

/** True when no VM is on the host, and none is on its way from or to it. */
export const isEmpty = (status: Status, host: string): boolean =>
	vmsOn(status, host).length === 0 && status.vms.every(({ state }) => state !== 'moving');

/** It was being emptied, and is not any more, and some VM is still there. */
const gaveUp = (host: string): ((status: Status) => string | null) => {
	let began = false;
	return (status) => {
		const emptied = status.hosts.find((each) => each.host === host)?.emptied === true;
		began ||= emptied;
		const left = vmsOn(status, host);
		if (!began || emptied || left.length === 0) return null;
		return `${left.map(({ vm }) => vm).join(', ')} could not be moved away from ${host}`;
	};
};

/** What would go and what stands in the way, as far as this host can say; one line for each VM. */
export const dryRun = (vms: readonly VmView[], target: string, cold: boolean): readonly string[] =>
	vms.map(({ vm, state, migration, handover }) => {
		if (migration === null || handover === null)
			return `${vm}: ask on its host, which decides about it`;
		if (migration.ready) return `${vm}: would go live to ${target}`;
		if (!handover.ready) return `${vm}: stays: ${handover.blocker}`;
		if (state === 'stopped' || state === 'down')
			return `${vm}: is not running, would go to ${target}`;
		const way = cold ? `would be stopped and started on ${target}` : 'stays';
		return `${vm}: can't go live (${migration.blocker}): ${way}`;
	});

/** `vmpair evacuate HOST [--cold] [--dry-run]`: its VMs go to the other host. Throws `unknown-host`. */
export const evacuate = async (argv: string[], around: Surroundings): Promise<number> => {
	const options = {
		...actOptions,
		cold: { type: 'boolean', default: false },
		'dry-run': { type: 'boolean', default: false },
	} as const;
	const { values, positionals } = parseOptions('evacuate', argv, options, ['HOST']);
	const [host = ''] = positionals;
	const status = await apiClient(around.socketPath).status();
	namedHost(status, host);
	const target = status.hosts.find((each) => each.host !== host)?.host ?? '';
	if (values['dry-run']) {
		const lines = dryRun(vmsOn(status, host), target, values.cold);
		for (const line of lines.length === 0 ? [`no VM is on ${host}`] : lines) around.print(line);
		for (const line of targetWarnings(status, target)) around.print(line);
		return exit.done;
	}
	return await act(
		{ verb: 'evacuate', host, cold: values.cold, by: around.user },
		{
			reached: (now) => isEmpty(now, host),
			missed: gaveUp(host),
			vm: null,
			done: `${host} is empty: its VMs are on ${target}`,
		},
		{ json: values.json, wait: !values['no-wait'] },
		around,
	);
};
