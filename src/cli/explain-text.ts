import type { ConditionView } from '#src/api/view-alert.ts';
import type { HistoryEntry, HostView, Status, VmView } from '#src/api/view.ts';
import { historyLine, localTime } from '#src/cli/history-text.ts';
import { paint, withPages, wrap } from '#src/cli/text.ts';
import { ago, span } from '#src/std/span.ts';

/** How wide, whether in colour, and where the runbook's pages are. */
interface Look {
	readonly columns: number;
	readonly colour: boolean;
	readonly documents: string;
}

/** More of the history is in "vmpair history". */
const entriesMax = 8;

const sentence = (text: string): string => (/[.!?]$/.test(text) ? text : `${text}.`);

const heading = (title: string, lines: readonly string[], { colour }: Look): string[] =>
	lines.length === 0 ? [] : ['', paint(title, 'strong', colour), ...lines];

const told = (text: string, look: Look): string[] => wrap(text, look.columns, '  ');

const stepOf = (next: string, look: Look): string[] =>
	next === '' ? [] : wrap(`next: ${withPages(next, look.documents)}`, look.columns, '    ');

/** What is wrong with it now, each with its page of the runbook: the pages have the names of the conditions. */
const conditionLines = (conditions: readonly ConditionView[], look: Look): string[] =>
	conditions.flatMap(({ name, severity, summary, next, ageMs }) => [
		...told(`${severity}, for ${span(ageMs)}: ${sentence(summary)}`, look),
		...stepOf(next, look),
		...told(`read: ${look.documents}/runbook/${name}.md`, look),
	]);

/** The newest entries, oldest first, with the numbers by which each one can be explained. */
const entryLines = (entries: readonly HistoryEntry[], look: Look): string[] =>
	entries
		.slice(-entriesMax)
		.map((entry) => `  ${historyLine(entry, look.colour)}  ${numberOf(entry, look)}`);

const numberOf = ({ seq }: HistoryEntry, { colour }: Look): string =>
	paint(`#${seq}`, 'dim', colour);

const about = (
	entries: readonly HistoryEntry[],
	keys: readonly string[],
	names: ReadonlySet<string>,
): HistoryEntry[] =>
	entries.filter(
		({ level, fields }) =>
			level !== 'debug' &&
			keys.some((key) => {
				const value = fields[key];
				return typeof value === 'string' && names.has(value);
			}),
	);

const vmKeys = ['vm', 'resource', 'subject'];

/** The entries of the history that speak of a VM, or of its resource. */
export const entriesOfVm = (
	entries: readonly HistoryEntry[],
	names: { readonly vm: string; readonly resource: string },
): HistoryEntry[] => about(entries, vmKeys, new Set([names.vm, names.resource]));

const hostKeys = ['host', 'peer', 'from', 'to', 'against', 'owner', 'subject'];

/** The entries of the history that speak of a host. */
export const entriesOfHost = (entries: readonly HistoryEntry[], host: string): HistoryEntry[] =>
	about(entries, hostKeys, new Set([host]));

const placeOf = (vm: VmView): string => {
	const since = vm.ageMs === null ? '' : ` for ${span(vm.ageMs)}`;
	const where = vm.runsOn === null ? '' : ` on ${vm.runsOn}`;
	const owner =
		vm.owner === null
			? 'No host owns it: none may start it by itself.'
			: `${vm.owner} owns it and is the one host that may run it (generation ${vm.generation}).`;
	const wish = vm.wanted === 'running' ? 'It shall run.' : 'It shall be stopped.';
	return `${vm.vm} is ${vm.state}${where}${since}. ${wish} ${owner}`;
};

const dataOf = (vm: VmView): string => {
	const current =
		vm.inSync.length === 0
			? 'No host is known to hold every acknowledged write.'
			: `Every acknowledged write is on ${vm.inSync.join(' and on ')}.`;
	const sights = vm.sights.map(
		({ host, disk, role, connected, frozen, ageMs }) =>
			`${host}: disk ${disk ?? 'unknown'}, role ${role ?? 'unknown'}, ${connected ? 'connected' : 'not connected'}${frozen ? ', writes held back' : ''} (seen ${ago(ageMs)})`,
	);
	return `${current} ${sights.join('; ')}.`;
};

const wouldOf = (vm: VmView, look: Look): string[] => {
	const { failover, handover, migration } = vm;
	const lines =
		vm.wanted === 'stopped'
			? told('If its host died now, it would stay stopped, as people want it.', look)
			: failover.ready
				? told(
						`If its host died now, it would run again on ${failover.to ?? 'the other one'}.`,
						look,
					)
				: [
						...told(
							`If its host died now, it would stay down: ${sentence(failover.blocker)}`,
							look,
						),
						...stepOf(failover.next, look),
					];
	if (migration === null || handover === null)
		return [...lines, ...told('Whether it could be moved now, its owner says.', look)];
	const live = migration.ready ? 'yes.' : `no: ${sentence(migration.blocker)}`;
	const cold = handover.ready ? 'yes.' : `no: ${sentence(handover.blocker)}`;
	return [
		...lines,
		...told(`Live to the other host (vmpair migrate ${vm.vm}): ${live}`, look),
		...told(`Stopped here, started there (vmpair move ${vm.vm}): ${cold}`, look),
	];
};

const drillOf = ({ vm, lastDrill }: VmView): string => {
	if (lastDrill === null) return `It never had a drill that this host saw (vmpair drill ${vm}).`;
	const { at, from, to, ran, tookMs } = lastDrill;
	const how = ran ? `it ran there after ${span(tookMs)}` : 'it did not get to run there';
	return `Last drill: ${localTime(at).slice(0, 16)}, from ${from} to ${to}; ${how}.`;
};

const historyPart = (entries: readonly HistoryEntry[], look: Look): string[] =>
	heading(
		'Decided and seen, newest last',
		entries.length === 0
			? told('The history of this host has nothing about it any more.', look)
			: entryLines(entries, look),
		look,
	);

/** Why a VM is where it is and does what it does, what a failure or a move would do now, and what was decided. */
export const explainVm = (
	status: Status,
	vm: VmView,
	entries: readonly HistoryEntry[],
	look: Look,
): string[] => [
	...wrap(placeOf(vm), look.columns),
	...(vm.activity === '' ? [] : wrap(`Now: ${sentence(vm.activity)}`, look.columns)),
	...heading('Its data', told(dataOf(vm), look), look),
	...heading('What would happen', [...wouldOf(vm, look), ...told(drillOf(vm), look)], look),
	...heading(
		'What is wrong',
		conditionLines(
			status.conditions.filter(({ subject }) => subject === vm.vm || subject === vm.resource),
			look,
		),
		look,
	),
	...historyPart(entriesOfVm(entries, vm), look),
];

const stateOf = (host: HostView): string => {
	const why = host.reason === '' ? '' : `: ${host.reason}`;
	const heard = host.self ? 'This is the host that you ask.' : `Heard ${ago(host.heardAgeMs)}.`;
	const facts = [
		host.joined === false ? 'It has not joined the pair in this boot.' : '',
		host.standby === true ? 'It is in standby: it takes nothing over and is kept empty.' : '',
		host.emptied === true ? 'Its VMs go to the other host.' : '',
		host.configAgrees === false ? 'Its configuration differs from that of the other host.' : '',
	].filter((fact) => fact !== '');
	return [`${host.host} is ${host.state} for ${span(host.ageMs)}${why}.`, heard, ...facts].join(
		' ',
	);
};

const protectedOf = (
	{ vms, verdict, reason }: Status,
	{ host }: HostView,
	look: Look,
): string[] => {
	const here = vms.filter(({ owner, runsOn }) => (runsOn ?? owner) === host);
	const others = vms.length - here.length;
	const lost = here.filter(({ failover, wanted }) => !failover.ready && wanted === 'running');
	const ready = here.filter(({ failover }) => failover.ready).map(({ vm }) => vm);
	return [
		...told(`The pair is ${verdict.replaceAll('-', ' ')}: ${sentence(reason)}`, look),
		...(here.length === 0 ? told(`No VM is on ${host}; ${others} on the other host.`, look) : []),
		...(ready.length === 0
			? []
			: told(`If ${host} died now, these would run again: ${ready.join(', ')}.`, look)),
		...lost.flatMap(({ vm, failover }) => [
			...told(`${vm} would stay down: ${sentence(failover.blocker)}`, look),
			...stepOf(failover.next, look),
		]),
	];
};

/** What is believed of a host and why, what its death would do now, and what was decided about it. */
export const explainHost = (
	status: Status,
	host: HostView,
	entries: readonly HistoryEntry[],
	look: Look,
): string[] => [
	...wrap(stateOf(host), look.columns),
	...heading('What would happen', protectedOf(status, host, look), look),
	...heading(
		'What is wrong',
		conditionLines(
			status.conditions.filter(
				({ subject }) => subject === host.host || subject.endsWith(`@${host.host}`),
			),
			look,
		),
		look,
	),
	...historyPart(entriesOfHost(entries, host.host), look),
];

/** An entry of the history with what the agent had been told just before it and what it said right after. */
export interface EventStory {
	readonly entry: HistoryEntry;
	/** Oldest first; each with how long before the entry it came, ms. */
	readonly toldBefore: readonly { readonly text: string; readonly beforeMs: number }[];
	readonly followed: readonly HistoryEntry[];
}

/** One entry of the history: its evidence, what the agent knew, what followed. */
export const explainEvent = ({ entry, toldBefore, followed }: EventStory, look: Look): string[] => {
	const fields = Object.entries(entry.fields).map(([key, value]) => `${key}: ${String(value)}`);
	const names = ['vm', 'host'].flatMap((key) => {
		const name = entry.fields[key];
		return typeof name === 'string' ? [`vmpair explain ${name}`] : [];
	});
	return [
		`${historyLine({ ...entry, fields: {} }, look.colour)}  ${numberOf(entry, look)}`,
		...heading(
			'Its evidence',
			fields.flatMap((line) => told(line, look)),
			look,
		),
		...heading(
			'What the agent had been told just before, newest last',
			toldBefore.flatMap(({ text, beforeMs }) => told(`${span(beforeMs)} before: ${text}`, look)),
			look,
		),
		...heading('What it said right after', entryLines(followed, look), look),
		...(names.length === 0 ? [] : ['', `next: ${names.join('; ')}`]),
	];
};
