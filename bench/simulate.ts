import { runSeed } from '#src/sim/swarm.ts';

/**
 * Seeds of random faults a second on one core, with the real loop and engine. Prints one line of JSON:
 * best of the rounds (the least disturbed one), and all of them.
 */
const rounds = 5;
const seedsPerRound = Number(process.argv[2] ?? 200);

const perSecond: number[] = [];
let simulatedMs = 0;
for (let round = 0; round < rounds; round += 1) {
	const first = round * seedsPerRound + 1;
	const startedMs = process.cpuUsage();
	for (let seed = first; seed < first + seedsPerRound; seed += 1) {
		simulatedMs += runSeed(seed).simulatedMs;
	}
	const used = process.cpuUsage(startedMs);
	perSecond.push(Math.round((seedsPerRound * 1e6) / (used.user + used.system)));
}
console.log(
	JSON.stringify({
		seeds: rounds * seedsPerRound,
		seedsPerCpuSecond: Math.max(...perSecond),
		rounds: perSecond,
		simulatedHours: Number((simulatedMs / 3_600_000).toFixed(1)),
	}),
);
