import { apiClient } from '#src/api/driver-client.ts';
import type { HostView, Status } from '#src/api/view.ts';
import { act, actOptions } from '#src/cli/act.ts';
import { askName } from '#src/cli/ask.ts';
import { namedPeer } from '#src/cli/names.ts';
import { parseOptions, usageError } from '#src/cli/options.ts';
import type { Surroundings } from '#src/cli/surroundings.ts';
import { ago, span } from '#src/std/span.ts';

/** Everything this host knows of the other one, so that the person decides on evidence. */
const evidenceLines = (status: Status, peer: HostView): string[] => {
	const { host } = peer;
	const connected = status.vms.filter((vm) =>
		vm.sights.some((sight) => sight.host === status.self && sight.connected),
	);
	const power = status.fencing;
	const affected = status.vms.filter((vm) => vm.owner === host && vm.wanted === 'running');
	const current = affected.filter((vm) => vm.inSync.includes(status.self)).map((vm) => vm.vm);
	const stale = affected.filter((vm) => !vm.inSync.includes(status.self)).map((vm) => vm.vm);
	return [
		`What ${status.self} knows of ${host}:`,
		`  state       ${peer.state} for ${span(peer.ageMs)}${peer.reason === '' ? '' : `: ${peer.reason}`}`,
		`  heard       ${ago(peer.heardAgeMs)}`,
		...status.links.map(
			(link) => `  link        ${link.link} ${link.state}, carrier ${carrierWord(link.carrier)}`,
		),
		`  power       ${power === null || power.powerAgeMs === null ? 'cannot be asked or was not answered' : `${power.power}, asked ${ago(power.powerAgeMs)}`}`,
		`  replication ${connected.length === 0 ? 'connected for no VM' : `STILL CONNECTED for ${connected.map((vm) => vm.vm).join(', ')}`}`,
		`Will start on ${status.self}: ${current.join(', ') || 'nothing'}`,
		...(stale.length === 0
			? []
			: [`Will NOT start, the data here is not current: ${stale.join(', ')}`]),
		`If ${host} still runs, two copies of these VMs would destroy their data.`,
		`Confirm only what you have seen yourself: ${host} is switched off, or cannot reach its disks and networks.`,
	];
};

const carrierWord = (carrier: boolean | null): string => {
	if (carrier === null) return 'unknown';
	return carrier ? 'present' : 'lost';
};

/** `vmpair takeover --confirm-dead HOST [--yes]` */
export const takeover = async (argv: string[], around: Surroundings): Promise<number> => {
	const { values } = parseOptions('takeover', argv, {
		...actOptions,
		'confirm-dead': { type: 'string' },
		yes: { type: 'boolean', default: false },
	});
	const host = values['confirm-dead'];
	if (host === undefined) {
		throw usageError('name the host that is dead: --confirm-dead HOST', 'takeover');
	}
	const status = await apiClient(around.socketPath).status();
	for (const line of evidenceLines(status, namedPeer(status, host))) around.warn(line);
	// The option's value is the typed name where nobody can be asked.
	if (around.interactive && !values.yes) await askName(host, 'host');
	return await act(
		{ verb: 'takeover', confirmDead: host, by: around.user },
		{
			reached: ({ vms, hosts }) =>
				hosts.some((each) => each.host === host && each.state === 'out') &&
				vms.every((vm) => vm.wanted === 'stopped' || vm.owner !== host) &&
				vms.every((vm) => vm.wanted === 'stopped' || ['running', 'down'].includes(vm.state)),
			vm: null,
			done: `${status.self} has taken over; "vmpair status" shows every VM`,
		},
		{ json: values.json, wait: !values['no-wait'] },
		around,
	);
};
