import { apiClient, unreachableCode, type Client } from '#src/api/driver-client.ts';
import { tellLastKnown } from '#src/cli/offline.ts';
import { parseOptions } from '#src/cli/options.ts';
import { statusLines } from '#src/cli/status-text.ts';
import { exit, type Surroundings } from '#src/cli/surroundings.ts';
import { VmpairError } from '#src/std/error.ts';

const redrawMs = 1000;
const clearToEnd = '\u001b[K';
const home = '\u001b[H';
const clearBelow = '\u001b[J';

const show = async (client: Client, json: boolean, around: Surroundings): Promise<string[]> => {
	const status = await client.status();
	return json ? [JSON.stringify(status)] : statusLines(status, around);
};

/** Redraws until it is interrupted; an agent that goes away is shown as that, not as the end. */
const watch = async (client: Client, json: boolean, around: Surroundings): Promise<number> => {
	const redraw = around.interactive && !json;
	for (;;) {
		let lines;
		try {
			lines = await show(client, json, around);
		} catch (error) {
			if (!(error instanceof VmpairError)) throw error;
			const { code, message, next } = error;
			lines = json
				? [JSON.stringify({ error: { code, message, next } })]
				: [message, `  next: ${next}`];
		}
		const text = redraw
			? home + lines.map((line) => line + clearToEnd).join('\n') + clearToEnd + '\n' + clearBelow
			: lines.join('\n');
		around.print(redraw ? text.slice(0, -1) : text);
		await new Promise((resolve) => setTimeout(resolve, redrawMs));
	}
};

/** `vmpair status [--json] [-w]`: what is wrong and what to do now, on one screen. */
export const status = async (argv: string[], around: Surroundings): Promise<number> => {
	const { values } = parseOptions('status', argv, {
		json: { type: 'boolean', default: false },
		watch: { type: 'boolean', short: 'w', default: false },
	});
	const client = apiClient(around.socketPath);
	if (values.watch) return await watch(client, values.json, around);
	try {
		for (const line of await show(client, values.json, around)) around.print(line);
		return exit.done;
	} catch (error) {
		if (!(error instanceof VmpairError) || error.code !== unreachableCode || values.json)
			throw error;
		around.warn(`vmpair: ${error.message}`);
		around.warn(`  next: ${error.next}`);
		await tellLastKnown(around);
		return exit.unreachable;
	}
};
