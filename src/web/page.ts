import type { HistoryEntry, HostView, LinkView, Status } from '#src/api/view.ts';
import {
	automaticText,
	droppedText,
	fencingText,
	hostFacts,
	hostTones,
	linkText,
	pauseText,
	type Trouble,
	troubles,
	verdictTones,
	verdictWord,
	witnessText,
} from '#src/api/words.ts';
import { formatDuration } from '#src/std/duration.ts';
import { span } from '#src/std/span.ts';
import { heartbeatSection } from '#src/web/page-chart.ts';
import { failoverSection } from '#src/web/page-failover.ts';
import { loadSection } from '#src/web/page-load.ts';
import { badge, vmSection } from '#src/web/page-vms.ts';
import type { PageSample } from '#src/web/samples.ts';
import type { Timeline } from '#src/store/timeline.ts';
import { element, type Content, type Element, type Maybe } from '#src/web/tree.ts';

/** Everything that the page tells of. */
export interface PageFacts {
	readonly status: Status;
	readonly samples: readonly PageSample[];
	readonly timeline: Timeline;
	/** The last entries, oldest first. */
	readonly history: readonly HistoryEntry[];
	/** On the clock of the history, ms. */
	readonly nowMs: number;
	/** How the clock of this host shows a time in ISO 8601. */
	readonly clock: (at: string) => string;
}

/** The page as the browser gets it, once and then again with every change. */
export interface PageView {
	readonly title: string;
	/** The host that says all this, for the sentence that it says nothing any more. */
	readonly self: string;
	readonly peer: string;
	/** Its clock, for people. */
	readonly at: string;
	readonly content: readonly Content[];
}

const verdictHeader = (status: Status, clock: PageFacts['clock']): Element => {
	const { armed } = status;
	return element(
		'header',
		{ class: `verdict ${verdictTones[status.verdict]}` },
		element('h1', {}, verdictWord(status.verdict)),
		element('p', { class: 'where' }, `pair ${status.pairId}, seen from ${status.self}`),
		element('p', { class: 'reason' }, status.reason),
		armed.armed
			? null
			: element(
					'p',
					{},
					`disarmed by ${armed.by}${armed.at === '' ? '' : ` at ${clock(armed.at)}`}: ${armed.reason}`,
				),
		status.pause === null || status.verdict === 'paused'
			? null
			: element('p', {}, pauseText(status.pause)),
		status.next === ''
			? null
			: element('p', { class: 'next' }, element('strong', {}, 'Next: '), status.next),
	);
};

const troubleItem = ({ tone, text, next, page }: Trouble): Element =>
	element(
		'li',
		{ class: tone },
		element('span', { class: `badge ${tone}` }, tone === 'bad' ? 'critical' : 'warning'),
		` ${text}`,
		next === '' ? null : element('div', { class: 'next' }, `next: ${next}`),
		page === '' ? null : element('div', { class: 'dim' }, `runbook: ${page}`),
	);

const troubleSection = (status: Status): Element => {
	const list = troubles(status);
	return element(
		'section',
		{ 'aria-labelledby': 'troubles' },
		element('h2', { id: 'troubles' }, 'What is wrong'),
		list.length === 0
			? element('p', { class: 'dim' }, 'Nothing.')
			: element('ul', { class: 'troubles' }, ...list.map(troubleItem)),
		status.advice.length === 0
			? null
			: element(
					'ul',
					{ class: 'advice' },
					...status.advice.map((text) => element('li', {}, `advice: ${text}`)),
				),
	);
};

const hostCard = (host: HostView): Element =>
	element(
		'div',
		{ class: 'card' },
		element('h3', {}, host.host, ' ', badge(host.state, hostTones[host.state])),
		element(
			'p',
			{},
			`for ${span(host.ageMs)}${hostFacts(host) === '' ? '' : `; ${hostFacts(host)}`}`,
		),
		host.version === null
			? null
			: element(
					'p',
					{ class: 'dim' },
					`vmpair ${host.version}${host.freeMemoryMib === null ? '' : `, ${Math.floor(host.freeMemoryMib)} MiB free for VMs`}`,
				),
	);

const linkTone = ({ state }: LinkView): 'good' | 'bad' | 'warn' =>
	state === 'up' ? 'good' : state === 'silent' ? 'bad' : 'warn';

const fact = (name: string, ...content: readonly Maybe[]): Element =>
	element('div', {}, element('dt', {}, name), element('dd', {}, ...content));

const hostSection = (status: Status): Element => {
	const dropped = droppedText(status);
	const fencing =
		status.fencing === null
			? 'no fence device: a person confirms every failover'
			: fencingText(status.fencing, status.hosts[1]);
	return element(
		'section',
		{ 'aria-labelledby': 'hosts' },
		element('h2', { id: 'hosts' }, 'Hosts'),
		element('div', { class: 'cards' }, ...status.hosts.map(hostCard)),
		element(
			'dl',
			{},
			fact(
				'Links',
				...status.links.flatMap((link, index): Maybe[] => [
					index === 0 ? null : ' ',
					badge(linkText(link), linkTone(link)),
				]),
			),
			fact('Fencing', fencing),
			...(status.witness === null ? [] : [fact('Witness', witnessText(status.witness))]),
			fact(
				'Arbiter',
				`${status.arbiter}, detection ${formatDuration(status.timing.detectionMs)}, ${automaticText(status)}`,
			),
			...(dropped === '' ? [] : [fact('Dropped', dropped)]),
		),
	);
};

const historyTones = { debug: 'plain', info: 'plain', warn: 'warn', error: 'bad' } as const;

const historyItem = (entry: HistoryEntry, clock: PageFacts['clock']): Element => {
	const fields = Object.entries(entry.fields)
		.map(([key, value]) => `${key}=${String(value)}`)
		.join(' ');
	return element(
		'li',
		{ class: historyTones[entry.level] },
		element('time', { class: 'dim', datetime: entry.at }, clock(entry.at)),
		` ${entry.message}`,
		fields === '' ? null : element('span', { class: 'dim' }, ` ${fields}`),
	);
};

/** The newest first: that is what a person looks for. */
const historySection = ({ history, clock }: PageFacts): Element =>
	element(
		'section',
		{ 'aria-labelledby': 'history' },
		element('h2', { id: 'history' }, 'History'),
		history.length === 0
			? element('p', { class: 'dim' }, 'Nothing yet.')
			: element(
					'ol',
					{ class: 'history' },
					...history.toReversed().map((entry) => historyItem(entry, clock)),
				),
		element('p', { class: 'dim' }, 'More: vmpair history'),
	);

const agentLine = ({ agent, self }: Status): Element =>
	element(
		'p',
		{ class: 'dim' },
		`vmpair ${agent.version} on ${self}, up ${span(agent.uptimeMs)}, ${agent.alertsPending} alerts wait. This page only shows; what acts is the command vmpair.`,
	);

/** The page of a status: verdict first, then what is wrong, then every fact with its age. */
export const pageOf = (facts: PageFacts): PageView => {
	const { status, samples, timeline, nowMs, clock } = facts;
	const { failover } = timeline;
	return {
		title: `${verdictWord(status.verdict)} · ${status.pairId} · ${status.self}`,
		self: status.self,
		peer: status.peer,
		at: clock(status.at),
		content: [
			verdictHeader(status, clock),
			troubleSection(status),
			vmSection(status),
			hostSection(status),
			loadSection(status, samples),
			heartbeatSection(status, samples),
			failoverSection(timeline, nowMs, failover === null ? '' : clock(failover.at)),
			historySection(facts),
			agentLine(status),
		],
	};
};
