import { endAgent, startAgentSoon } from '#src/sim/agent.ts';
import type { SimAgent, SimHost, Simulation } from '#src/sim/model.ts';
import type { SimWitness } from '#src/sim/model-witness.ts';
import { impairmentOf } from '#src/sim/model-wire.ts';
import { count, inAgent, onHost, tell } from '#src/sim/model.ts';
import type { ScenarioStep } from '#src/sim/step.ts';
import { assert } from '#src/std/assert.ts';

/** Faults of the witness, and of the two threads of an agent. */

type Step<Verb extends ScenarioStep['do']> = Extract<ScenarioStep, { do: Verb }>;

const restart = (simulation: Simulation, witness: SimWitness): void => {
	witness.up = true;
	witness.runs += 1;
	tell(simulation, 'third', `starts as run-${witness.runs}`);
};

const setCut = (
	simulation: Simulation,
	witness: SimWitness,
	step: Step<'witness-cut' | 'witness-mend'>,
): void => {
	for (const host of simulation.hosts)
		if (step.from === undefined || step.from === host.name)
			witness.cut[host.index] = step.do === 'witness-cut';
};

const setImpaired = (
	simulation: Simulation,
	witness: SimWitness,
	step: Step<'witness-degrade' | 'witness-clear'>,
): void => {
	for (const host of simulation.hosts)
		if (step.from === undefined || step.from === host.name)
			witness.impaired[host.index] = step.do === 'witness-degrade' ? impairmentOf(step) : null;
};

/** True when the step was one of the witness's. In a world without one nothing happens. */
export const witnessStep = (simulation: Simulation, step: ScenarioStep): boolean => {
	if (!step.do.startsWith('witness-')) return false;
	const { witness } = simulation;
	if (witness === null) {
		count(simulation, 'steps ignored');
		return true;
	}
	if (step.do === 'witness-stop') witness.up = false;
	else if (step.do === 'witness-start') {
		if (!witness.up) restart(simulation, witness);
	} else if (step.do === 'witness-cut' || step.do === 'witness-mend')
		setCut(simulation, witness, step);
	else if (step.do === 'witness-degrade' || step.do === 'witness-clear')
		setImpaired(simulation, witness, step);
	else if (step.do === 'witness-slow') witness.slowUntilMs = simulation.queue.nowMs + step.for;
	else if (step.do === 'witness-late')
		witness.late.push({
			host: step.host,
			op: step.command,
			untilMs: simulation.queue.nowMs + step.for,
			byMs: step.by,
		});
	else if (step.do === 'witness-save') witness.saved.set(step.as, witness.record);
	else if (step.do === 'witness-empty') witness.record = null;
	else if (step.do === 'witness-restore') {
		const copy = witness.saved.get(step.from);
		assert(copy !== undefined, `a copy ${step.from} of the witness was saved`);
		witness.record = copy;
		// Its data is read at its start only.
		restart(simulation, witness);
	}
	return true;
};

/** True when the step was a stall of one thread. */
export const stallStep = (simulation: Simulation, host: SimHost, step: ScenarioStep): boolean => {
	if (step.do !== 'thread-stall' && step.do !== 'loop-stall') return false;
	const { agent } = host;
	if (agent?.alive !== true) return true;
	const set = (stalled: boolean) => {
		if (step.do === 'thread-stall') agent.threadStalled = stalled;
		else agent.loopStalled = stalled;
		simulation.hooks.hearingMayChange();
	};
	set(true);
	onHost(simulation, host, step.for, () => {
		set(false);
		if (host.agent === agent) simulation.hooks.agentGoesOn(host);
	});
	if (step.do === 'thread-stall') watchThread(simulation, agent, step.for);
	return true;
};

/** The main loop watches the thread: one that hangs for the detection time ends the agent, which is started again. */
const watchThread = (simulation: Simulation, agent: SimAgent, forMs: number): void => {
	const { host } = agent;
	const { detectionMs } = host.config.timing;
	if (forMs <= detectionMs) return;
	onHost(simulation, host, detectionMs, () => {
		inAgent(agent, () => {
			if (!agent.threadStalled) return;
			tell(simulation, host.name, 'agent stops: its heartbeat thread hangs');
			endAgent(simulation, agent);
			startAgentSoon(simulation, host, 1000);
		});
	});
};
