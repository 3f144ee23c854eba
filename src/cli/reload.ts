import { apiClient } from '#src/api/driver-client.ts';
import { tellReply } from '#src/cli/act.ts';
import { parseOptions } from '#src/cli/options.ts';
import { exit, type Surroundings } from '#src/cli/surroundings.ts';

/** `vmpair reload`: the agent reads its configuration again, or says what is wrong with it. */
export const reload = async (argv: string[], around: Surroundings): Promise<number> => {
	const { values } = parseOptions('reload', argv, { json: { type: 'boolean', default: false } });
	const reply = await apiClient(around.socketPath).reload();
	tellReply(reply, values.json, around);
	return reply.status === 'refused' ? exit.refused : exit.done;
};
