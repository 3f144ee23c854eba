import { apiClient, isUnanswered, unreachableCode, type Client } from '#src/api/driver-client.ts';
import type { Reply, Request } from '#src/api/request.ts';
import type { Status, VmView } from '#src/api/view.ts';
import { historyLine } from '#src/cli/history-text.ts';
import { namedVm } from '#src/cli/names.ts';
import { exit, type Surroundings } from '#src/cli/surroundings.ts';
import { withPages } from '#src/cli/text.ts';

const pollMs = 500;
const waitMaxMs = 300_000;
/** systemd starts an agent again in a second, except while the host shuts down: one away for longer is not awaited. */
const silentMaxMs = 60_000;

/** What to wait for after the agent took on a request, and whose history is of interest meanwhile. */
export interface Goal {
	readonly reached: (status: Status) => boolean;
	/** Only entries about this VM are told; null for all. */
	readonly vm: string | null;
	/** The agent ends with the request; says whether that was the success, once it is silent. */
	readonly endedWith?: () => boolean;
	/** Why it ended without having been reached; null while it may still be. */
	readonly missed?: (status: Status) => string | null;
	/** The sentence for a success that was waited for. */
	readonly done: string;
	/** How long to wait, ms; otherwise five minutes. */
	readonly limitMs?: number;
	/** Between two looks, ms; otherwise half a second. */
	readonly pollMs?: number;
}

/** The VM of a status, or undefined. */
export const vmOf = (status: Status, name: string): VmView | undefined =>
	status.vms.find((vm) => vm.vm === name);

interface Ending {
	readonly code: number;
	readonly reply: Reply;
}

const failed = (message: string): Ending => ({
	code: exit.refused,
	reply: { status: 'refused', code: 'not-reached', message, next: 'vmpair history' },
});

const overdue = (reply: Reply): Ending => ({
	code: exit.inProgress,
	reply: {
		status: 'accepted',
		code: 'in-progress',
		message: `${reply.message}; it is still under way`,
		next: 'vmpair status -w',
	},
});

const waitFor = async (
	client: Client,
	goal: Goal & { readonly afterSeq: number },
	reply: Reply,
	tell: (line: string) => void,
): Promise<Ending> => {
	const end = Date.now() + (goal.limitMs ?? waitMaxMs);
	let last = goal.afterSeq;
	let answeredMs = Date.now();
	let silent = false;
	const done: Ending = {
		code: exit.done,
		reply: { status: 'done', code: 'done', message: goal.done, next: '' },
	};
	while (Date.now() < end) {
		await new Promise((resolve) => setTimeout(resolve, goal.pollMs ?? pollMs));
		try {
			for (const entry of await client.history({ afterSeq: last, since: null, limit: 100 })) {
				last = entry.seq;
				if (entry.level === 'debug') continue;
				if (goal.vm === null || entry.fields['vm'] === goal.vm) tell(historyLine(entry, false));
			}
			const status = await client.status();
			answeredMs = Date.now();
			silent = false;
			if (goal.reached(status)) return done;
			const missed = goal.missed?.(status) ?? null;
			if (missed !== null) return failed(missed);
		} catch (error) {
			if (!isUnanswered(error)) throw error;
			// An agent that is only slow has not ended.
			if (error.code === unreachableCode && goal.endedWith?.() === true) return done;
			if (Date.now() - answeredMs > silentMaxMs && goal.endedWith !== undefined)
				return failed('the agent has ended before it was done');
			if (!silent)
				tell('the agent does not answer at the moment; it goes on where it was once it is back');
			silent = true;
		}
	}
	return overdue(reply);
};

const endOf = (reply: Reply): Ending => ({
	code: reply.status === 'refused' ? exit.refused : exit.done,
	reply,
});

/** Prints an answer and its next step; a refusal goes to stderr. */
export const tellReply = (reply: Reply, json: boolean, around: Surroundings): void => {
	if (json) {
		around.print(JSON.stringify(reply));
		return;
	}
	const line = reply.status === 'refused' ? `refused: ${reply.message}` : reply.message;
	const tell = reply.status === 'refused' ? around.warn : around.print;
	tell(line);
	if (reply.next !== '') tell(`  next: ${withPages(reply.next, around.documents)}`);
};

/**
 * Sends a request and waits until it is done, refused or takes too long; `tell` gets what happens meanwhile, line by
 * line. Throws `unknown-vm`.
 */
export const carryOut = async (
	request: Request,
	goal: Goal,
	wait: boolean,
	tell: (line: string) => void,
	around: Surroundings,
): Promise<Ending> => {
	const client = apiClient(around.socketPath);
	if ('vm' in request) namedVm(await client.status(), request.vm);
	// Taken before the request, so that nothing it causes is missed.
	const [newest] = await client.history({ afterSeq: 0, since: null, limit: 1 });
	const reply = await client.request(request);
	if (reply.status !== 'accepted') return endOf(reply);
	if (!wait) return { code: exit.inProgress, reply };
	tell(reply.message);
	return await waitFor(client, { ...goal, afterSeq: newest?.seq ?? 0 }, reply, (line) =>
		tell(`  ${line}`),
	);
};

/** Carries a request out and prints what happens and how it ends; returns the exit code. Throws `unknown-vm`. */
export const act = async (
	request: Request,
	goal: Goal,
	options: { readonly json: boolean; readonly wait: boolean },
	around: Surroundings,
): Promise<number> => {
	const tell = options.json ? () => {} : around.print;
	const { code, reply } = await carryOut(request, goal, options.wait, tell, around);
	tellReply(reply, options.json, around);
	return code;
};

/** Options that every verb that changes something has. */
export const actOptions = {
	json: { type: 'boolean', default: false },
	'no-wait': { type: 'boolean', default: false },
} as const;
