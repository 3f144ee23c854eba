import { ask, empty, faults } from '#src/sim/swarm-migration.ts';
import { at, duration, type Fault, someHost, someVm, type Timed } from '#src/sim/swarm-step.ts';
import { swarmHosts, type WorldInput } from '#src/sim/swarm-world.ts';
import type { Prng } from '#src/std/prng.ts';
import { below, between, chance, pick } from '#src/std/prng.ts';

/** VMs that are busy and idle, checks that turn critical, and faults in the middle of what follows from it. */

const vmNames = ['ldap', 'samba', 'batch', 'mon'] as const;
const checkNames = ['raid', 'fan'] as const;

/** Holds and rests are short, so that a seed sees several moves. */
const randomBalance = (random: Prng): NonNullable<WorldInput['balance']> => ({
	mode: chance(random, 0.85) ? 'auto' : pick(random, ['advise', 'off']),
	hold: duration(pick(random, [10_000, 20_000, 40_000])),
	target: pick(random, [60, 70, 85]),
	gain: pick(random, [5, 10, 20]),
	cooldown: {
		vm: duration(pick(random, [60_000, 90_000])),
		pair: duration(pick(random, [10_000, 20_000, 45_000])),
	},
	spare: chance(random, 0.7) ? 'required' : 'waived',
});

const randomChecks = (random: Prng): NonNullable<WorldInput['health']> =>
	Object.fromEntries(
		checkNames.slice(0, below(random, 3)).map((check) => [
			check,
			{
				every: duration(pick(random, [5000, 10_000])),
				hold: duration(pick(random, [0, 10_000, 30_000])),
				action: chance(random, 0.75) ? ('evacuate' as const) : ('alert' as const),
				...(chance(random, 0.2) ? { hosts: [someHost(random)] } : {}),
			},
		]),
	);

/** Four physical CPUs are soon too few for three or four VMs. */
export const loadWorld = (random: Prng): WorldInput => {
	// In every second world all VMs are on one host at the beginning.
	const together = chance(random, 0.5) ? someHost(random) : null;
	// Now and then no host can hold them all.
	const sizes = chance(random, 0.15) ? ([6000] as const) : ([512, 512, 1024, 4000] as const);
	return worldWith(random, () => together ?? someHost(random), sizes);
};

const worldWith = (
	random: Prng,
	place: () => string,
	sizes: readonly [number, ...number[]],
): WorldInput => ({
	hosts: [...swarmHosts],
	...(chance(random, 0.4)
		? { arbiter: 'witness' as const, witness: { watchdogs: [...swarmHosts] } }
		: { arbiter: 'fencing' as const }),
	detection: duration(pick(random, [2000, 3000])),
	begin: 'settled',
	networks: [
		{ name: 'management' },
		{ name: 'replication', switched: chance(random, 0.4), replication: true },
	],
	cpus: 4,
	balance: randomBalance(random),
	health: randomChecks(random),
	vms: vmNames.slice(0, between(random, 2, 4)).map((name) => ({
		name,
		host: place(),
		priority: 10 * below(random, 20),
		memoryMib: pick(random, sizes),
		runs: !chance(random, 0.05),
		load: { cpus: below(random, 10) / 4, inflowMibPerS: pick(random, [0, 0, 10, 50, 80]) },
		...(chance(random, 0.2) ? { balance: { pinned: true } } : {}),
	})),
	memoryMib: 16_384,
	fencing: { perHourMax: 6, afterFence: pick(random, ['on', 'off']) },
	timing: {
		boot: duration(between(random, 10_000, 30_000)),
		resync: duration(pick(random, [500, 4000, 30_000])),
		create: duration(pick(random, [300, 2000])),
		guestShutdown: duration(pick(random, [500, 4000])),
	},
});

/** When the last of it begins, ms; the loads of the beginning are there from the first moment. */
const spanMs = 200_000;

/** A VM has much to do from now on, or for a while, again and again. */
const busy: Fault = (random, world, atMs) => {
	const vm = someVm(random, world);
	const high = between(random, 4, 20) / 4;
	const low = below(random, 4) / 4;
	if (chance(random, 0.5)) return [at(atMs, { do: 'load', vm, cpus: high })];
	const everyMs = pick(random, [20_000, 40_000, 90_000]);
	const points: [string, number][] = [
		['0s', high],
		[duration(between(random, 5000, everyMs)), low],
	];
	return [at(atMs, { do: 'load-trace', vm, points, every: duration(everyMs) })];
};

/** Much to read and to receive. */
const traffic: Fault = (random, world, atMs) => [
	at(atMs, {
		do: 'load',
		vm: someVm(random, world),
		cpus: below(random, 4) / 4,
		inflowMibPerS: between(random, 20, 200),
	}),
];

const hostBusy: Fault = (random, _world, atMs) => {
	const kind = pick(random, ['dom0', 'memory', 'disk', 'network'] as const);
	return [at(atMs, { do: 'host-load', host: someHost(random), [kind]: below(random, 101) / 100 })];
};

const unknown: Fault = (random, _world, atMs) => [
	at(atMs, {
		do: 'load-unknown',
		host: someHost(random),
		for: duration(between(random, 5000, 90_000)),
	}),
];

/** A check turns critical, or does so now and then; it may be so on both hosts. */
const ill: Fault = (random, { health = {} }, atMs) => {
	const [check] = Object.keys(health).slice(below(random, 2));
	if (check === undefined) return [];
	const [only] = health[check]?.hosts ?? [];
	const host = only ?? someHost(random);
	const says = pick(random, ['critical', 'critical', 'critical', 'warning', 'unknown'] as const);
	const begin = at(atMs, { do: 'health', host, check, health: says });
	if (chance(random, 0.4)) return [begin];
	const backMs = atMs + between(random, 3000, 80_000);
	return [begin, at(backMs, { do: 'health', host, check, health: 'ok' })];
};

const balance: Fault = (random, _world, atMs) => [
	at(atMs, { do: 'balance', host: someHost(random) }),
];

const loads: readonly [Fault, ...Fault[]] = [
	busy,
	busy,
	busy,
	busy,
	traffic,
	hostBusy,
	unknown,
	ill,
	ill,
	balance,
];

/** Everybody has little to do and every check is content: what is still moved then is for people to see. */
const calmDown = ({ vms, health = {} }: WorldInput, atMs: number): Timed[] => [
	...vms.map(({ name: vm }) => at(atMs, { do: 'load', vm, cpus: 0.1, inflowMibPerS: 0 })),
	...swarmHosts.flatMap((host) => [
		at(atMs, { do: 'host-load', host, dom0: 0.05, memory: 0.3, disk: 0, network: 0 }),
		...Object.entries(health)
			.filter(([, { hosts = swarmHosts }]) => hosts.includes(host))
			.map(([check]) => at(atMs, { do: 'health', host, check, health: 'ok' })),
	]),
];

/** Loads in any order, people who move VMs as well, and a fault or two of those that hit live migrations. */
export const loadFaults = (random: Prng, world: WorldInput): Timed[] => {
	const timed: Timed[] = [];
	const amount = between(random, 2, 7);
	let atMs = between(random, 3000, 12_000);
	for (let index = 0; index < amount; index += 1) {
		timed.push(...pick(random, loads)(random, world, atMs));
		atMs += below(random, (2 * spanMs) / amount);
	}
	// What is on its way takes long, so that something happens meanwhile.
	if (chance(random, 0.3))
		timed.push(
			at(0, {
				do: 'stream-hangs',
				for: duration(between(random, 5000, 25_000)),
				in: pick(random, ['copies', 'suspended', 'told'] as const),
			}),
		);
	if (chance(random, 0.25)) timed.push(ask(random, world, between(random, 8000, spanMs)));
	if (chance(random, 0.15)) timed.push(...empty(random, between(random, 8000, spanMs)));
	const broken = chance(random, 0.3) ? 0 : between(random, 1, 2);
	let brokenMs = between(random, 15_000, spanMs);
	for (let index = 0; index < broken; index += 1) {
		timed.push(...pick(random, faults)(random, world, brokenMs));
		brokenMs += below(random, 30_000);
	}
	const lastMs = Math.max(...timed.map((each) => each.atMs), 60_000);
	timed.push(...calmDown(world, lastMs + between(random, 5000, 60_000)));
	return timed;
};
