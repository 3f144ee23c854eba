import type { EngineHealthCheck } from '#src/engine/config.ts';
import type { HostLoadModel, VmLoadModel } from '#src/sim/model-load.ts';
import type { ScenarioVm, ScenarioWorld } from '#src/sim/scenario.ts';

/** How busy everything is when a story begins, and which checks look after the hosts. */

/** The longest that a tool behind a check takes, as the product has it (`src/config/policy.ts`), ms. */
const toolLimitMs = 15_000;

const checksOn = ({ health, hosts }: ScenarioWorld, host: string) =>
	Object.entries(health).filter(([, check]) => (check.hosts ?? hosts).includes(host));

/** The checks of this host, for the engine. */
export const healthChecksOf = (world: ScenarioWorld, host: string): EngineHealthCheck[] =>
	checksOn(world, host).map(([check, { hold, action, every }]) => ({
		check,
		holdMs: hold,
		action,
		staleMs: 3 * every + toolLimitMs,
	}));

/** A quiet host: dom0 does little, and a third of its memory is in use. */
export const createHostLoad = (world: ScenarioWorld, host: string): HostLoadModel => ({
	cpus: world.cpus,
	dom0: 0.05,
	memory: 0.33,
	disk: 0.02,
	network: 0.01,
	unknownUntilMs: 0,
	orderedMs: Number.NEGATIVE_INFINITY,
	checks: new Map(
		checksOn(world, host).map(([check, { every }]) => [
			check,
			{ everyMs: every, health: 'ok', detail: 'all is well', sinceMs: 0 },
		]),
	),
});

export const createVmLoad = ({ load, runs, host }: ScenarioVm): VmLoadModel => ({
	cpus: load.cpus,
	inflowMibPerS: load.inflowMibPerS,
	traces: 0,
	ranOn: runs ? host : null,
	moves: 0,
});
