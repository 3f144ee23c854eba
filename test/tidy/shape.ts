import { blank } from '#test/tidy/blank.ts';
import { type Problem, type Source, problemAt, problemsOf } from '#test/tidy/source.ts';

const functionLinesMax = 70;
const fileLinesMax = 400;
const commentColumnsMax = 120;
const tabColumns = 4;

/** Where the block that opens at `open` ends, or the end of the text. */
const blockEnd = (code: string, open: number): number => {
	let depth = 0;
	for (let at = open; at < code.length; at += 1) {
		if (code[at] === '{') depth += 1;
		if (code[at] === '}') depth -= 1;
		if (depth === 0) return at;
	}
	return code.length;
};

const linesBetween = (code: string, from: number, to: number): number =>
	code.slice(from, to).split('\n').length;

/** A block that is a function's body or stands inside one: no literal, class, interface or import list. */
const isBody = (code: string, open: number): boolean => {
	const before = code.slice(0, open).trimEnd();
	if (!/(=>|[\w$>\])}|])$/.test(before)) return false;
	const head = before.slice(Math.max(...[';', '{', '}'].map((end) => before.lastIndexOf(end))) + 1);
	return !/\b(class|interface|import|export\s*$|type\s+\w+|return\s*$|satisfies)\b/.test(head);
};

/** Functions that do not fit on one page. */
export const checkFunctionLength = (source: Source): Problem[] => {
	const { code } = blank(source.text);
	return [...code.matchAll(/\{/g)].flatMap(({ index }) => {
		if (!isBody(code, index)) return [];
		const lines = linesBetween(code, index, blockEnd(code, index));
		if (lines <= functionLinesMax) return [];
		return [problemAt(source, index, `a function of ${lines} lines, at most ${functionLinesMax}`)];
	});
};

/** Files that are too long, and comments that are too wide (the formatter sees to the code's width). */
export const checkSize = (source: Source): Problem[] => {
	const lines = source.text.split('\n').length - 1;
	const comments = blank(source.text).comments.split('\n');
	return [
		...(lines > fileLinesMax
			? [problemAt(source, 0, `${lines} lines, at most ${fileLinesMax}`)]
			: []),
		...comments.flatMap((comment, index) => {
			const columns = comment.replaceAll('\t', ' '.repeat(tabColumns)).trimEnd().length;
			if (columns <= commentColumnsMax) return [];
			const message = `a comment of ${columns} columns, at most ${commentColumnsMax}`;
			return [{ path: source.path, line: index + 1, message }];
		}),
	];
};

/** One way of exporting: by name, where the thing is made. */
export const checkExports = (source: Source): Problem[] => {
	const { code } = blank(source.text);
	return [
		...problemsOf(source, code, /\bexport\s+default\b/g, () => 'a default export'),
		...problemsOf(
			source,
			code,
			/\bexport\s+(?:type\s+)?(?:\*|\{[^}]*\}\s*from\b)/g,
			() => 'a re-export: import it from where it is made',
		),
	];
};

const unfinished = /\b(?:TODO|FIXME|XXX|HACK)\b/g;

/** Work that was left for later. */
export const checkUnfinished = (source: Source): Problem[] =>
	problemsOf(source, source.text, unfinished, (word) => `${word} marks unfinished work`);

/** Tests that are switched off, or that switch all others off. */
export const checkTestsRun = (source: Source): Problem[] => {
	const { code } = blank(source.text);
	return problemsOf(
		source,
		code,
		/(?:\.only|\btest\.(?:serial\.)?(?:skip|todo|failing))\s*\(/g,
		(call) => `${call}) keeps tests from running`,
	);
};

/** Words the field has left behind; `resource-and-stonith` is a value that DRBD itself still spells so. */
const leftBehind = /(?<!resource-and-)\b(?:slave|stonith|suicide)\b/gi;

/** Names that `docs/glossary.md` says not to use. */
export const checkWords = (source: Source): Problem[] =>
	problemsOf(source, source.text, leftBehind, (word) => `${word}: see docs/glossary.md`);

const workplace =
	/(?<![\w.~-])\/(?:work|farm)\/|\.library\/|before-stop|\bissue \d+\b|\b(?:redteam|mechanics|ecosystem|style)\.md\b|\bM§/gi;

/** Traces of the place the project was written at; it must read the same anywhere. */
export const checkWorkplace = (source: Source): Problem[] =>
	problemsOf(
		source,
		source.text,
		workplace,
		(found) => `${found} means nothing outside this place`,
	);
