import { apiClient } from '#src/api/driver-client.ts';
import { parseOptions } from '#src/cli/options.ts';
import { exit, type Surroundings } from '#src/cli/surroundings.ts';

/** `vmpair ack KEY [--reason TEXT] [--json]`: tells everybody that a person sees to an open incident. */
export const ack = async (argv: string[], around: Surroundings): Promise<number> => {
	const { values, positionals } = parseOptions(
		'ack',
		argv,
		{ reason: { type: 'string', default: '' }, json: { type: 'boolean', default: false } },
		['KEY'],
	);
	const [key = ''] = positionals;
	const { reason } = values;
	const by = around.user;
	const done = await apiClient(around.socketPath).alert({ verb: 'ack', key, by, reason });
	around.print(values.json ? JSON.stringify(done) : done.message);
	return exit.done;
};
