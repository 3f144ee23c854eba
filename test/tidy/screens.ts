import type { Status } from '#src/api/view.ts';
import { statusLines } from '#src/cli/status-text.ts';
import { createSimulation } from '#src/sim/build.ts';
import { createObserver } from '#src/sim/checker.ts';
import { applyStep } from '#src/sim/fault.ts';
import { hostClock, type Simulation } from '#src/sim/model.ts';
import { runNext } from '#src/sim/queue.ts';
import { parseScenario } from '#src/sim/scenario.ts';
import { simulatedStatus } from '#test/cli/simulated.ts';

const hourMs = 3_600_000;
const names = ['ldap', 'samba', 'batch', 'ui', 'ce'];

/** Two healthy hosts; every VM runs on the first one. */
const { world, seed, steps } = parseScenario({
	format: 1,
	name: 'readme',
	story: 'The pair that the README shows.',
	world: {
		hosts: ['north', 'south'],
		vms: names.map((name, index) => ({ name, host: 'north', priority: 200 - index })),
	},
	steps: [{ id: 'cut', do: 'power-cut', host: 'north', at: '1h' }],
	expect: [{ finally: { ledger: 'intact' } }],
});

/** The status of a host and, as the agent does, since when each condition stands. */
const statusOf = (simulation: Simulation, name: string, since: Map<string, number>): Status => {
	const agent = simulation.hosts.find((each) => each.name === name)?.agent;
	if (agent === undefined || agent === null) throw new Error(`no agent on ${name}`);
	const nowMs = hostClock(simulation, agent.host);
	return simulatedStatus(simulation, agent, (key) => {
		if (!since.has(key)) since.set(key, nowMs);
		return nowMs - (since.get(key) ?? nowMs);
	});
};

const screen = (status: Status): string =>
	statusLines(status, { columns: 80, colour: false })
		.map((line) => (line === '' ? '' : `    ${line}`))
		.join('\n');

/** The status screens that the README shows: what the program prints of a pair, and a minute after a power cut. */
export const readmeScreens = (): readonly string[] => {
	const simulation = createSimulation({
		world,
		seed,
		mutation: 'none',
		trace: () => {},
		persistMaxMs: 10,
		observeMaxMs: 40,
		clockRates: [1, 1],
		observer: (made) =>
			createObserver(made, {
				honestDevices: true,
				strict: true,
				onNote: () => {},
				onReply: () => {},
				onStep: () => {},
			}),
	});
	const runUntil = (untilMs: number): void => {
		while (runNext(simulation.queue, untilMs));
		simulation.queue.nowMs = untilMs;
	};
	runUntil(hourMs);
	const before = statusOf(simulation, 'north', new Map());
	for (const step of steps) applyStep(simulation, step, 'cut');
	const since = new Map<string, number>();
	let after = before;
	for (let second = 1; second <= 61; second += 1) {
		runUntil(hourMs + second * 1000);
		after = statusOf(simulation, 'south', since);
	}
	return [screen(before), screen(after)];
};
