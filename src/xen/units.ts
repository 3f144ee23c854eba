import type { Outcome, VmName } from '#src/ports.ts';
import type { ManagedVm } from '#src/xen/preflight.ts';

/** xl's long work, in units of systemd of its own: a restart of the agent ends none of it. */
export interface Units {
	/**
	 * The VMs whose create is under way, also one that an earlier run of the agent began; null when systemd does not
	 * say.
	 */
	createsUnderWay(): Promise<ReadonlySet<VmName> | null>;
	/** Creates the VM paused; succeeded when xl said so. */
	create(vm: ManagedVm, limitMs: number): Promise<Outcome<null>>;
}

/** The two ends of live migrations on this host. */
export interface Migrations {
	/**
	 * VMs that xl sends or receives now, with the bytes that were sent from here (null where nothing says so); null
	 * when systemd does not say. It is asked at the start of a run until nothing is left, while this run has a
	 * migration, and when a twin is seen. A receiver to whom nobody has come does not count.
	 */
	underWay(twinSeen: boolean): Promise<ReadonlyMap<VmName, number | null> | null>;
	/** As in `Hypervisor`. */
	receive(vm: VmName, limitMs: number): Promise<Outcome>;
	send(vm: VmName, limitMs: number): Promise<Outcome>;
	cut(vm: VmName, limitMs: number): Promise<Outcome>;
}

/** What `systemctl list-units` is asked for units that run and match a pattern. */
export const listArguments = (...patterns: readonly string[]): readonly string[] => [
	'list-units',
	...patterns,
	'--state=active,activating,deactivating,reloading',
	'--plain',
	'--no-legend',
	'--no-pager',
];

/** The names of units in the output of that. */
export const unitNames = (listed: string): readonly string[] =>
	listed
		.split('\n')
		.map((line) => line.trim().split(/\s+/)[0] ?? '')
		// systemd writes what it does not take in a name, as a plus sign, by its code.
		.map((name) =>
			name.replaceAll(/\\x([0-9a-f]{2})/g, (_, code: string) =>
				String.fromCodePoint(Number.parseInt(code, 16)),
			),
		)
		.filter((name) => name !== '');
