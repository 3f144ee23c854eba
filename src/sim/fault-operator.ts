import { connectAgain, demote, down, promote, up } from '#src/sim/drbdadm.ts';
import { createVm, unpauseVm } from '#src/sim/hypervisor.ts';
import { killXl } from '#src/sim/migration-stream.ts';
import type { SimHost, Simulation } from '#src/sim/model.ts';
import { replicaOf, tell, vmNamed } from '#src/sim/model.ts';
import { setTwoPrimaries } from '#src/sim/two-primaries.ts';
import type { ScenarioStep } from '#src/sim/step.ts';
import type { Outcome } from '#src/ports.ts';

/** What somebody types on a host, past vmpair. */

type Step<Verb extends ScenarioStep['do']> = Extract<ScenarioStep, { do: Verb }>;

const told =
	(simulation: Simulation, host: SimHost, what: string) =>
	(outcome: Outcome): void => {
		const why = outcome.result === 'failed' ? ` (${outcome.code})` : '';
		tell(simulation, host.name, `operator's ${what}: ${outcome.result}${why}`);
	};

/** `xl create`: the domain is built and runs at once, where its disk can be opened. */
const createByHand = (simulation: Simulation, host: SimHost, step: Step<'operator-create'>) => {
	const vm = vmNamed(simulation, step.vm);
	const tellEnd = told(simulation, host, `xl create ${step.vm}`);
	createVm(simulation, host, vm, { byHand: true }, (outcome) => {
		if (outcome.result === 'succeeded') unpauseVm(simulation, host, vm, tellEnd);
		else tellEnd(outcome);
	});
};

const drbdByHand = (simulation: Simulation, host: SimHost, step: Step<'operator-drbd'>): void => {
	const replica = replicaOf(host, vmNamed(simulation, step.vm));
	const tellEnd = told(simulation, host, `drbdadm ${step.command} ${step.vm}`);
	if (step.command === 'down') down(simulation, replica, tellEnd);
	else if (step.command === 'secondary') demote(simulation, replica, tellEnd);
	else {
		// `adjust`: what the configuration says and the kernel lacks.
		if (replica.twoPrimaries) setTwoPrimaries(simulation, replica, false, () => {});
		up(simulation, replica, () => {});
		connectAgain(simulation, replica, tellEnd);
	}
};

/** True when the step was somebody's own command. */
export const operatorStep = (
	simulation: Simulation,
	host: SimHost,
	step: ScenarioStep,
): boolean => {
	if (step.do === 'operator-promote') {
		const replica = replicaOf(host, vmNamed(simulation, step.vm));
		const options = { force: step.force, byOperator: true };
		promote(simulation, replica, options, (outcome) => {
			tell(simulation, host.name, `operator's promote of ${step.vm}: ${outcome.result}`);
		});
	} else if (step.do === 'xl-killed') killXl(simulation, host);
	else if (step.do === 'operator-create') createByHand(simulation, host, step);
	else if (step.do === 'operator-drbd') drbdByHand(simulation, host, step);
	else return false;
	return true;
};
