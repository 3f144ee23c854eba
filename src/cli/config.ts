import { usageError } from '#src/cli/options.ts';
import type { Surroundings } from '#src/cli/surroundings.ts';

/** `vmpair config check ...` */
export const config = async (argv: string[], around: Surroundings): Promise<number> => {
	const [what, ...rest] = argv;
	if (what !== 'check') throw usageError('"vmpair config" knows only "check"', 'config');
	return await (await import('#src/cli/config-check.ts')).configCheck(rest, around);
};
