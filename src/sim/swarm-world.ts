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
 */
export type SwarmClass = 'honest' | 'dishonest';

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
	return {
		hosts: [...swarmHosts],
		arbiter: chance(random, 0.85) ? 'fencing' : 'person',
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
};

const randomDevices = (random: Prng, swarmClass: SwarmClass) => {
	const amount = chance(random, 0.85) ? 1 : 2;
	return Array.from({ length: amount }, () => ({
		behaviour: randomBehaviour(random, swarmClass),
		latency: duration(pick(random, [50, 300, 1500])),
		by: duration(
			swarmClass === 'honest'
				? between(random, 1000, lateMs - 1000)
				: between(random, 1000, 6 * lateMs),
		),
		diesWithHost: chance(random, 0.25),
	}));
};

export const randomBehaviour = (random: Prng, swarmClass: SwarmClass) => {
	if (chance(random, 0.6)) return 'ok' as const;
	return swarmClass === 'honest'
		? pick(random, ['dead', 'slow', 'late'] as const)
		: pick(random, ['dead', 'slow', 'late', 'lying', 'wrong-host'] as const);
};
