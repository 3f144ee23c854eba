import type {
	ConditionView,
	FencingView,
	HostView,
	LinkView,
	Status,
	Verdict,
	VmView,
	WitnessView,
} from '#src/api/view.ts';
import {
	ago,
	cell,
	paint,
	span,
	table,
	withPages,
	wrap,
	type Cell,
	type Column,
	type Tone,
} from '#src/cli/text.ts';
import { healthText, loadsText } from '#src/cli/load-text.ts';
import { dropReasons, type DropReason } from '#src/heartbeat/beat.ts';
import { remedies } from '#src/heartbeat/tally.ts';
import { formatDuration } from '#src/std/duration.ts';

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

const verdictTones: Readonly<Record<Verdict, Tone>> = {
	protected: 'good',
	degraded: 'warn',
	unprotected: 'bad',
	'failing-over': 'bad',
	holding: 'bad',
	disarmed: 'warn',
};

const verdictWord = (verdict: Verdict): string => verdict.replaceAll('-', ' ').toUpperCase();

const hostTones: Readonly<Record<HostView['state'], Tone>> = {
	online: 'good',
	suspect: 'warn',
	'agent-down': 'warn',
	lost: 'bad',
	left: 'warn',
	out: 'bad',
	unknown: 'warn',
};

const hostFacts = (host: HostView): string => {
	const facts: string[] = [];
	if (!host.self) facts.push(`heard ${ago(host.heardAgeMs)}`);
	if (host.joined === false) facts.push('not joined');
	if (host.standby === true) facts.push('in standby: takes no VMs');
	else if (host.emptied === true) facts.push('is being emptied');
	if (host.critical !== null && host.critical.length > 0)
		facts.push(`not well: ${host.critical.join(', ')} critical`);
	if (host.configAgrees === false) facts.push('its configuration differs');
	if (host.lagMs !== null && host.lagMs >= 1000) facts.push(`agent lags ${span(host.lagMs)}`);
	if (host.reason !== '') facts.push(host.reason);
	if (host.self) facts.unshift('this host');
	return facts.join(', ');
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

const linkText = (link: LinkView): string => {
	const facts = [link.link, link.state];
	if (link.state === 'up') {
		if (link.rttMs !== null) facts.push(`${link.rttMs.toFixed(1)} ms`);
	} else {
		if (link.ageMs !== null) facts.push(`for ${span(link.ageMs)}`);
		if (link.carrier === false) facts.push('(no carrier)');
		else if (link.refused) facts.push('(refused: no agent)');
	}
	return facts.join(' ');
};

const fencingText = (fencing: FencingView, peer: HostView | undefined): string => {
	const power =
		fencing.powerAgeMs === null
			? `power of ${fencing.target} not asked yet`
			: `${fencing.target} is ${fencing.power === 'unknown' ? 'not known to be on or off' : fencing.power} (asked ${ago(fencing.powerAgeMs)})`;
	const facts = [power];
	if (fencing.openFence !== null) facts.push(`a power-off of ${fencing.openFence.target} is open`);
	if (fencing.attempts > 0) facts.push(`attempt ${fencing.attempts} of ${fencing.attemptsMax}`);
	if (fencing.lastHour > 0) facts.push(`${fencing.lastHour} of ${fencing.perHourMax} this hour`);
	if (fencing.delayMs > 0 && (peer?.state === 'suspect' || peer?.state === 'lost'))
		facts.push(`waits ${span(fencing.delayMs)} for ${fencing.target} to go first`);
	return facts.join(', ');
};

const witnessText = (witness: WitnessView): string => {
	const votes = { held: 'vote', ending: 'vote about to end,', none: 'no vote' } as const;
	const vote =
		witness.vote === 'none' || witness.voteAgeMs === null
			? 'no vote'
			: `${votes[witness.vote]} ${span(witness.voteAgeMs)} old (holds ${span(witness.leaseMs)})`;
	const [armed, bare] = [true, false].map((yes) =>
		witness.watchdogs
			.filter(({ timeoutMs }) => (timeoutMs !== null) === yes)
			.map(({ host }) => host),
	);
	const facts = [witness.grants ? 'grants' : `grants nothing: ${witness.why}`, vote];
	if (witness.claimedBy !== null) facts.push(`${witness.claimedBy} claims to act alone`);
	if (armed !== undefined && armed.length > 0)
		facts.push(
			`watchdog armed on ${armed.join(' and ')} (out after ${span(witness.takeMs)} of silence)`,
		);
	if (bare !== undefined && bare.length > 0)
		facts.push(`no armed watchdog on ${bare.join(' and ')}`);
	return facts.join(', ');
};

/**
 * What came in on the heartbeat links and was dropped. A connection that closes without a word is left out:
 * so the peer itself asks whether an agent listens here.
 */
const droppedText = ({ heartbeat, agent, peer }: Status): string => {
	const counted = (count: (reason: DropReason) => number, next: string): string[] => {
		const counts = dropReasons
			.filter((reason) => reason !== 'closed-early' && count(reason) > 0)
			.map((reason) => `${count(reason)} ${reason}`);
		return counts.length === 0 ? [] : [`${counts.join(', ')}: ${next}`];
	};
	const { dropped, droppedOfPeer } = heartbeat;
	const told = (reason: DropReason): boolean => reason in remedies;
	const groups = [
		...counted(
			(reason) => (told(reason) ? dropped[reason] : 0),
			'"vmpair history" says what to put right',
		),
		...counted(
			(reason) => (told(reason) ? 0 : droppedOfPeer[reason]),
			`slow or broken handshakes of ${peer}, look at its load and at the link`,
		),
		...counted(
			(reason) => (told(reason) ? 0 : dropped[reason] - droppedOfPeer[reason]),
			`from strangers; nobody but ${peer} needs these ports, keep others away from them`,
		),
	];
	return groups.length === 0
		? ''
		: `dropped on the links in ${span(agent.uptimeMs)}: ${groups.join('; ')}`;
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

const stateTones: Readonly<Record<VmView['state'], Tone>> = {
	running: 'plain',
	stopped: 'plain',
	starting: 'warn',
	stopping: 'warn',
	moving: 'warn',
	frozen: 'bad',
	paused: 'warn',
	down: 'bad',
	unknown: 'warn',
};

/**
 * A sight that is older than this is not the present any more, ms. DRBD tells of a change at once; a quiet one is
 * confirmed by a snapshot every 10 s.
 */
const freshMs = 15_000;

/** Own disk, then the peer's; `?` behind what was seen too long ago to be taken for the present. */
const diskCell = (vm: VmView): Cell => {
	const disks = vm.sights.map(({ disk, ageMs }) => {
		if (disk === null) return '?';
		return ageMs === null || ageMs > freshMs ? `${disk}?` : disk;
	});
	const good = disks.every((disk) => disk === 'UpToDate');
	const percent = vm.resync?.donePercent;
	const progress = percent === null || percent === undefined ? '' : ` ${Math.floor(percent)}%`;
	return cell(disks.join('/') + progress, good ? 'plain' : 'warn');
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

interface Trouble {
	readonly tone: Tone;
	readonly text: string;
	readonly next: string;
}

/** VMs with the same blocker are one line, so that a dead peer does not fill the screen. */
const blockers = (vms: readonly VmView[]): Trouble[] => {
	const groups = new Map<string, { names: string[]; vm: VmView }>();
	for (const vm of vms) {
		if (vm.failover.ready || vm.failover.blocker === '') continue;
		const key = `${vm.failover.blocker}\n${vm.failover.next}`;
		const group = groups.get(key) ?? { names: [], vm };
		group.names.push(vm.vm);
		groups.set(key, group);
	}
	return [...groups.values()].map(({ names, vm }) => ({
		tone: 'warn',
		text: `${names.join(', ')}: ${vm.failover.blocker}`,
		next: vm.failover.next,
	}));
};

/** A VM whose failover is blocked is told of once, with its blocker; what pages is always told. */
const ownLine =
	(vms: readonly VmView[]) =>
	({ severity, subject }: ConditionView): boolean =>
		severity === 'critical' ||
		!vms.some(({ vm, failover }) => vm === subject && failover.blocker !== '');

const historyTrouble = ({ agent, self }: Status): Trouble[] =>
	agent.historyLost === 0
		? []
		: [
				{
					tone: 'warn',
					text: `${agent.historyLost} entries of the history were never written`,
					next: `look at the disk of the state directory on ${self}: df, dmesg`,
				},
			];

const receiverTroubles = ({ receivers }: Status): Trouble[] =>
	receivers
		.filter(({ failures }) => failures > 0)
		.map(({ name, pending, lastError }) => ({
			tone: 'warn',
			text: `alerts do not reach ${name}, ${pending} wait: ${lastError}`,
			next: `check the receiver, and the webhook ${name} in vmpair.yaml`,
		}));

const troubles = (status: Status): Trouble[] => [
	...status.conditions.filter(ownLine(status.vms)).map((condition): Trouble => ({
		tone: condition.severity === 'critical' ? 'bad' : 'warn',
		text: `${condition.summary} (${span(condition.ageMs)})`,
		next: condition.next,
	})),
	...status.preflight.map((text): Trouble => ({ tone: 'warn', text, next: '' })),
	...historyTrouble(status),
	...receiverTroubles(status),
	...blockers(status.vms),
];

const troubleLines = (status: Status, look: Look): string[] => {
	const told = new Set([status.next, '']);
	return troubles(status).flatMap((trouble) => {
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

/** The status on one screen: the verdict, the hosts and what guards them, the VMs, what is wrong and what to do. */
export const statusLines = (status: Status, look: Look): string[] => {
	const word = paint(verdictWord(status.verdict), verdictTones[status.verdict], look.colour);
	const { armed } = status;
	const disarmed = armed.armed
		? []
		: wrap(`disarmed by ${armed.by} at ${armed.at}: ${armed.reason}`, look.columns, '  ');
	return [
		`${word}  pair ${status.pairId}, seen from ${status.self}`,
		...wrap(status.reason, look.columns, '  '),
		...disarmed,
		...nextLines(status.next, look),
		...section([...hostLines(status, look), ...guardLines(status, look)]),
		...section(vmLines(status, look)),
		...section(activityLines(status, look)),
		...section(troubleLines(status, look)),
		...section(adviceLines(status, look)),
	];
};
