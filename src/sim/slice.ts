import { addResult, emptyTally, type Tally } from '#src/sim/report.ts';
import { runSeed } from '#src/sim/swarm.ts';
import type { SwarmClass } from '#src/sim/swarm-world.ts';

/** Some seeds in a row: what is handed to a thread at a time, and what comes back. */
export interface Slice {
	readonly swarmClass: SwarmClass;
	readonly firstSeed: number;
	readonly seeds: number;
	readonly traced: boolean;
}

export interface PlayedSlice {
	readonly tally: Tally;
	/** Empty unless traced. */
	readonly trace: readonly string[];
}

export const playSlice = ({ swarmClass, firstSeed, seeds, traced }: Slice): PlayedSlice => {
	const tally = emptyTally(swarmClass, firstSeed);
	const trace: string[] = [];
	for (let seed = firstSeed; seed < firstSeed + seeds; seed += 1) {
		const result = runSeed(seed, { swarmClass, traced });
		for (const line of result.trace) trace.push(line);
		addResult(tally, result);
	}
	return { tally, trace };
};
