import { takeForTruth } from '#src/sim/checker-data.ts';
import { settle } from '#src/sim/data.ts';
import type { SimHost, Simulation } from '#src/sim/model.ts';
import { otherReplica, peerOf, replicaOf, violate } from '#src/sim/model.ts';
import { atMost } from '#src/sim/replica.ts';
import type { Persisted } from '#src/store/record.ts';

/** A person's decision about copies moves the generation by at least so much, and knows the other record. */
const decidedGenerations = 1_000_000;

/** A person's word that the other host is dead, in the record that it changes: that copy is apart from here on. */
export const noteBurial = (
	simulation: Simulation,
	host: SimHost,
	before: Persisted | 'corrupt' | null,
	after: Persisted,
): void => {
	if (before === null || before === 'corrupt') return;
	if (host.agent?.loop.state.peer.proof?.kind !== 'person') return;
	const peer = peerOf(simulation, host);
	for (const { engine, buried } of simulation.vms) {
		const was = before.resources[engine.resource]?.record.inSync.includes(peer.name);
		const is = after.resources[engine.resource]?.record.inSync.includes(peer.name);
		if (was !== true || is !== false || buried.get(peer.name) === 'alive') continue;
		buried.set(peer.name, peer.powered ? 'alive' : 'dead');
	}
};

/**
 * A person gave this host's copy up, and its VM stands still: the other copy is the truth. Until this very record both
 * VMs may run, and what had split them goes on excusing the writes of the one that loses.
 */
export const noteDecision = (
	simulation: Simulation,
	host: SimHost,
	before: Persisted | 'corrupt' | null,
	after: Persisted,
): void => {
	if (before === null || before === 'corrupt') return;
	for (const vm of simulation.vms) {
		const was = before.resources[vm.engine.resource]?.record;
		const is = after.resources[vm.engine.resource]?.record;
		if (was === undefined || is === undefined || !vm.givenUp.has(host.name)) continue;
		if (is.generation - was.generation < decidedGenerations || is.inSync.includes(host.name))
			continue;
		settle(simulation, vm);
		const kept = otherReplica(replicaOf(host, vm));
		if (kept.head !== vm.acknowledged) takeForTruth(kept);
		vm.buried.clear();
	}
};

/**
 * I8: a host whose record counts it as the only holder of the data gives that right away for a copy that DRBD shows to
 * be equal, or because a person said so; no number of the other host's record is a reason (V14).
 */
export const checkRight = (
	simulation: Simulation,
	host: SimHost,
	before: Persisted | 'corrupt' | null,
	after: Persisted,
): void => {
	if (before === null || before === 'corrupt') return;
	for (const vm of simulation.vms) {
		const { resource } = vm.engine;
		const was = before.resources[resource]?.record;
		const is = after.resources[resource]?.record;
		if (was === undefined || is === undefined || was.inSync.length !== 1) continue;
		if (was.inSync[0] !== host.name || is.inSync.includes(host.name)) continue;
		if (vm.givenUp.has(host.name)) continue;
		if (is.generation - was.generation >= decidedGenerations) continue;
		const own = replicaOf(host, vm);
		// Whether the other copy holds every write is the business of other checkers.
		if (own.connection === 'Connected' && otherReplica(own).disk === 'UpToDate') continue;
		// It was so a moment ago, and then the resync of this copy was refused.
		if (own.up && atMost(own.disk, 'Outdated')) continue;
		violate(
			simulation,
			'I8',
			`${host.name} held the only current copy of ${vm.name} by its record, and gives it up for the record of ${peerOf(simulation, host).name}`,
		);
	}
};
