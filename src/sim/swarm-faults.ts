import { moreFaults, moreRepairs, singleFault } from '#src/sim/swarm-more.ts';
import type { SwarmClass, WorldInput } from '#src/sim/swarm-world.ts';
import { loadFaults } from '#src/sim/swarm-load.ts';
import { migrationFaults } from '#src/sim/swarm-migration.ts';
import { narrowFaults } from '#src/sim/swarm-narrow.ts';
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
import { randomDeviceFault, swarmHosts } from '#src/sim/swarm-world.ts';
import type { Prng } from '#src/std/prng.ts';
import { below, between, chance, pick } from '#src/std/prng.ts';

/** Random faults in time, as the steps of a scenario: a failing seed can be written down as a file. */

/** Faults begin within this time; what they break is repaired within `faultEndMs`, or by people at the end. */
const lastFaultMs = 25_000;
const faultEndMs = 45_000;
const longNightMs = 240_000;

const later = (random: Prng, atMs: number, lowMs: number, highMs: number): number =>
	Math.min(atMs + between(random, lowMs, highMs), Math.max(faultEndMs, atMs + 30_000));

const powerCut: Fault = (random, _world, atMs) => {
	const host = someHost(random);
	const cut = at(atMs, { do: 'power-cut', host, bmcToo: chance(random, 0.2) });
	if (chance(random, 0.3)) return [cut];
	return [cut, at(later(random, atMs, 200, 40_000), { do: 'power-on', host })];
};

const bothPowerCut: Fault = (random, world, atMs) => [
	...powerCut(random, world, atMs),
	at(atMs + below(random, 3000), { do: 'power-cut', host: swarmHosts[0] }),
	at(atMs + below(random, 3000), { do: 'power-cut', host: swarmHosts[1] }),
	at(later(random, atMs, 5000, 30_000), { do: 'power-on', host: someHost(random) }),
];

const networkNames = (random: Prng): readonly string[] =>
	pick(random, [['management'], ['replication'], networks] as const);

const cut: Fault = (random, _world, atMs) => {
	const from = chance(random, 0.2) ? { from: someHost(random) } : {};
	const traffic = chance(random, 0.7)
		? ('all' as const)
		: pick(random, ['replication', 'heartbeat'] as const);
	const endMs = later(random, atMs, 100, chance(random, 0.5) ? 4000 : 40_000);
	return networkNames(random).flatMap((network) => {
		const skewMs = below(random, 2) * below(random, 3000);
		return [
			at(atMs + skewMs, { do: 'cut', network, traffic, ...from }),
			at(endMs + skewMs, { do: 'mend', network, traffic, ...from }),
		];
	});
};

const agentCrash: Fault = (random, _world, atMs) => [
	at(atMs, {
		do: 'agent-crash',
		host: someHost(random),
		restartAfter: duration(pick(random, [100, 1000, 10_000, 45_000])),
	}),
];

const agentStop: Fault = (random, _world, atMs) => {
	const host = someHost(random);
	return [
		at(atMs, { do: 'agent-stop', host }),
		at(later(random, atMs, 300, 20_000), { do: 'agent-continue', host }),
	];
};

const hang: Fault = (random, _world, atMs) => {
	const host = someHost(random);
	const ends = chance(random, 0.5);
	const begin = at(atMs, { do: 'hang', host });
	return ends ? [begin, at(later(random, atMs, 500, 15_000), { do: 'resume', host })] : [begin];
};

const store: Fault = (random, _world, atMs) => {
	const host = someHost(random);
	if (chance(random, 0.4)) {
		return [
			at(atMs, { do: 'store-full', host }),
			at(later(random, atMs, 500, 20_000), { do: 'store-free', host }),
		];
	}
	const offMs = later(random, atMs, 1000, 25_000);
	const lost = chance(random, 0.4);
	return [
		at(below(random, Math.max(1, atMs)), { do: 'state-save', host, as: `copy-${atMs}` }),
		at(offMs, { do: 'power-cut', host }),
		at(
			offMs + 1,
			lost ? { do: 'state-lose', host } : { do: 'state-restore', host, from: `copy-${atMs}` },
		),
		at(later(random, offMs, 1000, 15_000), { do: 'power-on', host }),
	];
};

const disk: Fault = (random, world, atMs) => {
	const where = { host: someHost(random), vm: someVm(random, world) };
	const repair = chance(random, 0.5)
		? ({ do: 'disk-repair', ...where } as const)
		: ({ do: 'disk-replace', ...where } as const);
	return [at(atMs, { do: 'disk-fail', ...where }), at(later(random, atMs, 1000, 30_000), repair)];
};

const tools: Fault = (random, world, atMs) => {
	const host = someHost(random);
	const vm = someVm(random, world);
	const by = duration(between(random, 500, 20_000));
	const steps = [
		{ do: 'xl-hang', host, for: by },
		{ do: 'drbd-hang', host, for: by },
		{ do: 'late-promote', host, vm, by },
		{ do: 'create-fails', host, vm, times: between(random, 1, 5) },
	] as const;
	return [at(atMs, pick(random, steps))];
};

const guest: Fault = (random, world, atMs) => [
	at(atMs, {
		do: 'guest',
		vm: someVm(random, world),
		does: pick(random, ['poweroff', 'reboot', 'crash'] as const),
	}),
];

const request: Fault = (random, world, atMs) => {
	const host = someHost(random);
	const vm = someVm(random, world);
	const endMs = later(random, atMs, 500, 30_000);
	const plans: readonly [Timed[], ...Timed[][]] = [
		[at(atMs, { do: 'move', host, vm, to: pick(random, [null, ...swarmHosts]) })],
		[at(atMs, { do: 'move', host, vm, to: null }), at(endMs, { do: 'move', host, vm, to: null })],
		[at(atMs, { do: 'stop', host, vm }), at(endMs, { do: 'start', host: otherHost(host), vm })],
		[at(atMs, { do: 'disarm', host }), at(endMs, { do: 'arm', host: someHost(random) })],
		[at(atMs, { do: 'leave', host }), at(endMs, { do: 'agent-start', host })],
		[at(atMs, { do: 'operator-promote', host, vm })],
		[at(atMs, { do: 'guest-ignores-shutdown', vm })],
		[at(atMs, { do: 'takeover', host, confirmDead: otherHost(host) })],
	];
	return pick(random, plans);
};

/** A host is cut off or stands still; a person who did not look says that it is dead; then it comes back. */
const mistake: Fault = (random, _world, atMs) => {
	const host = someHost(random);
	const other = otherHost(host);
	const stands = chance(random, 0.4);
	const endMs = atMs + between(random, 8000, 25_000);
	return [
		...(stands
			? [at(atMs, { do: 'hang', host } as const), at(endMs, { do: 'resume', host } as const)]
			: networks.flatMap((network) => [
					at(atMs, { do: 'cut', network } as const),
					at(endMs, { do: 'mend', network } as const),
				])),
		at(atMs + between(random, 4000, 7500), {
			do: 'takeover',
			host: other,
			confirmDead: host,
			checked: false,
		}),
	];
};

/** Somebody promotes a copy by force while replication is cut, and the people put it right. */
const forced: Fault = (random, world, atMs) => {
	const host = someHost(random);
	const vm = someVm(random, world);
	const endMs = atMs + between(random, 6000, 20_000);
	return [
		at(atMs, { do: 'cut', network: 'replication' }),
		at(atMs + between(random, 500, 5500), { do: 'operator-promote', host, vm, force: true }),
		at(endMs, { do: 'mend', network: 'replication' }),
		...(chance(random, 0.5)
			? [at(endMs + between(random, 1000, 20_000), { do: 'resolve', host, vm } as const)]
			: []),
	];
};

/** DRBD looks for its peer, or exchanges bitmaps, and does not get on. */
const stuckConnection: Fault = (random, world, atMs) => {
	const where = { host: someHost(random), vm: someVm(random, world) };
	return [
		at(atMs, { do: 'drbd-stuck', ...where, in: pick(random, ['connecting', 'bitmap'] as const) }),
		at(atMs + 100, { do: 'cut', network: 'replication' }),
		at(atMs + between(random, 3000, 12_000), { do: 'mend', network: 'replication' }),
	];
};

/** After everything is repaired the people look at what is still apart, and once more. */
const settleCopies = (world: WorldInput, atMs: number): Timed[] =>
	[30_000, 90_000].flatMap((afterMs) =>
		world.vms.map(({ name, host }) => at(atMs + afterMs, { do: 'resolve', host, vm: name })),
	);

const device =
	(swarmClass: SwarmClass): Fault =>
	(random, world, atMs) => {
		const host = someHost(random);
		const fault = randomDeviceFault(random, world, host, swarmClass);
		return [at(atMs, { do: 'device', host, ...fault })];
	};

const small: Fault = (random, _world, atMs) => {
	const host = someHost(random);
	const network = pick(random, networks);
	const endMs = later(random, atMs, 500, 20_000);
	const plans: readonly [Timed[], ...Timed[][]] = [
		[
			at(atMs, { do: 'gateway', host, answers: false }),
			at(endMs, { do: 'gateway', host, answers: true }),
		],
		[
			at(atMs, { do: 'carrier-lost', host, network }),
			at(endMs, { do: 'carrier-back', host, network }),
		],
		[at(atMs, { do: 'stale-document', host })],
		[at(atMs, { do: 'crash', host })],
	];
	return pick(random, plans);
};

const witnessCut: Fault = (random, _world, atMs) => {
	const from = chance(random, 0.75) ? { from: someHost(random) } : {};
	const endMs = later(random, atMs, 300, 40_000);
	return [at(atMs, { do: 'witness-cut', ...from }), at(endMs, { do: 'witness-mend', ...from })];
};

const witnessRestart: Fault = (random, _world, atMs) => {
	const endMs = later(random, atMs, 100, 40_000);
	if (chance(random, 0.3)) return [at(atMs, { do: 'witness-slow', for: duration(endMs - atMs) })];
	if (chance(random, 0.2)) return [at(atMs, { do: 'witness-empty' })];
	if (chance(random, 0.6))
		return [at(atMs, { do: 'witness-stop' }), at(endMs, { do: 'witness-start' })];
	const as = `witness-${atMs}`;
	return [
		at(below(random, Math.max(1, atMs)), { do: 'witness-save', as }),
		at(atMs, { do: 'witness-stop' }),
		at(endMs, { do: 'witness-restore', from: as }),
	];
};

/** The hosts lose each other, and one of them the witness too, a little earlier or later. */
const isolation: Fault = (random, _world, atMs) => {
	const from = someHost(random);
	const endMs = later(random, atMs, 2000, 40_000);
	const skewMs = between(random, -6000, 3000);
	return [
		at(Math.max(0, atMs + skewMs), { do: 'witness-cut', from }),
		at(endMs + below(random, 6000), { do: 'witness-mend', from }),
		...networks.map((network) => at(atMs, { do: 'cut', network })),
		...networks.map((network) => at(endMs, { do: 'mend', network })),
	];
};

const stall: Fault = (random, _world, atMs) => {
	const host = someHost(random);
	const by = duration(between(random, 500, 20_000));
	return [
		at(
			atMs,
			chance(random, 0.5)
				? { do: 'thread-stall', host, for: by }
				: { do: 'loop-stall', host, for: by },
		),
	];
};

const witnessFaults: readonly (readonly [number, Fault])[] = [
	[4, witnessCut],
	[3, witnessRestart],
	[4, isolation],
	[2, stall],
];

/** The faults of a seed, and whether people put everything right at the end. */
interface Drawn {
	readonly steps: StepInput[];
	readonly repaired: boolean;
}

/** `more`: numbers for the faults that were added last; null for a seed as it was without them. */
export const randomSteps = (
	random: Prng,
	world: WorldInput,
	swarmClass: SwarmClass,
	more: Prng | null,
): Drawn => {
	if (swarmClass === 'migration') return rarelyLeft(random, world, migrationFaults(random, world));
	if (swarmClass === 'load') return rarelyLeft(random, world, loadFaults(random, world));
	const narrow = swarmClass === 'narrow' || swarmClass === 'ladder';
	const others = narrow ? null : more;
	const single = others === null ? null : singleFault(others, world, swarmClass);
	if (single !== null) return { steps: inOrder(single), repaired: false };
	const timed = narrow
		? narrowFaults(random, world, swarmClass, more)
		: drawnFaults(random, world, swarmClass);
	const added = others === null ? [] : moreFaults(others, world, swarmClass);
	timed.push(...added);
	// People put everything right; from here on the pair must find its way by itself.
	const lastMs = Math.max(...timed.map((each) => each.atMs));
	const repairedMs = lastMs + between(random, 2000, chance(random, 0.7) ? 6000 : 30_000);
	if (added.length > 0) timed.push(...moreRepairs(swarmClass).map((step) => at(repairedMs, step)));
	timed.push(...repairs(world, repairedMs));
	if (swarmClass === 'mistaken') timed.push(...settleCopies(world, repairedMs));
	return { steps: inOrder(timed), repaired: true };
};

/** In one of ten seeds nobody puts anything right. */
const rarelyLeft = (random: Prng, world: WorldInput, timed: Timed[]): Drawn => {
	const repaired = !chance(random, 0.1);
	const lastMs = Math.max(...timed.map((each) => each.atMs));
	if (repaired) timed.push(...repairs(world, lastMs + between(random, 2000, 30_000)));
	return { steps: inOrder(timed), repaired };
};

/** Weighted kinds; every seed forgets some of them, so that the others meet more often. */
const drawnFaults = (random: Prng, world: WorldInput, swarmClass: SwarmClass): Timed[] => {
	const kinds: readonly (readonly [number, Fault])[] = [
		[4, powerCut],
		[1, bothPowerCut],
		[5, cut],
		[2, agentCrash],
		[2, agentStop],
		[2, hang],
		[2, store],
		[1, disk],
		[2, tools],
		[1, guest],
		[3, request],
		[2, device(swarmClass)],
		[2, small],
		...(swarmClass === 'witness' ? witnessFaults : []),
	];
	const drawn = kinds.filter(() => chance(random, 0.6));
	const bag = (drawn.length > 0 ? drawn : kinds).flatMap(([weight, fault]) =>
		Array.from({ length: weight }, () => fault),
	);
	// Now and then a long night: many faults one after the other, each with time to be repaired.
	const long = chance(random, 0.08);
	const amount = long ? 6 + below(random, 10) : 1 + below(random, 6);
	const spanMs = long ? longNightMs : lastFaultMs;
	const timed: Timed[] = [];
	if (swarmClass === 'mistaken')
		timed.push(...pick(random, [mistake, mistake, forced, stuckConnection])(random, world, 8000));
	let atMs = 4000;
	for (let index = 0; index < amount; index += 1) {
		atMs += chance(random, 0.5)
			? below(random, 3000)
			: below(random, (long ? 2 : 1) * (spanMs / amount));
		const fault = bag[below(random, bag.length)];
		if (fault !== undefined) timed.push(...fault(random, world, atMs));
	}
	return timed;
};

const repairs = ({ witness }: WorldInput, atMs: number): Timed[] => {
	const steps: StepInput[] =
		witness === undefined ? [] : [{ do: 'witness-start' }, { do: 'witness-mend' }];
	for (const network of networks) {
		for (const traffic of ['all', 'replication', 'heartbeat'] as const) {
			steps.push({ do: 'mend', network, traffic });
		}
		for (const host of swarmHosts) steps.push({ do: 'carrier-back', host, network });
	}
	for (const host of swarmHosts) {
		steps.push({ do: 'store-free', host }, { do: 'gateway', host, answers: true });
		steps.push({ do: 'device', host, behaviour: 'ok' }, { do: 'agent-continue', host });
		steps.push({ do: 'resume', host }, { do: 'power-on', host });
		steps.push({ do: 'agent-start', host });
	}
	const again: StepInput[] = swarmHosts.map((host) => ({ do: 'power-on', host }));
	return [
		...steps.map((step) => at(atMs, step)),
		// An `off` that was on its way may land after the repair: somebody looks once more.
		...again.map((step) => at(atMs + 25_000, step)),
	];
};
