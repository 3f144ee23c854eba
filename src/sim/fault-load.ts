import type { SimVm, Simulation } from '#src/sim/model.ts';
import { hostNamed, tell, vmNamed } from '#src/sim/model.ts';
import { schedule } from '#src/sim/queue.ts';
import type { ScenarioStep } from '#src/sim/step.ts';
import { assert } from '#src/std/assert.ts';

/** Steps that make VMs and hosts busy, and that let health checks speak. */

type Step<Verb extends ScenarioStep['do']> = Extract<ScenarioStep, { do: Verb }>;

const setHost = (simulation: Simulation, step: Step<'host-load'>): void => {
	const { load } = hostNamed(simulation, step.host);
	for (const kind of ['dom0', 'memory', 'disk', 'network'] as const)
		load[kind] = step[kind] ?? load[kind];
};

/** One round of a trace, and the next one when it is over, until the trace is: `leftMs` from `beganMs` on. */
const follow = (
	simulation: Simulation,
	vm: SimVm,
	step: Step<'load-trace'>,
	{ beganMs, leftMs }: { readonly beganMs: number; readonly leftMs: number },
): void => {
	const { traces } = vm.load;
	const isOver = () => vm.load.traces !== traces;
	for (const { after, cpus } of step.points) {
		if (step.every !== undefined && after >= Math.min(leftMs, step.every)) break;
		schedule(simulation.queue, beganMs + after, () => {
			if (isOver() || vm.load.cpus === cpus) return;
			vm.load.cpus = cpus;
			tell(simulation, 'world', `load of ${vm.name}: ${cpus}`);
		});
	}
	if (step.every === undefined || leftMs <= step.every) return;
	const next = { beganMs: beganMs + step.every, leftMs: leftMs - step.every };
	schedule(simulation.queue, next.beganMs, () => {
		if (!isOver()) follow(simulation, vm, step, next);
	});
};

const setHealth = (simulation: Simulation, step: Step<'health'>): void => {
	const check = hostNamed(simulation, step.host).load.checks.get(step.check);
	assert(check !== undefined, `${step.host} has a health check ${step.check}`);
	if (check.health !== step.health) check.sinceMs = simulation.queue.nowMs;
	check.health = step.health;
	check.detail = step.detail ?? `it is ${step.health}`;
};

/** True when the step was one of load or health. */
export const loadStep = (simulation: Simulation, step: ScenarioStep): boolean => {
	if (step.do === 'load') {
		const { load } = vmNamed(simulation, step.vm);
		load.traces += 1;
		load.cpus = step.cpus;
		load.inflowMibPerS = step.inflowMibPerS ?? load.inflowMibPerS;
	} else if (step.do === 'load-trace') {
		const vm = vmNamed(simulation, step.vm);
		vm.load.traces += 1;
		follow(simulation, vm, step, { beganMs: simulation.queue.nowMs, leftMs: step.for });
	} else if (step.do === 'host-load') setHost(simulation, step);
	else if (step.do === 'load-unknown')
		hostNamed(simulation, step.host).load.unknownUntilMs = simulation.queue.nowMs + step.for;
	else if (step.do === 'health') setHealth(simulation, step);
	else return false;
	return true;
};
