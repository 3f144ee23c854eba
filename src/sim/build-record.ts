import type { WitnessRecord } from '#src/ports-witness.ts';
import type { SimHost, Simulation } from '#src/sim/model.ts';
import type { ScenarioVm, ScenarioWorld } from '#src/sim/scenario.ts';
import {
	type Persisted,
	type ResourceRecord,
	stateFormat,
	type WitnessMemory,
} from '#src/store/record.ts';

/** What hosts and witness remember when a story begins. */

/** A VM's first record, the same everywhere. */
const firstOf = (
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
	claimVersion: 1,
	resources: Object.fromEntries(
		world.vms.map((vm, index) => [vm.name, firstOf(simulation, world, vm, index)]),
	),
});

const firstMemory = (world: ScenarioWorld): WitnessMemory => ({
	confirmedRunId: 'run-1',
	version: 1,
	generations: Object.fromEntries(world.vms.map((vm) => [vm.name, 1])),
	voidBelow: 0,
	peerUnarmed: false,
	reserved: {},
	claiming: false,
	disarmed: null,
	paused: {},
});

/** The state file of a host when the story begins. */
export const firstRecord = (
	simulation: Simulation,
	world: ScenarioWorld,
	host: SimHost,
): Persisted => {
	const peer = simulation.hosts[host.index === 0 ? 1 : 0];
	const before = world.begin === 'settled' ? '' : 'earlier-';
	return {
		format: stateFormat,
		pairId: 'pair',
		host: host.name,
		bootId: before + host.bootId,
		joinedBootId: before + host.bootId,
		peerBootIds: [before + peer.bootId],
		pair: { generation: 1, armed: true, by: 'admin', reason: 'set up', at: '' },
		pauseClock: null,
		resources: Object.fromEntries(
			world.vms.map((vm, index) => [
				vm.name,
				{
					record: firstOf(simulation, world, vm, index),
					selfExcludedAt: null,
					held: null,
					detached: false,
					lastRun: null,
					lastDrill: null,
				},
			]),
		),
		openFence: null,
		deviceWrong: false,
		contactLost: null,
		fences: [],
		witness: world.witness === undefined ? null : firstMemory(world),
		arbiter: world.witness === undefined ? null : { round: 1, now: world.arbiter, next: null },
		standby: null,
		leaving: null,
		loadMoves: {},
	};
};
