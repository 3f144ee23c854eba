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
import type { Prng } from '#src/std/prng.ts';
import { between, chance, pick } from '#src/std/prng.ts';

/** Commands that arrive when the world is another one: sequences as in `swarm-narrow.ts`. */

/** A takeover lies in a buffer of the witness until the same host claims anew, minutes after the links have healed. */
const lateTakeover: Fault = (random, world, atMs) => {
	const [host, claimer] = twoHosts(random);
	const { takeMs, detectionMs } = timingOf(world);
	const sentMs = atMs + takeMs + 300;
	const healMs = sentMs + between(random, 500, 3000);
	const againMs = healMs + between(random, 20_000, 180_000);
	const by = duration(againMs + detectionMs + between(random, 500, 7000) - sentMs);
	const late = { host: claimer, for: '90s', by } as const;
	return [
		at(0, { do: 'device', host, behaviour: 'dead' }),
		at(atMs - between(random, 0, 2000), { do: 'witness-cut', from: host }),
		...cutAll(atMs),
		at(atMs, { do: 'witness-late', command: 'takeover', ...late }),
		...(chance(random, 0.3)
			? [at(atMs, { do: 'witness-late', command: 'claim', ...late } as const)]
			: []),
		...networks.map((network) => at(healMs, { do: 'mend', network } as const)),
		...cutAll(againMs),
		...mendLater(random, againMs + takeMs + between(random, 10_000, 30_000)),
		at(againMs + takeMs + between(random, 5000, 40_000), { do: 'witness-mend', from: host }),
	];
};

/** V21: a claimed host lets go, in words that arrive only when it has a vote again and has gone on. */
const lateRelease: Fault = (random, world, atMs) => {
	const [host] = twoHosts(random);
	const { detectionMs } = timingOf(world);
	const seenMs = atMs + timingOf(world).takeMs + between(random, 0, 4000);
	const healMs = seenMs + between(random, 1500, 4000);
	const againMs = healMs + between(random, 20_000, 180_000);
	const by = duration(againMs + between(random, -1000, detectionMs + 1000) - seenMs - 700);
	return [
		at(0, { do: 'device', host, behaviour: 'dead' }),
		at(atMs - between(random, 0, 2000), { do: 'witness-cut', from: host }),
		...cutAll(atMs),
		at(seenMs, { do: 'witness-mend', from: host }),
		at(seenMs, { do: 'witness-late', host, command: 'change', for: '90s', by }),
		...networks.map((network) => at(healMs, { do: 'mend', network } as const)),
		at(againMs, { do: 'witness-cut', from: host }),
		...cutAll(againMs),
		at(againMs, chance(random, 0.5) ? { do: 'agent-stop', host } : { do: 'nothing' }),
		...mendLater(random, againMs + between(random, 40_000, 60_000)),
		at(againMs + between(random, 30_000, 40_000), { do: 'agent-continue', host }),
		at(againMs + between(random, 30_000, 60_000), { do: 'witness-mend', from: host }),
	];
};

/** A part of the host, or all of it, stands still. Its clock does not. */
const standStill = (random: Prng, host: string, fromMs: number, toMs: number): Timed[] => {
	const lasting = { host, for: duration(toMs - fromMs) };
	const kinds: readonly [Timed[], ...Timed[][]] = [
		[at(fromMs, { do: 'agent-stop', host }), at(toMs, { do: 'agent-continue', host })],
		[at(fromMs, { do: 'hang', host }), at(toMs, { do: 'resume', host })],
		[at(fromMs, { do: 'thread-stall', ...lasting })],
		[at(fromMs, { do: 'loop-stall', ...lasting })],
	];
	return pick(random, kinds);
};

/** V12: a host stands still while the hosts lose each other, and goes on when the other one's turn has begun. */
const turnSleptThrough: Fault = (random, world, atMs) => {
	const [host, other] = twoHosts(random);
	const stopMs = atMs + between(random, -1500, 500);
	const onMs = atMs + turnOf(world) * between(random, 1, 2) + between(random, -20_000, 40_000);
	const by = duration(between(random, 15_000, 39_000));
	return [
		at(0, { do: 'device', host, behaviour: pick(random, ['late', 'slow']), by }),
		at(0, { do: 'device', host: other, behaviour: 'ok' }),
		...cutAll(atMs),
		...standStill(random, host, stopMs, onMs),
		...mendLater(random, onMs + between(random, 60_000, 200_000)),
	];
};

/** By class. */
export const lateFaults: Readonly<Record<'narrow' | 'ladder', readonly [Fault, ...Fault[]]>> = {
	narrow: [lateTakeover, lateRelease],
	ladder: [turnSleptThrough],
};
