/**
 * What the world looks like to the engine and to the drivers, as plain data. Drivers turn tools'
 * output into these shapes; the simulator produces the same shapes; the engine reads nothing else.
 * Words that come from DRBD keep DRBD's spelling.
 */

/** A host's configured name. */
export type HostName = string;
/** A VM's configured name. */
export type VmName = string;
/** A DRBD resource's name. One resource per VM. */
export type ResourceName = string;
/** Milliseconds on this host's monotonic clock. */
export type MonotonicMs = number;

/** Every role, as DRBD spells it. */
export const roles = ['Primary', 'Secondary', 'Unknown'] as const;
export type Role = (typeof roles)[number];

/** Every disk state, worst first: the kernel's own order (`enum drbd_disk_state`; `Detaching` is DRBD 9's). */
export const diskStates = [
	'Diskless',
	'Attaching',
	'Detaching',
	'Failed',
	'Negotiating',
	'Inconsistent',
	'Outdated',
	'DUnknown',
	'Consistent',
	'UpToDate',
] as const;
export type DiskState = (typeof diskStates)[number];

export const connectionStates = [
	'StandAlone',
	'Disconnecting',
	'Unconnected',
	'Timeout',
	'BrokenPipe',
	'NetworkFailure',
	'ProtocolError',
	'TearDown',
	'Connecting',
	'Connected',
] as const;
export type ConnectionState = (typeof connectionStates)[number];

export const replicationStates = [
	'Off',
	'Established',
	'StartingSyncS',
	'StartingSyncT',
	'WFBitMapS',
	'WFBitMapT',
	'WFSyncUUID',
	'SyncSource',
	'SyncTarget',
	'VerifyS',
	'VerifyT',
	'PausedSyncS',
	'PausedSyncT',
	'Ahead',
	'Behind',
] as const;
export type ReplicationState = (typeof replicationStates)[number];

/** Why DRBD holds back I/O; a resource that writes has none of them. */
export const suspensions = ['user', 'no-data', 'fencing', 'quorum'] as const;
export type Suspension = (typeof suspensions)[number];

export interface VolumeObservation {
	readonly volume: number;
	readonly disk: DiskState;
	readonly peerDisk: DiskState;
	readonly replication: ReplicationState;
	/** KiB that differ between the hosts; null when DRBD does not say. */
	readonly outOfSyncKib: number | null;
}

/** One resource as DRBD shows it on this host. A resource that is down is not listed at all. */
export interface ResourceObservation {
	readonly resource: ResourceName;
	readonly role: Role;
	readonly suspended: readonly Suspension[];
	readonly connection: ConnectionState;
	readonly peerRole: Role;
	readonly volumes: readonly VolumeObservation[];
}

/**
 * What a VM's domain is doing.
 * - `running`: its vCPUs may run. `paused`: the hypervisor's pause flag is set, nothing else counts.
 * - `stopped`: it has shut down (see `reason`) and waits to be destroyed.
 * - `creating`: its create, begun by an earlier run of the agent, is still under way.
 * - `dying`: it is being torn down, or devices of it are left; its disks may still be in use.
 */
export const presences = ['creating', 'running', 'paused', 'stopped', 'dying'] as const;
export type Presence = (typeof presences)[number];

export type ShutdownReason =
	'poweroff' | 'reboot' | 'suspend' | 'crash' | 'watchdog' | 'soft-reset';

/** One managed VM's domain on this host. A VM without domain and without left-over devices is not listed. */
export interface VmObservation {
	readonly vm: VmName;
	readonly presence: Presence;
	/** Set when `presence` is `stopped`. */
	readonly reason: ShutdownReason | null;
	/** Its vCPUs have not run yet: it was created paused and waits for its first unpause. */
	readonly neverRan: boolean;
	/** Names this very domain: another start of the VM has another instance. */
	readonly instance: string;
}

/**
 * The domain that a live migration has beside the VM's own, by xl's names.
 * - `incoming`: the copy being received, paused. `away`: the old copy, suspended for good once the target said go.
 */
export const twins = ['incoming', 'away'] as const;
export type Twin = (typeof twins)[number];

/** What a live migration of one VM, under way or broken off, has on this host. */
export interface MigrationObservation {
	readonly vm: VmName;
	readonly twin: Twin | null;
	/** xl still sends or receives it here. */
	readonly underWay: boolean;
	/** Bytes that xl has sent from here; left out where nothing says so. */
	readonly sentBytes?: number;
}

export interface HypervisorObservation {
	readonly vms: readonly VmObservation[];
	/** VMs with a twin or with xl under way; left out when there are none. */
	readonly migrations?: readonly MigrationObservation[];
	readonly freeMemoryMib: number;
}

/** A data generation of one volume: DRBD's current UUID as 16 hex digits, lowest bit (role) masked to 0. */
export interface VolumeGeneration {
	readonly volume: number;
	readonly uuid: string;
	/** DRBD keeps a bitmap for a peer that misses writes: this generation was begun alone and not resynced since. */
	readonly alone: boolean;
	/** The peer's kernel was connected when this was read. */
	readonly connected: boolean;
	/** DRBD's own note that the peer's disk is outdated or inconsistent. */
	readonly peerOutdated: boolean;
}

/** Where one copy of a volume stands against the other: what DRBD would compare when they meet. */
export interface VolumeEvidence {
	readonly volume: number;
	/** DRBD's UUIDs as 16 hex digits, lowest bit (role) masked: the present generation, … */
	readonly current: string;
	/** … the one that the peer was left behind with, null when none was, … */
	readonly bitmap: string | null;
	/** … and older ones, newest first. */
	readonly history: readonly string[];
	/** KiB that this host counts as differing; null when DRBD does not say. */
	readonly outOfSyncKib: number | null;
}

export type PowerState = 'on' | 'off';

/** What one fence device of a level says; null when it did not answer, or not with a power state. */
export interface DeviceReading {
	readonly device: string;
	readonly power: PowerState | null;
	/** Why it is null, in the tool's words; empty otherwise. */
	readonly detail: string;
}

/**
 * How an action ended. Every action ends exactly once. A time-out is `unknown`, never `failed`:
 * it may still take effect.
 */
export type Outcome<Value = unknown> =
	| { readonly result: 'succeeded'; readonly value: Value }
	| { readonly result: 'failed'; readonly code: string; readonly detail: string }
	| { readonly result: 'unknown'; readonly detail: string };

/** What the failure detector makes of the beats on all links together. */
export type Hearing = 'online' | 'suspect' | 'silent';

/** One heartbeat link as this host sees it. */
export interface LinkObservation {
	readonly link: string;
	/** `up`: beats arrive. `silent`: connected or connecting, but no beats. */
	readonly state: 'up' | 'silent';
	/** False when the network device lost carrier, null when that cannot be known. */
	readonly carrier: boolean | null;
	/** True when the peer's kernel refused the last connection: the host lives, its agent does not. */
	readonly refused: boolean;
	/** Round trip of the last echoed beat in ms; null before the first. */
	readonly rttMs: number | null;
}

/** A handler that DRBD called and that waits for its exit code. */
export interface HandlerCall {
	readonly id: string;
	readonly handler: 'fence-peer';
	readonly resource: ResourceName;
}
