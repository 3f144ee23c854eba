import { join } from 'node:path';
import { apiClient, isUnanswered, type Client } from '#src/api/driver-client.ts';
import type { HistoryEntry } from '#src/api/view.ts';
import { historyLine } from '#src/cli/history-text.ts';
import { parseOptions, usageError } from '#src/cli/options.ts';
import { exit, type Surroundings } from '#src/cli/surroundings.ts';
import { paint } from '#src/cli/text.ts';
import { parseDuration } from '#src/std/duration.ts';
import { asOfPeer, type HistoryQuery, peerJournalFolder } from '#src/store/journal.ts';

const followMs = 500;
const entriesMax = 1000;

const follow = async (
	client: Client,
	query: HistoryQuery,
	tell: (entry: HistoryEntry) => void,
): Promise<never> => {
	let last = query.afterSeq;
	for (;;) {
		await new Promise((resolve) => setTimeout(resolve, followMs));
		for (const entry of await client.history({ ...query, afterSeq: last })) {
			tell(entry);
			last = entry.seq;
		}
	}
};

/** `vmpair history [--since 1h] [-f | --inputs] [--peer] [--numbers] [--json]`: every decision with its evidence. */
export const history = async (argv: string[], around: Surroundings): Promise<number> => {
	const { values } = parseOptions('history', argv, {
		json: { type: 'boolean', default: false },
		follow: { type: 'boolean', short: 'f', default: false },
		since: { type: 'string' },
		all: { type: 'boolean', default: false },
		inputs: { type: 'boolean', default: false },
		numbers: { type: 'boolean', default: false },
		peer: { type: 'boolean', default: false },
	});
	let since: string | null = null;
	if (values.since !== undefined) {
		const spanMs = parseDuration(values.since);
		if (spanMs === null) throw usageError('--since takes a duration such as 30m or 2h', 'history');
		since = new Date(Date.now() - spanMs).toISOString();
	}
	if (values.inputs) {
		if (values.peer) throw usageError('--peer has notes only: leave out --inputs', 'history');
		if (values.follow)
			throw usageError('--inputs reads files and cannot follow: leave out -f', 'history');
		const { tellInputs } = await import('#src/cli/history-inputs.ts');
		return await tellInputs(since, values.json, around);
	}
	const tell = (entry: HistoryEntry): void => {
		const number = values.numbers ? `  ${paint(`#${entry.seq}`, 'dim', around.colour)}` : '';
		if (values.json) around.print(JSON.stringify(entry));
		else if (values.all || entry.level !== 'debug')
			around.print(historyLine(entry, around.colour) + number);
	};
	const client = apiClient(around.socketPath);
	const query = { afterSeq: 0, since, limit: entriesMax, peer: values.peer };
	let entries: readonly HistoryEntry[];
	try {
		entries = await client.history(query);
	} catch (error) {
		if (!isUnanswered(error)) throw error;
		// What it wrote is there without it: at night that is when it is needed most.
		const { readHistory } = await import('#src/store/driver-history.ts');
		const folder = join(around.stateFolder, values.peer ? peerJournalFolder : '');
		const written = (await readHistory(folder, query)).map(asOfPeer);
		if (written.length === 0) throw error;
		written.forEach(tell);
		around.warn(`vmpair: ${error.message}; these entries are from its files`);
		around.warn(`  next: ${error.next}`);
		return exit.unreachable;
	}
	entries.forEach(tell);
	if (values.follow) await follow(client, { ...query, afterSeq: entries.at(-1)?.seq ?? 0 }, tell);
	return exit.done;
};
