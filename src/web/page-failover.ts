import { phasesOf, type Failover, type FailoverVm, type Timeline } from '#src/store/timeline.ts';
import { element, type Element, type Maybe } from '#src/web/tree.ts';

const proofWords: Readonly<Record<string, string>> = {
	'power-off': 'its power was read back as off',
	person: 'a person confirmed it',
	'self-fenced': 'its own watchdog has reset it by now',
};

/** What each phase is spent on. */
const phaseWords: Readonly<Record<string, string>> = {
	proof: 'until it was proven out',
	promote: 'until the first disk was Primary here',
	start: 'until every VM ran',
};

const width = 720;
const barHeight = 22;

/** Seconds with one decimal, signed as a step from the beginning. */
const offset = (ms: number): string => `+${(ms / 1000).toFixed(1)} s`;

/** A failover, and up to when its last phase is known to have lasted. */
interface Told {
	readonly failover: Failover;
	readonly untilMs: number;
	readonly goesOn: boolean;
}

const toldOf = ({ silence, lastMs }: Timeline, failover: Failover, nowMs: number): Told => {
	const goesOn = silence?.at === failover.at;
	return { failover, goesOn, untilMs: goesOn ? nowMs : Math.max(failover.sinceMs, lastMs) };
};

const bar = ({ failover, untilMs }: Told): Element => {
	const phases = phasesOf(failover).map(({ name, fromMs, toMs }) => ({
		name,
		fromMs,
		toMs: toMs ?? Math.max(fromMs, untilMs - failover.sinceMs),
	}));
	const endMs = Math.max(1, phases.at(-1)?.toMs ?? 1);
	return element(
		'svg',
		{
			viewBox: `0 0 ${width} ${barHeight}`,
			role: 'img',
			class: 'phases',
			'aria-label': 'The phases of the failover; the list below says the same in words',
		},
		...phases.map(({ name, fromMs, toMs }) =>
			element('rect', {
				class: `phase ${name}`,
				x: ((width * fromMs) / endMs).toFixed(1),
				y: '0',
				width: Math.max(2, (width * (toMs - fromMs)) / endMs).toFixed(1),
				height: String(barHeight),
			}),
		),
	);
};

const phaseList = ({ failover, untilMs, goesOn }: Told): Element =>
	element(
		'ol',
		{ class: 'legend' },
		...phasesOf(failover).map(({ name, fromMs, toMs }) => {
			const lasted = (toMs ?? Math.max(fromMs, untilMs - failover.sinceMs)) - fromMs;
			const text = `${(lasted / 1000).toFixed(1)} s ${phaseWords[name] ?? name}${toMs !== null ? '' : goesOn ? ' (goes on)' : ' (it did not come to that)'}`;
			return element('li', {}, element('span', { class: `key ${name}` }), text);
		}),
	);

const stepTime = (atMs: number | null, sinceMs: number): string =>
	atMs === null ? '-' : offset(atMs - sinceMs);

const vmRow = (vm: FailoverVm, sinceMs: number): Element => {
	const cell = (label: string, atMs: number | null): Element =>
		element('td', { 'data-label': label }, stepTime(atMs, sinceMs));
	return element(
		'tr',
		{},
		element('th', { scope: 'row' }, vm.vm),
		cell('Taken over', vm.takenMs),
		cell('Promoting', vm.promoteMs),
		cell('Start issued', vm.startMs),
		cell('Runs', vm.runsMs),
	);
};

const story = (failover: Failover, at: string): readonly Maybe[] => {
	const { host, proof, lostMs, fences, sinceMs } = failover;
	const steps = [
		`${at}: ${host} went silent`,
		...(lostMs === null ? [] : [`${offset(lostMs - sinceMs)}: it counted as lost`]),
		...fences.map((atMs, index) => `${offset(atMs - sinceMs)}: power-off ${index + 1} was sent`),
		...(proof === null
			? ['it is not proven out']
			: [
					`${offset(proof.atMs - sinceMs)}: it was proven out, ${proofWords[proof.kind] ?? proof.kind}`,
				]),
	];
	return steps.map((text) => element('li', {}, text));
};

const columns = ['VM', 'Taken over', 'Promoting', 'Start issued', 'Runs'];

const details = (told: Told, at: string): readonly Maybe[] => [
	element('ul', { class: 'story' }, ...story(told.failover, at)),
	bar(told),
	phaseList(told),
	element(
		'table',
		{ class: 'steps' },
		element(
			'thead',
			{},
			element('tr', {}, ...columns.map((name) => element('th', { scope: 'col' }, name))),
		),
		element('tbody', {}, ...told.failover.vms.map((vm) => vmRow(vm, told.failover.sinceMs))),
	),
	element(
		'p',
		{ class: 'dim' },
		'Times since the first silence. A VM runs when its host sees it run; its guest boots after that.',
	),
];

/**
 * The last failover that this host carried out, phase by phase. `nowMs` is on the clock of its times; `at` is when it
 * began, for people.
 */
export const failoverSection = (timeline: Timeline, nowMs: number, at: string): Element => {
	const { failover } = timeline;
	return element(
		'section',
		{ 'aria-labelledby': 'failover' },
		element('h2', { id: 'failover' }, 'Last failover to this host'),
		...(failover === null
			? [element('p', { class: 'dim' }, 'None in the history of this host.')]
			: details(toldOf(timeline, failover, nowMs), at)),
	);
};
