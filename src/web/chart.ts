import { span } from '#src/std/span.ts';
import { sampleMs, samplesMax, type PageSample } from '#src/web/samples.ts';
import { element, type Element } from '#src/web/tree.ts';

/** What the charts of the last ten minutes have in common: one axis of time, a plot with three lines of height. */

/** The whole chart, in the units of its drawing. */
const width = 720;
/** Where the plot begins; the words of the heights stand left of it. */
const left = 60;
const top = 8;
const plotHeight = 120;
/** Where what stands below the plot may begin. */
export const plotEnd = top + plotHeight;
/** How far back a chart goes. */
export const spanMs = sampleMs * samplesMax;

/** Coordinates, to a tenth. */
export const round = (value: number): string => String(Math.round(value * 10) / 10);

/** Where a time and a value are. */
export interface Frame {
	readonly x: (atMs: number) => number;
	readonly y: (value: number) => number;
	/** The value at the upper edge. */
	readonly highest: number;
}

/** The newest sample is at the right edge. */
export const frameOf = (samples: readonly PageSample[], highest: number): Frame => {
	const endMs = samples.at(-1)?.atMs ?? 0;
	return {
		highest,
		x: (atMs) => left + ((width - left) * (spanMs - (endMs - atMs))) / spanMs,
		y: (value) => top + plotHeight * (1 - value / highest),
	};
};

/** One path with a gap wherever nothing was measured. */
export const lineOf = (
	samples: readonly PageSample[],
	valueOf: (sample: PageSample) => number | null,
	{ x, y }: Frame,
): string => {
	let drawing = false;
	return samples
		.flatMap((sample) => {
			const value = valueOf(sample);
			if (value === null) {
				drawing = false;
				return [];
			}
			const point = `${drawing ? 'L' : 'M'}${round(x(sample.atMs))} ${round(y(value))}`;
			drawing = true;
			return [point];
		})
		.join('');
};

const label = (x: number, y: number, anchor: string, text: string): Element =>
	element('text', { x: round(x), y: round(y), 'text-anchor': anchor }, text);

/** A line across the plot. */
export const across = (kind: string, y: number): Element =>
	element('line', {
		class: kind,
		x1: String(left),
		x2: String(width),
		y1: round(y),
		y2: round(y),
	});

/** Lines at nothing, half and all of the height, with their values in words. */
export const grid = ({ y, highest }: Frame, words: (value: number) => string): readonly Element[] =>
	[0, 0.5, 1].flatMap((share) => {
		const at = y(share * highest);
		return [across('grid', at), label(left - 6, at + 4, 'end', words(share * highest))];
	});

/** The chart as a picture with the axis of time below it; `height` has room for that. */
export const chart = (name: string, height: number, ...content: readonly Element[]): Element =>
	element(
		'svg',
		{ viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': name },
		...content,
		label(left, height - 6, 'start', `${span(spanMs)} ago`),
		label(width, height - 6, 'end', 'now'),
	);
