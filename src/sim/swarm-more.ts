import {
	at,
	duration,
	inOrder,
	type Fault,
	networks,
	otherHost,
	someHost,
	someVm,
	type StepInput,
	type Timed,
} from '#src/sim/swarm-step.ts';
import { lateCommands } from '#src/sim/step.ts';
import type { SwarmClass, WorldInput } from '#src/sim/swarm-world.ts';
import { parseDuration } from '#src/std/duration.ts';
import type { Prng } from '#src/std/prng.ts';
import { below, between, chance, pick } from '#src/std/prng.ts';

/**
 * Faults that some seeds add to those they draw (swarm-faults.ts), from numbers of their own: a seed without
 * them is what it was before there were any. And seeds with one single fault that nobody repairs.
 */

/** How often a seed has one single fault, and how often some more. */
const singleChance = 0.1;
const moreChance = 0.4;

const maybeFrom = (random: Prng) => (chance(random, 0.3) ? { from: someHost(random) } : {});

const impairment = (random: Prng) => ({
	loss: pick(random, [0, 1, 5, 20, 50, 80]),
	jitter: duration(pick(random, [0, 20, 200, 1500])),
});

const lossy: Fault = (random, _world, atMs) => {
	const endMs = atMs + between(random, 1000, 25_000);
	const only = chance(random, 0.6) ? networks : [pick(random, networks)];
	return only.flatMap((network) => {
		const from = maybeFrom(random);
		return [
			at(atMs, { do: 'degrade', network, ...from, ...impairment(random) }),
			at(endMs + below(random, 2000), { do: 'clear', network, ...from }),
		];
	});
};

const lossyWitness: Fault = (random, _world, atMs) => {
	const from = maybeFrom(random);
	const endMs = atMs + between(random, 1000, 25_000);
	return [
		at(atMs, { do: 'witness-degrade', ...from, ...impairment(random) }),
		at(endMs, { do: 'witness-clear', ...from }),
	];
};

/** What a host sends to the witness lies in a buffer for up to minutes; what it sends after that does not. */
const lateWords: Fault = (random, _world, atMs) => [
	at(atMs, {
		do: 'witness-late',
		host: someHost(random),
		command: pick(random, lateCommands),
		for: duration(between(random, 500, 20_000)),
		by: duration(between(random, 1000, chance(random, 0.5) ? 30_000 : 200_000)),
	}),
];

const stall: Fault = (random, _world, atMs) => {
	const where = { host: someHost(random), for: duration(between(random, 500, 20_000)) };
	return [at(atMs, { do: pick(random, ['thread-stall', 'loop-stall'] as const), ...where })];
};

/** The crash hits a write that something makes necessary a moment later. */
const crashAtWrite: Fault = (random, world, atMs) => {
	const host = someHost(random);
	const other = otherHost(host);
	const [network] = [pick(random, networks)];
	const causes: readonly [Timed[], ...Timed[][]] = [
		[
			at(atMs + 100, { do: 'power-cut', host: other }),
			at(atMs + between(random, 5000, 30_000), { do: 'power-on', host: other }),
		],
		[
			at(atMs + 100, { do: 'cut', network }),
			at(atMs + between(random, 2000, 20_000), { do: 'mend', network }),
		],
		[at(atMs + 100, { do: 'move', host, vm: someVm(random, world), to: null })],
		[],
	];
	const crash = (whenMs: number) =>
		at(whenMs, {
			do: 'crash-at-write',
			host,
			side: pick(random, ['before', 'after'] as const),
			who: chance(random, 0.7) ? 'agent' : 'host',
		});
	const again = chance(random, 0.4) ? [crash(atMs + between(random, 500, 8000))] : [];
	return [crash(atMs), ...again, ...pick(random, causes)];
};

/** The file is half-written after a power cut; the agent refuses to start until somebody moves it away. */
const stateCorrupt: Fault = (random, _world, atMs) => {
	const host = someHost(random);
	const onMs = atMs + between(random, 500, 10_000);
	const endMs = onMs + between(random, 1000, 50_000);
	const as = `before-${atMs}`;
	return [
		at(Math.max(0, atMs - 1000), { do: 'state-save', host, as }),
		at(atMs, { do: 'power-cut', host }),
		at(atMs + 1, { do: 'state-corrupt', host }),
		at(onMs, { do: 'power-on', host }),
		at(
			endMs,
			chance(random, 0.6) ? { do: 'state-lose', host } : { do: 'state-restore', host, from: as },
		),
		at(endMs + 1, { do: 'agent-start', host }),
	];
};

const clockStep: Fault = (random, _world, atMs) => [
	at(atMs, {
		do: 'clock-step',
		host: someHost(random),
		by: duration(pick(random, [500, 60_000, 3_600_000, 86_400_000])),
		back: chance(random, 0.5),
	}),
];

/** Both go down, one after the other, and come back in either order. */
const bothDown: Fault = (random, _world, atMs) => {
	const first = someHost(random);
	const back = someHost(random);
	const downMs = atMs + below(random, 8000);
	const onMs = downMs + between(random, 500, 15_000);
	return [
		at(atMs, { do: 'power-cut', host: first, bmcToo: chance(random, 0.2) }),
		at(downMs, { do: 'power-cut', host: otherHost(first), bmcToo: chance(random, 0.2) }),
		at(onMs, { do: 'power-on', host: back }),
		at(onMs + below(random, 45_000), { do: 'power-on', host: otherHost(back) }),
	];
};

/** The host stands still, its `off` is held back by the device, and lands when the host goes on. */
const lateOff: Fault = (random, world, atMs) => {
	const host = someHost(random);
	const detectionMs = Number.parseInt(world.detection ?? '3s', 10) * 1000;
	const by = duration(between(random, 2000, 9500));
	return [
		at(atMs, { do: 'device', host, behaviour: pick(random, ['late', 'slow'] as const), by }),
		at(atMs + 100, { do: 'hang', host }),
		at(atMs + detectionMs + between(random, 300, 9000), { do: 'resume', host }),
	];
};

/** A machine that was paused as a whole goes on after a person took over from it. */
const zombie: Fault = (random, _world, atMs) => {
	const host = someHost(random);
	const takeMs = atMs + between(random, 4000, 9000);
	return [
		at(atMs, { do: 'hang', host, whole: true }),
		at(takeMs, { do: 'takeover', host: otherHost(host), confirmDead: host, checked: false }),
		at(takeMs + between(random, 100, 25_000), { do: 'resume', host }),
	];
};

const kindsOf = (swarmClass: SwarmClass): readonly (readonly [number, Fault])[] => [
	[4, lossy],
	[2, stall],
	[3, crashAtWrite],
	[1, stateCorrupt],
	[1, clockStep],
	[1, bothDown],
	[2, lateOff],
	...(swarmClass === 'witness'
		? ([
				[3, lossyWitness],
				[3, lateWords],
			] as const)
		: []),
	...(swarmClass === 'mistaken' ? ([[3, zombie]] as const) : []),
];

/** What a seed adds to its faults; none in most seeds. */
export const moreFaults = (random: Prng, world: WorldInput, swarmClass: SwarmClass): Timed[] => {
	if (!chance(random, moreChance)) return [];
	const bag = kindsOf(swarmClass).flatMap(([weight, fault]) =>
		Array.from({ length: weight }, () => fault),
	);
	const timed: Timed[] = [];
	const amount = 1 + Math.min(below(random, 4), below(random, 4));
	for (let index = 0; index < amount; index += 1) {
		const fault = bag[below(random, bag.length)];
		if (fault !== undefined) timed.push(...fault(random, world, between(random, 4000, 25_000)));
	}
	return timed;
};

/** So often people pause the pair while something happens. */
const pauseChance = 0.15;

/** The steps, and now and then a pause that ends by itself or by a person, on the same host or on the other one. */
export const withPause = (random: Prng, steps: readonly StepInput[]): StepInput[] => {
	if (!chance(random, pauseChance)) return [...steps];
	const atMs = between(random, 2000, 25_000);
	const forMs = between(random, 3000, 60_000);
	const timed = [at(atMs, { do: 'pause', host: someHost(random), for: duration(forMs) })];
	if (chance(random, 0.5))
		timed.push(at(atMs + between(random, 500, forMs), { do: 'pause-end', host: someHost(random) }));
	return inOrder([
		...steps.map((step) => ({ atMs: parseDuration(step.at ?? '') ?? 0, step })),
		...timed,
	]);
};

/** Puts right what these faults have broken. */
export const moreRepairs = (swarmClass: SwarmClass): StepInput[] => [
	...networks.map((network) => ({ do: 'clear', network }) as const),
	...(swarmClass === 'witness' ? ([{ do: 'witness-clear' }] as const) : []),
];

const singles: readonly [Fault, ...Fault[]] = [
	(random, _world, atMs) => [
		at(atMs, { do: 'power-cut', host: someHost(random), bmcToo: chance(random, 0.3) }),
	],
	(random, _world, atMs) => [at(atMs, { do: 'crash', host: someHost(random) })],
	(random, _world, atMs) => [at(atMs, { do: 'hang', host: someHost(random) })],
	(random, _world, atMs) => [at(atMs, { do: 'agent-stop', host: someHost(random) })],
	(random, _world, atMs) => [
		at(atMs, {
			do: 'agent-crash',
			host: someHost(random),
			restartAfter: pick(random, [null, '1s']),
		}),
	],
	(random, _world, atMs) => {
		const traffic = pick(random, ['all', 'all', 'replication', 'heartbeat'] as const);
		const only = chance(random, 0.5) ? networks : [pick(random, networks)];
		return only.map((network) => at(atMs, { do: 'cut', network, traffic, ...maybeFrom(random) }));
	},
	(random, _world, atMs) =>
		networks.map((network) =>
			at(atMs, { do: 'degrade', network, loss: pick(random, [1, 5, 20]), jitter: '50ms' }),
		),
	(random, _world, atMs) => [at(atMs, { do: 'store-full', host: someHost(random) })],
	(random, world, atMs) => [
		at(atMs, { do: 'disk-fail', host: someHost(random), vm: someVm(random, world) }),
	],
	(random, _world, atMs) => [
		at(atMs, {
			do: pick(random, ['thread-stall', 'loop-stall'] as const),
			host: someHost(random),
			for: '40s',
		}),
	],
];

const witnessSingles: readonly [Fault, ...Fault[]] = [
	(_random, _world, atMs) => [at(atMs, { do: 'witness-stop' })],
	(random, _world, atMs) => [at(atMs, { do: 'witness-cut', ...maybeFrom(random) })],
	(_random, _world, atMs) => [at(atMs, { do: 'witness-empty' })],
];

/** One fault and nobody who repairs it, or null: most seeds are repaired. */
export const singleFault = (
	random: Prng,
	world: WorldInput,
	swarmClass: SwarmClass,
): Timed[] | null => {
	if (!chance(random, singleChance) || swarmClass === 'mistaken') return null;
	const ofWitness = swarmClass === 'witness' && chance(random, 0.25);
	const fault = pick(random, ofWitness ? witnessSingles : singles);
	return fault(random, world, between(random, 8000, 20_000));
};
