import type { Status } from '#src/api/view.ts';
import { span } from '#src/std/span.ts';
import {
	chart,
	frameOf,
	grid,
	lineOf,
	plotEnd,
	round,
	spanMs,
	type Frame,
} from '#src/web/chart.ts';
import { sampleMs, type PageSample } from '#src/web/samples.ts';
import { element, type Element } from '#src/web/tree.ts';

/** The chart of the heartbeats: round trips as lines, silence as a band of its own for each link. */

const bandHeight = 12;

/** The lowest of 1, 2, 5, 10, ... that is not below a value. */
const niceCeiling = (value: number): number => {
	const power = 10 ** Math.floor(Math.log10(Math.max(value, 0.01)));
	return (
		[1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= value * 0.999) ?? value
	);
};

const highestOf = (samples: readonly PageSample[]): number => {
	const all = samples.flatMap(({ links }) => Object.values(links).map(({ rttMs }) => rttMs ?? 0));
	return niceCeiling(Math.max(0.1, ...all));
};

/** The stretches in which a link was silent. */
const silencesOf = (
	samples: readonly PageSample[],
	link: string,
): readonly { readonly fromMs: number; readonly toMs: number }[] => {
	const found: { fromMs: number; toMs: number }[] = [];
	for (const [index, { atMs, links }] of samples.entries()) {
		if (links[link]?.state !== 'silent') continue;
		const toMs = samples[index + 1]?.atMs ?? atMs + sampleMs;
		const last = found.at(-1);
		if (last !== undefined && last.toMs === atMs) last.toMs = toMs;
		else found.push({ fromMs: atMs, toMs });
	}
	return found;
};

const bandsOf = (
	samples: readonly PageSample[],
	names: readonly string[],
	{ x }: Frame,
): readonly Element[] =>
	names.flatMap((link, index) => {
		const y = plotEnd + 8 + index * (bandHeight + 4);
		const first = samples[0]?.atMs ?? 0;
		const end = samples.at(-1)?.atMs ?? 0;
		const bar = (kind: string, fromMs: number, toMs: number): Element =>
			element('rect', {
				class: kind,
				x: round(x(fromMs)),
				y: String(y),
				width: round(Math.max(2, x(Math.min(toMs, end)) - x(fromMs))),
				height: String(bandHeight),
			});
		return [
			bar(`band link${index % 4}`, first, end),
			...silencesOf(samples, link).map(({ fromMs, toMs }) => bar('silent', fromMs, toMs)),
		];
	});

const legendOf = (status: Status, samples: readonly PageSample[]): Element =>
	element(
		'ul',
		{ class: 'legend' },
		...status.links.map(({ link, state, rttMs }, index) => {
			const known = samples.flatMap(({ links }) => links[link]?.rttMs ?? []);
			const most = known.length === 0 ? '' : `, at most ${Math.max(...known).toFixed(1)} ms`;
			const silentMs = silencesOf(samples, link).reduce(
				(sum, each) => sum + each.toMs - each.fromMs,
				0,
			);
			const silence = silentMs === 0 ? '' : `, silent for ${span(silentMs)} of it`;
			const now = state === 'up' && rttMs !== null ? `${rttMs.toFixed(1)} ms` : state;
			return element(
				'li',
				{},
				element('span', { class: `key link${index % 4}` }),
				`${link}: ${now} now${most}${silence}`,
			);
		}),
	);

/** Round trips and silences of the last ten minutes, and the worst gaps since the agent started. */
export const heartbeatSection = (status: Status, samples: readonly PageSample[]): Element => {
	const names = status.links.map(({ link }) => link);
	const frame = frameOf(samples, highestOf(samples));
	const height = plotEnd + 8 + names.length * (bandHeight + 4) + 20;
	const { worstBeatGapMs, worstSendGapMs } = status.heartbeat;
	const lines = names.map((link, index) =>
		element('path', {
			class: `line link${index % 4}`,
			d: lineOf(samples, ({ links }) => links[link]?.rttMs ?? null, frame),
		}),
	);
	return element(
		'section',
		{ 'aria-labelledby': 'heartbeats' },
		element('h2', { id: 'heartbeats' }, 'Heartbeats'),
		chart(
			`Round trips of the beats in the last ${span(spanMs)}; the list below says the same in words`,
			height,
			...grid(frame, (value) => `${round(value)} ms`),
			...bandsOf(samples, names, frame),
			...lines,
		),
		legendOf(status, samples),
		element(
			'p',
			{ class: 'dim' },
			`Longest gap between two beats of ${status.peer} since the agent started ${span(status.agent.uptimeMs)} ago: ${span(worstBeatGapMs)}; between two rounds of own beats: ${span(worstSendGapMs)}.`,
		),
	);
};
