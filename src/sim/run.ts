import type { Condition } from '#src/alert/condition.ts';
import { diffConditions } from '#src/alert/condition.ts';
import type { Note } from '#src/engine/action.ts';
import { conditions } from '#src/engine/conditions.ts';
import { createSimulation } from '#src/sim/build.ts';
import { createObserver } from '#src/sim/checker.ts';
import { settleAll } from '#src/sim/data.ts';
import { applyStep } from '#src/sim/fault.ts';
import type { SimAgent, Simulation, Violation } from '#src/sim/model.ts';
import { hostClock, tell } from '#src/sim/model.ts';
import type { Mutation } from '#src/sim/mutation.ts';
import { runNext } from '#src/sim/queue.ts';
import type { Expectation, Scenario } from '#src/sim/scenario.ts';
import type { Gathered } from '#src/sim/sight.ts';
import { isSeen } from '#src/sim/sight.ts';
import type { ScenarioStep, Sight } from '#src/sim/step.ts';

/** A sentence of an agent: as a sight looks for it, and as it was said. */
interface SaidNote {
	readonly host: string;
	readonly text: string;
	readonly note: Note;
	/** Time of the world. */
	readonly atMs: number;
}

/** Runs one scenario: steps in time, expectations all the time, promises checked by the way. */

export interface ScenarioResult {
	/** Expectations that failed, as sentences. */
	readonly failures: readonly string[];
	/** Broken promises that the scenario does not excuse. */
	readonly violations: readonly Violation[];
	readonly trace: readonly string[];
	/** What the agents said, in order. */
	readonly notes: readonly SaidNote[];
	readonly endMs: number;
}

/** A wait for a sight that comes later than this has failed, unless the step says otherwise. */
const whenLimitMs = 600_000;
/** A runaway scenario ends here. */
const eventsMax = 2_000_000;

interface Run {
	readonly scenario: Scenario;
	readonly simulation: Simulation;
	readonly gathered: Gathered;
	readonly failures: string[];
	next: number;
	/** When the next step is due; null while it waits for its sight. */
	dueMs: number | null;
	waitingSinceMs: number;
	/** When each step happened, by id; the first step under ''. */
	readonly happened: Map<string, number>;
	readonly pending: Set<Expectation>;
}

export const runScenario = (
	scenario: Scenario,
	options: { mutation?: Mutation; seed?: number; rulesAlways?: boolean } = {},
): ScenarioResult => {
	const trace: string[] = [];
	const notes: SaidNote[] = [];
	const replies = new Map<string, string>();
	const open = new Map<string, readonly Condition[]>();
	const simulation = createSimulation({
		world: scenario.world,
		seed: options.seed ?? scenario.seed,
		mutation: options.mutation ?? 'none',
		trace: (line) => trace.push(line),
		persistMaxMs: 10,
		observeMaxMs: 40,
		clockRates: [1, 1],
		rulesAlways: options.rulesAlways === true,
		observer: (made) =>
			createObserver(made, {
				honestDevices: !scenario.excused.includes('I9'),
				strict: true,
				onNote: (host, note) => {
					const text = `${note.message} ${JSON.stringify(note.fields)}`;
					notes.push({ host: host.name, text, note, atMs: made.queue.nowMs });
				},
				onReply: (_host, request, reply) => replies.set(request, reply.status),
				onStep: (agent) => gatherConditions(made, agent, open),
			}),
	});
	const run: Run = {
		scenario,
		simulation,
		gathered: { notes, replies, conditions: open },
		failures: [],
		next: 0,
		dueMs: null,
		waitingSinceMs: 0,
		happened: new Map(),
		pending: new Set(scenario.expect),
	};
	play(run);
	const violations = simulation.violations.filter(
		(violation) => !scenario.excused.includes(violation.checker),
	);
	return { failures: run.failures, violations, trace, notes, endMs: simulation.queue.nowMs };
};

const gatherConditions = (
	simulation: Simulation,
	agent: SimAgent,
	open: Map<string, readonly Condition[]>,
): void => {
	const { name } = agent.host;
	const before = open.get(name) ?? [];
	const now = conditions(agent.loop.state, hostClock(simulation, agent.host));
	for (const { kind, condition } of diffConditions(before, now)) {
		tell(simulation, name, `condition ${kind}: ${condition.key}: ${condition.summary}`);
	}
	open.set(name, now);
};

const play = (run: Run): void => {
	const { simulation } = run;
	const { queue } = simulation;
	let seen = -1;
	for (let events = 0; events < eventsMax; events += 1) {
		if (simulation.changes !== seen) {
			seen = simulation.changes;
			look(run);
		}
		while (stepIsDue(run)) {
			takeStep(run);
			look(run);
		}
		const untilMs = horizonMs(run);
		if (runNext(queue, untilMs)) continue;
		queue.nowMs = untilMs;
		if (run.next < run.scenario.steps.length && run.dueMs !== null) continue;
		if (run.next < run.scenario.steps.length) {
			run.failures.push(`step ${run.next + 1}: what it waits for was not seen in time`);
		}
		break;
	}
	settleAll(simulation);
	finish(run);
};

/** Until when the queue may run before somebody looks: the next step, or the end. */
const horizonMs = (run: Run): number => {
	const { scenario, simulation } = run;
	const step = scenario.steps[run.next];
	if (step !== undefined) {
		if (run.dueMs !== null) return Math.max(run.dueMs, simulation.queue.nowMs);
		return run.waitingSinceMs + (step.within ?? whenLimitMs);
	}
	let endMs = run.waitingSinceMs + scenario.ends;
	for (const expectation of scenario.expect) {
		if ('that' in expectation) {
			endMs = Math.max(endMs, (run.happened.get(expectation.of ?? '') ?? 0) + expectation.within);
		}
	}
	return endMs;
};

const stepIsDue = (run: Run): boolean => {
	const step = run.scenario.steps[run.next];
	if (step === undefined) return false;
	const { nowMs } = run.simulation.queue;
	if (run.dueMs === null) {
		if (step.when !== undefined && !isSeen(run.simulation, run.gathered, step.when)) return false;
		const afterMs = step.when === undefined ? run.waitingSinceMs : nowMs;
		run.dueMs = Math.max(step.at ?? 0, afterMs + (step.after ?? 0), nowMs);
	}
	return nowMs >= run.dueMs;
};

const takeStep = (run: Run): void => {
	const step = run.scenario.steps[run.next] as ScenarioStep;
	const { nowMs } = run.simulation.queue;
	if (run.next === 0) run.happened.set('', nowMs);
	if (step.id !== undefined) run.happened.set(step.id, nowMs);
	run.next += 1;
	run.dueMs = null;
	run.waitingSinceMs = nowMs;
	applyStep(run.simulation, step, step.id ?? `step-${run.next}`);
};

/** Looks whether what is awaited is there, and whether what must not be is. */
const look = (run: Run): void => {
	const { nowMs } = run.simulation.queue;
	for (const expectation of run.pending) {
		if ('that' in expectation) {
			const sinceMs = run.happened.get(expectation.of ?? '');
			if (sinceMs === undefined) continue;
			if (isSeen(run.simulation, run.gathered, expectation.that)) {
				const late = nowMs - sinceMs > expectation.within;
				if (late) fail(run, expectation, 'was seen too late');
				run.pending.delete(expectation);
				tell(run.simulation, 'world', `expected ${words(expectation.that)}: seen`);
			}
		} else if ('never' in expectation || 'always' in expectation) {
			if (!isInSpan(run, expectation)) continue;
			const wanted = 'always' in expectation;
			const sight = wanted ? expectation.always : expectation.never;
			if (isSeen(run.simulation, run.gathered, sight) === wanted) continue;
			fail(run, expectation, wanted ? 'did not hold' : 'was seen');
			run.pending.delete(expectation);
		}
	}
};

const isInSpan = (run: Run, span: { from?: string | undefined; until?: string | undefined }) =>
	(span.from === undefined || run.happened.has(span.from)) &&
	(span.until === undefined || !run.happened.has(span.until));

const finish = (run: Run): void => {
	for (const expectation of run.pending) {
		if ('that' in expectation) fail(run, expectation, 'was not seen in time');
		else if ('finally' in expectation) {
			if (isSeen(run.simulation, run.gathered, expectation.finally)) continue;
			fail(run, expectation, 'does not hold at the end');
		}
	}
};

const words = (sight: Sight): string => JSON.stringify(sight);

const fail = (run: Run, expectation: Expectation, what: string): void => {
	const index = run.scenario.expect.indexOf(expectation);
	const text = `expectation ${index + 1} ${what}: ${JSON.stringify(expectation)}`;
	run.failures.push(text);
	tell(run.simulation, 'world', `FAILED ${text}`);
};
