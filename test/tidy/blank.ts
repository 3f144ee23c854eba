/**
 * A scanner that knows just enough TypeScript to tell code from comments, strings, templates and
 * regular expressions. It is the project's own on purpose: a linter that quietly looks at nothing
 * must not be the only one to look.
 */
interface Cursor {
	readonly text: string;
	at: number;
	/** Same length as `text`: code kept, everything else blank, line ends kept. */
	code: string;
	/** Same length as `text`: comments kept, everything else blank. */
	comments: string;
}

export interface Blanked {
	readonly code: string;
	readonly comments: string;
}

const blankOf = (text: string): string => text.replaceAll(/[^\n]/g, ' ');

const takeCode = (cursor: Cursor, length: number): void => {
	const piece = cursor.text.slice(cursor.at, cursor.at + length);
	cursor.code += piece;
	cursor.comments += blankOf(piece);
	cursor.at += length;
};

const takeComment = (cursor: Cursor, length: number): void => {
	const piece = cursor.text.slice(cursor.at, cursor.at + length);
	cursor.code += blankOf(piece);
	cursor.comments += piece;
	cursor.at += length;
};

const takeLiteral = (cursor: Cursor, length: number): void => {
	const blank = blankOf(cursor.text.slice(cursor.at, cursor.at + length));
	cursor.code += blank;
	cursor.comments += blank;
	cursor.at += length;
};

/** Length from the cursor to just behind `end`, or to the end of the text. */
const lengthTo = (cursor: Cursor, end: string): number => {
	const found = cursor.text.indexOf(end, cursor.at);
	return (found === -1 ? cursor.text.length : found + end.length) - cursor.at;
};

const quotedLength = (cursor: Cursor): number => {
	const quote = cursor.text[cursor.at];
	let end = cursor.at + 1;
	while (end < cursor.text.length && cursor.text[end] !== quote) {
		end += cursor.text[end] === '\\' ? 2 : 1;
	}
	return end + 1 - cursor.at;
};

/** Length of a regular expression, or 0 when the slash is a division. */
const regexLength = (cursor: Cursor): number => {
	if (!/(^|[(,=:[!&|?{};+>]|\breturn)\s*$/.test(cursor.code)) return 0;
	const match = /^\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\/[a-z]*/.exec(
		cursor.text.slice(cursor.at),
	);
	return match === null ? 0 : match[0].length;
};

const takeTemplate = (cursor: Cursor): void => {
	takeLiteral(cursor, 1);
	while (cursor.at < cursor.text.length) {
		if (cursor.text[cursor.at] === '`') return takeLiteral(cursor, 1);
		if (cursor.text.startsWith('${', cursor.at)) {
			takeCode(cursor, 2);
			takeUntil(cursor, '}');
			takeCode(cursor, 1);
		} else {
			takeLiteral(cursor, cursor.text[cursor.at] === '\\' ? 2 : 1);
		}
	}
};

/** Takes tokens up to an unpaired `end`, or to the end of the text. */
function takeUntil(cursor: Cursor, end: '}' | null): void {
	let depth = 0;
	while (cursor.at < cursor.text.length) {
		const character = cursor.text[cursor.at];
		if (cursor.text.startsWith('//', cursor.at)) {
			takeComment(cursor, lengthTo(cursor, '\n'));
		} else if (cursor.text.startsWith('/*', cursor.at)) {
			takeComment(cursor, lengthTo(cursor, '*/'));
		} else if (character === "'" || character === '"') {
			takeLiteral(cursor, quotedLength(cursor));
		} else if (character === '`') {
			takeTemplate(cursor);
		} else if (character === '/' && regexLength(cursor) > 0) {
			takeLiteral(cursor, regexLength(cursor));
		} else {
			if (character === '{') depth += 1;
			if (character === '}') {
				if (depth === 0 && end !== null) return;
				depth -= 1;
			}
			takeCode(cursor, 1);
		}
	}
}

/** Splits TypeScript into code and comments, each of the text's own length. */
export const blank = (text: string): Blanked => {
	const cursor: Cursor = { text, at: 0, code: '', comments: '' };
	takeUntil(cursor, null);
	return { code: cursor.code, comments: cursor.comments };
};
