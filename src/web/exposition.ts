/** The text format of Prometheus, version 0.0.4, which every scraper reads. */

export type Labels = Readonly<Record<string, string>>;

/** Null is a value that nobody knows: its line is left out, never guessed. */
export type Sample = readonly [labels: Labels, value: number | boolean | null];

export interface Family {
	/** Ends with `_total` when it is a counter. */
	readonly name: string;
	readonly type: 'gauge' | 'counter';
	/** One sentence for the person who looks the name up. */
	readonly help: string;
	readonly samples: readonly Sample[];
}

/** What the answer calls itself. */
export const contentType = 'text/plain; version=0.0.4; charset=utf-8';

const escapedHelp = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');

const escapedValue = (text: string): string => escapedHelp(text).replaceAll('"', '\\"');

const lineOf = (name: string, [labels, value]: Sample): string[] => {
	if (value === null) return [];
	const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escapedValue(text)}"`);
	return [`${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${Number(value)}`];
};

/** The families as one text. One without any sample keeps its two lines of explanation. */
export const exposition = (families: readonly Family[]): string =>
	families
		.flatMap(({ name, type, help, samples }) => [
			`# HELP ${name} ${escapedHelp(help)}`,
			`# TYPE ${name} ${type}`,
			...samples.flatMap((sample) => lineOf(name, sample)),
		])
		.map((line) => `${line}\n`)
		.join('');

/** A gauge with one value and no label. */
export const one = (name: string, help: string, value: Sample[1]): Family => ({
	name,
	type: 'gauge',
	help,
	samples: [[{}, value]],
});

/** A gauge with a value for each combination of labels. */
export const gauge = (name: string, help: string, samples: readonly Sample[]): Family => ({
	name,
	type: 'gauge',
	help,
	samples,
});

/** Something that is counted since the process started. */
export const counter = (name: string, help: string, samples: readonly Sample[]): Family => ({
	name,
	type: 'counter',
	help,
	samples,
});

/** A state as a line for each value it may have: 1 for the one that it has, 0 for the others. */
export const states = (
	labels: Labels,
	key: string,
	values: readonly string[],
	now: string,
): readonly Sample[] => values.map((value) => [{ ...labels, [key]: value }, value === now]);
