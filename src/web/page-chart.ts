import type { Status } from '#src/api/view.ts';
import { span } from '#src/std/span.ts';
import { sampleMs, samplesMax, type HeartbeatSample } from '#src/web/samples.ts';
import { element, type Element, type Maybe } from '#src/web/tree.ts';

/** The chart of the heartbeats: round trips as lines, silence as a band of its own for each link. */

const width = 720;
const plotTop = 8;
const plotHeight = 120;
const bandHeight = 12;
const left = 52;
const spanMs = sampleMs * samplesMax;

/** The lowest of 1, 2, 5, 10, ... that is not below a value. */
const niceCeiling = (value: number): number => {
	const power = 10 ** Math.floor(Math.log10(Math.max(value, 0.01)));
	return (
		[1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= value * 0.999) ?? value
	);
};

const round = (value: number): string => String(Math.round(value * 10) / 10);

interface Frame {
	readonly x: (atMs: number) => number;
	readonly y: (rttMs: number) => number;
	readonly topMs: number;
}

const frameOf = (samples: readonly HeartbeatSample[]): Frame => {
	const endMs = samples.at(-1)?.atMs ?? 0;
	const all = samples.flatMap(({ links }) => Object.values(links).map(({ rttMs }) => rttMs ?? 0));
	const topMs = niceCeiling(Math.max(0.1, ...all));
	return {
		topMs,
		x: (atMs) => left + ((width - left) * (spanMs - (endMs - atMs))) / spanMs,
		y: (rttMs) => plotTop + plotHeight * (1 - rttMs / topMs),
	};
};

/** One path with a gap wherever nothing was measured. */
const lineOf = (samples: readonly HeartbeatSample[], link: string, { x, y }: Frame): string => {
	let drawing = false;
	return samples
		.flatMap(({ atMs, links }) => {
			const rttMs = links[link]?.rttMs ?? null;
			if (rttMs === null) {
				drawing = false;
				return [];
			}
			const point = `${drawing ? 'L' : 'M'}${round(x(atMs))} ${round(y(rttMs))}`;
			drawing = true;
			return [point];
		})
		.join('');
};

/** The stretches in which a link was silent. */
const silencesOf = (
	samples: readonly HeartbeatSample[],
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

const label = (x: number, y: number, anchor: string, text: string): Element =>
	element('text', { x: round(x), y: round(y), 'text-anchor': anchor }, text);

const grid = (topMs: number): readonly Element[] =>
	[0, 0.5, 1].flatMap((share) => {
		const y = plotTop + plotHeight * (1 - share);
		return [
			element('line', {
				class: 'grid',
				x1: String(left),
				x2: String(width),
				y1: round(y),
				y2: round(y),
			}),
			label(left - 6, y + 4, 'end', `${round(topMs * share)} ms`),
		];
	});

const bandsOf = (
	samples: readonly HeartbeatSample[],
	names: readonly string[],
	{ x }: Frame,
): readonly Element[] =>
	names.flatMap((link, index) => {
		const y = plotTop + plotHeight + 8 + index * (bandHeight + 4);
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

const legendOf = (status: Status, samples: readonly HeartbeatSample[]): Element =>
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
export const heartbeatSection = (status: Status, samples: readonly HeartbeatSample[]): Element => {
	const names = status.links.map(({ link }) => link);
	const frame = frameOf(samples);
	const height = plotTop + plotHeight + 8 + names.length * (bandHeight + 4) + 16;
	const { worstBeatGapMs, worstSendGapMs } = status.heartbeat;
	const lines: readonly Maybe[] = names.map((link, index) =>
		element('path', { class: `line link${index % 4}`, d: lineOf(samples, link, frame) }),
	);
	return element(
		'section',
		{ 'aria-labelledby': 'heartbeats' },
		element('h2', { id: 'heartbeats' }, 'Heartbeats'),
		element(
			'svg',
			{
				viewBox: `0 0 ${width} ${height}`,
				role: 'img',
				'aria-label': `Round trips of the beats in the last ${span(spanMs)}; the list below says the same in words`,
			},
			...grid(frame.topMs),
			...bandsOf(samples, names, frame),
			...lines,
			label(left, height - 2, 'start', `${span(spanMs)} ago`),
			label(width, height - 2, 'end', 'now'),
		),
		legendOf(status, samples),
		element(
			'p',
			{ class: 'dim' },
			`Longest gap between two beats of ${status.peer} since the agent started ${span(status.agent.uptimeMs)} ago: ${span(worstBeatGapMs)}; between two rounds of own beats: ${span(worstSendGapMs)}.`,
		),
	);
};
