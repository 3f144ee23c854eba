/** Text for people: ages, colours and tables. Pure, so that tests and the demo show the same. */

export type Tone = 'good' | 'warn' | 'bad' | 'dim' | 'strong' | 'plain';

const codes: Readonly<Record<Tone, string>> = {
	good: '32',
	warn: '33',
	bad: '1;31',
	dim: '2',
	strong: '1',
	plain: '',
};

/** `text` in a tone's colour; as it is when `colour` is false. Colour never says anything that the text does not. */
export const paint = (text: string, tone: Tone, colour: boolean): string =>
	colour && codes[tone] !== '' && text !== '' ? `\u001b[${codes[tone]}m${text}\u001b[0m` : text;

export interface Cell {
	readonly text: string;
	readonly tone: Tone;
}

export const cell = (text: string, tone: Tone = 'plain'): Cell => ({ text, tone });

export interface Column {
	readonly title: string;
	/** Dropped in this order while the table is wider than the terminal, lowest first; 0 is never dropped. */
	readonly shed: number;
}

const gap = 2;

const widths = (columns: readonly Column[], rows: readonly (readonly Cell[])[]): number[] =>
	columns.map((column, index) =>
		Math.max(column.title.length, ...rows.map((row) => row[index]?.text.length ?? 0)),
	);

const total = (sizes: readonly number[]): number =>
	sizes.reduce((sum, size) => sum + size, 0) + gap * (sizes.length - 1);

/** Lines of a table that fits into `columnsMax`, with its header; columns are shed by their order. */
export const table = (
	columns: readonly Column[],
	rows: readonly (readonly Cell[])[],
	columnsMax: number,
	colour: boolean,
): string[] => {
	const sizes = widths(columns, rows);
	const candidates = columns.filter((column) => column.shed > 0).map((column) => column.shed);
	if (total(sizes) > columnsMax && candidates.length > 0) {
		const first = Math.min(...candidates);
		const kept = columns
			.map((column, index) => ({ column, index }))
			.filter(({ column }) => column.shed !== first);
		return table(
			kept.map(({ column }) => column),
			rows.map((row) => kept.map(({ index }) => row[index] ?? cell(''))),
			columnsMax,
			colour,
		);
	}
	const line = (cells: readonly Cell[]): string =>
		cells
			.map(({ text, tone }, index) => {
				const padding =
					index === cells.length - 1 ? '' : ' '.repeat((sizes[index] ?? 0) - text.length + gap);
				return paint(text, tone, colour) + padding;
			})
			.join('');
	return [line(columns.map((column) => cell(column.title, 'dim'))), ...rows.map(line)];
};

/** A space, but not the one between a number and its unit. */
const breakable = / (?!(?<=\d )(?:ms|s|min|h|d|MiB|%)(?![A-Za-z]))/;

/** Breaks a sentence at spaces into lines of at most `columnsMax`, each with `indent` in front. */
export const wrap = (sentence: string, columnsMax: number, indent = ''): string[] => {
	const width = Math.max(20, columnsMax - indent.length);
	const lines: string[] = [];
	let line = '';
	for (const word of sentence.split(breakable)) {
		if (line !== '' && line.length + 1 + word.length > width) {
			lines.push(indent + line);
			line = word;
		} else {
			line = line === '' ? word : `${line} ${word}`;
		}
	}
	return [...lines, indent + line];
};

/** `text` with the file of every runbook page that it names: what a person can open at once. */
export const withPages = (text: string, documents: string): string =>
	text.replaceAll(
		/\bthe runbook ([a-z0-9-]+)/g,
		(_, page: string) => `${documents}/runbook/${page}.md`,
	);
