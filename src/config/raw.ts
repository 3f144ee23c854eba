import type { Path } from '#src/config/source.ts';
import { nearest } from '#src/config/suggest.ts';

/** Reading the raw values of the file: whatever has the wrong shape is passed over. */

type Mapping = Readonly<Record<string, unknown>>;
export type Report = (path: Path, message: string, onKey?: boolean) => void;

export const mapping = (value: unknown): Mapping =>
	typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Mapping) : {};

export const items = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

export const get = (value: unknown, ...keys: readonly string[]): unknown => {
	let here = value;
	for (const key of keys) {
		const level = mapping(here);
		here = Object.hasOwn(level, key) ? level[key] : undefined;
	}
	return here;
};

export const texts = (value: unknown): readonly string[] =>
	items(value).filter((each) => typeof each === 'string');

export const portOf = (value: unknown, standard: number): number => {
	const port = get(value, 'port');
	return typeof port === 'number' ? port : standard;
};

export const quoted = (names: readonly string[]): string => names.join(' or ');

export const oneOf = (written: string, known: readonly string[], what: string): string => {
	const meant = nearest(written, known);
	const end = meant === null ? '' : `; "${meant}" was probably meant`;
	return known.length === 0 || known.length > 12
		? `expected ${what}, found "${written}"${end}`
		: `expected ${what} (${quoted(known)}), found "${written}"${end}`;
};

/** Reports every value that was seen before, with the place of the first one. */
export const unique = (
	report: Report,
	entries: readonly (readonly [Path, unknown])[],
	message: (value: string, first: Path) => string,
): void => {
	const seen = new Map<string, Path>();
	for (const [path, value] of entries) {
		if (typeof value !== 'string') continue;
		const first = seen.get(value);
		if (first === undefined) seen.set(value, path);
		else report(path, message(value, first));
	}
};
