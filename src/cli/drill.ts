import { performance } from 'node:perf_hooks';
import { apiClient } from '#src/api/driver-client.ts';
import type { Reply } from '#src/api/request.ts';
import type { Status } from '#src/api/view.ts';
import { actOptions, carryOut, tellReply, vmOf } from '#src/cli/act.ts';
import { askName } from '#src/cli/ask.ts';
import { durations, legLines, noMoments, withLook, type Leg } from '#src/cli/drill-text.ts';
import { namedHost, namedVm } from '#src/cli/names.ts';
import { parseOptions, usageError } from '#src/cli/options.ts';
import { exit, type Surroundings } from '#src/cli/surroundings.ts';

/** The phases are measured by looking at the status this often, ms. */
const lookMs = 100;

interface Ridden {
	readonly code: number;
	readonly reply: Reply;
	/** What it took; null when it did not begin. */
	readonly legs: readonly unknown[];
}

/** It is on its way no more, and did not get there. */
const calledOff = ({ vm, from, to }: Leg): ((status: Status) => string | null) => {
	let began = false;
	return (status) => {
		const now = vmOf(status, vm);
		began ||= now?.state === 'moving';
		if (!began || now === undefined || now.state === 'moving' || now.owner === to) return null;
		return `the drill was called off: ${vm} is ${now.state} on ${now.runsOn ?? from}`;
	};
};

/** One way, from the order to the moment in which a failover would work again. */
const ride = async (
	leg: Leg,
	options: { readonly json: boolean; readonly wait: boolean },
	around: Surroundings,
): Promise<Ridden> => {
	const { vm, from, to, hard } = leg;
	const tell = options.json ? () => {} : around.print;
	const beganMs = performance.now();
	let moments = noMoments;
	let last: Status | null = null;
	const { code, reply } = await carryOut(
		{ verb: 'drill', vm, to, hard, by: around.user },
		{
			reached: (status) => {
				last = status;
				moments = withLook(moments, leg, status, performance.now() - beganMs);
				return moments.protected !== null;
			},
			missed: calledOff(leg),
			vm,
			pollMs: lookMs,
			done: `${vm} runs on ${to}, and would run again on ${from}`,
		},
		options.wait,
		tell,
		around,
	);
	if (last === null) return { code, reply, legs: [] };
	for (const line of legLines(leg, moments, last, around.columns)) tell(line);
	return { code, reply, legs: [{ from, to, hard, tookMs: durations(moments) }] };
};

/** What is about to happen, before the name is asked for. */
const warningLines = ({ vm, from, to, hard }: Leg, back: boolean): readonly string[] => [
	`A drill takes ${vm} down on ${from} (${hard ? 'destroyed, as by the death of its host' : 'shut down'}) and starts it on ${to}.`,
	back
		? `It then comes back to ${from} the same way, so it is down twice.`
		: `It stays on ${to}; "vmpair migrate ${vm}" brings it back.`,
];

const legOf = (
	status: Status,
	name: string,
	{ to, hard }: { readonly to?: string; readonly hard: boolean },
): Leg => {
	const { owner } = namedVm(status, name);
	const from = owner ?? status.self;
	if (to !== undefined) namedHost(status, to);
	const other = status.hosts.find(({ host }) => host !== from)?.host ?? '';
	return { vm: name, from, to: to ?? other, hard };
};

/**
 * `vmpair drill VM [--to HOST] [--hard] [--return] [--yes]`: a rehearsal of the failover of one VM; refused unless all
 * is well. Throws `unknown-vm`, `unknown-host` and `not-confirmed`.
 */
export const drill = async (argv: string[], around: Surroundings): Promise<number> => {
	const { values, positionals } = parseOptions(
		'drill',
		argv,
		{
			...actOptions,
			to: { type: 'string' },
			hard: { type: 'boolean', default: false },
			return: { type: 'boolean', default: false },
			yes: { type: 'boolean', default: false },
		},
		['VM'],
	);
	const [vm = ''] = positionals;
	const { json, 'no-wait': noWait, return: back } = values;
	if (back && noWait) throw usageError('--return waits for the first way to end', 'drill');
	const leg = legOf(await apiClient(around.socketPath).status(), vm, values);
	if (!values.yes) {
		for (const line of warningLines(leg, back)) around.warn(line);
		if (!around.interactive)
			throw usageError('nobody can be asked for the name of the VM here: --yes', 'drill');
		await askName(vm, 'VM');
	}
	const options = { json, wait: !noWait };
	const first = await ride(leg, options, around);
	const again = back && first.code === exit.done && first.legs.length > 0;
	if (again && !json) tellReply(first.reply, false, around);
	const ended = again
		? await ride({ ...leg, from: leg.to, to: leg.from }, options, around)
		: { ...first, legs: [] };
	if (json) around.print(JSON.stringify({ ...ended.reply, legs: [...first.legs, ...ended.legs] }));
	else tellReply(ended.reply, false, around);
	return ended.code;
};
