import { lateFaults } from '#src/sim/swarm-late.ts';
import {
	at,
	cutAll,
	duration,
	type Fault,
	mendLater,
	networks,
	type Timed,
	timingOf,
	turnOf,
	twoHosts,
} from '#src/sim/swarm-step.ts';
import { quietWithLadder, quietWithWitness } from '#src/sim/swarm-quiet.ts';
import type { WorldInput } from '#src/sim/swarm-world.ts';
import { swarmHosts } from '#src/sim/swarm-world.ts';
import { parseDuration } from '#src/std/duration.ts';
import type { Prng } from '#src/std/prng.ts';
import { below, between, chance, pick } from '#src/std/prng.ts';

/**
 * Faults that meet in a narrow window. Each sequence is one way in which the protocol's first wording broke (the
 * mark beside it), with every time drawn anew: faults at any time would meet so only once in very many seeds.
 */

/** Mostly nobody can switch the host off: what it may do is decided in the witness. */
const deviceDead = (random: Prng, host: string): Timed[] =>
	chance(random, 0.8) ? [at(0, { do: 'device', host, behaviour: 'dead' })] : [];

/** V2: the takeover is on its way when the link heals. */
const healUnderClaim: Fault = (random, world, atMs) => {
	const [host] = twoHosts(random);
	const { takeMs } = timingOf(world);
	const healMs = atMs + takeMs + between(random, 0, 2500);
	return [
		...deviceDead(random, host),
		at(atMs - between(random, 0, 6000), { do: 'witness-cut', from: host }),
		...cutAll(atMs),
		at(atMs + takeMs - 500, { do: 'witness-slow', for: '4s' }),
		at(healMs, { do: 'mend', network: 'management' }),
		at(healMs + between(random, 2000, 15_000), { do: 'mend', network: 'replication' }),
		at(healMs + between(random, 0, 20_000), { do: 'witness-mend', from: host }),
	];
};

/** V3: a host that was taken over hears the other one again, and the witness only later. */
const linkBeforeWitness: Fault = (random, world, atMs) => {
	const [host] = twoHosts(random);
	const healMs = atMs + timingOf(world).takeMs + between(random, 3000, 15_000);
	return [
		...deviceDead(random, host),
		at(atMs, { do: 'witness-cut', from: host }),
		...cutAll(atMs),
		at(healMs, { do: 'mend', network: 'management' }),
		at(healMs + between(random, 2000, 10_000), { do: 'mend', network: 'replication' }),
		at(healMs + between(random, 2000, 15_000), { do: 'witness-mend', from: host }),
	];
};

/** V4: a host stands still, is claimed and fenced by a slow device, and goes on before the power goes. */
const returnUnderClaim: Fault = (random, world, atMs) => {
	const [host] = twoHosts(random);
	const { detectionMs } = timingOf(world);
	const by = duration(between(random, 3000, 9000));
	return [
		at(0, { do: 'device', host, behaviour: 'slow', by }),
		at(atMs - between(random, 0, 2000), { do: 'agent-stop', host }),
		...cutAll(atMs),
		at(atMs + detectionMs + between(random, 0, 6000), { do: 'agent-continue', host }),
		...mendLater(random, atMs + between(random, 20_000, 40_000)),
	];
};

/** V6: the witness is restored while one host can not see what was written meanwhile. */
const restoredApart: Fault = (random, world, atMs) => {
	const [host, other] = twoHosts(random);
	const { takeMs, detectionMs } = timingOf(world);
	const dies = chance(random, 0.5);
	const actedMs = atMs + (dies ? detectionMs + 4000 : takeMs + 2000) + between(random, 0, 5000);
	const restoredMs = actedMs + between(random, 500, 5000);
	const seenMs = restoredMs + between(random, 200, 6000);
	return [
		...deviceDead(random, host),
		...deviceDead(random, other),
		at(atMs - between(random, 1000, 3000), { do: 'witness-save', as: 'before' }),
		at(atMs - between(random, 0, 800), { do: 'witness-cut', from: host }),
		...cutAll(atMs),
		...(dies ? [at(actedMs, { do: 'power-cut', host: other, bmcToo: true } as const)] : []),
		at(restoredMs - 300, { do: 'witness-stop' }),
		at(restoredMs, { do: 'witness-restore', from: 'before' }),
		at(seenMs, { do: 'witness-mend', from: host }),
		...mendLater(random, seenMs + takeMs + between(random, 5000, 20_000)),
	];
};

/** After this long without the witness both hosts begin to change the arbiter; see `engine/arbiter.ts`. */
const arbiterLastsMs = 13_000;

/** V10: the hosts lose each other while the arbiter is being changed, and then the witness is back. */
const cutBetweenRounds: Fault = (random, _world, atMs) => {
	const cutMs = atMs + arbiterLastsMs + between(random, -900, 700);
	const witnessMs = cutMs + between(random, -500, 3000);
	return [
		at(atMs, { do: 'witness-cut' }),
		...cutAll(cutMs),
		at(witnessMs, { do: 'witness-mend' }),
		...mendLater(random, cutMs + between(random, 20_000, 60_000)),
	];
};

/** V10: an agent restarts just when the hosts have lost each other: its VMs are frozen, so it would win by a fence. */
const restartApart: Fault = (random, world, atMs) => {
	const [host] = twoHosts(random);
	const { detectionMs } = timingOf(world);
	const restartAfter = duration(between(random, 100, 2000));
	return [
		...cutAll(atMs),
		at(atMs + between(random, 200, detectionMs + 1000), { do: 'agent-crash', host, restartAfter }),
		...mendLater(random, atMs + between(random, 60_000, 400_000)),
	];
};

/** V21: a host without watchdog and BMC is claimed, sees the witness again, and then its peer. */
const letGo: Fault = (random, world, atMs) => {
	const [host] = twoHosts(random);
	const seenMs = atMs + timingOf(world).takeMs + between(random, 0, 15_000);
	const healMs = seenMs + between(random, 1000, 12_000);
	return [
		at(0, { do: 'device', host, behaviour: 'dead' }),
		at(atMs, { do: 'witness-cut', from: host }),
		...cutAll(atMs),
		at(seenMs, { do: 'witness-mend', from: host }),
		at(healMs, { do: 'mend', network: 'management' }),
		at(healMs + between(random, 0, 8000), { do: 'mend', network: 'replication' }),
	];
};

/** V17: a host is disarmed the moment it loses everybody, so nobody has heard of it. */
const disarmUnheard: Fault = (random, world, atMs) => {
	const [host] = twoHosts(random);
	const healMs = atMs + timingOf(world).takeMs + between(random, 10_000, 25_000);
	return [
		...deviceDead(random, host),
		at(atMs, { do: 'witness-cut', from: host }),
		...cutAll(atMs),
		at(atMs + between(random, 0, 2000), { do: 'disarm', host }),
		at(healMs, { do: 'witness-mend', from: host }),
		...mendLater(random, healMs),
	];
};

/** L3: the host that claimed the other one dies before it could act. */
const claimerDies: Fault = (random, world, atMs) => {
	const [host, claimer] = twoHosts(random);
	const { takeMs, detectionMs } = timingOf(world);
	const diesMs = atMs + between(random, detectionMs + 500, takeMs - 500);
	const seenMs = diesMs + between(random, -2000, 10_000);
	return [
		at(0, { do: 'device', host, behaviour: 'dead' }),
		at(atMs, { do: 'witness-cut', from: host }),
		...cutAll(atMs),
		at(diesMs, { do: 'power-cut', host: claimer, bmcToo: chance(random, 0.7) }),
		at(seenMs, { do: 'witness-mend', from: host }),
		at(seenMs + takeMs + between(random, 90_000, 120_000), { do: 'power-on', host: claimer }),
	];
};

const narrow: readonly [Fault, ...Fault[]] = [
	healUnderClaim,
	linkBeforeWitness,
	returnUnderClaim,
	restoredApart,
	cutBetweenRounds,
	restartApart,
	letGo,
	disarmUnheard,
	claimerDies,
];

/**
 * V12: the hosts lose each other and each takes itself for cut off, until shortly before the end of a turn. Then
 * both may fence: one now, through a device that holds the command back, the other as soon as its own turn begins.
 */
const endOfTurn: Fault = (random, world, atMs) => {
	const turn = 1 + below(random, 3);
	const suspectAfterMs = 600;
	const freeMs = atMs + suspectAfterMs + turn * turnOf(world) - between(random, 0, 45_000);
	const behaviours = ['ok', 'late', 'late', 'slow', 'stuck', 'dead'] as const;
	return [
		...swarmHosts.flatMap((host) => [
			...(world.devices?.[host] ?? []).map((_, device) =>
				at(0, { do: 'device', host, device, behaviour: pick(random, behaviours) }),
			),
			at(atMs - 1000, { do: 'gateway', host, answers: false }),
			at(Math.max(atMs, freeMs), { do: 'gateway', host, answers: true }),
		]),
		...networks.map((network) =>
			at(atMs + between(random, 0, 1500), { do: 'cut', network } as const),
		),
		...mendLater(random, freeMs + between(random, 60_000, 200_000)),
	];
};

/** V9: the state file of a host is restored from the time in which it was the only one in sync. */
const oldStateFile: Fault = (random, _world, atMs) => {
	const [host, other] = twoHosts(random);
	const savedMs = atMs + between(random, 15_000, 25_000);
	const diesMs = savedMs + between(random, 70_000, 90_000);
	const bothMs = diesMs + between(random, 15_000, 30_000);
	return [
		at(atMs, { do: 'power-cut', host: other }),
		at(savedMs, { do: 'state-save', host, as: 'alone' }),
		at(savedMs + 1000, { do: 'power-on', host: other }),
		at(diesMs, { do: 'power-cut', host }),
		at(bothMs, { do: 'power-cut', host: other }),
		at(bothMs + 1000, { do: 'state-restore', host, from: 'alone' }),
		at(bothMs + 2000, { do: 'power-on', host }),
		at(bothMs + between(random, 60_000, 90_000), { do: 'power-on', host: other }),
	];
};

/** V7: a host that was fenced behind the cut boots, and then its peer dies. */
const bootedBehindCut: Fault = (random, _world, atMs) => {
	const [host, other] = twoHosts(random);
	const onMs = atMs + between(random, 12_000, 25_000);
	const diesMs = onMs + between(random, 15_000, 45_000);
	return [
		...cutAll(atMs),
		at(atMs + 200, { do: 'power-cut', host }),
		at(onMs, { do: 'power-on', host }),
		at(diesMs, { do: 'power-cut', host: other }),
		...mendLater(random, diesMs + between(random, 60_000, 90_000)),
	];
};

/** V8: the owner dies just when a resync ends, the other one takes over and dies, and the owner boots alone. */
const growthCutShort: Fault = (random, world, atMs) => {
	const [host, other] = twoHosts(random);
	const resyncMs = parseDuration(world.timing?.resync ?? '') ?? 0;
	const mendMs = atMs + between(random, 8000, 12_000);
	const diesMs = mendMs + resyncMs + between(random, -500, 4000);
	const bothMs = diesMs + between(random, 12_000, 30_000);
	return [
		at(atMs, { do: 'cut', network: 'replication' }),
		at(mendMs, { do: 'mend', network: 'replication' }),
		at(diesMs, { do: 'power-cut', host }),
		at(bothMs, { do: 'power-cut', host: other }),
		at(bothMs + 1000, { do: 'power-on', host }),
		at(bothMs + between(random, 60_000, 90_000), { do: 'power-on', host: other }),
	];
};

/** V19: the pair is disarmed and a host is off, and an operator promotes the copy of the other one. */
const promoteDisarmed: Fault = (random, world, atMs) => {
	const [host, other] = twoHosts(random);
	return [
		at(atMs, { do: 'disarm', host: other }),
		at(atMs + between(random, 1000, 4000), { do: 'power-cut', host }),
		...world.vms.map(({ name }) =>
			at(atMs + between(random, 8000, 20_000), { do: 'operator-promote', host: other, vm: name }),
		),
		at(atMs + between(random, 30_000, 60_000), { do: 'power-on', host }),
	];
};

/** V13: a host boots, and then something that it said before comes out of a buffer. */
const oldFrame: Fault = (random, _world, atMs) => {
	const [host, other] = twoHosts(random);
	const onMs = atMs + between(random, 500, 20_000);
	return [
		at(atMs, { do: 'power-cut', host }),
		at(onMs, { do: 'power-on', host }),
		at(onMs + between(random, 30_000, 70_000), { do: 'stale-document', host: other }),
	];
};

/** The faults of the class `ladder`: the arbiter is fencing. */
const ladder: readonly [Fault, ...Fault[]] = [
	endOfTurn,
	endOfTurn,
	endOfTurn,
	bootedBehindCut,
	growthCutShort,
	oldStateFile,
	oldFrame,
	promoteDisarmed,
];

/** So many seeds have something that comes back too late, in the place of their fault. */
const lateChance = 0.2;
/** So many of the others have a long quiet time. */
const quietChance = 0.4;

/** The steps of a seed whose faults are made to meet; `more`: numbers for the sequences that were added last. */
export const narrowFaults = (
	random: Prng,
	world: WorldInput,
	swarmClass: 'narrow' | 'ladder',
	more: Prng | null,
): Timed[] => {
	const atMs = between(random, 8000, 16_000);
	const fault = pick(random, swarmClass === 'ladder' ? ladder : narrow);
	if (more !== null && chance(more, lateChance))
		return pick(more, lateFaults[swarmClass])(more, world, atMs);
	if (more === null || !chance(more, quietChance)) return fault(random, world, atMs);
	const quiet = pick(more, swarmClass === 'ladder' ? quietWithLadder : quietWithWitness);
	return quiet(more, world, atMs);
};
