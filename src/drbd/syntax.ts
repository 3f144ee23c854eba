/**
 * The syntax that `drbdadm dump` and `drbdsetup show` print and that DRBD's files are written in:
 * `word word…;` and `word word… { … }`, quoted strings, `#` comments.
 */

/** One statement; `block` is null when it ends with a semicolon. */
export interface Statement {
	readonly words: readonly string[];
	readonly block: readonly Statement[] | null;
}

const token = /\s+|#[^\n]*|"((?:[^"\\]|\\.)*)"|([{};])|([^\s{};"#]+)/y;
const depthMax = 16;

type Token = { readonly kind: 'word' | 'mark'; readonly text: string };

const tokensOf = (text: string): Token[] | null => {
	const tokens: Token[] = [];
	token.lastIndex = 0;
	let position = 0;
	while (position < text.length) {
		token.lastIndex = position;
		const match = token.exec(text);
		if (match === null) return null;
		position = token.lastIndex;
		const [, quoted, mark, bare] = match;
		if (quoted !== undefined) {
			tokens.push({ kind: 'word', text: quoted.replaceAll(/\\(.)/gs, '$1') });
		} else if (mark !== undefined) tokens.push({ kind: 'mark', text: mark });
		else if (bare !== undefined) tokens.push({ kind: 'word', text: bare });
	}
	return tokens;
};

/** The statements of a text; null when it does not follow the syntax. */
export const parseStatements = (text: string): readonly Statement[] | null => {
	const tokens = tokensOf(text);
	if (tokens === null) return null;
	const open: { words: readonly string[]; statements: Statement[] }[] = [
		{ words: [], statements: [] },
	];
	let words: string[] = [];
	for (const { kind, text: written } of tokens) {
		const top = open.at(-1);
		if (top === undefined) return null;
		if (kind === 'word') {
			words.push(written);
			continue;
		}
		if (written === ';') {
			if (words.length > 0) top.statements.push({ words, block: null });
		} else if (written === '{') {
			if (words.length === 0 || open.length > depthMax) return null;
			open.push({ words, statements: [] });
		} else {
			if (words.length > 0 || open.length < 2) return null;
			open.pop();
			open.at(-1)?.statements.push({ words: top.words, block: top.statements });
		}
		words = [];
	}
	const [root] = open;
	return open.length === 1 && words.length === 0 && root !== undefined ? root.statements : null;
};
