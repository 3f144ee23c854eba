import test from 'ava';
import type { Event } from '#src/engine/event.ts';
import type { LoadSample } from '#src/ports-load.ts';
import { createSimulation } from '#src/sim/build.ts';
import { createObserver } from '#src/sim/checker.ts';
import { applyStep } from '#src/sim/fault.ts';
import { runNext } from '#src/sim/queue.ts';
import { parseScenario, type ScenarioInput } from '#src/sim/scenario.ts';
import { stepSchema } from '#src/sim/step.ts';

/** What agents are told of load and health in a small world, with all their events. */
const pair = (world: Partial<ScenarioInput['world']> = {}) => {
	const events: { readonly host: string; readonly atMs: number; readonly event: Event }[] = [];
	const scenario = parseScenario({
		format: 1,
		name: 'pair',
		story: 'who is busy',
		world: {
			hosts: ['host1', 'host2'],
			cpus: 4,
			balance: { mode: 'advise' },
			vms: [
				{ name: 'vm1', host: 'host1', load: { cpus: 1, inflowMibPerS: 30 } },
				{ name: 'vm2', host: 'host2' },
			],
			...world,
		},
		steps: [{ do: 'nothing' }],
		expect: [{ finally: { vm: 'vm1' } }],
	});
	const simulation = createSimulation({
		world: scenario.world,
		seed: 1,
		mutation: 'none',
		trace: null,
		persistMaxMs: 10,
		observeMaxMs: 10,
		clockRates: [1, 1],
		observer: (made) =>
			createObserver(made, {
				honestDevices: true,
				onNote: null,
				onReply: null,
				onStep: ({ host }, event) =>
					events.push({ host: host.name, atMs: made.queue.nowMs, event }),
			}),
	});
	const wait = (ms: number): void => {
		const untilMs = simulation.queue.nowMs + ms;
		while (runNext(simulation.queue, untilMs));
		simulation.queue.nowMs = untilMs;
	};
	const step = (what: object): void => applyStep(simulation, stepSchema.parse(what), 'test');
	const samples = (host: string): (LoadSample | null)[] =>
		events.flatMap(({ event, ...each }) =>
			event.type === 'load-observed' && each.host === host ? [event.sample] : [],
		);
	const last = (host: string): LoadSample => {
		const sample = samples(host).at(-1);
		if (sample === undefined || sample === null) throw new Error(`${host} has read no load`);
		return sample;
	};
	return { simulation, events, wait, step, samples, last };
};

test('each host reads its load every ten seconds: its own work and what runs there', (t) => {
	const { wait, samples, last } = pair();
	wait(60_500);
	t.is(samples('host1').length, 6);
	// One CPU of the guest, and 0.15 of dom0's two: 0.05 of its own and 30 MiB/s of 300.
	t.deepEqual(last('host1'), {
		cpus: 4,
		host: { cpu: 0.325, dom0: 0.15, memory: 0.33, disk: 0.0575, network: 0.1382 },
		vms: [{ vm: 'vm1', cpus: 1, inflowMibPerS: 30 }],
	});
	t.deepEqual(last('host2').vms, [{ vm: 'vm2', cpus: 0.1, inflowMibPerS: 0 }]);
});

test('who wants more than there is gets its part, and the host is full', (t) => {
	const { wait, step, last } = pair({
		vms: [
			{ name: 'vm1', host: 'host1' },
			{ name: 'vm2', host: 'host1' },
		],
	});
	step({ do: 'load', vm: 'vm1', cpus: 6 });
	step({ do: 'load', vm: 'vm2', cpus: 1.9 });
	wait(15_000);
	t.is(last('host1').host.cpu, 1);
	t.deepEqual(
		last('host1').vms.map(({ cpus }) => cpus),
		[3, 0.95],
	);
});

test('a load that cannot be read is told as null, and so is the one after it: it has nothing to compare with', (t) => {
	const { wait, step, samples } = pair();
	wait(15_000);
	step({ do: 'load-unknown', host: 'host1', for: '20s' });
	wait(45_000);
	t.deepEqual(
		samples('host1').map((sample) => sample !== null),
		[true, false, false, false, true],
	);
	t.false(samples('host2').includes(null));
});

test('a VM that did not run all the time since the last reading is in none', (t) => {
	const { wait, step, last } = pair();
	wait(15_000);
	step({ do: 'guest', vm: 'vm1', does: 'reboot' });
	wait(6000);
	t.deepEqual(last('host1').vms, []);
	wait(10_000);
	t.deepEqual(
		last('host1').vms.map(({ vm }) => vm),
		['vm1'],
	);
});

test('a trace repeats for as long as it is given, and a newer load ends it', (t) => {
	const { simulation, wait, step } = pair();
	const [vm1, vm2] = simulation.vms;
	const points = [
		['0s', 3],
		['20s', 1],
	];
	step({ do: 'load-trace', vm: 'vm1', points, every: '60s', for: '100s' });
	step({ do: 'load-trace', vm: 'vm2', points, every: '60s' });
	const seen: (number | undefined)[] = [];
	for (let index = 0; index < 9; index += 1) {
		wait(index === 0 ? 10_000 : 20_000);
		seen.push(vm1?.load.cpus);
		if (index === 3) step({ do: 'load', vm: 'vm2', cpus: 0.5 });
	}
	t.deepEqual(seen, [3, 1, 1, 3, 1, 1, 1, 1, 1]);
	t.is(vm2?.load.cpus, 0.5);
});

test('health checks speak where they run, as often as they run, whatever balancing does', (t) => {
	const { events, wait, step } = pair({
		balance: { mode: 'off' },
		health: { raid: { every: '10s', hosts: ['host2'] } },
	});
	wait(15_000);
	step({
		do: 'health',
		host: 'host2',
		check: 'raid',
		health: 'critical',
		detail: 'a disk is gone',
	});
	wait(10_000);
	const readings = events.flatMap(({ event, host }) =>
		event.type === 'health-observed' ? [[host, event.reading.health, event.reading.detail]] : [],
	);
	t.deepEqual(readings, [
		['host2', 'ok', 'all is well'],
		['host2', 'ok', 'all is well'],
		['host2', 'critical', 'a disk is gone'],
	]);
	t.false(events.some(({ event }) => event.type === 'load-observed'));
});
