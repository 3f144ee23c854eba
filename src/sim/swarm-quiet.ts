import {
	at,
	cutAll,
	type Fault,
	networks,
	otherHost,
	type Timed,
	timingOf,
	turnOf,
} from '#src/sim/swarm-step.ts';
import { swarmHosts, type WorldInput } from '#src/sim/swarm-world.ts';
import { parseDuration } from '#src/std/duration.ts';
import type { Prng } from '#src/std/prng.ts';
import { between, chance } from '#src/std/prng.ts';

/**
 * Faults that are followed by a long quiet time, in which nobody repairs anything: the pair must find its way
 * as far as what is left allows, and say what does not work any more. Each sequence is one way in which an answer that
 * was safe did not come (the mark beside it), with every time drawn anew.
 */

const msOf = (text: string | undefined): number => parseDuration(text ?? '') ?? 0;

/** Mostly the host that runs the first VM when the story begins, and the other one. */
const ownerAndOther = (random: Prng, world: WorldInput): readonly [string, string] => {
	const host = chance(random, 0.8) ? (world.vms[0]?.host ?? swarmHosts[0]) : swarmHosts[0];
	return [host, otherHost(host)];
};

const devicesWork = (hosts: readonly string[] = swarmHosts): Timed[] =>
	hosts.map((host) => at(0, { do: 'device', host, behaviour: 'ok' } as const));

/** Nobody comes before this. */
const quietUntil = (atMs: number): Timed => at(atMs, { do: 'nothing' });

/** All turns of the fencing order, and what an attempt, a takeover and a start take. */
const roundMs = (random: Prng, world: WorldInput): number =>
	4 * turnOf(world) + between(random, 90_000, 120_000);

/** Boot, agent, first look, start. */
const upMs = (world: WorldInput): number => msOf(world.timing?.boot) + 20_000;

/** L1: a host has long been dead when the witness goes away. */
const witnessGoneLater: Fault = (random, world, atMs) => {
	const [host, other] = ownerAndOther(random, world);
	const goneMs = atMs + timingOf(world).takeMs + between(random, 15_000, 40_000);
	const from = chance(random, 0.5) ? { from: host } : {};
	return [
		at(atMs, { do: 'power-cut', host: other, bmcToo: chance(random, 0.5) }),
		at(goneMs, { do: 'witness-cut', ...from }),
		quietUntil(goneMs + between(random, 40_000, 80_000)),
	];
};

/** L2: the witness is lost, and long after that a host. */
const hostAfterWitness: Fault = (random, world, atMs) => {
	const [host] = ownerAndOther(random, world);
	const diesMs = atMs + between(random, 100_000, 140_000);
	return [
		...devicesWork(),
		at(atMs, chance(random, 0.5) ? { do: 'witness-stop' } : { do: 'witness-cut' }),
		at(diesMs, { do: 'power-cut', host }),
		quietUntil(diesMs + between(random, 120_000, 150_000)),
	];
};

/** L6, L7: both hosts lose power, at once or one long after the other, and one comes back. */
const oneReturns: Fault = (random, world, atMs) => {
	const [host, other] = ownerAndOther(random, world);
	const { takeMs } = timingOf(world);
	const diesMs =
		atMs +
		(chance(random, 0.5) ? between(random, 0, 800) : between(random, takeMs + 15_000, 60_000));
	const onMs = diesMs + between(random, 1000, 20_000);
	return [
		at(atMs, { do: 'power-cut', host: other, bmcToo: chance(random, 0.6) }),
		at(diesMs, { do: 'power-cut', host, bmcToo: false }),
		at(onMs, { do: 'power-on', host }),
		quietUntil(onMs + upMs(world) + takeMs + between(random, 90_000, 120_000)),
	];
};

/** L12: the hosts lose each other and both reach the witness; the owner counts the other one out, and dies. */
const excludedThenDies: Fault = (random, world, atMs) => {
	const [host] = ownerAndOther(random, world);
	const diesMs = atMs + between(random, 35_000, 60_000);
	return [
		...cutAll(atMs),
		at(diesMs, { do: 'power-cut', host }),
		quietUntil(diesMs + between(random, 30_000, 60_000)),
	];
};

/** L4: both cables between the hosts are pulled; their fence devices are reached on another way. */
const cablesPulled: Fault = (random, world, atMs) => {
	const [host] = ownerAndOther(random, world);
	const skewMs = between(random, 0, 1500);
	return [
		...devicesWork(),
		at(atMs, { do: 'carrier-lost', host, network: networks[0] }),
		at(atMs + skewMs, { do: 'carrier-lost', host, network: networks[1] }),
		quietUntil(atMs + roundMs(random, world)),
	];
};

/** L5: all is cut while the copy of a host is being resynced; only that host could switch the other one off. */
const cutInResync: Fault = (random, world, atMs) => {
	const [host, other] = ownerAndOther(random, world);
	const mendMs = atMs + between(random, 6000, 12_000);
	const cutMs = mendMs + between(random, 300, Math.max(2000, msOf(world.timing?.resync)));
	return [
		...devicesWork([host]),
		at(0, { do: 'device', host: other, behaviour: chance(random, 0.8) ? 'dead' : 'ok' }),
		at(atMs, { do: 'cut', network: 'replication' }),
		at(mendMs, { do: 'mend', network: 'replication' }),
		...cutAll(cutMs),
		quietUntil(cutMs + roundMs(random, world)),
	];
};

/** L8: the standby dies with its BMC, and that answers again long after DRBD gave its handler up. */
const deviceBackLate: Fault = (random, world, atMs) => {
	const [, other] = ownerAndOther(random, world);
	const backMs = atMs + between(random, 30_000, 200_000);
	return [
		at(atMs, { do: 'power-cut', host: other, bmcToo: true }),
		at(backMs, { do: 'device', host: other, behaviour: 'ok' }),
		quietUntil(backMs + between(random, 110_000, 140_000)),
	];
};

/** L9: the agent of the standby is dead, and then replication breaks. */
const cutFromDeadAgent: Fault = (random, world, atMs) => {
	const [, other] = ownerAndOther(random, world);
	const cutMs = atMs + between(random, 5000, 30_000);
	return [
		...devicesWork(),
		at(atMs, { do: 'agent-crash', host: other, restartAfter: null }),
		at(cutMs, { do: 'cut', network: 'replication', traffic: 'replication' }),
		quietUntil(cutMs + 30_000 + roundMs(random, world)),
	];
};

/** L13: a standby that was dead is being made equal, and then the owner dies as well. */
const diesInResync: Fault = (random, world, atMs) => {
	const [host, other] = ownerAndOther(random, world);
	const onMs = atMs + between(random, 10_000, 30_000);
	const diesMs = onMs + upMs(world) + between(random, -5000, 15_000);
	const backMs = diesMs + between(random, 20_000, 40_000);
	return [
		...devicesWork(),
		at(atMs, { do: 'power-cut', host: other }),
		at(onMs, { do: 'power-on', host: other }),
		at(diesMs, { do: 'power-cut', host }),
		at(backMs, { do: 'power-on', host }),
		quietUntil(backMs + upMs(world) + between(random, 20_000, 40_000)),
	];
};

/** V14: the people start the old copy of a host that was dead; then the host returns that wrote alone meanwhile. */
const oldCopyStarted: Fault = (random, world, atMs) => {
	const [host, other] = ownerAndOther(random, world);
	const diesMs = atMs + between(random, 20_000, 40_000);
	const onMs = diesMs + between(random, 1000, 10_000);
	const startMs = onMs + upMs(world) + between(random, 5000, 20_000);
	return [
		...devicesWork(),
		at(atMs, { do: 'power-cut', host: other }),
		at(diesMs, { do: 'power-cut', host }),
		at(onMs, { do: 'power-on', host: other }),
		...world.vms.map(({ name }) =>
			at(startMs, { do: 'start', host: other, vm: name, acceptStale: true }),
		),
		at(startMs + between(random, 10_000, 30_000), { do: 'power-on', host }),
	];
};

/** With a witness. */
export const quietWithWitness: readonly [Fault, ...Fault[]] = [
	witnessGoneLater,
	hostAfterWitness,
	oneReturns,
	excludedThenDies,
];

/** With fencing. */
export const quietWithLadder: readonly [Fault, ...Fault[]] = [
	cablesPulled,
	cutInResync,
	deviceBackLate,
	cutFromDeadAgent,
	diesInResync,
	oldCopyStarted,
];
