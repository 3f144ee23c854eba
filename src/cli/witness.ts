import { usageError } from '#src/cli/options.ts';
import type { Surroundings } from '#src/cli/surroundings.ts';

/** `vmpair witness check ...` */
export const witness = async (argv: string[], around: Surroundings): Promise<number> => {
	const [what, ...rest] = argv;
	if (what !== 'check') throw usageError('"vmpair witness" knows only "check"', 'witness');
	return await (await import('#src/cli/witness-check.ts')).witnessCheck(rest, around);
};
