import { runSeed } from '#src/sim/swarm.ts';
import type { SwarmClass } from '#src/sim/swarm-world.ts';

/**
 * Seeds of random faults a second on one core, with the real loop and engine, without and with a witness. Prints
 * one line of JSON: for each class the best of the rounds (the least disturbed one), and all of them. A long run
 * is compiled code, so some seeds are played before anything counts.
 */
const rounds = 5;
const seedsPerRound = Number(process.argv[2] ?? 200);

const measure = (swarmClass: SwarmClass) => {
	const perSecond: number[] = [];
	let simulatedMs = 0;
	for (let round = 0; round <= rounds; round += 1) {
		const first = round * seedsPerRound + 1;
		const startedMs = process.cpuUsage();
		for (let seed = first; seed < first + seedsPerRound; seed += 1) {
			simulatedMs += runSeed(seed, { swarmClass }).simulatedMs;
		}
		const used = process.cpuUsage(startedMs);
		if (round > 0) perSecond.push(Math.round((seedsPerRound * 1e6) / (used.user + used.system)));
	}
	return {
		seedsPerCpuSecond: Math.max(...perSecond),
		rounds: perSecond,
		simulatedHours: Number((simulatedMs / 3_600_000).toFixed(1)),
	};
};

console.log(JSON.stringify({ honest: measure('honest'), witness: measure('witness') }));
