import { settleAll, visibleHead } from '#src/sim/data.ts';
import { replicaOf, type SimVm, type Simulation } from '#src/sim/model.ts';

/** What is really true in the simulated world, whatever the agents think. */
export interface VmTruth {
	readonly vm: string;
	/** Hosts on which its vCPUs run. */
	readonly runsOn: readonly string[];
	/** Writes that were acknowledged to the guest so far. */
	readonly acknowledged: number;
	/** Every one of them is on the disk that the guest sees; true while it runs nowhere. */
	readonly intact: boolean;
}

const truthOf = (simulation: Simulation, vm: SimVm): VmTruth => {
	const hosts = simulation.hosts.filter(
		(host) => host.domains.get(vm.name)?.presence === 'running',
	);
	return {
		vm: vm.name,
		runsOn: hosts.map(({ name }) => name),
		acknowledged: vm.acknowledged,
		intact: hosts.every((host) => visibleHead(replicaOf(host, vm)) === vm.acknowledged),
	};
};

/** The truth about every VM, now. */
export const truths = (simulation: Simulation): readonly VmTruth[] => {
	settleAll(simulation);
	return simulation.vms.map((vm) => truthOf(simulation, vm));
};
