import { type LoadKind, loadKinds, type LoadSample, type VmLoad } from '#src/ports-load.ts';
import type { Event } from '#src/engine/event.ts';
import type { VmName } from '#src/ports.ts';
import {
	criticalOf,
	type LoadMemory,
	loadWords,
	lookAtAll,
	lookAtCheck,
	lookAtVms,
	newMemory,
	samplesOf,
	steadyForMs,
} from '#src/sim/checker-load-memory.ts';
import { demandOf, readingOf } from '#src/sim/load.ts';
import type { SimAgent, SimHost, SimVm, Simulation } from '#src/sim/model.ts';
import { count, peerOf, violate } from '#src/sim/model.ts';
import { durableRecord, isRunnable } from '#src/sim/truth.ts';
import { same } from '#src/std/same.ts';
import type { Persisted, ResourceRecord } from '#src/store/record.ts';

/**
 * Moves that nobody asked for, because of load or because a host is failing: whether each was right by what the world
 * was, as far as the host that decided could know it.
 */

/** Clocks of hosts may be fast by so much. */
const clockSlack = 0.994;
/** What changed is seen, and told to the other host, within this time where everything answers, ms. */
const knownWithinMs = 10_000;
/** Loads and places that are the same for so long have been sampled on both hosts, and told, ms. */
const sampledWithinMs = 40_000;
/** A short and small dip does not end what is above its limit; what is missing for longer does. */
const dip = 0.1;
const dipMs = 40_000;
const missingMs = 30_000;
/** Readings are rounded; shares. */
const rounding = 0.02;

/** Moves for load of this run. */
interface Moves {
	/** When the last one of a VM ended, whichever way, by its name, as far as each host ever knew of it. */
	readonly ended: readonly [Map<VmName, number>, Map<VmName, number>];
	/** Those under way: what the host was like when it was decided. */
	readonly begun: Map<
		VmName,
		{
			readonly host: SimHost;
			readonly demand: ReturnType<typeof demandOf>;
			readonly over: readonly LoadKind[];
			/** What would change it besides; null: what was read of the VM was not so any more. */
			readonly around: string | null;
		}
	>;
}

interface Move {
	readonly host: SimHost;
	readonly vm: SimVm;
	readonly sample: LoadSample;
	/** Somebody typed it a moment ago: that person does not wait for rests and holds. */
	readonly ordered: boolean;
}

type Problem = string | null;

/** Since when this kind of load has been too high without an end, by what this host has read, ms; null: it is not. */
const aboveSinceMs = (
	memory: LoadMemory,
	host: SimHost,
	kind: LoadKind,
	nowMs: number,
): number | null => {
	const limit = host.config.balance.limits[kind];
	let sinceMs: number | null = null;
	let knownMs = Number.NEGATIVE_INFINITY;
	let highMs = Number.NEGATIVE_INFINITY;
	for (const { atMs, sample } of samplesOf(memory, host)) {
		const share = sample?.host[kind] ?? null;
		if (atMs - knownMs > missingMs * (2 - clockSlack)) sinceMs = null;
		if (share === null) continue;
		if (share > limit) {
			sinceMs ??= atMs;
			highMs = atMs;
		} else if (share < limit - dip || atMs - highMs > dipMs) sinceMs = null;
		knownMs = atMs;
	}
	return nowMs - knownMs > missingMs ? null : sinceMs;
};

const lasting = (
	simulation: Simulation,
	memory: LoadMemory,
	{ host, ordered }: Move,
): LoadKind[] => {
	const { nowMs } = simulation.queue;
	const holdMs = ordered ? 0 : host.config.balance.holdMs * clockSlack - 100;
	return loadKinds.filter((kind) => {
		const sinceMs = aboveSinceMs(memory, host, kind, nowMs);
		return sinceMs !== null && nowMs - sinceMs >= holdMs;
	});
};

const usedIn = (sample: LoadSample, { name }: SimVm): VmLoad | undefined =>
	sample.vms.find((each) => each.vm === name);

/** What the VM takes of one kind here, as a share of the host, by the last reading. */
const partOf = ({ vm, sample }: Move, kind: LoadKind): number => {
	const own = usedIn(sample, vm);
	if (own === undefined || kind === 'memory') return 0;
	if (kind === 'cpu') return own.cpus / sample.cpus;
	const all = sample.vms.reduce((sum, each) => sum + (each.inflowMibPerS ?? 0), 0);
	return all === 0 ? 0 : ((sample.host[kind] ?? 0) * (own.inflowMibPerS ?? 0)) / all;
};

/** It was overloaded for as long as it has to be, and the move brings what it has to bring. */
const helps = (simulation: Simulation, memory: LoadMemory, move: Move): Problem => {
	const { host, vm } = move;
	const over = lasting(simulation, memory, move);
	if (over.length === 0) return `${host.name} was not overloaded for long enough`;
	const { gain } = host.config.balance;
	if (over.some((kind) => partOf(move, kind) >= gain - rounding)) return null;
	return `${vm.name} takes less than the least gain of ${over.join(' and ')} on ${host.name}`;
};

/** The other host stays below what a target may have, where nothing has changed for so long that it must be known. */
const fits = (simulation: Simulation, memory: LoadMemory, move: Move): Problem => {
	const { host, vm } = move;
	if (steadyForMs(simulation, memory) < sampledWithinMs) return null;
	const other = peerOf(simulation, host);
	const after = demandOf(simulation, other).cpu + partOf(move, 'cpu');
	if (after <= host.config.balance.target + rounding) return null;
	return `${other.name} would be at ${Math.round(after * 100)} % with ${vm.name}`;
};

/** The pair and its copies are whole, for all that this host can see. */
const whole = (simulation: Simulation, memory: LoadMemory, { host }: Move): Problem => {
	const { nowMs } = simulation.queue;
	const own = host.store.content;
	if (own === null || own === 'corrupt' || !own.pair.armed) return 'the pair is disarmed';
	if (own.pair.pause !== undefined) return 'the pair is paused';
	const other = peerOf(simulation, host);
	const theirs = other.store.content;
	const inStandby = theirs !== null && theirs !== 'corrupt' && theirs.standby !== null;
	if (inStandby && nowMs - (memory.standbySinceMs[other.index] ?? nowMs) > knownWithinMs)
		return `${other.name} is in standby`;
	if (nowMs < host.drbdHungUntilMs + knownWithinMs) return null;
	for (const { name } of simulation.vms) {
		const sinceMs = memory.partialSinceMs.get(name) ?? nowMs;
		if (nowMs - sinceMs > knownWithinMs) return `${name} has one good copy only`;
	}
	return null;
};

/** One host could hold all that runs, or people do without. */
const spared = (simulation: Simulation, memory: LoadMemory, { host }: Move): Problem => {
	const { nowMs } = simulation.queue;
	if (host.config.balance.spare === 'waived') return null;
	const running = simulation.vms.filter(({ name }) => {
		const since = memory.running.get(name)?.sinceMs ?? nowMs;
		return nowMs - since > knownWithinMs;
	});
	const sum = running.reduce((mib, { engine }) => mib + engine.memoryMib, 0);
	const roomMib = Math.max(...simulation.hosts.map(({ memoryMib }) => memoryMib));
	return sum > roomMib ? 'no host could hold the VMs of both' : null;
};

const isLoadMove = (record: ResourceRecord | undefined): boolean => {
	const journal = record?.journal ?? null;
	return journal?.kind === 'migration' && journal.cause === 'load';
};

/** One at a time in the pair. */
const alone = (simulation: Simulation, { vm }: Move): Problem => {
	const others = simulation.vms.filter((each) => each !== vm);
	const other = others.find((each) =>
		simulation.hosts.some((host) => isLoadMove(durableRecord(host, each))),
	);
	return other === undefined ? null : `${other.name} is under way because of load`;
};

/** With the rests of the VM and of the pair in between. */
const rested = (simulation: Simulation, moves: Moves, { host, vm, ordered }: Move): Problem => {
	const { nowMs } = simulation.queue;
	const { vmCooldownMs, pairCooldownMs } = host.config.balance;
	if (ordered) return null;
	for (const [name, endedMs] of moves.ended[host.index]) {
		// The host that decides had its file replaced since: it knows nothing of it.
		if (host.fileReplacedMs > endedMs) continue;
		const restMs = Math.max(name === vm.name ? vmCooldownMs : 0, pairCooldownMs);
		if (nowMs - endedMs < restMs * clockSlack - 100)
			return `${name} was moved because of load ${Math.round((nowMs - endedMs) / 1000)} s ago`;
	}
	return null;
};

const allowed = ({ host, vm, ordered }: Move): Problem => {
	if (vm.engine.balance.pinned) return `${vm.name} is pinned`;
	const { mode } = host.config.balance;
	return mode === 'auto' || ordered ? null : `balancing is ${mode}`;
};

/** A check of this host has been critical for so long that both hosts know it. */
const illKnown = (
	simulation: Simulation,
	host: SimHost,
	actions: readonly ('alert' | 'evacuate')[],
): string | null => {
	if (host.agent?.alive !== true || host.agent.stopped || host.agent.loopStalled || host.hung)
		return null;
	for (const { check, action, holdMs } of host.config.healthChecks) {
		const model = host.load.checks.get(check);
		if (!actions.includes(action) || model?.health !== 'critical') continue;
		const sinceMs = Math.max(model.sinceMs, host.agentSinceMs);
		const knownMs = (holdMs + 2 * model.everyMs) * (2 - clockSlack) + knownWithinMs;
		if (simulation.queue.nowMs - sinceMs > knownMs) return check;
	}
	return null;
};

/** Load goes to no host that a check calls critical; a host that is failing itself goes to none that is failing too. */
const targetIsWell = (simulation: Simulation, host: SimHost, why: 'load' | 'health'): Problem => {
	const other = peerOf(simulation, host);
	const actions = why === 'load' ? (['alert', 'evacuate'] as const) : (['evacuate'] as const);
	const ill = illKnown(simulation, other, actions);
	return ill === null ? null : `${ill} of ${other.name} is critical`;
};

const firstProblem = (simulation: Simulation, { memory, moves }: Watch, move: Move): Problem =>
	allowed(move) ??
	alone(simulation, move) ??
	rested(simulation, moves, move) ??
	whole(simulation, memory, move) ??
	spared(simulation, memory, move) ??
	helps(simulation, memory, move) ??
	fits(simulation, memory, move) ??
	targetIsWell(simulation, move.host, 'load');

interface Watch {
	readonly memory: LoadMemory;
	readonly moves: Moves;
}

/** All loads, and who else runs on this host: one that waited for memory starts when another one has gone. */
const aroundOf = (simulation: Simulation, host: SimHost, vm: SimVm): string => {
	const others = simulation.vms.filter((each) => each !== vm && isRunnable(host, each));
	return JSON.stringify([loadWords(simulation), others.map(({ name }) => name)]);
};

const loadMoveBegins = (simulation: Simulation, watch: Watch, host: SimHost, vm: SimVm): void => {
	const { memory, moves } = watch;
	lookAtVms(simulation, memory);
	count(simulation, 'moves begun for load');
	const sample = samplesOf(memory, host).findLast((each) => each.sample !== null)?.sample ?? null;
	if (sample === null) {
		complain(simulation, vm, host, 'its load was never read');
		return;
	}
	const ordered = simulation.queue.nowMs - host.load.orderedMs < knownWithinMs;
	const move: Move = { host, vm, sample, ordered };
	complain(simulation, vm, host, firstProblem(simulation, watch, move));
	const over = lasting(simulation, memory, move);
	const demand = demandOf(simulation, host);
	const isTrue = same(usedIn(sample, vm), usedIn(readingOf(simulation, host), vm));
	const around = isTrue ? aroundOf(simulation, host, vm) : null;
	moves.begun.set(vm.name, { host, demand, over, around });
};

const complain = (simulation: Simulation, vm: SimVm, host: SimHost, problem: Problem): void => {
	if (problem !== null)
		violate(simulation, 'load', `${vm.name} leaves ${host.name}, nobody asked for it: ${problem}`);
};

/** With nothing else changed, the host that it came from has less to do of what there was too much of. */
const loadMoveEnds = (simulation: Simulation, { moves }: Watch, vm: SimVm): void => {
	const begun = moves.begun.get(vm.name);
	moves.begun.delete(vm.name);
	if (begun === undefined || begun.around !== aroundOf(simulation, begun.host, vm)) return;
	const { host, demand, over } = begun;
	if (durableRecord(host, vm)?.owner === host.name || isRunnable(host, vm)) return;
	count(simulation, 'moves done for load');
	// What a MiB costs a disk or a network besides its bytes nobody can know.
	if (over.includes('disk') || over.includes('network')) return;
	const now = demandOf(simulation, host);
	if (over.some((kind) => now[kind] < demand[kind] - rounding)) return;
	violate(
		simulation,
		'load',
		`${vm.name} left ${host.name}, which has as much to do of ${over.join(' and ')} as before`,
	);
};

/** Nobody asked for it: this host empties itself because a check of it is critical. */
const isFlight = ({ agent }: SimHost, { standby, leaving }: Persisted): boolean => {
	const state = agent?.loop.state;
	return (
		state !== undefined &&
		state.health.evacuates !== null &&
		state.drain.evacuation === null &&
		standby === null &&
		leaving === null
	);
};

const flightBegins = (
	simulation: Simulation,
	memory: LoadMemory,
	host: SimHost,
	vm: SimVm,
): void => {
	count(simulation, 'moves begun for health');
	const { nowMs } = simulation.queue;
	const ill = host.config.healthChecks.some(({ check, action, holdMs, staleMs }) => {
		if (action !== 'evacuate') return false;
		// The reading on which it was decided comes last, and is not among them yet.
		const read = criticalOf(memory, host, check);
		const ageMs = nowMs - (read?.lastMs ?? Number.NEGATIVE_INFINITY);
		const young = ageMs <= staleMs * (2 - clockSlack) + knownWithinMs;
		const is = host.load.checks.get(check)?.health === 'critical';
		const forMs = nowMs - (read?.sinceMs ?? nowMs);
		return (is || young) && forMs >= holdMs * clockSlack - 100;
	});
	const problem = ill
		? targetIsWell(simulation, host, 'health')
		: 'no check of it has been critical for long';
	complain(simulation, vm, host, problem);
};

const isOpen = (content: SimHost['store']['content'], vm: SimVm): 'load' | 'other' | null => {
	if (content === null || content === 'corrupt') return null;
	const record = content.resources[vm.engine.resource]?.record;
	if (record?.journal?.kind !== 'migration') return null;
	return isLoadMove(record) ? 'load' : 'other';
};

/** The checks of one run; `persisted`: what became durable on a host, and what was so before. */
export interface LoadChecks {
	stepped(agent: SimAgent, event: Event): void;
	persisted(host: SimHost, record: Persisted, before: SimHost['store']['content']): void;
}

export const createLoadChecks = (simulation: Simulation): LoadChecks => {
	const watch: Watch = {
		memory: newMemory(),
		moves: { ended: [new Map(), new Map()], begun: new Map() },
	};
	return {
		stepped: (agent, event) => {
			if (event.type === 'load-observed') lookAtAll(simulation, watch.memory, agent, event.sample);
			if (event.type === 'health-observed')
				lookAtCheck(simulation, watch.memory, agent, event.reading);
		},
		persisted: (host, record, before) => {
			for (const vm of simulation.vms) {
				const now = isOpen(record, vm);
				const was = isOpen(before, vm);
				if (now === was) continue;
				// A move whose journal the other host never had has done nothing, and leaves no trace there.
				if (was === 'load') watch.moves.ended[host.index].set(vm.name, simulation.queue.nowMs);
				const sends = durableRecord(host, vm)?.owner === host.name;
				if (now === 'load' && sends) loadMoveBegins(simulation, watch, host, vm);
				else if (now === 'other' && sends && isFlight(host, record))
					flightBegins(simulation, watch.memory, host, vm);
				else if (was === 'load' && now === null && watch.moves.begun.has(vm.name))
					loadMoveEnds(simulation, watch, vm);
			}
		},
	};
};
