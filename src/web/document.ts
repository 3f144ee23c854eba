import { patchTree, runPage } from '#src/web/client.ts';
import type { PageView } from '#src/web/page.ts';
import { style } from '#src/web/style.ts';
import { escaped, toHtml } from '#src/web/tree.ts';

/** Asks for this many seconds before it looks again, where scripts are off. */
const refreshSeconds = 10;

/**
 * The script of the page. It is the same text for every status: its hash stands in the policy that forbids any other
 * script. What it has to know stands in the document as attributes.
 */
export const script = `'use strict';
const patchTree = ${patchTree.toString()};
const runPage = ${runPage.toString()};
const page = document.getElementById('page');
runPage(
	{
		document,
		nowMs: () => performance.now(),
		every: (periodMs, task) => setInterval(task, periodMs),
		events: () => new EventSource('events'),
	},
	patchTree,
	{ self: page.dataset.self, peer: page.dataset.peer, at: page.dataset.at },
);
`;

const shell = (title: string, head: string, body: string): string =>
	`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<link rel="icon" href="data:,">
${head}<style>${style}</style>
</head>
${body}
</html>
`;

/** The whole page, readable before its script runs and without it. */
export const pageDocument = ({ title, self, peer, at, content }: PageView): string =>
	shell(
		title,
		`<noscript><meta http-equiv="refresh" content="${refreshSeconds}"></noscript>
`,
		`<body class="live">
<div id="status"><p id="news" role="status">as ${escaped(self)} said it</p><p id="age">${escaped(at)}</p></div>
<main id="page" data-self="${escaped(self)}" data-peer="${escaped(peer)}" data-at="${escaped(at)}">${content.map(toHtml).join('')}</main>
<script>${script}</script>
</body>`,
	);

/** Asks for the token. */
export const tokenDocument = (problem: string): string =>
	shell(
		'vmpair',
		'',
		`<body>
<main><form method="get" action="./"><h1>vmpair</h1><p>${escaped(problem)}</p>
<p><label>Token <input type="password" name="token" autocomplete="current-password" required autofocus></label> <button>Show the page</button></p></form></main>
</body>`,
	);

/** Leads on to the page, so that the token does not stay in the address; the next request is one of the page itself. */
export const enteredDocument = (): string =>
	shell(
		'vmpair',
		'<meta http-equiv="refresh" content="0; url=./">\n',
		'<body><main><p>One moment.</p></main></body>',
	);
