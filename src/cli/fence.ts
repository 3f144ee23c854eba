import { apiClient } from '#src/api/driver-client.ts';
import { fenceFaults, fenceLines } from '#src/cli/fence-text.ts';
import { parseOptions, usageError } from '#src/cli/options.ts';
import { exit, type Surroundings } from '#src/cli/surroundings.ts';

/**
 * `vmpair fence check [--json]`: asks every device of both hosts' levels now; switches nothing. Ends with 1 when a
 * level could not be used.
 */
export const fence = async (argv: string[], around: Surroundings): Promise<number> => {
	const [what, ...rest] = argv;
	if (what !== 'check') throw usageError('"vmpair fence" knows only "check"', 'fence');
	const { values } = parseOptions('fence check', rest, {
		json: { type: 'boolean', default: false },
	});
	const check = await apiClient(around.socketPath).fenceCheck();
	const faults = fenceFaults(check);
	if (values.json) around.print(JSON.stringify({ ...check, faults }));
	else for (const line of fenceLines(check, around)) around.print(line);
	return faults.length === 0 ? exit.done : exit.failed;
};
