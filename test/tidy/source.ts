import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

/** One file of the project: its path from the top, with `/`, and its text. */
export interface Source {
	readonly path: string;
	readonly text: string;
}

/** Something a reader of the project would trip over. `line` is 1-based, 0 when it concerns the whole file. */
export interface Problem {
	readonly path: string;
	readonly line: number;
	readonly message: string;
}

const top = path.resolve(import.meta.dirname, '../..');
const skipped = new Set(['node_modules', 'dist', 'coverage', '.git', '.vmpair']);

const walk = (folder: string): string[] =>
	readdirSync(path.join(top, folder), { withFileTypes: true }).flatMap((entry) => {
		const child = folder === '' ? entry.name : `${folder}/${entry.name}`;
		if (skipped.has(entry.name)) return [];
		if (entry.isDirectory()) return walk(child);
		return entry.isFile() ? [child] : [];
	});

/** Every path of the project, as it lies on disk. */
export const listPaths = (): string[] => walk('').toSorted();

/** Reads one file of the project. */
export const read = (file: string): Source => ({
	path: file,
	text: readFileSync(path.join(top, file), 'utf8'),
});

const lineAt = (text: string, offset: number): number => text.slice(0, offset).split('\n').length;

/** A problem at an offset of a source. */
export const problemAt = (source: Source, offset: number, message: string): Problem => ({
	path: source.path,
	line: lineAt(source.text, offset),
	message,
});

/** One problem per match of a pattern (with the `g` flag) in `text`, which has the source's length. */
export const problemsOf = (
	source: Source,
	text: string,
	pattern: RegExp,
	message: (match: string) => string,
): Problem[] =>
	[...text.matchAll(pattern)].map((match) => problemAt(source, match.index, message(match[0])));

/** One line per problem, as a compiler prints it. */
export const render = (problems: readonly Problem[]): string =>
	problems.map(({ path: file, line, message }) => `${file}:${line}: ${message}`).join('\n');
