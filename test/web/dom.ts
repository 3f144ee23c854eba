import type { DomDocument, DomElement } from '#src/web/client.ts';
import type { Content } from '#src/web/tree.ts';

/** As much of a document as the page's script touches, kept as plain data. */

class TextNode {
	readonly nodeType = 3;
	textContent: string | null;
	/** How often it was set. */
	changes = 0;
	#text: string;

	constructor(text: string) {
		this.#text = text;
		this.textContent = text;
		Object.defineProperty(this, 'textContent', {
			get: () => this.#text,
			set: (value: string) => {
				this.#text = value;
				this.changes += 1;
			},
		});
	}
}

type Child = TextNode | ElementNode;

export class ElementNode implements DomElement {
	readonly nodeType = 1;
	readonly space: string;
	readonly localName: string;
	readonly childNodes: Child[] = [];
	readonly #attributes = new Map<string, string>();

	constructor(space: string, tag: string) {
		this.space = space;
		this.localName = tag;
	}

	get className(): string {
		return this.getAttribute('class') ?? '';
	}

	set className(value: string) {
		this.setAttribute('class', value);
	}

	get lastChild(): Child | null {
		return this.childNodes.at(-1) ?? null;
	}

	get textContent(): string {
		return this.childNodes.map(({ textContent }) => textContent ?? '').join('');
	}

	set textContent(text: string | null) {
		this.childNodes.splice(0, this.childNodes.length, new TextNode(text ?? ''));
	}

	/** As the browser gives `data-` attributes. */
	get dataset(): Record<string, string> {
		return Object.fromEntries(
			[...this.#attributes].map(([name, value]) => [name.replace(/^data-/, ''), value]),
		);
	}

	getAttributeNames(): readonly string[] {
		return [...this.#attributes.keys()];
	}

	getAttribute(name: string): string | null {
		return this.#attributes.get(name) ?? null;
	}

	setAttribute(name: string, value: string): void {
		this.#attributes.set(name, value);
	}

	removeAttribute(name: string): void {
		this.#attributes.delete(name);
	}

	appendChild(node: Child): void {
		this.childNodes.push(node);
	}

	replaceChild(node: Child, old: Child): void {
		this.childNodes[this.childNodes.indexOf(old)] = node;
	}

	removeChild(node: Child): void {
		this.childNodes.splice(this.childNodes.indexOf(node), 1);
	}

	/** What stands in it, as the agent would send it. */
	content(): readonly Content[] {
		return this.childNodes.map((node) =>
			node instanceof TextNode
				? (node.textContent ?? '')
				: {
						tag: node.localName,
						attributes: Object.fromEntries(node.#attributes),
						children: node.content(),
					},
		);
	}
}

const html = 'http://www.w3.org/1999/xhtml';

/** The document as it is delivered: a line that says whether it is live, and a place for the content. */
export const pageDom = (): DomDocument & {
	readonly page: ElementNode;
	readonly body: ElementNode;
} => {
	const ids = new Map(
		['news', 'age', 'page'].map((id) => [id, new ElementNode(html, 'div')] as const),
	);
	const page = ids.get('page');
	if (page === undefined) throw new Error('there is no place for the page');
	return {
		title: '',
		page,
		body: new ElementNode(html, 'body'),
		getElementById: (id) => ids.get(id) ?? null,
		createElementNS: (space, tag) => new ElementNode(space, tag),
		createTextNode: (text) => new TextNode(text),
	};
};
