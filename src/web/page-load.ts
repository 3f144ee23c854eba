import type { HostView, Status, VmView } from '#src/api/view.ts';
import type { HealthView } from '#src/api/view-load.ts';
import { healthTones, percent, stateWords } from '#src/api/words-load.ts';
import { loadKinds, type LoadKind } from '#src/ports-load.ts';
import { ago, span } from '#src/std/span.ts';
import { across, chart, frameOf, grid, lineOf, plotEnd, spanMs } from '#src/web/chart.ts';
import { badge } from '#src/web/page-vms.ts';
import type { PageSample } from '#src/web/samples.ts';
import { element, type Element, type Maybe } from '#src/web/tree.ts';

/** How busy the hosts are, what their VMs use, and what the health checks say. */

/** The samples while this kind was read. */
const sharesOf = (
	samples: readonly PageSample[],
	host: string,
	kind: LoadKind,
): readonly number[] => samples.flatMap(({ loads }) => loads[host]?.[kind] ?? []);

const aboveLimit = ({ load }: HostView, { balance }: Status, kind: LoadKind): boolean =>
	(load?.[kind] ?? 0) > balance.limits[kind];

/** One kind in words: now, the most of the last ten minutes, and the limit. */
const kindItem = (
	status: Status,
	host: HostView,
	kind: LoadKind,
	samples: readonly PageSample[],
): Element => {
	const known = sharesOf(samples, host.host, kind);
	const most = known.length === 0 ? '' : `, at most ${percent(Math.max(...known))}`;
	const now = host.load?.[kind] ?? null;
	return element(
		'li',
		{},
		element('span', { class: `key link${loadKinds.indexOf(kind)}` }),
		`${kind}: ${now === null ? 'not known' : percent(now)} now${most} `,
		aboveLimit(host, status, kind)
			? badge(`above ${percent(status.balance.limits[kind])}`, 'bad')
			: element('span', { class: 'dim' }, `limit ${percent(status.balance.limits[kind])}`),
	);
};

/** The lines of one host; the limit of a kind is drawn while it is above it. */
const hostFigure = (status: Status, host: HostView, samples: readonly PageSample[]): Element => {
	const frame = frameOf(samples, 1);
	const lines = loadKinds.map((kind, index) =>
		element('path', {
			class: `line link${index}`,
			d: lineOf(samples, ({ loads }) => loads[host.host]?.[kind] ?? null, frame),
		}),
	);
	const limits = loadKinds
		.filter((kind) => aboveLimit(host, status, kind))
		.map((kind) => across('limit', frame.y(status.balance.limits[kind])));
	return element(
		'figure',
		{},
		element('figcaption', {}, host.host),
		chart(
			`Load of ${host.host} in the last ${span(spanMs)}; the list below says the same in words`,
			plotEnd + 26,
			...grid(frame, percent),
			...limits,
			...lines,
		),
		element(
			'ul',
			{ class: 'legend' },
			...loadKinds.map((kind) => kindItem(status, host, kind, samples)),
		),
	);
};

/** What the VMs of this host use, the busiest first. */
const vmList = ({ vms, self }: Status): readonly Maybe[] => {
	const used = vms
		.flatMap(({ vm, load }) => (load === null ? [] : [{ vm, load }]))
		.toSorted((one, other) => other.load.cpus - one.load.cpus);
	if (used.length === 0) return [];
	const words = (load: NonNullable<VmView['load']>): string =>
		`${load.cpus.toFixed(2)} CPUs busy, ${load.inflowMibPerS === null ? 'inflow not known' : `${load.inflowMibPerS.toFixed(1)} MiB/s into its memory`}`;
	return [
		element('h3', { class: 'apart' }, `What the VMs on ${self} use`),
		element(
			'ul',
			{ class: 'legend' },
			...used.map(({ vm, load }) =>
				element('li', {}, element('strong', {}, vm), ` ${words(load)}`),
			),
		),
	];
};

const checkItem = (each: HealthView): Element =>
	element(
		'li',
		{},
		badge(stateWords(each), healthTones[each.state]),
		' ',
		element('strong', {}, each.check),
		each.detail === '' ? '' : ` ${each.detail}`,
		element(
			'span',
			{ class: 'dim' },
			` answered ${ago(each.ageMs)}${each.action === 'evacuate' ? '; critical empties the host' : ''}`,
		),
	);

/** The checks of this host one by one, and those of the peer that are critical. */
const checkList = ({ health, self, peer, hosts }: Status): readonly Maybe[] => {
	const there = hosts.find(({ host }) => host === peer)?.critical ?? null;
	const ofPeer =
		there === null
			? `What the checks of ${peer} say is not known.`
			: there.length === 0
				? `None is critical on ${peer}.`
				: `Critical on ${peer}: ${there.join(', ')}.`;
	return [
		element('h3', { class: 'apart' }, `Health checks of ${self}`),
		health.length === 0
			? element('p', { class: 'dim' }, 'None is configured.')
			: element('ul', { class: 'checks' }, ...health.map(checkItem)),
		element('p', { class: 'dim' }, ofPeer),
	];
};

const verdicts = ({ balance }: Status): readonly Maybe[] =>
	[balance.verdict, balance.peerVerdict ?? ''].map((verdict) =>
		verdict === '' ? null : element('p', {}, verdict),
	);

/** Load of both hosts over ten minutes, then what uses it, then the health checks. */
export const loadSection = (status: Status, samples: readonly PageSample[]): Element => {
	const read =
		status.hosts.some(({ load }) => load !== null) ||
		samples.some(({ loads }) => Object.values(loads).some((load) => load !== null));
	return element(
		'section',
		{ 'aria-labelledby': 'load' },
		element('h2', { id: 'load' }, 'Load and health'),
		...verdicts(status),
		read
			? element(
					'div',
					{ class: 'charts' },
					...status.hosts.map((host) => hostFigure(status, host, samples)),
				)
			: element('p', { class: 'dim' }, 'The load of the hosts is not known.'),
		...vmList(status),
		...checkList(status),
	);
};
