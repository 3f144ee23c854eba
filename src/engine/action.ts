import type { Reply } from '#src/api/request.ts';
import type { PeerDocument } from '#src/heartbeat/document.ts';
import type { HostName, ResourceName, VmName } from '#src/ports.ts';
import type { WitnessCommand } from '#src/ports-witness.ts';
import type { LeaseOrders } from '#src/witness/lease.ts';

/** Fields of every action that is carried out by a driver and ends exactly once. */
interface Carried {
	readonly id: number;
	/** The loop reports `unknown` when the driver has not answered this long after the start. */
	readonly limitMs: number;
}

/** Acts on one resource under the record generation it was decided with. */
interface ResourceAction extends Carried {
	readonly resource: ResourceName;
	readonly generation: number;
}

interface VmAction extends Carried {
	readonly vm: VmName;
	readonly generation: number;
}

/** Acts on the devices of one level of a host's fencing ladder; the first is 0. */
interface LevelAction extends Carried {
	readonly host: HostName;
	readonly level: number;
}

/** What the engine asks for. The executor table in `loop.ts` has one entry per type. */
export type CarriedAction =
	/** `drbdadm up`: attach and connect, never promote. */
	| ({ readonly type: 'resource-up' } & ResourceAction)
	/** Connect again after DRBD went StandAlone because a resync was refused. */
	| ({ readonly type: 'resource-connect' } & ResourceAction)
	| ({ readonly type: 'promote' } & ResourceAction)
	| ({ readonly type: 'demote' } & ResourceAction)
	/** Mark the own, unconnected Secondary's disk Outdated; succeeded only when read back as Outdated. */
	| ({ readonly type: 'outdate' } & ResourceAction)
	| ({ readonly type: 'resume-io' } & ResourceAction)
	/** Lets both hosts be Primary at once, for a live migration; succeeded when read back. */
	| ({ readonly type: 'allow-two-primaries' } & ResourceAction)
	/** As it is at all other times; succeeded when read back. DRBD refuses it while both are. */
	| ({ readonly type: 'forbid-two-primaries' } & ResourceAction)
	/** What DRBD would compare when the copies meet, for people. Value: `VolumeEvidence[]`. */
	| ({ readonly type: 'read-evidence' } & ResourceAction)
	/** Snapshot of the backing volumes of a copy that a person gives up. Value: names, or none with the reason. */
	| ({ readonly type: 'snapshot' } & ResourceAction)
	/** Connect with this copy given up; only for a person's order. It takes effect when DRBD finds a split brain. */
	| ({ readonly type: 'connect-discarding' } & ResourceAction)
	/** Disconnect and connect a Secondary whose connection does not get on. */
	| ({ readonly type: 'resource-reconnect' } & ResourceAction)
	/** Takes the disk away from a frozen Primary that the other host has replaced; succeeded only when seen gone. */
	| ({ readonly type: 'detach' } & ResourceAction)
	/** Ends the held-back writes of a Primary without disk with errors; refused while it has one. */
	| ({ readonly type: 'fail-io' } & ResourceAction)
	/** Takes a resource down: of a host that leaves, or one whose disk was taken away for its release. */
	| ({ readonly type: 'resource-down' } & ResourceAction)
	/** Value of the outcome: `VolumeGeneration[]`. */
	| ({ readonly type: 'read-generations' } & ResourceAction)
	/** Creates the VM paused; the agent unpauses it. */
	| ({ readonly type: 'create-vm' } & VmAction)
	| ({ readonly type: 'unpause-vm' } & VmAction)
	| ({ readonly type: 'pause-vm' } & VmAction)
	/** Asks the guest to shut down; ends when asked, not when it is down. */
	| ({ readonly type: 'shutdown-vm' } & VmAction)
	| ({ readonly type: 'destroy-vm' } & VmAction)
	/** Target: waits for the memory of this VM from the peer; ends when the peer can send. */
	| ({ readonly type: 'receive-vm' } & VmAction)
	/**
	 * Source: sends the running VM to the peer, which waits for it; the copy there stays paused. Ends when xl has: what
	 * came of it is for the next observation to say.
	 */
	| ({ readonly type: 'send-vm' } & VmAction)
	/** Ends the transport of a migration on this host, never xl itself, which then resumes the guest. */
	| ({ readonly type: 'cut-migration' } & VmAction)
	/** Destroys the domain that a migration has left beside the VM's own; succeeded when seen gone. */
	| ({ readonly type: 'destroy-twin' } & VmAction)
	/** Asks every device of one level for its power status. Value: `DeviceReading[]`, one for each device. */
	| ({ readonly type: 'query-power' } & LevelAction)
	/** `off` on every device of the level; the status is asked again afterwards by `query-power`. */
	| ({ readonly type: 'power-off' } & LevelAction)
	| ({ readonly type: 'power-on' } & LevelAction)
	/** One command to the witness. Value: `WitnessAnswer`, also when it refused. */
	| ({ readonly type: 'witness'; readonly command: WitnessCommand } & Carried);

/** Done at once by the loop; they do not end. */
export type ImmediateAction =
	/** Send this document to the peer now and after every reconnect until a newer one replaces it. */
	| { readonly type: 'publish'; readonly document: PeerDocument }
	/** Exit code for a waiting DRBD handler: 4, 7 or 1. */
	| {
			readonly type: 'answer-handler';
			readonly call: string;
			readonly exitCode: 1 | 4 | 7;
			readonly reason: string;
	  }
	| { readonly type: 'reply'; readonly request: string; readonly reply: Reply }
	/** Stretch the detection time while our own resync or migration loads the links. */
	| { readonly type: 'stretch-detection'; readonly factor: 1 | 3 }
	/** What the heartbeat thread needs to know about votes, claims and the watchdog; the newest wins. */
	| { readonly type: 'order-lease'; readonly orders: LeaseOrders }
	/** Look at the domains every second, because their pauses must be verified; or as usual. */
	| { readonly type: 'watch-closely'; readonly closely: boolean }
	/** The last step of a host whose VMs could not be paused: reset it at once, without a sync. */
	| { readonly type: 'reset-host'; readonly reason: string }
	/** Called once after a clean leave: the agent may stop. */
	| { readonly type: 'leave-complete' };

export type Action = CarriedAction | ImmediateAction;
export type CarriedType = CarriedAction['type'];

/** A sentence of the log: constant message plus fields. `warn`: degraded but handled. `error`: a person must act. */
export interface Note {
	readonly level: 'debug' | 'info' | 'warn' | 'error';
	readonly message: string;
	readonly fields: Readonly<Record<string, string | number | boolean | null>>;
}
