import type { Status, VmView } from '#src/api/view.ts';
import {
	droppedText,
	fencingText,
	freshMs,
	hostFacts,
	hostTones,
	linkText,
	pauseText,
	stateTones,
	type Trouble,
	troubles,
	verdictTones,
	verdictWord,
	witnessText,
} from '#src/api/words.ts';
import { cell, paint, table, withPages, wrap, type Cell, type Column } from '#src/cli/text.ts';
import { healthText, loadsText } from '#src/cli/load-text.ts';
import { formatDuration } from '#src/std/duration.ts';
import { span } from '#src/std/span.ts';

/** How wide and whether in colour. */
export interface Look {
	readonly columns: number;
	readonly colour: boolean;
	/** Folder with the runbook's pages; without it a page is only named. */
	readonly documents?: string;
}

const nextLines = (next: string, look: Look): string[] => {
	const step = look.documents === undefined ? next : withPages(next, look.documents);
	return step === '' ? [] : wrap(`next: ${step}`, look.columns, '  ');
};

const hostLines = (status: Status, look: Look): string[] => {
	const nameWidth = Math.max(...status.hosts.map((host) => host.host.length));
	return status.hosts.flatMap((host) => {
		const state = host.state.padEnd(10);
		const lead = `  ${host.host.padEnd(nameWidth)}  `;
		const [first = '', ...rest] = wrap(
			`${span(host.ageMs)}; ${hostFacts(host)}`,
			look.columns - lead.length - 11,
		);
		const indent = ' '.repeat(lead.length + 11);
		return [
			`${lead}${paint(state, hostTones[host.state], look.colour)} ${first}`,
			...rest.map((line) => indent + line),
		];
	});
};

const burdenLines = (status: Status, look: Look): string[] =>
	[
		['load', loadsText(status)],
		['health', healthText(status)],
	].flatMap(([what, text]) =>
		text === '' ? [] : wrap(`${what ?? ''}: ${text ?? ''}`, look.columns, '  '),
	);

const guardLines = (status: Status, look: Look): string[] => {
	const links = status.links.map(linkText).join(', ');
	const fencing =
		status.fencing === null
			? 'no fence device: a person confirms every failover'
			: fencingText(status.fencing, status.hosts[1]);
	const dropped = droppedText(status);
	return [
		...wrap(`links: ${links}`, look.columns, '  '),
		...(dropped === '' ? [] : wrap(dropped, look.columns, '  ')),
		...wrap(
			`fencing: ${fencing}; arbiter ${status.arbiter}, detection ${formatDuration(status.timing.detectionMs)}`,
			look.columns,
			'  ',
		),
		...(status.witness === null
			? []
			: wrap(`witness: ${witnessText(status.witness)}`, look.columns, '  ')),
		...burdenLines(status, look),
	];
};

/** How far a resync is, or how much of it is left. */
const progressText = ({ resync }: VmView): string => {
	if (resync === null) return '';
	const { donePercent, outOfSyncKib } = resync;
	if (donePercent !== null) return ` ${Math.floor(donePercent)}%`;
	return outOfSyncKib === null ? '' : `, ${Math.ceil(outOfSyncKib / 1024)} MiB left`;
};

/** Own disk, then the peer's; `?` behind what was seen too long ago to be taken for the present. */
const diskCell = (vm: VmView): Cell => {
	const disks = vm.sights.map(({ disk, ageMs }) => {
		if (disk === null) return '?';
		return ageMs === null || ageMs > freshMs ? `${disk}?` : disk;
	});
	const good = disks.every((disk) => disk === 'UpToDate');
	return cell(disks.join('/') + progressText(vm), good ? 'plain' : 'warn');
};

const failoverCell = (vm: VmView): Cell => {
	if (vm.failover.ready) return cell('ready', 'good');
	if (vm.wanted === 'stopped') return cell('-', 'dim');
	return cell('NOT READY', 'bad');
};

const vmLines = (status: Status, look: Look): string[] => {
	const [self, peer] = status.hosts;
	const dated = status.vms.some(({ ageMs }) => ageMs !== null);
	const columns: readonly Column[] = [
		{ title: 'VM', shed: 0 },
		{ title: 'STATE', shed: 0 },
		{ title: 'ON', shed: 0 },
		{ title: 'WANTED', shed: 2 },
		{ title: `DISK ${self?.host ?? ''}/${peer?.host ?? ''}`, shed: 3 },
		{ title: 'FAILOVER', shed: 0 },
		...(dated ? [{ title: 'SINCE', shed: 1 }] : []),
	];
	const rows = status.vms.map((vm) => [
		cell(vm.vm, 'strong'),
		cell(vm.state, stateTones[vm.state]),
		cell(vm.runsOn ?? '-'),
		cell(vm.wanted),
		diskCell(vm),
		failoverCell(vm),
		...(dated ? [cell(vm.ageMs === null ? '-' : span(vm.ageMs), 'dim')] : []),
	]);
	return table(columns, rows, look.columns, look.colour);
};

const troubleLines = (list: readonly Trouble[], status: Status, look: Look): string[] => {
	const told = new Set([status.next, '']);
	return list.flatMap((trouble) => {
		const lines = wrap(trouble.text, look.columns, '  ').map((line, index) =>
			index === 0 ? `${paint('!', trouble.tone, look.colour)} ${line.trimStart()}` : line,
		);
		if (told.has(trouble.next)) return lines;
		told.add(trouble.next);
		return [...lines, ...nextLines(trouble.next, look)];
	});
};

/** More is in the JSON: advice must not push what is wrong off the screen. */
const adviceMax = 2;

const adviceLines = ({ advice }: Status, look: Look): string[] => {
	const more = advice.length - adviceMax;
	return [
		...advice.slice(0, adviceMax).flatMap((text) => wrap(`advice: ${text}`, look.columns, '  ')),
		...(more > 0 ? [`  and ${more} more like this: vmpair status --json`] : []),
	];
};

const activityLines = (status: Status, look: Look): string[] =>
	status.vms
		.filter((vm) => vm.activity !== '')
		.flatMap((vm) => wrap(`> ${vm.vm}: ${vm.activity}`, look.columns));

const section = (lines: readonly string[]): string[] => (lines.length === 0 ? [] : ['', ...lines]);

/** What the verdict rests on, out of all that is wrong; undefined when the verdict says it alone. */
const causeOf = (status: Status, list: readonly Trouble[]): Trouble | undefined =>
	status.verdict === 'disarmed'
		? list.find(({ page }) => page === 'disarmed')
		: list.find(({ says }) => says.includes(status.reason));

/** How many of those that shall run do, and what the others do instead. */
const runText = ({ vms }: Status): string => {
	const wanted = vms.filter(({ wanted: wish }) => wish === 'running');
	const runs = ({ state, runsOn }: VmView): boolean =>
		state === 'running' || (state === 'moving' && runsOn !== null);
	const counts = new Map<string, number>();
	for (const vm of wanted.filter((each) => !runs(each)))
		counts.set(vm.state, (counts.get(vm.state) ?? 0) + 1);
	const others = [...counts].map(([state, count]) => `${count} ${state}`).join(', ');
	const running = wanted.filter(runs).length;
	return `${running} of ${wanted.length} VMs run${others === '' ? '' : `: ${others}`}`;
};

const pageText = (page: string, { documents }: Look): string =>
	documents === undefined ? page : withPages(`the runbook ${page}`, documents);

/** Verdict, reason and next step: what somebody reads who reads nothing else. */
const headLines = (status: Status, cause: Trouble | undefined, look: Look): string[] => {
	const { verdict, armed, pause } = status;
	const word = paint(verdictWord(verdict), verdictTones[verdict], look.colour);
	const page = cause?.page ?? '';
	const disarmed = armed.armed || verdict === 'disarmed';
	return [
		`${word}  pair ${status.pairId}, seen from ${status.self}`,
		...wrap(cause?.text ?? status.reason, look.columns, '  '),
		...(disarmed
			? []
			: wrap(`disarmed by ${armed.by} at ${armed.at}: ${armed.reason}`, look.columns, '  ')),
		// As the verdict it says so itself.
		...(pause === null || verdict === 'paused' ? [] : wrap(pauseText(pause), look.columns, '  ')),
		...(verdict === 'protected' ? [] : wrap(runText(status), look.columns, '  ')),
		...nextLines(status.next, look),
		...(page === '' ? [] : [`  runbook: ${pageText(page, look)}`]),
	];
};

/** Where there is more to read, when something is wrong. */
const moreLines = (status: Status, list: readonly Trouble[], look: Look): string[] => {
	if (status.verdict === 'protected') return [];
	const pages = [...new Set(list.flatMap(({ page }) => (page === '' ? [] : [page])))];
	return [
		...(pages.length === 0 ? [] : wrap(`runbook pages: ${pages.join(', ')}`, look.columns, '  ')),
		...wrap(
			'what happened: vmpair history --since 1h; why: vmpair explain VM|HOST',
			look.columns,
			'  ',
		),
	];
};

/** The status on one screen: the verdict, the hosts and what guards them, the VMs, what is wrong and what to do. */
export const statusLines = (status: Status, look: Look): string[] => {
	const all = troubles(status);
	const cause = causeOf(status, all);
	// That no VM of a disarmed pair is failed over needs no line of its own.
	const implied = ({ page, next }: Trouble): boolean =>
		status.verdict === 'disarmed' && page === '' && next === status.next;
	const others = all.filter((trouble) => trouble !== cause && !implied(trouble));
	return [
		...headLines(status, cause, look),
		...section([...hostLines(status, look), ...guardLines(status, look)]),
		...section(vmLines(status, look)),
		...section(activityLines(status, look)),
		...section(troubleLines(others, status, look)),
		...section(moreLines(status, others, look)),
		...section(adviceLines(status, look)),
	];
};
