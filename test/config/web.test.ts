import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { configChange } from '#src/config/change.ts';
import { readConfigFile } from '#src/config/driver.ts';
import { digestText } from '#src/config/policy.ts';
import { tokenOf } from '#src/config/web.ts';
import { configOf, problemsOf, smallText } from '#test/config/example.ts';

const withWeb = (web: string): string => `${smallText()}web: ${web}\n`;

test('page and metrics are off when nobody asks for them, and on loopback when nothing else is said', (t) => {
	t.is(configOf(smallText()).web, null);
	t.deepEqual(configOf(withWeb('{}')).web, {
		listen: [{ address: '127.0.0.1', port: 7403 }],
		tokenFile: null,
		page: true,
		metrics: true,
	});
});

test('a link stands for the own address of each host, so that the file is the same on both', (t) => {
	const text = withWeb('{listen: [{address: "::1"}, {link: lan, port: 9000}], tokenFile: /t}');
	const on = (host: string) => configOf(text, host).web?.listen;
	t.deepEqual(on('alpha'), [
		{ address: '::1', port: 7403 },
		{ address: '192.0.2.1', port: 9000 },
	]);
	t.deepEqual(on('beta')?.[1], { address: '192.0.2.2', port: 9000 });
	t.is(digestText(configOf(text)), digestText(configOf(smallText())));
});

test('a running agent takes new settings over', (t) => {
	const change = configChange(configOf(smallText()), configOf(withWeb('{}')));
	t.deepEqual(change, { live: ['web'], restart: [] });
});

test('what other machines reach needs a token, and every mistake has its line and remedy', (t) => {
	const line = smallText().split('\n').length;
	const refused = (web: string, message: string) =>
		t.deepEqual(
			problemsOf(withWeb(web)).map((each) => each.replace(/^(f:\d+):\d+/, '$1')),
			[`f:${line}: ${message}`],
		);
	refused(
		'{listen: [{address: 192.0.2.1}]}',
		'web.listen[0].address: expected "tokenFile" beside "listen" for what other machines reach, or the address 127.0.0.1, found "192.0.2.1"',
	);
	refused(
		'{listen: [{link: lan}]}',
		'web.listen[0].link: expected "tokenFile" beside "listen" for what other machines reach, or the address 127.0.0.1, found "lan"',
	);
	refused(
		'{listen: [{address: 0.0.0.0}]}',
		'web.listen[0].address: expected "tokenFile" beside "listen" for what other machines reach, or the address 127.0.0.1, found "0.0.0.0"',
	);
	refused(
		'{listen: [{port: 9000}]}',
		'web.listen[0]: expected either an address or a link, found a mapping',
	);
	refused(
		'{tokenFile: /t, listen: [{link: other}]}',
		'web.listen[0].link: expected one of the links (lan), found "other"',
	);
	refused(
		'{tokenFile: /t, listen: [{link: lan, port: 7400}]}',
		'web.listen[0]: expected a port that heartbeats and live migration leave free, found lan 7400',
	);
	refused(
		'{page: false, metrics: false}',
		'web.page: expected page or metrics to be true, or no section "web", found the boolean false',
	);
	refused('{listen: []}', 'web.listen: expected at least one listener, found an empty list');
	refused(
		'{token: abcdefgh}',
		'web.token: expected tokenFile with the path of a file that holds it, found "token": a secret is never written into this file',
	);
});

test('a token is one line of what a browser and a scraper can send', (t) => {
	t.is(tokenOf('0123456789abcdef\n'), '0123456789abcdef');
	t.is(tokenOf('0123456789abcdef\r\nmore'), '0123456789abcdef');
	for (const text of ['', 'short', '0123456789 abcdef', '0123456789abcdeü', 'a'.repeat(257)])
		t.is(tokenOf(text), null, text);
});

test('the file of the token must be closed to others and hold one that is long enough', async (t) => {
	const folder = await mkdtemp(join(tmpdir(), 'vmpair-web-'));
	t.teardown(() => rm(folder, { recursive: true, force: true }));
	const at = (name: string): string => join(folder, name);
	await writeFile(at('host.key'), 'key', { mode: 0o600 });
	await writeFile(at('host.crt'), 'certificate');
	const tls = `tls: {certificate: ${at('host.crt')}, key: ${at('host.key')}}\n`;
	await writeFile(at('vmpair.yaml'), `${withWeb(`{tokenFile: ${at('web.token')}}`)}${tls}`);
	const found = async (): Promise<string> =>
		(await readConfigFile(at('vmpair.yaml'), { hostName: 'alpha' })).problems
			.map(({ line, path, message }) => `${line} ${path}: ${message}`)
			.join('\n');
	const line = smallText().split('\n').length;
	t.regex(await found(), new RegExp(`^${line} web\\.tokenFile: .*no file.*write a token into it`));
	await writeFile(at('web.token'), 'short\n', { mode: 0o600 });
	t.regex(
		await found(),
		/expected a token of 16 to 256 .*run: openssl rand -hex 24 > \S+web\.token$/,
	);
	t.notRegex(await found(), /short/);
	await writeFile(at('web.token'), '0123456789abcdef\n');
	t.is(await found(), '');
	await chmod(at('web.token'), 0o640);
	t.regex(await found(), /only its owner may read, found mode 640/);
});
