import { apiClient } from '#src/api/driver-client.ts';
import { alertLines, trialLines } from '#src/cli/alert-text.ts';
import { parseOptions, usageError } from '#src/cli/options.ts';
import { exit, type Surroundings } from '#src/cli/surroundings.ts';
import { parseDuration } from '#src/std/duration.ts';

const json = { type: 'boolean', default: false } as const;

const list = async (argv: string[], around: Surroundings): Promise<number> => {
	const { values } = parseOptions('alert list', argv, {
		kept: { type: 'boolean', default: false },
		json,
	});
	const found = await apiClient(around.socketPath).alert({ verb: 'list' });
	if (values.json) around.print(JSON.stringify(found));
	else for (const line of alertLines(found, values.kept, around)) around.print(line);
	return exit.done;
};

/** Ends with 1 when a receiver has not got it. */
const test = async (argv: string[], around: Surroundings): Promise<number> => {
	const { values } = parseOptions('alert test', argv, { receiver: { type: 'string' }, json });
	const receiver = values.receiver ?? null;
	const by = around.user;
	const found = await apiClient(around.socketPath).alert({ verb: 'test', receiver, by });
	if (values.json) around.print(JSON.stringify(found));
	else for (const line of trialLines(found, around)) around.print(line);
	return found.trials.every(({ result }) => result === 'delivered') ? exit.done : exit.failed;
};

/** A duration back from now, or the id of one message. */
const whichOf = (since: string) => {
	if (since.startsWith('msg_')) return { id: since };
	const spanMs = parseDuration(since);
	if (spanMs === null)
		throw usageError('--since takes a duration such as 30m or 2h, or the id of an alert', 'alert');
	return { since: new Date(Date.now() - spanMs).toISOString() };
};

const replay = async (argv: string[], around: Surroundings): Promise<number> => {
	const { values } = parseOptions('alert replay', argv, {
		receiver: { type: 'string' },
		since: { type: 'string' },
		json,
	});
	const { receiver, since } = values;
	if (receiver === undefined || since === undefined)
		throw usageError('say to whom and what: --receiver NAME --since 1h', 'alert');
	const which = whichOf(since);
	const done = await apiClient(around.socketPath).alert({ verb: 'replay', receiver, which });
	around.print(values.json ? JSON.stringify(done) : done.message);
	return exit.done;
};

/** `vmpair alert list|test|replay`: what is open and what waits, try the receivers, send something once more. */
export const alert = async (argv: string[], around: Surroundings): Promise<number> => {
	const [what, ...rest] = argv;
	if (what === 'list') return await list(rest, around);
	if (what === 'test') return await test(rest, around);
	if (what === 'replay') return await replay(rest, around);
	throw usageError('"vmpair alert" knows "list", "test" and "replay"', 'alert');
};
