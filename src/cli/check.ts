import { apiClient, unreachableCode } from '#src/api/driver-client.ts';
import { noAnswer, pluginAnswer, type PluginAnswer } from '#src/cli/check-text.ts';
import { parseOptions } from '#src/cli/options.ts';
import type { Surroundings } from '#src/cli/surroundings.ts';
import { messageOf, VmpairError } from '#src/std/error.ts';

const answerOf = async (socketPath: string): Promise<PluginAnswer> => {
	try {
		return pluginAnswer(await apiClient(socketPath).status());
	} catch (error) {
		// Whatever happens, the monitoring gets a line that it can show.
		if (error instanceof VmpairError) return noAnswer(error, error.code === unreachableCode);
		return noAnswer({ message: messageOf(error), next: 'vmpair status' }, false);
	}
};

/**
 * `vmpair check`: the pair as a monitoring plugin sees it. Ends with the plugin's codes: 0 OK, 1 WARNING, 2 CRITICAL,
 * 3 UNKNOWN.
 */
export const check = async (argv: string[], around: Surroundings): Promise<number> => {
	parseOptions('check', argv, {});
	const { code, lines } = await answerOf(around.socketPath);
	lines.forEach(around.print);
	return code;
};
