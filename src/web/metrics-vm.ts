import type { SightView, Status, VmView } from '#src/api/view.ts';
import { gauge, states, type Family, type Sample } from '#src/web/exposition.ts';

/** Every value of a state, so that its series is there before it is first needed. */
const vmStates = [
	'running',
	'stopped',
	'starting',
	'stopping',
	'moving',
	'frozen',
	'paused',
	'down',
	'unknown',
] as const satisfies readonly VmView['state'][];

/** The VMs: where they are, and whether they would run again. */
export const vmFamilies = ({ vms, hosts }: Status): readonly Family[] => {
	const each = (value: (vm: VmView) => Sample[1]): readonly Sample[] =>
		vms.map((vm) => [{ vm: vm.vm }, value(vm)]);
	const byHost = (value: (vm: VmView, host: string) => boolean): readonly Sample[] =>
		vms.flatMap((vm) => hosts.map(({ host }): Sample => [{ vm: vm.vm, host }, value(vm, host)]));
	return [
		gauge(
			'vmpair_vm_state',
			'What a VM does; 1 for the state that holds.',
			vms.flatMap(({ vm, state }) => states({ vm }, 'state', vmStates, state)),
		),
		gauge(
			'vmpair_vm_wanted_running',
			'Whether a VM shall run.',
			each(({ wanted }) => wanted === 'running'),
		),
		gauge(
			'vmpair_vm_on_host',
			'Whether a VM was seen with a domain on a host.',
			byHost(({ runsOn }, host) => runsOn === host),
		),
		gauge(
			'vmpair_vm_owner',
			'Whether a host is the one that may run a VM.',
			byHost(({ owner }, host) => owner === host),
		),
		gauge(
			'vmpair_vm_copy_in_sync',
			'Whether the copy on a host holds every acknowledged write.',
			byHost(({ inSync }, host) => inSync.includes(host)),
		),
		gauge(
			'vmpair_vm_failover_ready',
			'Whether a VM would run again if its host died now.',
			each(({ failover }) => failover.ready),
		),
		gauge(
			'vmpair_vm_migration_ready',
			'Whether a live migration would begin now; its owner alone knows.',
			each(({ migration }) => migration?.ready ?? null),
		),
	];
};

/** What differs between the copies, in bytes; null when DRBD does not say. */
const outOfSyncBytes = ({ resync, sights }: VmView): number | null => {
	if (resync !== null) return resync.outOfSyncKib === null ? null : resync.outOfSyncKib * 1024;
	const equal = sights.every(({ disk, connected }) => disk === 'UpToDate' && connected);
	return equal && sights.length === 2 ? 0 : null;
};

/** DRBD as it is seen from both hosts, under names of our own: a DRBD exporter may run beside us. */
export const drbdFamilies = ({ vms }: Status, nowMs: number): readonly Family[] => {
	const each = (value: (vm: VmView) => Sample[1]): readonly Sample[] =>
		vms.map((vm) => [{ resource: vm.resource }, value(vm)]);
	const sights = (
		sample: (
			sight: SightView,
		) => readonly [more: Readonly<Record<string, string>>, value: Sample[1]],
	): readonly Sample[] =>
		vms.flatMap(({ resource, sights: seen }) =>
			seen.map((sight): Sample => {
				const [more, value] = sample(sight);
				return [{ resource, host: sight.host, ...more }, value];
			}),
		);
	return [
		gauge(
			'vmpair_drbd_disk_state',
			'The lowest disk state of a resource on a host, in the words of DRBD; always 1.',
			sights(({ disk }) => [{ disk: disk ?? 'unknown' }, 1]),
		),
		gauge(
			'vmpair_drbd_role',
			'The role of a resource on a host; always 1.',
			sights(({ role }) => [{ role: role ?? 'unknown' }, 1]),
		),
		gauge(
			'vmpair_drbd_connected',
			'Whether a host sees its resource connected to the other one.',
			sights(({ connected, ageMs }) => [{}, ageMs === null ? null : connected]),
		),
		gauge(
			'vmpair_drbd_frozen',
			'Whether DRBD holds back the writes of a VM on a host.',
			sights(({ frozen, ageMs }) => [{}, ageMs === null ? null : frozen]),
		),
		gauge(
			'vmpair_drbd_seen_timestamp_seconds',
			'When this was seen: what is old is not the present.',
			sights(({ ageMs }) => [{}, ageMs === null ? null : Math.round((nowMs - ageMs) / 100) / 10]),
		),
		gauge(
			'vmpair_drbd_out_of_sync_bytes',
			'What is still to be copied; 0 while both copies are equal and connected.',
			each(outOfSyncBytes),
		),
		gauge(
			'vmpair_drbd_resync_ratio',
			'How much of a resync is done, 0 to 1; there only while one runs.',
			each(({ resync }) => {
				const done = resync?.donePercent ?? null;
				return done === null ? null : done / 100;
			}),
		),
	];
};
