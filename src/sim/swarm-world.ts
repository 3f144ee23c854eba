import type { ScenarioInput } from '#src/sim/scenario.ts';
import { formatDuration } from '#src/std/duration.ts';
import type { Prng } from '#src/std/prng.ts';
import { below, between, chance, pick } from '#src/std/prng.ts';

/**
 * A random world: its size, its devices and its habits. Every seed draws its own, so that rare
 * combinations are met (swarm testing).
 */

/**
 * - `honest`: fence devices say the truth within their declared latency: every promise is checked.
 * - `dishonest`: devices lie, are wired to the wrong host or exceed their latency: what rests on
 *   their word is excused.
 * - `mistaken`: devices are honest, but a person says of a host that lives that it is dead, and takes over from it:
 *   two copies may be runnable for a while, acknowledged data must hold all the same.
 * - `witness`: honest devices, a witness as the arbiter, and watchdogs.
 * - `narrow`: the same world, and faults that meet in a narrow window (`swarm-narrow.ts`).
 * - `ladder`: the same with fencing as the arbiter: ladders of two levels, with devices that are slow by up to 40 s.
 * - `migration`: live migrations, and one or two faults in the middle of them (`swarm-migration.ts`).
 * - `load`: VMs that are busy, host by host, health checks that speak, and some of the same faults (`swarm-load.ts`).
 */
export type SwarmClass =
	'honest' | 'dishonest' | 'mistaken' | 'witness' | 'narrow' | 'ladder' | 'migration' | 'load';

export const swarmClasses: readonly SwarmClass[] = [
	'honest',
	'dishonest',
	'mistaken',
	'witness',
	'narrow',
	'ladder',
	'migration',
	'load',
];

export type WorldInput = ScenarioInput['world'];

export const swarmHosts = ['alpha', 'beta'] as const;
const vmNames = ['ldap', 'samba', 'batch', 'mon', 'se'] as const;

const duration = (ms: number): string => formatDuration(Math.floor(ms));

/** The longest a device may hold back an `off`; honest devices keep it. */
const lateMs = 10_000;
const callMs = 5000;

export const randomWorld = (random: Prng, swarmClass: SwarmClass): WorldInput => {
	const vms = Array.from({ length: 1 + Math.min(below(random, 5), below(random, 5)) }, (_, at) => ({
		name: vmNames[at] ?? 'vm',
		host: pick(random, swarmHosts),
		priority: 10 * below(random, 20),
		after: at > 0 && chance(random, 0.2) ? [vmNames[at - 1] ?? 'vm'] : [],
		shutdown: duration(between(random, 3000, 20_000)),
		runs: !chance(random, 0.08),
	}));
	const world: WorldInput = {
		hosts: [...swarmHosts],
		...arbiterOf(random, swarmClass),
		detection: duration(pick(random, [2000, 3000, 5000])),
		begin: chance(random, 0.85) ? 'settled' : 'cold',
		networks: [
			{ name: 'management' },
			{ name: 'replication', switched: chance(random, 0.4), replication: true },
		],
		vms,
		memoryMib: chance(random, 0.9) ? 16_384 : 1024,
		fencing: {
			attempts: between(random, 1, 3),
			call: duration(callMs),
			late: duration(lateMs),
			perHourMax: pick(random, [1, 3, 6]),
			afterFence: pick(random, ['on', 'off']),
		},
		devices: Object.fromEntries(
			swarmHosts.map((host) => [host, randomDevices(random, swarmClass)]),
		),
		timing: {
			boot: duration(between(random, 10_000, 30_000)),
			resync: duration(pick(random, [500, 4000, 15_000])),
			create: duration(pick(random, [300, 2000, 5000])),
			guestShutdown: duration(pick(random, [500, 4000])),
		},
	};
	if (swarmClass === 'ladder')
		return withCables(random, withSecondLevel(random, withLongLatency(world), swarmClass));
	// Drawn last, so that a seed without a second level is the same world as before there was one.
	return chance(random, 0.3) ? withSecondLevel(random, world, swarmClass) : world;
};

/** Devices that are slow by far more than anything else is: what a turn has to leave room for. */
const withLongLatency = (world: WorldInput): WorldInput => ({
	...world,
	fencing: { ...world.fencing, call: duration(callMs / 2), late: duration(4 * lateMs) },
});

/** Now and then the hosts are joined by cables alone, which go dark with the peer (L4). */
const withCables = (random: Prng, world: WorldInput): WorldInput =>
	chance(random, 0.3)
		? {
				...world,
				networks: [
					{ name: 'management', switched: false },
					{ name: 'replication', switched: false, replication: true },
				],
			}
		: world;

/** Honest about what they read, but of no use: what a second level is there for. */
const useless = ['dead', 'stuck', 'late'] as const;

/** Now and then the first level fails, so that the second is needed. */
const withSecondLevel = (random: Prng, world: WorldInput, swarmClass: SwarmClass): WorldInput => ({
	...world,
	devices: Object.fromEntries(
		swarmHosts.map((host) => {
			const more = chance(random, 0.5) ? [randomDevice(random, swarmClass)] : [];
			const first = [...(world.devices?.[host] ?? []), ...more].map((device) =>
				chance(random, 0.4) ? { ...device, behaviour: pick(random, useless) } : device,
			);
			if (chance(random, 0.2)) return [host, first];
			const second = Array.from({ length: between(random, 1, 2) }, () => ({
				...randomDevice(random, swarmClass),
				level: 2,
				diesWithHost: chance(random, 0.1),
			}));
			return [host, [...first, ...second]];
		}),
	),
});

/** One of several devices of a ladder, and what is wrong with it from now on. */
export const randomDeviceFault = (
	random: Prng,
	{ devices = {} }: WorldInput,
	host: string,
	swarmClass: SwarmClass,
) => {
	const own = devices[host] ?? [];
	const behaviour = randomBehaviour(random, swarmClass);
	if (!own.some(({ level }) => level === 2)) return { behaviour };
	if (chance(random, 0.3)) return { behaviour };
	const device = below(random, own.length);
	return { device, behaviour: chance(random, 0.3) ? ('stuck' as const) : behaviour };
};

/** Two in three hosts have a watchdog that is armed. */
const arbiterOf = (
	random: Prng,
	swarmClass: SwarmClass,
): Pick<WorldInput, 'arbiter' | 'witness'> => {
	// With a person who errs, a fence device would take the truth away together with the host.
	if (swarmClass === 'ladder') return { arbiter: 'fencing' };
	if (swarmClass !== 'witness' && swarmClass !== 'narrow')
		return { arbiter: swarmClass !== 'mistaken' && chance(random, 0.85) ? 'fencing' : 'person' };
	const watchdogs = swarmHosts.filter(() => chance(random, 0.67));
	return { arbiter: 'witness', witness: { watchdogs } };
};

const randomDevices = (random: Prng, swarmClass: SwarmClass) => {
	const amount = chance(random, 0.85) ? 1 : 2;
	return Array.from({ length: amount }, () => randomDevice(random, swarmClass));
};

/** The longest that a device really takes; only those of `dishonest` exceed what they declare. */
const latestMs: Readonly<Record<SwarmClass, number>> = {
	honest: lateMs - 1000,
	dishonest: 6 * lateMs,
	mistaken: lateMs - 1000,
	witness: lateMs - 1000,
	narrow: lateMs - 1000,
	ladder: 4 * lateMs - 1000,
	migration: lateMs - 1000,
	load: lateMs - 1000,
};

const randomDevice = (random: Prng, swarmClass: SwarmClass) => ({
	behaviour: randomBehaviour(random, swarmClass),
	latency: duration(pick(random, [50, 300, 1500])),
	by: duration(between(random, 1000, latestMs[swarmClass])),
	diesWithHost: chance(random, 0.25),
});

const randomBehaviour = (random: Prng, swarmClass: SwarmClass) => {
	if (chance(random, 0.6)) return 'ok' as const;
	return swarmClass !== 'dishonest'
		? pick(random, ['dead', 'slow', 'late'] as const)
		: pick(random, ['dead', 'slow', 'late', 'lying', 'wrong-host'] as const);
};
