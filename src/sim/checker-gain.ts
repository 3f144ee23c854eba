import type { SimHost, SimVm, Simulation } from '#src/sim/model.ts';
import { peerOf, replicaOf, violate } from '#src/sim/model.ts';
import { durableRecord } from '#src/sim/truth.ts';

/** A disk that failed, copies that met, or writes let go on, so shortly before may not have been noticed yet, ms. */
const noticedMs = 1000;

/**
 * A host is switched off only when something is won by it (L5): a VM of it that can run on the sender, or an own one of
 * the sender that the loss holds up. A sender whose copies are all stale would take the good ones away.
 */
export const checkGain = (simulation: Simulation, victim: SimHost): void => {
	const sender = peerOf(simulation, victim);
	const { nowMs } = simulation.queue;
	const justChanged = (vm: SimVm) =>
		durableRecord(sender, vm)?.inSync.includes(sender.name) === true &&
		nowMs - Math.max(vm.wentOnAloneMs, vm.metMs, replicaOf(sender, vm).frozenChangedMs) < noticedMs;
	if (simulation.vms.some((vm) => isGain(sender, victim, vm) || justChanged(vm))) return;
	violate(
		simulation,
		'gain',
		`${sender.name} switches ${victim.name} off although no VM could run or go on there for it`,
	);
};

const isGain = (sender: SimHost, victim: SimHost, vm: SimVm): boolean => {
	const record = durableRecord(sender, vm);
	const { disk, up, frozen } = replicaOf(sender, vm);
	if (record === undefined || !record.inSync.includes(sender.name) || !up) return false;
	if (disk !== 'UpToDate' && disk !== 'Consistent') return false;
	if (record.owner !== sender.name) return record.wanted === 'running';
	return frozen || record.inSync.includes(victim.name);
};
