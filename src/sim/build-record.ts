import type { WitnessRecord } from '#src/ports-witness.ts';
import type { Simulation } from '#src/sim/model.ts';
import type { ScenarioVm, ScenarioWorld } from '#src/sim/scenario.ts';
import type { ResourceRecord, WitnessMemory } from '#src/store/record.ts';

/** What hosts and witness remember when a story begins. */

/** A VM's first record, the same everywhere. */
export const firstOf = (
	simulation: Simulation,
	world: ScenarioWorld,
	vm: ScenarioVm,
	index: number,
): ResourceRecord => ({
	generation: 1,
	owner: vm.host,
	inSync: [...world.hosts].toSorted(),
	uuids: [simulation.vms[index]?.replicas[0].current ?? ''],
	wanted: vm.runs ? 'running' : 'stopped',
	journal: null,
});

/** What the witness holds when the story begins: both hosts have confirmed it long ago. */
export const firstWitnessed = (simulation: Simulation, world: ScenarioWorld): WitnessRecord => ({
	format: 1,
	pairId: 'pair',
	version: 1,
	hosts: {},
	claim: null,
	resources: Object.fromEntries(
		world.vms.map((vm, index) => [vm.name, firstOf(simulation, world, vm, index)]),
	),
});

export const firstMemory = (world: ScenarioWorld): WitnessMemory => ({
	confirmedRunId: 'run-1',
	version: 1,
	generations: Object.fromEntries(world.vms.map((vm) => [vm.name, 1])),
	claiming: false,
	paused: {},
});
