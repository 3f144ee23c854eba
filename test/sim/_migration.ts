import type { CarriedAction, CarriedType } from '#src/engine/action.ts';
import type { Outcome } from '#src/ports.ts';
import { createSimulation } from '#src/sim/build.ts';
import { createObserver } from '#src/sim/checker.ts';
import { execute } from '#src/sim/executor.ts';
import { applyStep } from '#src/sim/fault.ts';
import { observeHypervisor } from '#src/sim/hypervisor.ts';
import type { Replica, SimHost, Simulation, SimVm } from '#src/sim/model.ts';
import type { Mutation } from '#src/sim/mutation.ts';
import { runNext } from '#src/sim/queue.ts';
import { parseScenario } from '#src/sim/scenario.ts';
import { stepSchema } from '#src/sim/step.ts';

/** A live migration at the level of the world: the actions of the saga one by one, without an engine. */
export interface Bench {
	readonly simulation: Simulation;
	readonly vm: SimVm;
	readonly source: SimHost;
	readonly target: SimHost;
	readonly here: Replica;
	readonly there: Replica;
	readonly trace: string[];
	/** What the handler answers; how often it was asked. */
	exitCode: number;
	calls: number;
}

export const bench = (seed = 1, mutation: Mutation = 'none'): Bench => {
	const made: { bench: Bench | null } = { bench: null };
	const trace: string[] = [];
	const { world } = parseScenario({
		format: 1,
		name: 'migration',
		story: 'the world alone',
		world: { hosts: ['host1', 'host2'], vms: [{ name: 'vm1', host: 'host1' }], memoryMib: 1024 },
		steps: [{ do: 'nothing' }],
		expect: [{ finally: { vm: 'vm1' } }],
	});
	const simulation = createSimulation({
		world,
		seed,
		mutation,
		trace: (line) => trace.push(line.slice(10)),
		persistMaxMs: 10,
		observeMaxMs: 10,
		clockRates: [1, 1],
		observer: (each) =>
			createObserver(each, {
				honestDevices: true,
				strict: true,
				onNote: null,
				onReply: null,
				onStep: null,
			}),
		handler: (_replica, answer) => {
			if (made.bench === null) return;
			made.bench.calls += 1;
			answer(made.bench.exitCode);
		},
	});
	const [vm] = simulation.vms;
	if (vm === undefined) throw new Error('the world has a VM');
	const [source, target] = simulation.hosts;
	const [here, there] = vm.replicas;
	made.bench = { simulation, vm, source, target, here, there, trace, exitCode: 1, calls: 0 };
	return made.bench;
};

export const wait = ({ simulation }: Bench, ms: number): void => {
	const untilMs = simulation.queue.nowMs + ms;
	while (runNext(simulation.queue, untilMs));
	simulation.queue.nowMs = untilMs;
};

/** Runs until something is so, at most for a minute and a half. */
export const until = (on: Bench, isSo: () => boolean): void => {
	const untilMs = on.simulation.queue.nowMs + 90_000;
	while (!isSo()) if (!runNext(on.simulation.queue, untilMs)) throw new Error('it never came');
};

export const step = (on: Bench, what: object): void =>
	applyStep(on.simulation, stepSchema.parse(what), 'test');

export interface Ending {
	outcome: Outcome | null;
}

export const begin = (on: Bench, host: SimHost, type: CarriedType): Ending => {
	const ending: Ending = { outcome: null };
	const about = { id: 1, limitMs: 1000, generation: 1, vm: 'vm1', resource: 'vm1' };
	execute(on.simulation, host, { type, ...about } as unknown as CarriedAction, (outcome) => {
		ending.outcome = outcome;
	});
	return ending;
};

export const words = ({ outcome }: Ending): string =>
	outcome === null ? 'no answer' : outcome.result === 'failed' ? outcome.code : outcome.result;

export const run = (on: Bench, host: SimHost, type: CarriedType, ms = 3000): string => {
	const ending = begin(on, host, type);
	wait(on, ms);
	return words(ending);
};

export const presence = ({ vm }: Bench, host: SimHost): string =>
	host.domains.get(vm.name)?.presence ?? 'absent';

export const twin = ({ vm }: Bench, host: SimHost): string =>
	host.migrations.get(vm.name)?.twin?.name ?? 'none';

export const migrations = (on: Bench, host: SimHost) =>
	observeHypervisor(on.simulation, host).migrations;

type Content = Exclude<SimHost['store']['content'], 'corrupt' | null>;
type Resource = Content['resources'][string]['record'];

/** What the engine would have made durable on both hosts. */
export const record = (on: Bench, change: Partial<Resource>): void => {
	for (const { store } of on.simulation.hosts) {
		const content = store.content as Content;
		const local = content.resources['vm1'];
		if (local === undefined) throw new Error('the VM has a record');
		const changed = { ...local, record: { ...local.record, ...change } };
		store.content = { ...content, resources: { ...content.resources, vm1: changed } };
	}
};

export const journal = { kind: 'migration', from: 'host1', to: 'host2', start: true } as const;

export const broken = ({ simulation }: Bench): string[] =>
	simulation.violations.map(({ checker }) => checker);

/** Everything before xl is asked to send. */
export const prepare = (on: Bench): void => {
	record(on, { journal: { ...journal, phase: 'forth' } });
	run(on, on.source, 'allow-two-primaries', 500);
	run(on, on.target, 'promote', 500);
	run(on, on.target, 'receive-vm', 1000);
};

const stageOf = (on: Bench): string | undefined => on.source.migrations.get('vm1')?.stream?.stage;

/** Begins to send, and goes on until the source is in that stage. */
export const sendUntil = (on: Bench, stage: string): Ending => {
	prepare(on);
	const sent = begin(on, on.source, 'send-vm');
	until(on, () => stageOf(on) === stage);
	return sent;
};

/** What the source and the target have when all that goes on by itself is over. */
export const left = (on: Bench): string[] =>
	[on.source, on.target].map((host) => `${presence(on, host)}/${twin(on, host)}`);
