import {
	at,
	cutAll,
	duration,
	type Fault,
	mendLater,
	networks,
	timingOf,
	twoHosts,
} from '#src/sim/swarm-step.ts';
import { between, chance } from '#src/std/prng.ts';

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

/** Of the class `narrow`: the arbiter is a witness. */
export const lateFaults: readonly [Fault, ...Fault[]] = [lateTakeover, lateRelease];
