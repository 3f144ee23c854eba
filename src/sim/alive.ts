import { turnMs } from '#src/fence/ladder.ts';
import type { WitnessRecord } from '#src/ports-witness.ts';
import {
	type ArbiterDue,
	firstArbiter,
	followArbiter,
	isFit,
	reachesWitness,
	someLevelIsSound,
} from '#src/sim/arbiter-due.ts';
import type { Replica, SimHost, SimVm, Simulation } from '#src/sim/model.ts';
import { kernelAnswers, peerOf, replicaOf, violate } from '#src/sim/model.ts';
import type { Persisted, ResourceRecord } from '#src/store/record.ts';
import { durableRecord, isRunnable } from '#src/sim/truth.ts';

/**
 * Liveness while a run goes on: a fault, then quiet, and every VM that has a right to run somewhere runs there within
 * the time that the protocol takes at most. What gives it the right is read from the world - power, disks, paths, what
 * is durable - and never from what an agent makes of it.
 */
export interface Liveness {
	/** When somebody last did something to the world. */
	touchedMs: number;
	readonly arbiter: ArbiterDue;
	/** Since when a VM does not run although it has this right, by name. */
	readonly idle: Map<string, { readonly right: string; readonly sinceMs: number }>;
}

/** What gives a VM the right to run on a host, and the time that this takes at most. */
interface Right {
	readonly host: SimHost;
	readonly why: string;
	readonly withinMs: number;
}

/** One look, one record, one command of a tool, with slow disks and tools, ms. */
const promptMs = 15_000;
/** Readings of a device that was silent, an attempt, the record, promote, and a few starts, ms. */
const actMs = 75_000;

export const createLiveness = (simulation: Simulation): Liveness => ({
	touchedMs: 0,
	arbiter: firstArbiter(simulation),
	idle: new Map(),
});

/** It runs, and nothing holds its writes back. */
export const isWell = (simulation: Simulation, vm: SimVm): boolean =>
	simulation.hosts.some(
		(host) => isRunnable(host, vm) && kernelAnswers(host) && !replicaOf(host, vm).frozen,
	);

/** Boots, starts of agents and power-offs are news for the pair as faults are. */
const quietSinceMs = ({ hosts }: Simulation, { touchedMs }: Liveness): number =>
	Math.max(
		touchedMs,
		...hosts.flatMap(({ agentSinceMs, bootedMs, fencedAtMs }) => [
			agentSinceMs,
			bootedMs,
			...fencedAtMs.slice(-1),
		]),
	);

/** Looks for VMs that do not run although they have a right to; call it every few seconds. */
export const watchAlive = (simulation: Simulation, liveness: Liveness): void => {
	followArbiter(simulation, liveness.arbiter);
	const { nowMs } = simulation.queue;
	const quietMs = quietSinceMs(simulation, liveness);
	for (const vm of simulation.vms) {
		const right = isWell(simulation, vm) ? null : rightOf(simulation, vm, liveness.arbiter);
		if (right === null) {
			liveness.idle.delete(vm.name);
			continue;
		}
		const words = `${right.host.name}: ${right.why}`;
		const before = liveness.idle.get(vm.name);
		const sinceMs = Math.max(quietMs, before?.right === words ? before.sinceMs : nowMs);
		liveness.idle.set(vm.name, { right: words, sinceMs });
		if (nowMs - sinceMs <= right.withinMs) continue;
		const seconds = Math.round((nowMs - sinceMs) / 1000);
		violate(
			simulation,
			'liveness',
			`${vm.name} does not run for ${seconds} quiet seconds, and could on ${words}`,
		);
		liveness.idle.delete(vm.name);
	}
};

/** What is durable anywhere about a VM, as of its highest generation. */
export const newestRecord = (simulation: Simulation, vm: SimVm): ResourceRecord | undefined => {
	const { resource } = vm.engine;
	const witnessed: WitnessRecord['resources'][string] | undefined =
		simulation.witness?.record?.resources[resource];
	const [newest] = [...simulation.hosts.map((host) => durableRecord(host, vm)), witnessed].toSorted(
		(one, other) => (other?.generation ?? 0) - (one?.generation ?? 0),
	);
	return newest;
};

const rightOf = (simulation: Simulation, vm: SimVm, arbiter: ArbiterDue): Right | null => {
	const record = newestRecord(simulation, vm);
	if (record?.wanted !== 'running' || record.journal !== null) return null;
	// It waits for others, which are judged by themselves.
	if (vm.engine.after.length > 0) return null;
	for (const host of simulation.hosts) {
		const right = rightOn(simulation, { vm, host, record }, arbiter);
		if (right !== null) return right;
	}
	return null;
};

/** A VM, a host that may run it, and the newest record. */
interface Place {
	readonly vm: SimVm;
	readonly host: SimHost;
	readonly record: ResourceRecord;
}

const rightOn = (simulation: Simulation, place: Place, arbiter: ArbiterDue): Right | null => {
	const { host, vm, record } = place;
	const { content } = host.store;
	if (!isFit(simulation, host) || content === null || content === 'corrupt') return null;
	if (!content.pair.armed || !isCurrent(place, content)) return null;
	const replica = replicaOf(host, vm);
	const joined = content.joinedBootId === host.bootId;
	const sole = record.owner === host.name && record.inSync.length === 1;
	if (sole && joined && isHeldBack(host, replica))
		return { host, why: 'it alone holds the data and asks nobody', withinMs: promptMs };
	// Somebody wanted that. It is over by itself while both hosts are together; else it stays, and people are told.
	if (content.pair.pause !== undefined) return null;
	if (simulation.vms.some((each) => replicaOf(host, each).connection === 'Connected')) return null;
	// A host in standby takes nothing over; its own VMs it runs.
	if (content.standby !== null && record.owner !== host.name) return null;
	if (arbiter.now === 'witness') return underWitness(simulation, place);
	return arbiter.now === 'fencing' && joined ? underFencing(simulation, host, content) : null;
};

/** It ran, and is paused now, and that only by its host: DRBD would take its writes. */
const isHeldBack = (host: SimHost, { vm, role, frozen, disk }: Replica): boolean => {
	const domain = host.domains.get(vm.name);
	if (domain?.presence !== 'paused' || domain.neverRan) return false;
	return role === 'Primary' && !frozen && disk === 'UpToDate';
};

/** Every acknowledged write is on the copy, and what is durable says so too. */
const isCurrent = ({ host, vm, record }: Place, content: Persisted): boolean => {
	const replica = replicaOf(host, vm);
	const local = content.resources[vm.engine.resource];
	if (local === undefined || local.selfExcludedAt !== null || local.held !== null) return false;
	if (!record.inSync.includes(host.name) || !local.record.inSync.includes(host.name)) return false;
	if (replica.broken || replica.head !== vm.acknowledged) return false;
	return replica.up && (replica.disk === 'UpToDate' || replica.disk === 'Consistent');
};

/** The other host is gone: the witness lets go on what is this host's own, and with a proof the rest. */
const underWitness = (simulation: Simulation, { host, record }: Place): Right | null => {
	const peer = peerOf(simulation, host);
	const { witness } = host.config;
	if (witness === null || !reachesWitness(simulation, host) || peer.kernelUp) return null;
	const withinMs = witness.takeMs + actMs;
	// What nobody owns was let go (V21): whoever takes it needs no proof either.
	if (record.owner !== peer.name)
		return { host, why: 'it is its own, the witness grants, and its peer is down', withinMs };
	if (peer.powered || !someLevelIsSound(peer)) return null;
	return { host, why: 'the witness grants, and the power of its peer reads off', withinMs };
};

/** Its peer reads off, or can be switched off by this host or this host by its peer. */
const underFencing = (simulation: Simulation, host: SimHost, content: Persisted): Right | null => {
	const peer = peerOf(simulation, host);
	const { fencing, timing } = host.config;
	if (fencing === null || !someLevelIsSound(peer)) return null;
	if (!peer.powered) return { host, why: 'the power of its peer reads off', withinMs: actMs };
	const sound = peer.devices.every(({ behaviour }) => behaviour === 'ok');
	if (!sound || content.fences.length > 0 || isCutOff(simulation, host)) return null;
	const roundMs = 4 * turnMs([fencing.levels, fencing.ownLevels], timing.detectionMs);
	return {
		host,
		why: 'it can switch its peer off, which it does not hear',
		withinMs: roundMs + timing.agentDownLostMs + actMs,
	};
};

/** It is this host that lost the network, or it hears its peer. */
const isCutOff = (simulation: Simulation, host: SimHost): boolean => {
	const switched = simulation.networks.filter((network) => network.switched);
	const dark = switched.some(({ carrierLost }) => carrierLost[host.index]);
	const heard = host.agent?.ears.flowing === true || host.agent?.ears.listener !== null;
	return dark || heard || host.gatewayAnswers === false;
};
