import { apiClient, isUnanswered } from '#src/api/driver-client.ts';
import type { HistoryEntry, Status } from '#src/api/view.ts';
import { nearest } from '#src/config/suggest.ts';
import { readEvent } from '#src/cli/explain-event.ts';
import {
	entriesOfHost,
	entriesOfVm,
	explainEvent,
	explainHost,
	explainVm,
} from '#src/cli/explain-text.ts';
import { historyLine } from '#src/cli/history-text.ts';
import { tellLastKnown } from '#src/cli/offline.ts';
import { parseOptions } from '#src/cli/options.ts';
import { exit, type Surroundings } from '#src/cli/surroundings.ts';
import { readHistory } from '#src/store/driver-history.ts';
import { VmpairError } from '#src/std/error.ts';

/** What the agent keeps at hand; what one VM did is in it for days on a quiet pair. */
const entriesMax = 1000;
const everything = { afterSeq: 0, since: null, limit: entriesMax };

/** Throws `unknown-subject` with the names that there are. */
const explained = (
	status: Status,
	name: string,
	entries: readonly HistoryEntry[],
	{ columns, colour, documents }: Surroundings,
): { readonly lines: string[]; readonly view: unknown } => {
	const look = { columns, colour, documents };
	const vm = status.vms.find((each) => each.vm === name);
	if (vm !== undefined) {
		const conditions = status.conditions.filter(({ subject }) => subject === name);
		return {
			lines: explainVm(status, vm, entries, look),
			view: { vm, conditions, history: entriesOfVm(entries, vm) },
		};
	}
	const host = status.hosts.find((each) => each.host === name);
	if (host !== undefined) {
		const conditions = status.conditions.filter(({ subject }) => subject === name);
		return {
			lines: explainHost(status, host, entries, look),
			view: { host, conditions, history: entriesOfHost(entries, name) },
		};
	}
	const known = [...status.hosts.map((each) => each.host), ...status.vms.map((each) => each.vm)];
	const meant = nearest(name, known);
	throw new VmpairError('unknown-subject', `there is no VM, host or event "${name}" here`, {
		next:
			meant === null
				? '"vmpair status" shows the VMs and hosts, "vmpair history --numbers" the events'
				: `did you mean ${meant}?`,
	});
};

/** An agent that is dead explains nothing; its files still tell what it knew and decided. */
const explainWithoutAgent = async (name: string, around: Surroundings): Promise<void> => {
	await tellLastKnown(around);
	const written = await readHistory(around.stateFolder, everything);
	const found = [
		...new Set([
			...entriesOfVm(written, { vm: name, resource: name }),
			...entriesOfHost(written, name),
		]),
	].toSorted((one, other) => one.seq - other.seq);
	around.print('');
	around.print(`what its files say of ${name}, newest last:`);
	for (const entry of found.slice(-20)) around.print(`  ${historyLine(entry, around.colour)}`);
	if (found.length === 0) around.print('  nothing');
};

/** `vmpair explain VM|HOST|NUMBER [--json]`: why it is as it is, and on what that rests. */
export const explain = async (argv: string[], around: Surroundings): Promise<number> => {
	const { values, positionals } = parseOptions(
		'explain',
		argv,
		{ json: { type: 'boolean', default: false } },
		['VM, HOST or the NUMBER of an event'],
	);
	const [name = ''] = positionals;
	const number = /^#?(\d{1,15})$/.exec(name)?.[1];
	const client = apiClient(around.socketPath);
	let status;
	try {
		status = await client.status();
	} catch (error) {
		if (!isUnanswered(error) || values.json) throw error;
		if (number === undefined) {
			around.warn(`vmpair: ${error.message}`);
			around.warn(`  next: ${error.next}`);
			await explainWithoutAgent(name, around);
			return exit.unreachable;
		}
		status = null;
	}
	// A VM may have a number for a name.
	const named = status?.vms.some(({ vm }) => vm === name) ?? false;
	if (number !== undefined && !named) {
		const story = await readEvent(around.stateFolder, Number(number));
		if (values.json) around.print(JSON.stringify(story));
		else explainEvent(story, around).forEach(around.print);
		return exit.done;
	}
	if (status === null) return exit.unreachable;
	const { lines, view } = explained(status, name, await client.history(everything), around);
	if (values.json) around.print(JSON.stringify(view));
	else lines.forEach(around.print);
	return exit.done;
};
