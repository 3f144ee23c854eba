import type { SeedResult } from '#src/sim/swarm.ts';
import type { SwarmClass } from '#src/sim/swarm-world.ts';

/** What many seeds add up to; plain data, so that an interrupted run can be taken up again. */
export interface Tally {
	format: 1;
	class: SwarmClass;
	firstSeed: number;
	/** Seeds done so far; the next one is `firstSeed + seeds`. */
	seeds: number;
	wallMs: number;
	simulatedMs: number;
	/** Steps of the scenarios, by verb. */
	faults: Record<string, number>;
	/** What the engine decided, by the sentence it logged. */
	decisions: Record<string, number>;
	/** Actions that it asked for, by type. */
	actions: Record<string, number>;
	/** What became of them. */
	outcomes: Record<string, number>;
	violations: TalliedViolation[];
}

interface TalliedViolation {
	readonly seed: number;
	readonly checker: string;
	readonly atMs: number;
	readonly message: string;
}

/** More failing seeds than this are counted by checker only. */
const violationsMax = 1000;

export const emptyTally = (swarmClass: SwarmClass, firstSeed: number): Tally => ({
	format: 1,
	class: swarmClass,
	firstSeed,
	seeds: 0,
	wallMs: 0,
	simulatedMs: 0,
	faults: {},
	decisions: {},
	actions: {},
	outcomes: {},
	violations: [],
});

const add = (sums: Record<string, number>, name: string, amount: number): void => {
	sums[name] = (sums[name] ?? 0) + amount;
};

export const addResult = (tally: Tally, result: SeedResult): void => {
	tally.seeds += 1;
	tally.simulatedMs += result.simulatedMs;
	for (const [name, amount] of result.counts) {
		if (name.startsWith('step ')) add(tally.faults, name.slice(5), amount);
		else if (name.startsWith('action ')) add(tally.actions, name.slice(7), amount);
		else if (name.startsWith('decision ')) add(tally.decisions, name.slice(9), amount);
		else add(tally.outcomes, name, amount);
	}
	const [first] = result.violations;
	if (first === undefined || tally.violations.length >= violationsMax) return;
	tally.violations.push({ seed: result.seed, ...first });
};

/** Adds the sums of the seeds that follow, as if they had been added one by one. */
export const addTally = (tally: Tally, next: Tally): void => {
	tally.seeds += next.seeds;
	tally.simulatedMs += next.simulatedMs;
	for (const sums of ['faults', 'decisions', 'actions', 'outcomes'] as const)
		for (const [name, amount] of Object.entries(next[sums])) add(tally[sums], name, amount);
	tally.violations.push(...next.violations.slice(0, violationsMax - tally.violations.length));
};

/** The command that shows one failing seed with its whole trace. */
export const reproduce = (tally: Tally, seed: number): string =>
	`vmpair simulate --seeds 1 --seed ${seed}${tally.class === 'honest' ? '' : ` --class ${tally.class}`} --trace`;

const sorted = (sums: Readonly<Record<string, number>>): [string, number][] =>
	Object.entries(sums).toSorted(([, one], [, other]) => other - one);

const section = (title: string, sums: Readonly<Record<string, number>>): string[] => [
	title,
	...sorted(sums).map(([name, amount]) => `  ${String(amount).padStart(9)}  ${name}`),
];

export const reportLines = (tally: Tally): string[] => {
	const perSecond = tally.wallMs === 0 ? 0 : (tally.seeds * 1000) / tally.wallMs;
	return [
		`${tally.seeds} seeds from ${tally.firstSeed} (class ${tally.class}), ${perSecond.toFixed(0)} a second`,
		`${(tally.simulatedMs / 3_600_000).toFixed(1)} simulated hours`,
		...section('faults and requests', tally.faults),
		...section('decisions', tally.decisions),
		...section('actions', tally.actions),
		...section('what happened', tally.outcomes),
		tally.violations.length === 0
			? 'no promise was broken'
			: `${tally.violations.length} seeds broke a promise`,
		...tally.violations.flatMap((each) => [
			`  ${each.checker} at ${(each.atMs / 1000).toFixed(3)} s: ${each.message}`,
			`    ${reproduce(tally, each.seed)}`,
		]),
	];
};
