import type { Outcome, Presence, ShutdownReason, Twin, VmName } from '#src/ports.ts';
import type { SimHost, SimVm } from '#src/sim/model.ts';

/** Domains, and what a live migration has of them on a host, as plain data. */

export interface Domain {
	presence: Presence;
	reason: ShutdownReason | null;
	readonly instance: string;
	neverRan: boolean;
	/** Asked to shut down; it will when it can run. */
	shutdownDue: boolean;
	/** A planted lie: shown as paused although it runs. */
	shownPaused: boolean;
	/** It came by live migration and has not run here yet. */
	received?: boolean;
}

/** The domain of a migration beside the VM's own. */
interface TwinDomain {
	readonly name: Twin;
	readonly domain: Domain;
	/** Whether it holds the VM's disk open; `opening`: it reads the first blocks. */
	disk: 'closed' | 'opening' | 'open';
}

/** What a live migration of one VM has on one host; the entry is gone when there is neither twin nor xl. */
export interface SimMigration {
	twin: TwinDomain | null;
	/** What xl does here, by itself and whatever the agent does. */
	xl: 'waits' | 'receives' | 'sends' | null;
	stream: Stream | null;
	/** Counts the receivers: each ends only itself when its time is over. */
	receivers: number;
}

/** One end of the stream of a migration. */
export interface StreamEnd {
	readonly host: SimHost;
	readonly life: number;
	/** Its xl was killed: nothing of it goes on, and nothing is put in order. */
	killed: boolean;
	/** Its xl has done its part, or knows that the stream is broken. */
	over: boolean;
	/** How long it waits while the path is cut, ms. */
	readonly patienceMs: number;
}

/**
 * - `connects`, `copies`: the guest runs on the source.
 * - `suspended`: it is stopped there, and the rest of its memory and its disks follow.
 * - `told`: the source has renamed its domain and said go. `starts`: the target has heard it.
 * - `received`: the target has the domain under the VM's name, and reports.
 */
export type StreamStage = 'connects' | 'copies' | 'suspended' | 'told' | 'starts' | 'received';

/** The stream of one VM's memory between the two xl. */
export interface Stream {
	readonly vm: SimVm;
	readonly source: StreamEnd;
	readonly target: StreamEnd;
	/** The very domain that is sent. */
	readonly domain: Domain;
	stage: StreamStage;
	/** Memory that is still to be copied, as time on a sound path, ms. Below zero: the guest does not suspend. */
	restMs: number;
	/** Since when the path is cut, or a host stands still; null while not. */
	cutSinceMs: number | null;
	hungSinceMs: number | null;
	/** Since when nothing of it passes although the path is open. */
	stillSinceMs: number | null;
	/** How xl ended on the source. */
	readonly done: (outcome: Outcome) => void;
}

export type Migrations = Map<VmName, SimMigration>;

/** What is on this host of a migration of the VM; made when there is nothing yet. */
export const migrationOn = (host: SimHost, vm: SimVm): SimMigration => {
	const found = host.migrations.get(vm.name);
	if (found !== undefined) return found;
	const made: SimMigration = { twin: null, xl: null, stream: null, receivers: 0 };
	host.migrations.set(vm.name, made);
	return made;
};

/** Forgets what has come to its end. */
export const tidyMigration = (host: SimHost, vm: SimVm): void => {
	const found = host.migrations.get(vm.name);
	if (found?.twin === null && found.xl === null) host.migrations.delete(vm.name);
};
