import { createContext, runInContext } from 'node:vm';
import test from 'ava';
import { patchTree, runPage } from '#src/web/client.ts';
import { script } from '#src/web/document.ts';
import type { PageView } from '#src/web/page.ts';
import { element, type Content } from '#src/web/tree.ts';
import { ElementNode, pageDom } from '#test/web/dom.ts';

const html = 'http://www.w3.org/1999/xhtml';

const view = (content: readonly Content[]): PageView => ({
	title: 'HOLDING',
	self: 'north',
	peer: 'south',
	at: '03:12:09',
	content,
});

test('the document becomes what was sent, and what stayed the same is not touched', (t) => {
	const document = pageDom();
	const { page } = document;
	const row = (text: string) => element('p', {}, text);
	const first = [row('one'), row('two'), element('ul', { class: 'a' }, element('li', {}, 'x'))];
	patchTree(document, page, first, html);
	t.deepEqual(page.content(), first);
	const kept = page.childNodes[0];
	const list = page.childNodes[2];
	const second = [row('one'), element('div', {}, 'other'), element('ul', { id: 'b' })];
	patchTree(document, page, second, html);
	t.deepEqual(page.content(), second);
	t.is(page.childNodes[0], kept);
	t.is(page.childNodes[2], list);
	const text = kept instanceof ElementNode ? kept.childNodes[0] : undefined;
	t.is(text !== undefined && 'changes' in text ? text.changes : null, 0);
	patchTree(document, page, [], html);
	t.deepEqual(page.content(), []);
});

test('what is drawn is made as a drawing, what stands beside it as text of the page', (t) => {
	const document = pageDom();
	const drawing = element('svg', {}, element('text', { x: '1' }, 'a'));
	patchTree(document, document.page, [drawing, element('p', {}, 'b')], html);
	const [svg, paragraph] = document.page.childNodes as ElementNode[];
	t.is(svg?.space, 'http://www.w3.org/2000/svg');
	const label = svg?.childNodes[0];
	t.is(label instanceof ElementNode ? label.space : '', 'http://www.w3.org/2000/svg');
	t.is(paragraph?.space, html);
});

/** The page's script with a clock and a stream of the test. */
const started = () => {
	const document = pageDom();
	const streams: {
		readyState: number;
		onmessage: ((event: { data: string }) => void) | null;
		closed: boolean;
	}[] = [];
	let nowMs = 0;
	let task = (): void => {};
	runPage(
		{
			document,
			nowMs: () => nowMs,
			every: (_periodMs, each) => {
				task = each;
			},
			events: () => {
				const stream = { readyState: 1, onmessage: null, closed: false };
				streams.push(stream);
				return Object.assign(stream, {
					close: () => {
						stream.closed = true;
					},
				});
			},
		},
		patchTree,
		{ self: 'north', peer: 'south', at: '03:00:00' },
	);
	return {
		document,
		streams,
		text: (id: string) => document.getElementById(id)?.textContent ?? '',
		pass: (ms: number) => {
			for (let passed = 0; passed < ms; passed += 1000) {
				nowMs += 1000;
				task();
			}
		},
		tell: (news: PageView) => streams.at(-1)?.onmessage?.({ data: JSON.stringify(news) }),
	};
};

test('news are shown, and the page says that it is live', (t) => {
	const { document, text, tell } = started();
	tell(view([element('h1', {}, 'HOLDING')]));
	t.is(document.title, 'HOLDING');
	t.is(document.page.textContent, 'HOLDING');
	t.is(text('news'), 'live from north');
	t.is(text('age'), '03:12:09');
	t.is(document.body.className, 'live');
});

test('a page without news keeps the last state, says how old it is and where to look', (t) => {
	const { document, text, tell, pass } = started();
	tell(view([element('h1', {}, 'PROTECTED')]));
	pass(5000);
	t.is(document.body.className, 'live');
	pass(1000);
	t.is(document.body.className, 'stale');
	t.is(text('news'), 'NOT LIVE: north says nothing any more');
	t.regex(
		text('age'),
		/^Everything below is 6 s old, from 03:12:09\..*page of south.*vmpair status/,
	);
	t.is(document.page.textContent, 'PROTECTED');
	pass(300_000);
	t.regex(text('age'), /5 min old/);
	tell(view([element('h1', {}, 'DEGRADED')]));
	t.is(document.body.className, 'live');
	t.is(document.page.textContent, 'DEGRADED');
});

test('a stream that says nothing is opened again every few seconds, and one that speaks is left alone', (t) => {
	const { streams, pass, tell } = started();
	for (let round = 0; round < 20; round += 1) {
		tell(view([]));
		pass(1000);
	}
	t.is(streams.length, 1);
	pass(60_000);
	t.true(streams.length >= 8 && streams.length <= 13, `${streams.length} streams`);
	t.true(streams.slice(0, -1).every(({ closed }) => closed));
});

test('the script that is sent stands on its own: it needs nothing but what a browser has', (t) => {
	const document = pageDom();
	document.page.setAttribute('data-self', 'north');
	document.page.setAttribute('data-peer', 'south');
	document.page.setAttribute('data-at', 'now');
	const opened: string[] = [];
	const streams: EventSource[] = [];
	class EventSource {
		readonly readyState = 1;
		onmessage: ((event: { data: string }) => void) | null = null;
		constructor(url: string) {
			opened.push(url);
			streams.push(this);
		}
		close(): void {}
	}
	const context = createContext({
		document,
		EventSource,
		performance: { now: () => 0 },
		setInterval: () => 1,
	});
	runInContext(script, context);
	t.deepEqual(opened, ['events']);
	streams[0]?.onmessage?.({ data: JSON.stringify(view([element('h1', {}, '<b>DEGRADED</b>')])) });
	t.is(document.page.textContent, '<b>DEGRADED</b>');
	t.is(document.getElementById('news')?.textContent, 'live from north');
	t.notRegex(script, /innerHTML|insertAdjacent|document\.write|eval\(/);
});
