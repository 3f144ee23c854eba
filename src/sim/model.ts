import type { Reply } from '#src/api/request.ts';
import type { Note } from '#src/engine/action.ts';
import type { EngineConfig, EngineVm } from '#src/engine/config.ts';
import type { Event } from '#src/engine/event.ts';
import type { PeerDocument } from '#src/heartbeat/document.ts';
import type { Loop } from '#src/loop.ts';
import type { BeatFrame, Ears, Wire } from '#src/sim/model-wire.ts';
import type { HostLoadModel, VmLoadModel } from '#src/sim/model-load.ts';
import type { Device } from '#src/sim/model-device.ts';
import type { Domain, Migrations } from '#src/sim/model-migration.ts';
import type { SimVotes, SimWatchdog, SimWitness } from '#src/sim/model-witness.ts';
import type { Mutation } from '#src/sim/mutation.ts';
import { type Queue, schedule, type Timer } from '#src/sim/queue.ts';
import type {
	ConnectionState,
	DiskState,
	HostName,
	ReplicationState,
	Role,
	VmName,
} from '#src/ports.ts';
import type { Persisted } from '#src/store/record.ts';
import { assert } from '#src/std/assert.ts';
import type { Prng } from '#src/std/prng.ts';
import { below, between } from '#src/std/prng.ts';

/** The simulated world as plain data that changes in place; the other files of this folder move it. */

/** One host's copy of one resource: what the kernel holds, and what its metadata would say after a crash. */
export interface Replica {
	readonly host: SimHost;
	readonly vm: SimVm;
	up: boolean;
	role: Role;
	disk: DiskState;
	peerDisk: DiskState;
	peerRole: Role;
	connection: ConnectionState;
	replication: ReplicationState;
	/** I/O is held back because a Primary lost its peer (`suspended:fencing`). */
	frozen: boolean;
	frozenChangedMs: number;
	/** A guest that was stopped since has a write in the kernel that is held back. */
	pending: boolean;
	/** A new data generation begins when the frozen I/O goes on without the peer. */
	newGenerationDue: boolean;
	/** Data generations; '' is "none" (DRBD's zero). Survive a crash. */
	current: string;
	bitmap: string;
	history: string[];
	/** The generation a Primary's users have seen: it takes no other data in its place (`ed_uuid`). */
	exposed: string;
	/** Written since `bitmap` was set: the bitmap is not empty. */
	changed: boolean;
	/** Metadata flags, as of the last state in which the disk was attached. */
	flags: { consistent: boolean; upToDate: boolean; primary: boolean; peerOutdated: boolean };
	crashedPrimary: boolean;
	/** The last acknowledged write this copy holds; -1 for a mixture or an empty disk. */
	head: number;
	/** The backing device answers I/O errors. */
	broken: boolean;
	/** When it last was mended with what it held. */
	repairedMs: number;
	/** Counts connections: a handler's answer to an older loss is ignored by the kernel. */
	connects: number;
	lossTimer: Timer | null;
	/** It connects with `--discard-my-data`: in a split brain its data is given up. */
	discards: boolean;
	/** A connection that hangs until it is made anew: looking for the peer, or exchanging bitmaps. */
	stuck: 'connecting' | 'bitmap' | null;
	/** So many of the next detaches fail. */
	detachFails: number;
	/** Another program has its device open until then: it cannot be demoted. */
	heldOpenUntilMs?: number;
	/** Both hosts may be Primary at once, for a live migration. */
	twoPrimaries: boolean;
	/** When it was last outdated by hand. */
	outdatedMs: number;
	/** A planted lie: shown as Outdated although it is not. */
	shownOutdated: boolean;
	/** Delay of the next promote, and whether it is reported in time. */
	latePromoteMs: number | null;
}

export interface SimVm {
	readonly name: VmName;
	readonly index: number;
	readonly engine: EngineVm;
	readonly replicas: [Replica, Replica];
	/** When its copies last connected. */
	metMs: number;
	connectTimer: Timer | null;
	resyncTimer: Timer | null;
	/** The number of the last acknowledged write; `settledMs`: writes up to then are counted. */
	acknowledged: number;
	settledMs: number;
	ignoresShutdown: boolean;
	createFails: Map<HostName, number>;
	slowUnpauseMs: Map<HostName, number>;
	/** A person accepted the loss of newer writes. */
	staleAccepted: boolean;
	/** Hosts on which somebody promoted it by force: what was true of that copy a moment before is not any more. */
	readonly forcedOn: Set<HostName>;
	/** Hosts whose copy a person gave up. */
	readonly givenUp: Set<HostName>;
	/** Hosts that a person's word counted out since the copies were last equal, and whether they had power then. */
	readonly buried: Map<HostName, 'alive' | 'dead'>;
	/** The only copy of acknowledged writes was on a disk that was replaced: nobody can keep them. */
	dataDestroyed: boolean;
	/** When DRBD last went on alone without a freeze (failed disk, orderly disconnect): the stated exception of I3. */
	wentOnAloneMs: number;
	/** The last write made in that time alone, and what the other copy holds; null before there is one. */
	writtenAlone: { readonly last: number; readonly kept: number } | null;
	readonly load: VmLoadModel;
}

/** One run of the agent's process. */
export interface SimAgent {
	readonly host: SimHost;
	readonly session: string;
	readonly loop: Loop;
	alive: boolean;
	/** Stopped by a signal: nothing of it runs. */
	stopped: boolean;
	/** Work that waits until the process goes on. */
	readonly waiting: (() => void)[];
	readonly ears: Ears;
	/** The newest document for the peer, and its delivery under way. */
	outbox: PeerDocument | null;
	deliveryTimer: Timer | null;
	/** Handler calls that wait for an exit code. */
	readonly calls: Map<string, (exitCode: number) => void>;
	readonly reads: Map<'replication' | 'hypervisor' | 'links', 'reading' | 'again'>;
	/** The links as last told to the loop, and when. */
	linksShown: string;
	linksShownMs: number;
	failure: Error | null;
	/** Null in a pair without a witness. */
	votes: SimVotes | null;
	/** Only the heartbeat thread stands still. */
	threadStalled: boolean;
	/** Only the main loop stands still. */
	loopStalled: boolean;
}

export interface SimHost {
	readonly name: HostName;
	readonly index: 0 | 1;
	readonly config: EngineConfig;
	readonly devices: Device[];
	/** Its memory for VMs. */
	readonly memoryMib: number;
	/** Mains. Power is on when mains and an outlet are. */
	mains: boolean;
	powered: boolean;
	kernelUp: boolean;
	hung: boolean;
	/** Since when clock and watchdog stand still as well, as in a virtual machine that is paused. */
	standsSinceMs: number | null;
	/** Work of this host's kernel and programs while it stands still. */
	readonly frozenWork: (() => void)[];
	/** Grows with every loss of power: work of an earlier life is dropped. */
	life: number;
	boots: number;
	bootId: string;
	bootedMs: number;
	/** When it last went on after it had stood still. */
	resumedMs: number;
	/** Speed of this host's monotonic clock against true time. */
	clockRate: number;
	agent: SimAgent | null;
	agentRuns: number;
	/** When its agent last began or went on to run. */
	agentSinceMs: number;
	/** The state file; `acknowledged` is the last record reported durable, for checkers. */
	readonly store: { content: Persisted | 'corrupt' | null; full: boolean; hungUntilMs: number };
	/** A crash that hits the next write of the state file. */
	crashAtWrite: { readonly side: 'before' | 'after'; readonly who: 'agent' | 'host' } | null;
	/** Wall clock against true time: only people read it. */
	wallMs: number;
	readonly saved: Map<string, Persisted | 'corrupt' | null>;
	readonly domains: Map<VmName, Domain>;
	readonly migrations: Migrations;
	readonly watchdog: SimWatchdog | null;
	/** When the youngest message was sent that gave this host a vote, in true time. */
	votedMs: number;
	/** Creates under way, by VM. */
	readonly creating: Map<VmName, { opened: boolean; byHand: boolean }>;
	xlHungUntilMs: number;
	drbdHungUntilMs: number;
	/** Null: none is configured. */
	gatewayAnswers: boolean | null;
	/** Why it is without power: for I9. */
	offBy: 'fence' | 'fault' | null;
	fencedAtMs: number[];
	/** When its peer last asked for an `off`; null: never, or its file was replaced and knows nothing of it. */
	offAskedMs: number | null;
	/** The last power-off that took it down was asked for before its agent, which ran by then, had started. */
	shotLate: boolean;
	/** When its state file was last replaced or lost. */
	fileReplacedMs: number;
	/** The last document of an earlier boot, for the peer to hear again. */
	oldDocument: PeerDocument | null;
	readonly load: HostLoadModel;
}

export interface Network {
	readonly name: string;
	readonly switched: boolean;
	readonly replication: boolean;
	/** By sending host: what does not pass. */
	readonly cutAll: [boolean, boolean];
	readonly cutReplication: [boolean, boolean];
	readonly cutHeartbeat: [boolean, boolean];
	readonly carrierLost: [boolean, boolean];
	/** The heartbeat link over this network is established. */
	connected: boolean;
	connectTimer: Timer | null;
	/** A half-cut connection still delivers one way until this time. */
	breakTimer: Timer | null;
	readonly wire: Wire;
}

export interface Violation {
	readonly checker: string;
	readonly atMs: number;
	readonly message: string;
}

export interface Timings {
	readonly bootMs: number;
	readonly agentStartMs: number;
	readonly resyncMs: number;
	readonly createMs: number;
	readonly guestShutdownMs: number;
	readonly persistMaxMs: number;
	readonly observeMaxMs: number;
}

/** Calls upwards, set when the world is put together; they keep the files free of cycles. */
export interface Hooks {
	replicationChanged(host: SimHost): void;
	hypervisorChanged(host: SimHost): void;
	/** The kernel asks our fence-peer handler; `answer` is called once with its exit code. */
	callHandler(replica: Replica, answer: (exitCode: number) => void): void;
	/** A path, power, an agent or a kernel changed: who hears whom. */
	hearingMayChange(): void;
	/** A single beat came in; `echo`: the beat of this host that it echoes with a promise. */
	beatHeard(agent: SimAgent, echo: BeatFrame['echo']): void;
	/** What single beats say is told to the loop; `news`: of hearing, not only of links. */
	beatsTold(agent: SimAgent, news: boolean): void;
	/** A VM's vCPUs become runnable on this host. */
	vmRuns(host: SimHost, vm: SimVm): void;
	promoted(replica: Replica): void;
	/** The record of this host changed durably. */
	persisted(host: SimHost, record: Persisted, before: SimHost['store']['content']): void;
	handlerAnswered(replica: Replica, exitCode: number): void;
	/** The kernel of this replica calls its split-brain handler. */
	splitFound(replica: Replica): void;
	/** A copy is to be overwritten although DRBD found a split brain. */
	dataGivenUp(replica: Replica): void;
	/** A takeover was written to the witness. */
	tookOver(taker: SimHost, bySilence: boolean): void;
	resyncBegins(source: Replica, target: Replica): void;
	watchdogFires(host: SimHost): void;
	watchdogStops(host: SimHost): void;
	/** A fence device was told to switch this host off. */
	fenceSent(victim: SimHost): void;
	fenced(victim: SimHost): void;
	/** A write was acknowledged by `copy` alone. */
	loneWrite(writer: Replica, copy: Replica): void;
	/** An agent's process ended: what waits for it must not wait on. */
	agentDied(agent: SimAgent): void;
	/** A stopped process or a standing host goes on. */
	agentGoesOn(host: SimHost): void;
	/** A kernel is up: its agent will start. */
	booted(host: SimHost): void;
	/** The loop of an agent took an event; checkers that look at the engine's own view run here. */
	stepped(agent: SimAgent, event: Event): void;
	noted(host: SimHost, note: Note): void;
	published(agent: SimAgent, document: PeerDocument): void;
	/** The loop stopped for good although the world gave no reason: a broken invariant of the engine. */
	broke(agent: SimAgent, error: Error): void;
	replied(host: SimHost, request: string, reply: Reply): void;
}

export interface Simulation {
	readonly queue: Queue;
	readonly random: Prng;
	readonly hosts: readonly [SimHost, SimHost];
	readonly networks: readonly Network[];
	readonly vms: readonly SimVm[];
	/** Null in a pair without one. */
	readonly witness: SimWitness | null;
	readonly timings: Timings;
	readonly hooks: Hooks;
	readonly mutation: Mutation;
	/** The engine's rules do not look at events that bring no news (`step`). */
	readonly rulesSpared: boolean;
	readonly trace: ((line: string) => void) | null;
	readonly violations: Violation[];
	/** Counters for the report, by name. */
	readonly counts: Map<string, number>;
	nextUuid: number;
	nextInstance: number;
	/** Grows with every change that a checker or an expectation may look at. */
	changes: number;
}

export const peerOf = (simulation: Simulation, host: SimHost): SimHost =>
	simulation.hosts[host.index === 0 ? 1 : 0];

export const replicaOf = (host: SimHost, vm: SimVm): Replica => vm.replicas[host.index];

export const otherReplica = (replica: Replica): Replica =>
	replica.vm.replicas[replica.host.index === 0 ? 1 : 0];

export const hostNamed = (simulation: Simulation, name: HostName): SimHost => {
	const host = simulation.hosts.find((each) => each.name === name);
	assert(host !== undefined, `there is a host ${name}`);
	return host;
};

export const vmNamed = (simulation: Simulation, name: VmName): SimVm => {
	const vm = simulation.vms.find((each) => each.name === name);
	assert(vm !== undefined, `there is a VM ${name}`);
	return vm;
};

export const count = (simulation: Simulation, name: string): void => {
	simulation.counts.set(name, (simulation.counts.get(name) ?? 0) + 1);
};

/** One line of the trace. */
export const tell = (simulation: Simulation, who: string, text: string): void => {
	simulation.trace?.(`${(simulation.queue.nowMs / 1000).toFixed(3).padStart(9)} ${who} ${text}`);
};

export const violate = (simulation: Simulation, checker: string, message: string): void => {
	simulation.violations.push({ checker, atMs: simulation.queue.nowMs, message });
	tell(simulation, 'world', `VIOLATION ${checker}: ${message}`);
};

/** Runs in an agent's process: dropped when it is dead, put off while it is stopped. */
export const inAgent = (agent: SimAgent, callback: () => void): void => {
	if (!agent.alive) return;
	if (agent.stopped || agent.loopStalled || agent.host.hung) agent.waiting.push(callback);
	else callback();
};

/** Runs in an agent's process after a delay. */
export const inAgentAfter = (
	simulation: Simulation,
	agent: SimAgent,
	delayMs: number,
	callback: () => void,
): Timer =>
	schedule(simulation.queue, simulation.queue.nowMs + delayMs, () => inAgent(agent, callback));

/** True while the host's kernel answers. */
export const kernelAnswers = (host: SimHost): boolean => host.kernelUp && !host.hung;

/** Runs on a host's kernel after a delay: dropped when it loses power, put off while it stands still. */
export const onHost = (
	simulation: Simulation,
	host: SimHost,
	delayMs: number,
	callback: () => void,
): Timer => {
	const { life } = host;
	const run = () => {
		if (host.life !== life) return;
		if (host.hung) host.frozenWork.push(run);
		else callback();
	};
	return schedule(simulation.queue, simulation.queue.nowMs + delayMs, run);
};

/** A delay between two bounds, ms. */
export const delay = (simulation: Simulation, lowMs: number, highMs: number): number =>
	between(simulation.random, lowMs, highMs);

/** A data generation that never was before: 16 hex digits, lowest bit clear. */
export const newUuid = (simulation: Simulation): string => {
	simulation.nextUuid += 1;
	const high = below(simulation.random, 2 ** 31)
		.toString(16)
		.toUpperCase()
		.padStart(8, '0');
	const low = (simulation.nextUuid * 2).toString(16).toUpperCase().padStart(8, '0');
	return high + low;
};

/** The host's own monotonic clock, ms since its boot. */
export const hostClock = (simulation: Simulation, host: SimHost): number =>
	Math.floor((simulation.queue.nowMs - host.bootedMs) * host.clockRate + 1e-6);

/** True time at which that clock shows `atMs`. */
export const trueTime = (host: SimHost, atMs: number): number =>
	host.bootedMs + Math.ceil(atMs / host.clockRate - 1e-6);
