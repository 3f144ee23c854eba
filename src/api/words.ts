import type { ConditionView } from '#src/api/view-alert.ts';
import type {
	FencingView,
	HostView,
	LinkView,
	Status,
	Verdict,
	VmView,
	WitnessView,
} from '#src/api/view.ts';
import { dropReasons, type DropReason } from '#src/heartbeat/drop.ts';
import { remedies } from '#src/heartbeat/tally.ts';
import { ago, span } from '#src/std/span.ts';

/** The status in words, the same ones on the screen of `vmpair status` and on the page. */

/** How a word is meant; colour never says anything that the word does not. */
export type WordTone = 'good' | 'warn' | 'bad' | 'plain';

/** How urgent a verdict is. */
export const verdictTones: Readonly<Record<Verdict, WordTone>> = {
	protected: 'good',
	degraded: 'warn',
	unprotected: 'bad',
	'failing-over': 'bad',
	holding: 'bad',
	disarmed: 'warn',
	paused: 'warn',
};

/** Who paused the pair, for how long still, and why. */
export const pauseText = ({ by, until, leftMs, reason }: NonNullable<Status['pause']>): string => {
	const left =
		leftMs > 0 ? `${span(leftMs)} left` : 'its time is over: it waits for the other host';
	return `paused by ${by} until ${until} (${left}): ${reason}`;
};

/** Whether the pair acts by itself, in a word. */
export const automaticText = ({ armed, pause }: Pick<Status, 'armed' | 'pause'>): string =>
	!armed.armed ? 'disarmed' : pause === null ? 'armed' : 'paused';

/** The verdict as it is shown. */
export const verdictWord = (verdict: Verdict): string => verdict.replaceAll('-', ' ').toUpperCase();

export const hostTones: Readonly<Record<HostView['state'], WordTone>> = {
	online: 'good',
	suspect: 'warn',
	'agent-down': 'warn',
	lost: 'bad',
	left: 'warn',
	out: 'bad',
	unknown: 'warn',
};

export const stateTones: Readonly<Record<VmView['state'], WordTone>> = {
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

/** What there is to say of a host besides its state; the words may be empty. */
export const hostFacts = (host: HostView): string => {
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

/** A link in a few words. */
export const linkText = (link: LinkView): string => {
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

/** What the fence devices say, and what was sent to them. `peer` is how their target is seen. */
export const fencingText = (fencing: FencingView, peer: HostView | undefined): string => {
	const power =
		fencing.powerAgeMs === null
			? `power of ${fencing.target} not asked yet`
			: `${fencing.target} is ${fencing.power === 'unknown' ? 'not known to be on or off' : fencing.power} (asked ${ago(fencing.powerAgeMs)})`;
	const facts = [power];
	if (fencing.openFence !== null) facts.push(`a power-off of ${fencing.openFence.target} is open`);
	if (fencing.attempts > 0) facts.push(`attempt ${fencing.attempts} of ${fencing.attemptsMax}`);
	if (fencing.lastHour > 0) facts.push(`${fencing.lastHour} of ${fencing.perHourMax} this hour`);
	const aims = peer?.state === 'suspect' || peer?.state === 'lost';
	if (fencing.delayMs > 0 && aims && fencing.attempts === 0)
		facts.push(`waits ${span(fencing.delayMs)} for ${fencing.target} to go first`);
	return facts.join(', ');
};

/** Whether the third voter serves this host, and what its votes are worth. */
export const witnessText = (witness: WitnessView): string => {
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
export const droppedText = ({ heartbeat, agent, peer }: Status): string => {
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

/**
 * A sight that is older than this is not the present any more, ms. DRBD tells of a change at once; a quiet one is
 * confirmed by a snapshot every 10 s.
 */
export const freshMs = 15_000;

/** Something that is wrong, as a sentence, and what to do about it; `next` is empty when nothing is. */
export interface Trouble {
	readonly tone: 'bad' | 'warn';
	readonly text: string;
	readonly next: string;
	/** The page that tells more, in the runbook; empty when there is none. */
	readonly page: string;
	/** The single sentences that it stands for, as the engine wrote them. */
	readonly says: readonly string[];
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
		page: '',
		says: names.map((name) => `${name}: ${vm.failover.blocker}`),
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
					page: '',
					says: [],
				},
			];

const receiverTroubles = ({ receivers }: Status): Trouble[] =>
	receivers
		.filter(({ failures }) => failures > 0)
		.map(({ name, pending, lastError }) => ({
			tone: 'warn',
			text: `alerts do not reach ${name}, ${pending} wait: ${lastError}`,
			next: `check the receiver, and ${name} below alerts in vmpair.yaml; vmpair alert test`,
			page: '',
			says: [],
		}));

const deadmanTrouble = ({ deadman }: Status): Trouble[] =>
	deadman === null || deadman.failures === 0
		? []
		: [
				{
					tone: 'warn',
					text: `the dead-man ping does not arrive (${deadman.failures} failed): ${deadman.lastError}`,
					next: 'check the service outside, and alerts.deadman in vmpair.yaml',
					page: '',
					says: [],
				},
			];

const acknowledgedText = ({ acknowledged }: ConditionView): string => {
	if (acknowledged === null) return '';
	const { by, reason } = acknowledged;
	return `, acknowledged by ${by}${reason === '' ? '' : `: ${reason}`}`;
};

/** The same of every VM but for its name: one trouble. A name may be part of another word. */
const likeOf = ({
	name,
	subject,
	severity,
	summary,
	next,
	acknowledged,
}: ConditionView): string => {
	const word = subject.replaceAll(/[^\w-]/g, String.raw`\$&`);
	const rest = summary.replaceAll(new RegExp(`(?<![\\w.-])${word}(?![\\w-])`, 'g'), '*');
	return JSON.stringify([name, severity, rest, next, acknowledged]);
};

/** What is the same of several VMs is told once, with the names of the others and the age of the oldest. */
const conditionTroubles = (status: Status): Trouble[] => {
	const groups = new Map<string, ConditionView[]>();
	for (const each of status.conditions.filter(ownLine(status.vms))) {
		const like = likeOf(each);
		groups.set(like, [...(groups.get(like) ?? []), each]);
	}
	return [...groups.values()].flatMap((group) => {
		const [first, ...others] = group;
		if (first === undefined) return [];
		const names = others.map(({ subject }) => subject).join(', ');
		const age = span(Math.max(...group.map(({ ageMs }) => ageMs)));
		const too = names === '' ? '' : `; likewise ${names}`;
		return {
			tone: first.severity === 'critical' ? 'bad' : 'warn',
			text: `${first.summary}${too} (${age})${acknowledgedText(first)}`,
			next: first.next,
			page: first.name,
			says: group.map(({ summary }) => summary),
		};
	});
};

/** Everything that is wrong: what alerts are about, then what only the status tells. */
export const troubles = (status: Status): Trouble[] => [
	...conditionTroubles(status),
	...status.preflight.map((text): Trouble => ({
		tone: 'warn',
		text,
		next: '',
		page: 'preflight',
		says: [],
	})),
	...historyTrouble(status),
	...receiverTroubles(status),
	...deadmanTrouble(status),
	...blockers(status.vms),
];
