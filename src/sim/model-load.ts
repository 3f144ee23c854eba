import type { Health } from '#src/ports-load.ts';
import type { SimHost, SimVm } from '#src/sim/model.ts';
import type { HostName } from '#src/ports.ts';

/** How busy VMs and hosts are, and what checks of a host's health say, as plain data. */

export interface VmLoadModel {
	/** Physical CPUs that it would keep busy if it got them. */
	cpus: number;
	/** What devices write into its memory, MiB a second. */
	inflowMibPerS: number;
	/** Counts the traces that were begun: a newer one, or a fixed load, ends the one before. */
	traces: number;
	/** Where it ran last, and how often that was another host than before. */
	ranOn: HostName | null;
	moves: number;
}

/** One check of a host: how often it runs, and what it says whenever it runs. */
interface CheckModel {
	readonly everyMs: number;
	health: Health;
	detail: string;
	/** Since when it says so. */
	sinceMs: number;
}

/** What a host's own work uses of it, as shares from 0 to 1; the VMs come on top. */
export interface HostLoadModel {
	/** Physical CPUs. */
	readonly cpus: number;
	dom0: number;
	memory: number;
	disk: number;
	network: number;
	/** The tools that read the load do not answer before. */
	unknownUntilMs: number;
	readonly checks: ReadonlyMap<string, CheckModel>;
	/** When a person last asked here for the load to be evened out. */
	orderedMs: number;
}

/** The VM runs here now. */
export const noteRun = (host: SimHost, { load }: SimVm): void => {
	if (load.ranOn !== null && load.ranOn !== host.name) load.moves += 1;
	load.ranOn = host.name;
};
