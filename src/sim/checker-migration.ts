import { conditions } from '#src/engine/conditions.ts';
import type { Replica, SimHost, SimVm, Simulation } from '#src/sim/model.ts';
import { hostClock, otherReplica, replicaOf, violate } from '#src/sim/model.ts';
import { canTell } from '#src/sim/told.ts';
import { durableRecord } from '#src/sim/truth.ts';
import { mayBothBePrimary } from '#src/sim/two-primaries.ts';

/** What a live migration may do that nothing else may, and what it must not leave behind. */

/**
 * This copy becomes the second Primary of a live migration to its host, as the durable record there says; the migration
 * may have turned back while the promote was under way.
 */
export const isMigrationTarget = (replica: Replica): boolean => {
	const { host, vm, connection } = replica;
	const journal = durableRecord(host, vm)?.journal;
	if (journal?.kind !== 'migration') return false;
	return journal.to === host.name && connection === 'Connected' && mayBothBePrimary(replica);
};

/** A copy that came over runs only when the other host cannot write any more: it was demoted, frozen or is gone. */
export const checkReceived = (simulation: Simulation, host: SimHost, vm: SimVm): void => {
	if (host.domains.get(vm.name)?.received !== true) return;
	const other = otherReplica(replicaOf(host, vm));
	if (!other.up || other.role !== 'Primary' || other.frozen) return;
	violate(
		simulation,
		'migration',
		`${vm.name} came to ${host.name} and runs while ${other.host.name} is still Primary`,
	);
};

/**
 * Both are Primary without a migration under way for so long at most, when nothing else fails, ms. For half a minute of
 * it the source waits for a late look of the other host, counted from its own first look, which may follow a hang.
 */
const settledWithinMs = 45_000;

/** Since when both copies of a VM are Primary and nobody sends it, by name. */
export type BothPrimary = Map<string, number>;

const isCalm = (simulation: Simulation, host: SimHost): boolean =>
	canTell(simulation, host) &&
	host.agent?.ears.flowing === true &&
	simulation.queue.nowMs > Math.max(host.xlHungUntilMs, host.drbdHungUntilMs);

const isSent = ({ hosts }: Simulation, vm: SimVm): boolean =>
	hosts.some(({ migrations }) => {
		const xl = migrations.get(vm.name)?.xl;
		return xl === 'sends' || xl === 'receives';
	});

/** Looks for VMs that stay Primary on both hosts; call it every few seconds. */
export const watchBothPrimary = (simulation: Simulation, both: BothPrimary): void => {
	const { queue, hosts, vms } = simulation;
	for (const vm of vms) {
		const isBoth = vm.replicas.every(({ role, connection }) => {
			return role === 'Primary' && connection === 'Connected';
		});
		if (!isBoth || isSent(simulation, vm) || !hosts.every((host) => isCalm(simulation, host))) {
			both.delete(vm.name);
			continue;
		}
		const sinceMs = both.get(vm.name) ?? queue.nowMs;
		both.set(vm.name, sinceMs);
		if (queue.nowMs - sinceMs < settledWithinMs) continue;
		both.set(vm.name, queue.nowMs);
		violate(simulation, 'migration', `${vm.name} stays Primary on both hosts, and nobody sends it`);
	}
};

/** Something of a live migration is still there. */
export const isMigrating = ({ hosts }: Simulation, vm: SimVm): boolean =>
	hosts.some((host) => {
		const { twoPrimaries, up } = replicaOf(host, vm);
		const journal = durableRecord(host, vm)?.journal ?? null;
		const found = host.migrations.get(vm.name);
		return found !== undefined || (up && twoPrimaries) || journal?.kind === 'migration';
	});

const isTold = (simulation: Simulation, vm: SimVm): boolean =>
	simulation.hosts.some(
		({ agent }) =>
			agent?.alive === true &&
			conditions(agent.loop.state, hostClock(simulation, agent.host)).some(
				({ subject, severity }) => subject === vm.name && severity !== 'info',
			),
	);

/** At the end nothing is left of a migration where an agent could see to it, or somebody is told. */
export const checkMigrationEnd = (simulation: Simulation, vm: SimVm): void => {
	for (const host of simulation.hosts) {
		if (!isCalm(simulation, host)) continue;
		const { up, twoPrimaries, connection } = replicaOf(host, vm);
		const twin = host.migrations.get(vm.name)?.twin ?? null;
		const journal = durableRecord(host, vm)?.journal ?? null;
		const left = [
			...(twin === null ? [] : [`its domain ${twin.name}`]),
			...(up && twoPrimaries && connection === 'Connected' ? ['the leave for two Primaries'] : []),
			...(journal?.kind === 'migration' ? ['its open journal'] : []),
		];
		if (left.length === 0 || isTold(simulation, vm)) continue;
		const what = left.join(' and ');

		violate(simulation, 'migration', `a migration of ${vm.name} has left ${what} on ${host.name}`);
	}
};
