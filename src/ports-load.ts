import type { VmName } from '#src/ports.ts';

/**
 * How busy a host is and whether its parts are well, as drivers read it and the engine takes it in. What could not be
 * read is null: unknown, never "idle" or "well".
 */

/**
 * What a host can run out of. Each is read as a share of its own whole, 0 (idle) to 1 (saturated):
 * - `cpu`: time that all domains together ran, of the time that all physical CPUs had.
 * - `dom0`: time that dom0's virtual CPUs ran or waited for a physical one, of all time.
 * - `memory`: memory of dom0 that is not available to its programs.
 * - `disk`: time in which the busiest backing disk had work.
 * - `network`: bytes over what the busiest watched network device can carry, in the fuller direction.
 */
export const loadKinds = ['cpu', 'dom0', 'memory', 'disk', 'network'] as const;
export type LoadKind = (typeof loadKinds)[number];

/** How much each of them is used; null: not known. */
export type HostLoad = Readonly<Record<LoadKind, number | null>>;

/** What one running VM used between two readings. */
export interface VmLoad {
	readonly vm: VmName;
	/** Physical CPUs that its virtual ones kept busy: 1.5 is one and a half. */
	readonly cpus: number;
	/**
	 * MiB a second that devices wrote into its memory (disk reads and received packets): the least that it dirties, and
	 * the only part that can be read without a migration.
	 */
	readonly inflowMibPerS: number | null;
}

/** This host between two readings. */
export interface LoadSample {
	/** Physical CPUs of this host. */
	readonly cpus: number;
	readonly host: HostLoad;
	/** The managed VMs that ran here all the time between. */
	readonly vms: readonly VmLoad[];
}

/**
 * What a health check says, in the words of monitoring plugins. `unknown`: it gave no usable answer.
 * https://www.monitoring-plugins.org/doc/guidelines.html: exit 0, 1, 2, 3.
 */
export const healths = ['ok', 'warning', 'critical', 'unknown'] as const;
export type Health = (typeof healths)[number];

/** The last answer of one health check of this host. */
export interface HealthReading {
	/** Its configured name. */
	readonly check: string;
	readonly health: Health;
	/** The first line of what it said, without its performance data. */
	readonly detail: string;
}
