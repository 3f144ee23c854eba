import { apiClient, isUnanswered } from '#src/api/driver-client.ts';
import { parseOptions, usageError } from '#src/cli/options.ts';
import { localTime } from '#src/cli/history-text.ts';
import { postMortemLines } from '#src/cli/post-mortem-text.ts';
import { exit, type Surroundings } from '#src/cli/surroundings.ts';
import type { PostMortem } from '#src/store/post-mortem.ts';

/** What is kept; without an agent it is read from its files. */
const kept = async (around: Surroundings): Promise<readonly PostMortem[]> => {
	try {
		return await apiClient(around.socketPath).postMortems();
	} catch (error) {
		if (!isUnanswered(error)) throw error;
		const { readPostMortems } = await import('#src/store/driver-post-mortem.ts');
		return await readPostMortems(around.stateFolder);
	}
};

/** `vmpair post-mortem [N] [--json]`: how a host died and what became of its VMs, written when it was back. */
export const postMortem = async (argv: string[], around: Surroundings): Promise<number> => {
	const [first, ...rest] = argv;
	const numbered = first !== undefined && !first.startsWith('-');
	const { values } = parseOptions('post-mortem', numbered ? rest : argv, {
		json: { type: 'boolean', default: false },
	});
	const number = numbered ? Number(first) : 1;
	if (!Number.isSafeInteger(number) || number < 1)
		throw usageError('N counts from 1, the newest', 'post-mortem');
	const all = await kept(around);
	const wanted = all[number - 1];
	if (wanted === undefined) {
		around.warn(
			all.length === 0
				? 'no host was out and came back while this one looked on; "vmpair history" and "vmpair history --peer" have what is known'
				: `of post-mortems there are ${all.length}, and 1 is the newest`,
		);
		return all.length === 0 ? exit.done : exit.usage;
	}
	if (values.json) {
		around.print(JSON.stringify(wanted));
		return exit.done;
	}
	postMortemLines(wanted, around.colour).forEach((line) => around.print(line));
	if (!numbered && all.length > 1)
		around.print(
			`\nOlder ones, by number: ${all
				.slice(1)
				.map(({ host, at }, index) => `${index + 2} ${host} ${localTime(at).slice(0, 16)}`)
				.join(', ')}`,
		);
	return exit.done;
};
