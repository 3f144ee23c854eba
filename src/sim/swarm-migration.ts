import {
	at,
	duration,
	type Fault,
	networks,
	otherHost,
	someVm,
	type Timed,
} from '#src/sim/swarm-step.ts';
import { swarmHosts, type WorldInput } from '#src/sim/swarm-world.ts';
import type { Prng } from '#src/std/prng.ts';
import { below, between, chance, pick } from '#src/std/prng.ts';

/** Live migrations, and one or two faults at a random moment of one. */

const vmNames = ['ldap', 'samba', 'batch'] as const;

/** Two or three VMs, fence devices that are honest, a witness in every second world. */
export const migrationWorld = (random: Prng): WorldInput => ({
	hosts: [...swarmHosts],
	...(chance(random, 0.5)
		? { arbiter: 'witness' as const, witness: { watchdogs: [...swarmHosts] } }
		: { arbiter: 'fencing' as const }),
	detection: duration(pick(random, [2000, 3000, 5000])),
	begin: 'settled',
	networks: [
		{ name: 'management' },
		{ name: 'replication', switched: chance(random, 0.4), replication: true },
	],
	vms: vmNames.slice(0, between(random, 2, 3)).map((name) => ({
		name,
		host: pick(random, swarmHosts),
		priority: 10 * below(random, 20),
		runs: !chance(random, 0.05),
	})),
	memoryMib: 16_384,
	fencing: { perHourMax: 6, afterFence: pick(random, ['on', 'off']) },
	timing: {
		boot: duration(between(random, 10_000, 30_000)),
		resync: duration(pick(random, [500, 4000])),
		create: duration(pick(random, [300, 2000])),
		guestShutdown: duration(pick(random, [500, 4000])),
	},
});

const powerCut: Fault = (random, _world, atMs) => {
	const host = pick(random, swarmHosts);
	const cut = at(atMs, { do: 'power-cut', host });
	if (chance(random, 0.3)) return [cut];
	return [cut, at(atMs + between(random, 200, 40_000), { do: 'power-on', host })];
};

const agentCrash: Fault = (random, _world, atMs) => [
	at(atMs, {
		do: 'agent-crash',
		host: pick(random, swarmHosts),
		restartAfter: duration(pick(random, [100, 1000, 10_000, 45_000])),
	}),
];

const agentStop: Fault = (random, _world, atMs) => {
	const host = pick(random, swarmHosts);
	return [
		at(atMs, { do: 'agent-stop', host }),
		at(atMs + between(random, 300, 20_000), { do: 'agent-continue', host }),
	];
};

const hang: Fault = (random, _world, atMs) => {
	const host = pick(random, swarmHosts);
	return [
		at(atMs, { do: 'hang', host }),
		at(atMs + between(random, 500, 40_000), { do: 'resume', host }),
	];
};

const cut: Fault = (random, _world, atMs) => {
	const endMs = atMs + between(random, 100, chance(random, 0.5) ? 4000 : 40_000);
	return pick(random, [['management'], ['replication'], networks] as const).flatMap((network) => [
		at(atMs, { do: 'cut', network }),
		at(endMs + below(random, 2) * below(random, 3000), { do: 'mend', network }),
	]);
};

const xlKilled: Fault = (random, _world, atMs) => [
	at(atMs, { do: 'xl-killed', host: pick(random, swarmHosts) }),
];

const streamHangs: Fault = (random, _world, atMs) => [
	at(atMs, { do: 'stream-hangs', for: duration(between(random, 500, 90_000)) }),
];

/** The crash hits a write of the journal, or one that follows from it. */
const crashAtWrite: Fault = (random, _world, atMs) => [
	at(atMs, {
		do: 'crash-at-write',
		host: pick(random, swarmHosts),
		side: pick(random, ['before', 'after'] as const),
		who: chance(random, 0.7) ? 'agent' : 'host',
	}),
];

const diskFails: Fault = (random, world, atMs) => {
	const where = { host: pick(random, swarmHosts), vm: someVm(random, world) };
	return [
		at(atMs, { do: 'disk-fail', ...where }),
		at(atMs + between(random, 5000, 40_000), { do: 'disk-repair', ...where }),
	];
};

/** The target has all of the memory and cannot start the copy. */
const startFails: Fault = (random, world, atMs) => [
	at(atMs, {
		do: 'create-fails',
		host: pick(random, swarmHosts),
		vm: someVm(random, world),
		times: 1,
	}),
];

const tools: Fault = (random, world, atMs) => {
	const host = pick(random, swarmHosts);
	const by = duration(between(random, 500, 20_000));
	return [
		at(
			atMs,
			pick(random, [
				{ do: 'xl-hang', host, for: by },
				{ do: 'drbd-hang', host, for: by },
				{ do: 'slow-unpause', host, vm: someVm(random, world), by },
			] as const),
		),
	];
};

/** What goes wrong around a live migration, by weight. */
export const faults: readonly [Fault, ...Fault[]] = [
	powerCut,
	powerCut,
	powerCut,
	agentCrash,
	agentCrash,
	agentStop,
	cut,
	cut,
	cut,
	xlKilled,
	xlKilled,
	streamHangs,
	crashAtWrite,
	crashAtWrite,
	hang,
	diskFails,
	startFails,
	tools,
];

/** From the request to the end of a clean migration: looks, records, 2 to 20 s of memory, and what follows. */
const spanMs = 26_000;

/** Asked on the host where it runs at the beginning, or on the other one. */
export const ask = (random: Prng, world: WorldInput, atMs: number): Timed => {
	const vm = someVm(random, world);
	const runsOn = world.vms.find(({ name }) => name === vm)?.host ?? swarmHosts[0];
	const host = chance(random, 0.8) ? runsOn : otherHost(runsOn);
	return at(atMs, { do: 'migrate', host, vm });
};

/** A host is emptied once or for good, or leaves and comes back. */
export const empty = (random: Prng, atMs: number): Timed[] => {
	const host = pick(random, swarmHosts);
	const backMs = atMs + between(random, 20_000, 60_000);
	const plans: readonly [Timed[], ...Timed[][]] = [
		[
			at(atMs, {
				do: 'evacuate',
				host,
				target: pick(random, swarmHosts),
				cold: chance(random, 0.5),
			}),
		],
		[at(atMs, { do: 'standby', host, on: true })],
		[at(atMs, { do: 'standby', host, on: true }), at(backMs, { do: 'standby', host, on: false })],
		[at(atMs, { do: 'reboot', host })],
		[at(atMs, { do: 'leave', host, how: 'migrate' }), at(backMs, { do: 'agent-start', host })],
		[at(atMs, { do: 'leave', host, how: 'stop' }), at(backMs, { do: 'agent-start', host })],
	];
	return pick(random, plans);
};

const slowStage = (random: Prng) => ({
	for: duration(between(random, 1000, 25_000)),
	in: pick(random, ['suspended', 'told', 'told', 'received'] as const),
});

/** Migrations, and what goes wrong meanwhile; in some seeds nothing does. */
export const migrationFaults = (random: Prng, world: WorldInput): Timed[] => {
	const askedMs = between(random, 8000, 12_000);
	const timed = chance(random, 0.3) ? empty(random, askedMs) : [ask(random, world, askedMs)];
	if (chance(random, 0.4)) timed.push(ask(random, world, askedMs + below(random, 40_000)));
	if (chance(random, 0.15)) {
		const atMs = askedMs + below(random, spanMs);
		const host = pick(random, swarmHosts);
		timed.push(at(atMs, { do: 'cancel-migration', host, vm: someVm(random, world) }));
	}
	// The short moments last longer, so that something happens in them.
	if (chance(random, 0.5)) timed.push(at(0, { do: 'stream-hangs', ...slowStage(random) }));
	const amount = chance(random, 0.1) ? 0 : between(random, 1, 2);
	let atMs = askedMs + below(random, chance(random, 0.2) ? 2000 : spanMs);
	for (let index = 0; index < amount; index += 1) {
		timed.push(...pick(random, faults)(random, world, atMs));
		atMs += below(random, 8000);
	}
	return timed;
};
