import test from 'ava';
import type { HistoryEntry, HostView, Status } from '#src/api/view.ts';
import { pageDocument } from '#src/web/document.ts';
import { pageOf, type PageFacts, type PageView } from '#src/web/page.ts';
import { samplesMax, sampleMs, withSample, type PageSample } from '#src/web/samples.ts';
import { noTimeline, withEntry } from '#src/store/timeline.ts';
import { element, toHtml, type Content, type Element } from '#src/web/tree.ts';
import { exampleStatus, exampleVm } from '#test/cli/example.ts';
import { burdened, condition, fullStatus } from '#test/web/example.ts';

const page = (status: Status, more: Partial<PageFacts> = {}): PageView =>
	pageOf({
		status,
		samples: [],
		timeline: noTimeline,
		history: [],
		nowMs: 0,
		clock: (at) => `<${at}>`,
		...more,
	});

const textOf = (content: Content): string =>
	typeof content === 'string' ? content : content.children.map(textOf).join('|');

const text = (view: PageView): string => view.content.map(textOf).join('\n');

const all = (content: readonly Content[]): readonly Element[] =>
	content.flatMap((each) => (typeof each === 'string' ? [] : [each, ...all(each.children)]));

test('the verdict comes first, with its reason and the next step', (t) => {
	const view = page(
		fullStatus({
			verdict: 'failing-over',
			reason: 'ldap is being started',
			next: 'vmpair status -w',
		}),
	);
	const [first] = view.content;
	t.is(
		textOf(first ?? ''),
		'FAILING OVER|pair pair1, seen from north|ldap is being started|Next: |vmpair status -w',
	);
	t.is(view.title, 'FAILING OVER · pair1 · north');
});

test('who disarmed the pair, when and why stands under the verdict, and no time that there is not', (t) => {
	const armed = { armed: false, by: 'anna', reason: 'switch firmware', at: '03:00' };
	t.regex(text(page(fullStatus({ armed }))), /disarmed by anna at <03:00>: switch firmware/);
	const never = { armed: false, by: 'vmpair', reason: 'never armed', at: '' };
	t.regex(text(page(fullStatus({ armed: never }))), /disarmed by vmpair: never armed/);
});

test('everything that is wrong has its next step and its page of the runbook', (t) => {
	const shown = text(page(fullStatus({ preflight: ['no watchdog'], advice: ['a second link'] })));
	t.regex(
		shown,
		/critical\| south is out \(power-off\): nothing protects north now \(60 s\)\|next: repair south/,
	);
	t.regex(shown, /runbook: peer-out/);
	t.regex(shown, /no watchdog\|runbook: preflight/);
	t.regex(shown, /alerts do not reach on-call, 2 wait/);
	t.regex(shown, /samba: the copy on south is being made equal\|next: wait for the resync/);
	t.regex(shown, /advice: a second link/);
	t.regex(text(page(exampleStatus([]))), /What is wrong\|Nothing\./);
});

test('a VM shows where it is, its disks, whether it would run again, and how far a resync is', (t) => {
	const view = page(fullStatus());
	const shown = text(view);
	t.regex(
		shown,
		/ldap\|running\|north\|running\|north \|UpToDate\|south \|UpToDate\|ready\| on south\|12 d/,
	);
	t.regex(
		shown,
		/resync 25%, 2 MiB still to be copied\|NOT READY\|the copy on south is being made equal/,
	);
	const [progress] = all(view.content).filter(({ tag }) => tag === 'progress');
	t.is(progress?.attributes['value'], '25.0');
});

test('what was seen too long ago is a question with its age, never the present', (t) => {
	const { sights } = exampleVm('ldap');
	const old = sights.map((sight) => ({ ...sight, ageMs: 90_000 }));
	t.regex(
		text(page(exampleStatus([exampleVm('ldap', { sights: old })]))),
		/UpToDate\? \(90 s ago\)/,
	);
	const never = sights.map((sight) => ({ ...sight, disk: null, ageMs: null }));
	t.regex(text(page(exampleStatus([exampleVm('ldap', { sights: never })]))), /south \|unknown/);
});

test('a link that is silent is a band of its own in the chart, and so in the words below', (t) => {
	let samples: readonly PageSample[] = [];
	for (let index = 0; index < 400; index += 1) {
		const silent = index >= 350 && index < 360;
		const links = exampleStatus([]).links.map((link) =>
			silent && link.link === 'replication' ? { ...link, state: 'silent' as const } : link,
		);
		samples = withSample(samples, { links, hosts: [] }, index * sampleMs);
	}
	t.is(samples.length, samplesMax);
	const view = page(exampleStatus([]), { samples });
	const shapes = all(view.content);
	t.is(shapes.filter(({ attributes }) => attributes['class'] === 'silent').length, 1);
	const lines = shapes.filter(({ attributes }) => attributes['class']?.startsWith('line '));
	t.is(lines.length, 2);
	const strokes = lines.map(({ attributes }) => attributes['d']?.match(/M/g)?.length);
	t.deepEqual(strokes, [1, 2]);
	t.regex(text(view), /replication: 0\.3 ms now, at most 0\.3 ms, silent for 20 s of it/);
	for (const { attributes } of shapes)
		for (const value of Object.values(attributes)) t.notRegex(value, /NaN|Infinity|undefined/);
});

test('load is a line for each kind and host, said in words below, and above its limit it stands out', (t) => {
	let samples: readonly PageSample[] = [];
	for (let index = 0; index < 20; index += 1) {
		const hosts = burdened(exampleStatus([]).hosts).map((host) =>
			index === 10 ? { ...host, load: null } : host,
		);
		samples = withSample(samples, { links: [], hosts }, index * sampleMs);
	}
	const status = fullStatus();
	const balance = { ...status.balance, verdict: 'north is overloaded: cpu 92 % for 5m' };
	const view = page({ ...status, balance }, { samples });
	const figures = all(view.content).filter(({ tag }) => tag === 'figure');
	t.is(figures.length, 2);
	const [north = element('g', {}), south = element('g', {})] = figures;
	const lines = all([north]).filter(({ attributes }) => attributes['class']?.startsWith('line '));
	// A reading that failed is a gap; the network was never read.
	t.deepEqual(
		lines.map(({ attributes }) => attributes['d']?.match(/M/g)?.length ?? 0),
		[2, 2, 2, 2, 0],
	);
	const limits = (figure: Element): number =>
		all([figure]).filter(({ attributes }) => attributes['class'] === 'limit').length;
	t.deepEqual([limits(north), limits(south)], [1, 0]);
	t.regex(textOf(north), /cpu: 92 % now, at most 92 % \|above 85 %/);
	t.regex(textOf(north), /network: not known now \|limit 90 %/);
	t.regex(textOf(south), /cpu: 10 % now, at most 10 % \|limit 85 %/);
	t.regex(text(view), /north is overloaded: cpu 92 % for 5m/);
	t.regex(text(view), /ldap\| 1\.25 CPUs busy, 12\.5 MiB\/s into its memory/);
});

test('each health check shows what it counts as, its words and their age, and what is critical on the peer', (t) => {
	const shown = text(page(fullStatus()));
	t.regex(
		shown,
		/critical\| \|temperature\| CPU1 Temp 96 C\| answered 12 s ago; critical empties the host/,
	);
	t.regex(shown, /not run yet\| \|raid\| answered never/);
	t.regex(shown, /None is critical on south\./);
	const [north, south] = exampleStatus([]).hosts as [HostView, HostView];
	const peer = (critical: string[] | null): string =>
		text(page(exampleStatus([], { hosts: [north, { ...south, critical }] })));
	t.regex(peer(['fan']), /None is configured\.\|Critical on south: fan\./);
	t.regex(peer(null), /What the checks of south say is not known\./);
	t.regex(peer([]), /The load of the hosts is not known\./);
});

test('without any sample the chart is empty and whole', (t) => {
	const shapes = all(page(exampleStatus([], { links: [] })).content);
	for (const { attributes } of shapes)
		for (const value of Object.values(attributes)) t.notRegex(value, /NaN|Infinity|undefined/);
});

const entry = (seq: number, message: string, fields: HistoryEntry['fields']): HistoryEntry => ({
	seq,
	at: `at ${seq}`,
	ms: seq * 1000,
	level: 'warn',
	message,
	fields,
});

test('a failover that goes on shows its phases up to now, a past one what it came to', (t) => {
	const entries = [
		entry(1, 'peer status change', { host: 'south', from: 'online', to: 'suspect', proof: null }),
		entry(2, 'peer status change', {
			host: 'south',
			from: 'suspect',
			to: 'out',
			proof: 'power-off',
		}),
		entry(3, 'takeover', { vm: 'ldap', resource: 'ldap', from: 'south', proof: 'power-off' }),
		entry(4, 'action promote', { subject: 'ldap' }),
		entry(6, 'start issued', { vm: 'ldap' }),
	];
	const timeline = entries.reduce(withEntry, noTimeline);
	const open = text(page(fullStatus(), { timeline, nowMs: 20_000 }));
	t.regex(
		open,
		/<at 1>: south went silent\|\+1\.0 s: it was proven out, its power was read back as off/,
	);
	t.regex(open, /1\.0 s until it was proven out.*4\.0 s until the first disk was Primary here/);
	t.regex(open, /14\.0 s until every VM ran \(goes on\)/);
	t.regex(open, /ldap\|\+2\.0 s\|\+3\.0 s\|\+5\.0 s\|-/);
	const back = withEntry(
		timeline,
		entry(9, 'peer status change', { host: 'south', from: 'out', to: 'online' }),
	);
	t.regex(text(page(fullStatus(), { timeline: back, nowMs: 90_000 })), /it did not come to that/);
	const ended = withEntry(timeline, entry(9, 'VM runs', { vm: 'ldap' }));
	t.regex(
		text(page(fullStatus(), { timeline: ended, nowMs: 90_000 })),
		/3\.0 s until every VM ran\|/,
	);
});

test('the newest entry of the history comes first, with its fields', (t) => {
	const history = [entry(1, 'first', { vm: 'ldap' }), entry(2, 'second', {})];
	t.regex(text(page(fullStatus(), { history })), /<at 2>\| second\|<at 1>\| first\| vm=ldap/);
});

test('what people and hosts are called is text, whatever it looks like', (t) => {
	const nasty = '</script><img src=x onerror=alert(1)>"\'&';
	const status = fullStatus({
		reason: nasty,
		pairId: nasty,
		self: nasty,
		conditions: [condition({ summary: nasty, next: nasty })],
	});
	const html = pageDocument(page(status, { history: [entry(1, nasty, { [nasty]: nasty })] }));
	t.false(html.includes('<img'));
	t.is(html.split('</script>').length, 2);
	t.true(html.includes('&lt;img src=x onerror=alert(1)&gt;&quot;&#39;&amp;'));
});

test('the document is whole without its script: language, title, headings in order, named sections', (t) => {
	const html = pageDocument(page(fullStatus()));
	t.regex(html, /^<!doctype html>\n<html lang="en">/);
	t.regex(html, /<meta name="viewport" content="width=device-width, initial-scale=1">/);
	t.regex(html, /<noscript><meta http-equiv="refresh" content="10"><\/noscript>/);
	t.deepEqual(
		[...html.matchAll(/<h1>(.*?)<\/h1>/g)].map(([, word]) => word),
		['PROTECTED'],
	);
	const labels = [...html.matchAll(/aria-labelledby="(\w+)"/g)].map(([, id]) => id);
	t.deepEqual(labels, ['troubles', 'vms', 'hosts', 'load', 'heartbeats', 'failover', 'history']);
	for (const id of labels) t.true(html.includes(`<h2 id="${id}">`), id);
	for (const [svg] of html.matchAll(/<svg[^>]*>/g)) t.regex(svg, /role="img".*aria-label="[^"]+"/);
	t.regex(html, /<progress aria-label="resync of samba"/);
});

test('texts side by side are one, as a browser reads them back', (t) => {
	t.deepEqual(element('p', {}, 'a', null, '', 'b', element('code', {}), 'c').children, [
		'ab',
		{ tag: 'code', attributes: {}, children: [] },
		'c',
	]);
	t.is(toHtml(element('p', { title: '"' }, 'a & b')), '<p title="&quot;">a &amp; b</p>');
});
