/**
 * The syntax of `xl.cfg` (tools/libs/util/libxlu_cfg_l.l and _y.y): `key = value` or `key += value`, one per line or
 * parted by `;`. A value is a number, a quoted string without escapes, or a list of values in brackets, which
 * may go on over lines. `#` starts a comment.
 */

type XlValue = string | readonly XlValue[];

export interface XlSetting {
	readonly key: string;
	readonly value: XlValue;
	/** Of the key, counted from 1. */
	readonly line: number;
	/** Lines of the elements when the value is a list. */
	readonly elementLines: readonly number[];
}

export interface XlMistake {
	readonly line: number;
	readonly message: string;
}

interface Token {
	readonly kind: 'key' | 'text' | 'mark' | 'end-of-line' | 'mistake';
	readonly text: string;
	readonly line: number;
}

const tokenForms: readonly (readonly [Token['kind'] | 'blank', RegExp])[] = [
	['blank', /[ \t\r]+|#[^\n]*/y],
	['end-of-line', /\n|;/y],
	['key', /[a-z][_0-9a-z]*/y],
	['text', /[0-9][0-9a-fx]*|'[^'\n]*'|"[^"\n]*"/y],
	['mark', /\+=|[=[\],]/y],
	['mistake', /[^\n]+/y],
];

const unquoted = (text: string): string => (/^['"]/.test(text) ? text.slice(1, -1) : text);

const tokensOf = (text: string): readonly Token[] => {
	const tokens: Token[] = [];
	let at = 0;
	let line = 1;
	while (at < text.length) {
		for (const [kind, form] of tokenForms) {
			form.lastIndex = at;
			const found = form.exec(text)?.[0];
			if (found === undefined) continue;
			if (kind !== 'blank') {
				tokens.push({ kind, text: kind === 'text' ? unquoted(found) : found, line });
			}
			if (found === '\n') line += 1;
			at += found.length;
			break;
		}
	}
	return [...tokens, { kind: 'end-of-line', text: '', line }];
};

/** Lists within lists are legal; more than this is no configuration. */
const depthMax = 8;

/** Where the reading of a file stands. */
interface Cursor {
	readonly tokens: readonly Token[];
	at: number;
	readonly settings: XlSetting[];
	readonly mistakes: XlMistake[];
}

const here = (cursor: Cursor): Token | undefined => cursor.tokens[cursor.at];

const isMark = (cursor: Cursor, text: string): boolean => {
	const token = here(cursor);
	return token?.kind === 'mark' && token.text === text;
};

/** Notes a mistake and goes on after the end of its line. */
const mistake = (cursor: Cursor, expected: string): null => {
	const token = here(cursor);
	const found =
		token === undefined || token.kind === 'end-of-line' ? 'the end of the line' : `"${token.text}"`;
	cursor.mistakes.push({ line: token?.line ?? 1, message: `expected ${expected}, found ${found}` });
	while (cursor.at < cursor.tokens.length && here(cursor)?.kind !== 'end-of-line') cursor.at += 1;
	return null;
};

const readSetting = (cursor: Cursor): void => {
	const key = here(cursor);
	if (key?.kind !== 'key') return void mistake(cursor, 'a key');
	cursor.at += 1;
	const appends = isMark(cursor, '+=');
	if (!appends && !isMark(cursor, '=')) return void mistake(cursor, `"=" after ${key.text}`);
	cursor.at += 1;
	const elementLines: number[] = [];
	const value = readValue(cursor, 0, elementLines);
	if (value === null) return;
	if (here(cursor)?.kind !== 'end-of-line') return void mistake(cursor, 'the end of the line');
	store(cursor.settings, { key: key.text, value, line: key.line, elementLines }, appends);
};

/** The last assignment of a key counts, as in xl. */
const store = (settings: XlSetting[], setting: XlSetting, appends: boolean): void => {
	const index = settings.findIndex((each) => each.key === setting.key);
	const earlier = settings[index];
	if (earlier === undefined) settings.push(setting);
	else settings[index] = appends ? joined(earlier, setting) : setting;
};

/** Null is a mistake, noted already. */
const readValue = (cursor: Cursor, depth: number, elementLines: number[]): XlValue | null => {
	const token = here(cursor);
	if (token?.kind === 'text') {
		cursor.at += 1;
		return token.text;
	}
	if (!isMark(cursor, '[') || depth >= depthMax) {
		return mistake(cursor, 'a number, a string in quotes or a list');
	}
	cursor.at += 1;
	return readList(cursor, depth, elementLines);
};

const readList = (cursor: Cursor, depth: number, elementLines: number[]): XlValue | null => {
	const values: XlValue[] = [];
	skipLines(cursor);
	while (!isMark(cursor, ']')) {
		elementLines.push(here(cursor)?.line ?? 1);
		const value = readValue(cursor, depth + 1, []);
		if (value === null) return null;
		values.push(value);
		skipLines(cursor);
		if (isMark(cursor, ',')) cursor.at += 1;
		else if (!isMark(cursor, ']')) return mistake(cursor, '"," or "]" in a list');
		skipLines(cursor);
	}
	cursor.at += 1;
	return values;
};

const skipLines = (cursor: Cursor): void => {
	while (here(cursor)?.text === '\n') cursor.at += 1;
};

const joined = (earlier: XlSetting, later: XlSetting): XlSetting => {
	const value =
		typeof earlier.value === 'string' && typeof later.value === 'string'
			? earlier.value + later.value
			: [...listOf(earlier.value), ...listOf(later.value)];
	return { ...later, value, elementLines: [...linesOf(earlier), ...linesOf(later)] };
};

const listOf = (value: XlValue): readonly XlValue[] =>
	typeof value === 'string' ? [value] : value;

const linesOf = (setting: XlSetting): readonly number[] =>
	typeof setting.value === 'string' ? [setting.line] : setting.elementLines;

/** No configuration of a VM comes near this. */
const charactersMax = 262_144;

/** Reads the text of an `xl.cfg` file. Never throws; what is not understood is in `mistakes`. */
export const parseXlSettings = (
	text: string,
): { readonly settings: readonly XlSetting[]; readonly mistakes: readonly XlMistake[] } => {
	if (text.length > charactersMax) {
		const message = `the file has more than ${charactersMax} characters`;
		return { settings: [], mistakes: [{ line: 1, message }] };
	}
	const cursor: Cursor = { tokens: tokensOf(text), at: 0, settings: [], mistakes: [] };
	while (cursor.at < cursor.tokens.length) {
		if (here(cursor)?.kind === 'end-of-line') cursor.at += 1;
		else readSetting(cursor);
	}
	return { settings: cursor.settings, mistakes: cursor.mistakes };
};
