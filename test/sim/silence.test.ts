import type { ExecutionContext } from 'ava';
import test from 'ava';
import { engineWitness, resetGraceMs, timingTable } from '#src/config/timing.ts';
import { createSimulation } from '#src/sim/build.ts';
import { createObserver } from '#src/sim/checker.ts';
import { applyStep } from '#src/sim/fault.ts';
import type { Simulation } from '#src/sim/model.ts';
import { trueTime } from '#src/sim/model.ts';
import { runNext, schedule } from '#src/sim/queue.ts';
import { parseScenario, type ScenarioInput } from '#src/sim/scenario.ts';
import { takeAfterMs } from '#src/witness/lease.ts';

/**
 * The takeover by watchdog proof, term by term: a host dies with its BMC, one term of the arithmetic is moved, and
 * the takeover moves with it, by exactly so much. No earlier than the arithmetic allows: the checker of P3 watches
 * every one of these runs in true time.
 */

const defaults = timingTable(3000);
const deathMs = 60_000;

interface Moved {
	readonly leaseMs?: number;
	readonly watchdogMs?: number;
	readonly graceMs?: number;
	/** Speed of the clock of the host that dies, and of the one that takes over. */
	readonly clockRates?: readonly [number, number];
	/** What happens besides the death, by time. */
	readonly steps?: ScenarioInput['steps'];
	readonly seed?: number;
}

interface Takeover {
	/** True times; null: it never came. */
	readonly takenMs: number | null;
	readonly startedMs: number | null;
	/** First read of the present number of renewals in this run of the witness, and the last beat heard. */
	readonly readMs: number;
	readonly heardMs: number;
	readonly takeMs: number;
	readonly violations: Simulation['violations'];
}

const scenarioOf = (steps: ScenarioInput['steps']) =>
	parseScenario({
		format: 1,
		name: 'takeover-by-silence',
		story: 'a host dies with its BMC',
		world: {
			hosts: ['alpha', 'beta'],
			arbiter: 'witness',
			witness: {},
			vms: [{ name: 'ledger', host: 'alpha' }],
		},
		steps: [{ do: 'power-cut', host: 'alpha', bmcToo: true, at: `${deathMs}ms` }, ...steps],
		expect: [{ finally: { ledger: 'intact' } }],
	});

/** Both hosts and the watchdogs use the moved terms, as if the configuration gave them. */
const moveTerms = (simulation: Simulation, moved: Moved): number => {
	const { leaseMs = defaults.leaseMs, watchdogMs = defaults.watchdogMs } = moved;
	const takeMs = takeAfterMs(leaseMs, watchdogMs, moved.graceMs ?? resetGraceMs);
	for (const host of simulation.hosts) {
		const witness = { ...engineWitness(defaults, ['alpha', 'beta']), leaseMs, watchdogMs, takeMs };
		Object.assign(host, { config: { ...host.config, witness } });
		Object.assign(host.watchdog ?? {}, { timeoutMs: watchdogMs });
	}
	return takeMs;
};

const takeover = (moved: Moved = {}): Takeover => {
	const scenario = scenarioOf(moved.steps ?? []);
	let takenMs: number | null = null;
	let startedMs: number | null = null;
	let times = { readMs: 0, heardMs: 0 };
	const simulation = createSimulation({
		world: scenario.world,
		seed: moved.seed ?? 1,
		mutation: 'none',
		trace: null,
		persistMaxMs: 10,
		observeMaxMs: 40,
		clockRates: moved.clockRates ?? [1, 1],
		observer: (made) => {
			const observer = createObserver(made, {
				honestDevices: true,
				strict: true,
				onNote: (host, note) => {
					if (host.name === 'beta' && note.message === 'start issued')
						startedMs ??= made.queue.nowMs;
				},
				onReply: null,
				onStep: null,
			});
			return {
				...observer,
				tookOver: (taker, bySilence) => {
					if (bySilence) takenMs ??= made.queue.nowMs;
					observer.tookOver(taker, bySilence);
				},
			};
		},
	});
	const takeMs = moveTerms(simulation, moved);
	for (const step of scenario.steps)
		schedule(simulation.queue, step.at ?? 0, () => applyStep(simulation, step, ''));
	const [, beta] = simulation.hosts;
	while (takenMs === null && runNext(simulation.queue, deathMs + 90_000)) {
		const witness = beta.agent?.loop.state.witness;
		const clock = (atMs: number | null | undefined) => trueTime(beta, atMs ?? 0);
		times = { readMs: clock(witness?.peerRead?.atMs), heardMs: clock(witness?.echo?.heardMs) };
	}
	while (takenMs !== null && startedMs === null && runNext(simulation.queue, deathMs + 90_000));
	return { takenMs, startedMs, takeMs, ...times, violations: simulation.violations };
};

/** From the decision to the witness's answer: two ways and a write. */
const carriedMs = 300;

/** The takeover came when the arithmetic allowed it, and at once. */
const onTime = (t: ExecutionContext, result: Takeover, takerRate = 1): void => {
	const { takenMs, readMs, heardMs, takeMs } = result;
	const dueMs = Math.max(readMs, heardMs) + takeMs / takerRate;
	t.deepEqual(result.violations, []);
	t.true(takenMs !== null && takenMs >= dueMs, `${takenMs} is before ${dueMs}`);
	t.true(takenMs !== null && takenMs <= dueMs + carriedMs, `${takenMs} is long after ${dueMs}`);
};

/** How much later than without the change, in whole hundreds of ms: T_take is rounded up to them. */
const laterBy = (moved: Takeover, base: Takeover): number =>
	Math.round(((moved.takenMs ?? 0) - (base.takenMs ?? 0) - (sinceMs(moved) - sinceMs(base))) / 100);

const sinceMs = ({ readMs, heardMs }: Takeover): number => Math.max(readMs, heardMs);

test('at the defaults the start is issued within 15 s of the death, and never before T_take', (t) => {
	for (let seed = 1; seed <= 20; seed += 1) {
		const result = takeover({ seed });
		onTime(t, result);
		t.true((result.takenMs ?? 0) - deathMs >= defaults.takeMs - 1200);
		t.true((result.startedMs ?? Infinity) - deathMs <= 15_000, `seed ${seed}`);
	}
});

test('L, the time-out of the watchdog and the grace each move the takeover by themselves', (t) => {
	const base = takeover();
	onTime(t, base);
	for (const moved of [
		{ leaseMs: defaults.leaseMs + 3000 },
		{ watchdogMs: defaults.watchdogMs + 3000 },
		{ graceMs: resetGraceMs + 3000 },
	]) {
		const result = takeover(moved);
		onTime(t, result);
		// 3 s and the allowance for drift on them.
		t.is(laterBy(result, base), 30, JSON.stringify(moved));
	}
});

test('a shorter lease and watchdog take over earlier, and still not too early', (t) => {
	const result = takeover({ leaseMs: 4000, watchdogMs: 3000 });
	onTime(t, result);
	t.is(laterBy(result, takeover()), -31);
});

test('clocks that drift apart at the limit do not let it come too early', (t) => {
	for (const clockRates of [
		[0.995, 1.005],
		[1.005, 0.995],
	] as const) {
		const result = takeover({ clockRates });
		onTime(t, result, clockRates[1]);
	}
});

test('the last beat moves it when the witness has not heard the host for long', (t) => {
	const steps: ScenarioInput['steps'] = [{ do: 'witness-cut', from: 'alpha', at: '20s' }];
	const result = takeover({ steps });
	onTime(t, result);
	t.true(result.readMs < 22_000, 'in the witness it has been silent since it was cut off');
	t.true(result.heardMs >= deathMs - 200 && result.heardMs <= deathMs);
});

test('the first read of the present renewals moves it when the beats ended before', (t) => {
	const steps: ScenarioInput['steps'] = [
		{ do: 'cut', network: 'management', at: `${deathMs - 2000}ms` },
		{ do: 'cut', network: 'replication', at: `${deathMs - 2000}ms` },
	];
	const result = takeover({ steps });
	onTime(t, result);
	t.true(result.heardMs <= deathMs - 2000);
	t.true(result.readMs > result.heardMs && result.readMs <= deathMs + 1000);
});

test('a host that could not read the witness counts from its own first read', (t) => {
	for (const [from, until] of [
		[deathMs - 1500, deathMs + 4000],
		[deathMs - 1500, deathMs + 20_000],
	] as const) {
		const result = takeover({
			steps: [
				{ do: 'witness-cut', from: 'beta', at: `${from}ms` },
				{ do: 'witness-mend', from: 'beta', at: `${until}ms` },
			],
		});
		onTime(t, result);
		t.true(result.readMs >= until && result.readMs <= until + 1500);
	}
});

test('another run of the witness begins the count anew, and counts only when both hosts confirmed it', (t) => {
	const restart = (atMs: number): ScenarioInput['steps'] => [
		{ do: 'witness-stop', at: `${atMs - 200}ms` },
		{ do: 'witness-start', at: `${atMs}ms` },
	];
	const before = takeover({ steps: restart(deathMs - 3000) });
	onTime(t, before);
	t.true(before.readMs >= deathMs - 3000);
	const after = takeover({ steps: restart(deathMs + 5000) });
	t.is(after.takenMs, null, 'the host that could confirm it is dead');
	t.true(after.readMs >= deathMs + 5000, 'what was read in the run before counts no more');
	t.deepEqual(after.violations, []);
});
