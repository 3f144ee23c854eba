/**
 * What a page consists of, as plain data. The agent makes it; the browser only puts it in place, as elements and text.
 * Nothing in it is ever read as HTML by a browser: text is text.
 */

export interface Element {
	readonly tag: string;
	readonly attributes: Readonly<Record<string, string>>;
	readonly children: readonly Content[];
}

export type Content = string | Element;

/** Content that may not be there. */
export type Maybe = Content | null;

type Tag =
	| 'circle'
	| 'code'
	| 'dd'
	| 'div'
	| 'dl'
	| 'dt'
	| 'figcaption'
	| 'figure'
	| 'g'
	| 'h1'
	| 'h2'
	| 'h3'
	| 'header'
	| 'li'
	| 'line'
	| 'ol'
	| 'p'
	| 'path'
	| 'progress'
	| 'rect'
	| 'section'
	| 'span'
	| 'strong'
	| 'svg'
	| 'table'
	| 'tbody'
	| 'td'
	| 'text'
	| 'th'
	| 'thead'
	| 'time'
	| 'title'
	| 'tr'
	| 'ul';

/** Texts side by side become one, as a browser reads them back from HTML. */
const joined = (children: readonly Maybe[]): readonly Content[] => {
	const list: Content[] = [];
	for (const child of children) {
		if (child === null || child === '') continue;
		const last = list.at(-1);
		if (typeof child === 'string' && typeof last === 'string') list[list.length - 1] = last + child;
		else list.push(child);
	}
	return list;
};

export const element = (
	tag: Tag,
	attributes: Element['attributes'],
	...children: readonly Maybe[]
): Element => ({ tag, attributes, children: joined(children) });

const entities: Readonly<Record<string, string>> = {
	'&': '&amp;',
	'<': '&lt;',
	'>': '&gt;',
	'"': '&quot;',
	"'": '&#39;',
};

export const escaped = (text: string): string =>
	text.replaceAll(/[&<>"']/g, (character) => entities[character] ?? '');

/** The HTML of it, for the first answer: the page is whole before any script runs. */
export const toHtml = (content: Content): string => {
	if (typeof content === 'string') return escaped(content);
	const { tag, attributes, children } = content;
	const written = Object.entries(attributes).map(([name, value]) => ` ${name}="${escaped(value)}"`);
	return `<${tag}${written.join('')}>${children.map(toHtml).join('')}</${tag}>`;
};
