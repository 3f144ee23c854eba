import type { BalanceSettings, VmBalance } from '#src/config/balance.ts';
import type { Ladder } from '#src/fence/ladder.ts';
import type { HostName, ResourceName, VmName } from '#src/ports.ts';

/** The timing table; every number derives from the detection time D (`src/config/timing.ts`). Milliseconds. */
interface Timing {
	/** Time without any beat on any link after which the peer counts as silent. */
	readonly detectionMs: number;
	readonly beatIntervalMs: number;
	/** Silence after which the peer is suspect: three beats. */
	readonly suspectMs: number;
	/** Between two power-status queries of a suspect. */
	readonly powerQueryMs: number;
	/** A peer whose agent is dead but whose kernel answered is lost after this long without replication (L9). */
	readonly agentDownLostMs: number;
	/** A fence-peer handler is answered at the latest after this long; DRBD's own limit is 121 s for a promote. */
	readonly handlerMs: number;
}

export interface EngineVm {
	readonly vm: VmName;
	readonly resource: ResourceName;
	/** Higher starts first and weighs more in the fencing order. */
	readonly priority: number;
	/** VMs that are started before this one, where they are to run on the same host. */
	readonly after: readonly VmName[];
	readonly memoryMib: number;
	/** Where it is created first when nothing is known yet. */
	readonly preferredHost: HostName;
	/** How long a guest may take to shut down before it is destroyed. */
	readonly shutdownMs: number;
	/** Crash and start-failure budget: at most `restartsMax` starts in `restartWindowMs`. */
	readonly restartsMax: number;
	readonly restartWindowMs: number;
	readonly balance: VmBalance;
	/** Why it can never go live to the other host; null when nothing is known to forbid it. */
	readonly liveBlocker: string | null;
}

/** One check of this host's health, as far as the engine reckons with it. */
export interface EngineHealthCheck {
	readonly check: string;
	/** It was critical in every run for this long before it counts. */
	readonly holdMs: number;
	readonly action: 'alert' | 'evacuate';
	/** An answer that is older is none, ms: three runs were missed. */
	readonly staleMs: number;
}

interface EngineLink {
	readonly link: string;
	/** False for a direct cable: its carrier drops when the peer dies, so it says nothing of this host (L4). */
	readonly switched: boolean;
}

export interface EngineFencing {
	/** How the peer is switched off: its levels in the order in which they are tried. */
	readonly levels: Ladder;
	/** How the peer switches this host off; both ladders together set the length of a turn. */
	readonly ownLevels: Ladder;
	/** `off` commands in an hour, over all levels. */
	readonly perHourMax: number;
	/** What happens to the fenced host afterwards. */
	readonly afterFence: 'on' | 'off';
}

/** What votes and claims are reckoned with (docs/protocol.md, section 5). Milliseconds. */
interface EngineWitness {
	/** L: how long a vote keeps a VM runnable. */
	readonly leaseMs: number;
	/** How long before the vote's end the pauses begin. */
	readonly pauseLeadMs: number;
	/** T_wd: a watchdog that takes longer does not count as armed. */
	readonly watchdogMs: number;
	/** Hosts for which a watchdog is configured. */
	readonly watchdogs: readonly HostName[];
	/** T_take: silence after which a host with lease and armed watchdog runs nothing any more. */
	readonly takeMs: number;
}

/** What the engine needs of the configuration. Equal inputs on both hosts except `self` and `peer`. */
export interface EngineConfig {
	readonly pairId: string;
	readonly self: HostName;
	readonly peer: HostName;
	/** What the people want; which one is in force, both hosts have agreed on (`arbiter.ts`). */
	readonly arbiter: 'witness' | 'fencing' | 'person';
	readonly timing: Timing;
	readonly links: readonly EngineLink[];
	/** Null when the pair has no witness. */
	readonly witness: EngineWitness | null;
	/** Null when no fence device is configured (arbiter person). */
	readonly fencing: EngineFencing | null;
	readonly balance: BalanceSettings;
	/** Those of this host. */
	readonly healthChecks: readonly EngineHealthCheck[];
	readonly vms: readonly EngineVm[];
	/** Memory that must stay free on a host after a start. */
	readonly reservedMemoryMib: number;
	/** At most this many VMs are started at a time. */
	readonly startsAtOnce: number;
	/** Hash of what must be equal on both hosts. */
	readonly digest: string;
	readonly version: string;
}

/** The most important VM first; by name where they are equal, so that every run has one order. */
export const byPriority = (one: EngineVm, other: EngineVm): number =>
	other.priority - one.priority || (one.vm < other.vm ? -1 : 1);
