import type { PageView } from '#src/web/page.ts';
import type { Content, Element } from '#src/web/tree.ts';

/**
 * What runs in the browser. Each function is sent as its own text (`document.ts`), so it names nothing outside
 * itself but types, and is given the browser instead of reaching for it.
 */

interface DomNode {
	readonly nodeType: number;
	textContent: string | null;
}

export interface DomElement extends DomNode {
	className: string;
	readonly localName: string;
	readonly childNodes: ArrayLike<DomNode>;
	readonly lastChild: DomNode | null;
	getAttributeNames(): readonly string[];
	getAttribute(name: string): string | null;
	setAttribute(name: string, value: string): void;
	removeAttribute(name: string): void;
	appendChild(node: DomNode): void;
	replaceChild(node: DomNode, old: DomNode): void;
	removeChild(node: DomNode): void;
}

export interface DomDocument {
	title: string;
	readonly body: DomElement;
	getElementById(id: string): DomElement | null;
	createElementNS(space: string, tag: string): DomElement;
	createTextNode(text: string): DomNode;
}

interface EventStream {
	readonly readyState: number;
	onmessage: ((event: { readonly data: string }) => void) | null;
	close(): void;
}

export interface Browser {
	readonly document: DomDocument;
	/** Monotonic, ms. */
	readonly nowMs: () => number;
	readonly every: (periodMs: number, task: () => void) => void;
	readonly events: () => EventStream;
}

/**
 * Makes the children of `parent` those of the list and touches only what differs: focus, selection and the place
 * where a person reads stay. Text is set as text, never as HTML.
 */
export const patchTree = (
	document: DomDocument,
	parent: DomElement,
	list: readonly Content[],
	space: string,
): void => {
	const spaceOf = ({ tag }: Element, around: string): string =>
		tag === 'svg' ? 'http://www.w3.org/2000/svg' : around;
	const update = (there: DomElement, node: Element, within: string): void => {
		for (const name of there.getAttributeNames())
			if (!(name in node.attributes)) there.removeAttribute(name);
		for (const [name, value] of Object.entries(node.attributes))
			if (there.getAttribute(name) !== value) there.setAttribute(name, value);
		children(there, node.children, within);
	};
	const make = (node: Content, around: string): DomNode => {
		if (typeof node === 'string') return document.createTextNode(node);
		const within = spaceOf(node, around);
		const made = document.createElementNS(within, node.tag);
		update(made, node, within);
		return made;
	};
	const fits = (there: DomNode, node: Content): boolean =>
		typeof node === 'string'
			? there.nodeType === 3
			: there.nodeType === 1 && (there as DomElement).localName === node.tag;
	const children = (there: DomElement, nodes: readonly Content[], around: string): void => {
		for (const [index, node] of nodes.entries()) {
			const old = there.childNodes[index];
			if (old === undefined) there.appendChild(make(node, around));
			else if (!fits(old, node)) there.replaceChild(make(node, around), old);
			else if (typeof node !== 'string') update(old as DomElement, node, spaceOf(node, around));
			else if (old.textContent !== node) old.textContent = node;
		}
		while (there.childNodes.length > nodes.length && there.lastChild !== null)
			there.removeChild(there.lastChild);
	};
	children(parent, list, space);
};

/**
 * Shows what the agent sends, and says so when it sends nothing any more: the page then keeps the last state, with its
 * age, and is not to be taken for the present. `view` is what the page was delivered with.
 */
export const runPage = (
	{ document, nowMs, every, events }: Browser,
	patch: typeof patchTree,
	view: Pick<PageView, 'self' | 'peer' | 'at'>,
): void => {
	/** News come every second; a page without any for this long is not live. */
	const staleMs = 5000;
	const reopenMs = 5000;
	let last = view;
	let heardMs = nowMs();
	let openedMs = heardMs;
	const set = (id: string, text: string): void => {
		const place = document.getElementById(id);
		if (place !== null && place.textContent !== text) place.textContent = text;
	};
	const age = (ms: number): string => {
		const seconds = Math.floor(ms / 1000);
		if (seconds < 120) return `${seconds} s`;
		return seconds < 7200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
	};
	const tell = (): void => {
		const silentMs = nowMs() - heardMs;
		const stale = silentMs > staleMs;
		if (document.body.className !== (stale ? 'stale' : 'live'))
			document.body.className = stale ? 'stale' : 'live';
		set('news', stale ? `NOT LIVE: ${last.self} says nothing any more` : `live from ${last.self}`);
		set(
			'age',
			stale
				? `Everything below is ${age(silentMs)} old, from ${last.at}. The agent on ${last.self} or the way to it is gone: look at the page of ${last.peer}, or run "vmpair status" on either host.`
				: last.at,
		);
	};
	const open = (): EventStream => {
		openedMs = nowMs();
		const stream = events();
		stream.onmessage = ({ data }) => {
			const news = JSON.parse(data) as PageView;
			const place = document.getElementById('page');
			if (place !== null) patch(document, place, news.content, 'http://www.w3.org/1999/xhtml');
			document.title = news.title;
			last = news;
			heardMs = nowMs();
			tell();
		};
		return stream;
	};
	let stream = open();
	every(1000, () => {
		tell();
		// A stream that is silent or was refused does not come back by itself.
		const silent = nowMs() - Math.max(heardMs, openedMs) > reopenMs;
		if (!silent) return;
		stream.close();
		stream = open();
	});
};
