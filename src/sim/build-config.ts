import { balanceSettings } from '#src/config/balance.ts';
import { engineWitness, timingTable } from '#src/config/timing.ts';
import type { EngineConfig, EngineVm } from '#src/engine/config.ts';
import type { Ladder } from '#src/fence/ladder.ts';
import { healthChecksOf } from '#src/sim/build-load.ts';
import type { ScenarioDevice, ScenarioVm, ScenarioWorld } from '#src/sim/scenario.ts';

/** What the configuration of a described world is for the engine. */

export const engineVm = (vm: ScenarioVm): EngineVm => ({
	vm: vm.name,
	resource: vm.name,
	priority: vm.priority,
	after: vm.after,
	memoryMib: vm.memoryMib,
	preferredHost: vm.host,
	shutdownMs: vm.shutdown,
	restartsMax: vm.restartsMax,
	restartWindowMs: vm.restartWindow,
	balance: vm.balance,
	liveBlocker: null,
});

const defaultDevices: readonly ScenarioDevice[] = [
	{ level: 1, behaviour: 'ok', latency: 300, by: 30_000, diesWithHost: false },
];

export const devicesOf = (world: ScenarioWorld, host: string): readonly ScenarioDevice[] =>
	world.devices[host] ?? defaultDevices;

export const deviceName = (host: string, index: number): string => `${host}-device-${index}`;

const ladderOf = (world: ScenarioWorld, host: string): Ladder => {
	const devices = devicesOf(world, host).map((device, index) => ({
		...device,
		name: deviceName(host, index),
	}));
	const { attempts, call, late } = world.fencing;
	const count = Math.max(...devices.map(({ level }) => level));
	return Array.from({ length: count }, (_, index) => ({
		devices: devices.filter(({ level }) => level === index + 1).map(({ name }) => name),
		attempts,
		callMs: call,
		lateMs: late,
	}));
};

export const engineConfig = (world: ScenarioWorld, self: string, peer: string): EngineConfig => {
	const table = timingTable(world.detection);
	return {
		pairId: 'pair',
		self,
		peer,
		arbiter: world.arbiter,
		timing: table,
		witness:
			world.witness === undefined
				? null
				: engineWitness(table, world.witness.watchdogs ?? world.hosts),
		links: world.networks.map(({ name, switched }) => ({ link: name, switched })),
		fencing: {
			levels: ladderOf(world, peer),
			ownLevels: ladderOf(world, self),
			perHourMax: world.fencing.perHourMax,
			afterFence: world.fencing.afterFence,
		},
		balance: balanceSettings(world.balance),
		healthChecks: healthChecksOf(world, self),
		vms: world.vms.map(engineVm),
		reservedMemoryMib: 0,
		startsAtOnce: 4,
		digest: 'same-on-both',
		version: '0',
	};
};
