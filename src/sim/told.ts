import { leavingOf } from '#src/engine/draft.ts';
import { conditions } from '#src/engine/conditions.ts';
import { readinessOf } from '#src/engine/readiness.ts';
import { isWell, newestRecord } from '#src/sim/alive.ts';
import type { SimHost, SimVm, Simulation } from '#src/sim/model.ts';
import { hostClock, violate } from '#src/sim/model.ts';
import { durableRecord } from '#src/sim/truth.ts';

/**
 * I10 before anything is lost: that a VM would stay down if its host died now is told while there is time to act, and
 * nobody is told that a failover would work when it would not.
 */
export interface Warnings {
	/** Since when a VM has one good copy only and nobody is told, by name. */
	readonly unsaid: Map<string, number>;
	/** Since when a host calls a VM ready that is not, by host and name. */
	readonly promised: Map<string, number>;
}

export const createWarnings = (): Warnings => ({ unsaid: new Map(), promised: new Map() });

/** The hosts need so long to see what DRBD shows, and each other's sight of it, ms. */
export const seenWithinMs = 8000;
/** An agent that has just started or gone on looks around first. */
export const steadyMs = 30_000;

/** An agent that runs. */
const isAtWork = ({ agent, hung }: SimHost): boolean =>
	agent?.alive === true && !agent.stopped && !agent.loopStalled && !agent.threadStalled && !hung;

/** An agent that runs, and has had time to look around. */
export const canTell = (simulation: Simulation, host: SimHost): boolean =>
	isAtWork(host) && simulation.queue.nowMs - host.agentSinceMs > steadyMs;

/** Both copies take every write of the guest. */
const isMirrored = ({ replicas, acknowledged }: SimVm): boolean =>
	replicas.every(
		({ disk, replication, head }) =>
			disk === 'UpToDate' && replication === 'Established' && head === acknowledged,
	);

/** Since when something is so, by key; the time that it has been so, ms, and null when it is not. */
const lasting = (
	since: Map<string, number>,
	key: string,
	isSo: boolean,
	nowMs: number,
): number | null => {
	if (!isSo) {
		since.delete(key);
		return null;
	}
	const sinceMs = since.get(key) ?? nowMs;
	since.set(key, sinceMs);
	return nowMs - sinceMs;
};

/** Looks what people are told of VMs that run; call it every few seconds. */
export const watchWarnings = (simulation: Simulation, warnings: Warnings): void => {
	// Somebody has asked for it, and knows.
	if (simulation.hosts.some(({ agent }) => agent !== null && leavingOf(agent.loop.state) !== null))
		return;
	for (const vm of simulation.vms) {
		const record = newestRecord(simulation, vm);
		const mirrored = isMirrored(vm);
		const runs = record?.wanted === 'running' && record.journal === null && isWell(simulation, vm);
		watchUnsaid(simulation, vm, runs && !mirrored, warnings);
		for (const host of simulation.hosts)
			watchPromise(simulation, vm, host, runs && !mirrored, warnings);
	}
};

const watchUnsaid = (
	simulation: Simulation,
	vm: SimVm,
	bare: boolean,
	{ unsaid }: Warnings,
): void => {
	const { nowMs } = simulation.queue;
	// A DRBD that hangs shows nothing of a VM: that it hangs is what is told meanwhile.
	const seeing = simulation.hosts.filter((host) => isAtWork(host) && nowMs >= host.drbdHungUntilMs);
	const able = seeing.some((host) => canTell(simulation, host));
	// One that has just started need not tell yet; where it does, it is told.
	const told = () =>
		seeing.some(
			(host) =>
				host.agent !== null &&
				conditions(host.agent.loop.state, hostClock(simulation, host)).some(
					({ subject }) => subject === vm.name,
				),
		);
	const forMs = lasting(unsaid, vm.name, bare && able && !told(), nowMs);
	if (forMs === null || forMs < seenWithinMs) return;
	unsaid.set(vm.name, nowMs);
	violate(simulation, 'I10', `${vm.name} has one good copy only and nobody is told`);
};

const watchPromise = (
	simulation: Simulation,
	vm: SimVm,
	host: SimHost,
	bare: boolean,
	{ promised }: Warnings,
): void => {
	const { nowMs } = simulation.queue;
	const ready = () =>
		canTell(simulation, host) &&
		// One that was not told of a start speaks of a VM that is stopped.
		durableRecord(host, vm)?.wanted === 'running' &&
		host.agent !== null &&
		readinessOf(host.agent.loop.state, vm.engine, hostClock(simulation, host)).ready;
	const forMs = lasting(promised, `${vm.name} ${host.name}`, bare && ready(), nowMs);
	if (forMs === null || forMs < seenWithinMs) return;
	promised.set(`${vm.name} ${host.name}`, nowMs);
	violate(
		simulation,
		'I10',
		`${host.name} says that ${vm.name} would fail over, and it has one good copy only`,
	);
};
