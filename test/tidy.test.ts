import { isDeepStrictEqual } from 'node:util';
import test from 'ava';
import { publishedSchemas } from '../deploy/published.ts';
import {
	checkAnchors,
	checkErrorCodes,
	checkLinks,
	checkLock,
	checkRunbook,
	checkStories,
	checkTitle,
	checkVerbs,
	verbsOf,
} from '#test/tidy/docs.ts';
import { checkLayers, checkPurity } from '#test/tidy/layer.ts';
import { checkReach } from '#test/tidy/reach.ts';
import { readmeScreens } from '#test/tidy/screens.ts';
import {
	checkExports,
	checkFunctionLength,
	checkSize,
	checkTestsRun,
	checkUnfinished,
	checkWords,
	checkWorkplace,
} from '#test/tidy/shape.ts';
import { type Problem, type Source, listPaths, read, render } from '#test/tidy/source.ts';

const paths = listPaths();
const code = paths.filter((file) => /^(src|test|deploy|bench)\/.*\.ts$/.test(file)).map(read);
const product = code.filter((source) => source.path.startsWith('src/'));
const tests = code.filter((source) => source.path.startsWith('test/'));
const documents = paths.filter((file) => file.endsWith('.md')).map(read);
const prose = paths
	.filter((file) => /^(src|test|deploy|bench|docs|\.ci)\/|^[^/]+$/.test(file))
	.filter((file) => /\.(ts|c|sh|md|json|ya?ml|service|conf|pl|txt)$|\/[^./]+$/.test(file))
	// The last two hold the very words that are looked for.
	.filter((file) => !/^package-lock\.json$|^LICENSE$|^test\/tidy(\/shape|\.test)\.ts$/.test(file))
	.map(read);

const clean = (sources: readonly Source[], check: (source: Source) => Problem[]): string =>
	render(sources.flatMap(check));

const sample = (path: string, ...lines: readonly string[]): Source => ({
	path,
	text: `${lines.join('\n')}\n`,
});

test('the checks look at the whole project, not at nothing', (t) => {
	t.true(product.length >= 40, `only ${product.length} files below src/`);
	t.true(tests.length >= 30, `only ${tests.length} files below test/`);
	t.true(documents.length >= 15, `only ${documents.length} documents`);
	t.true(
		prose.length > code.length + documents.length,
		'files that are neither code nor documents',
	);
	for (const folder of ['alert', 'api', 'cli', 'config', 'drbd', 'engine', 'fence', 'heartbeat']) {
		t.true(
			product.some((source) => source.path.startsWith(`src/${folder}/`)),
			`nothing in src/${folder}`,
		);
	}
});

test('every file imports only what its layer may import', (t) => {
	t.is(clean(product, checkLayers), '');
});

test('an import against the layers is found, however it is written', (t) => {
	const refused = (path: string, line: string) =>
		t.is(checkLayers(sample(path, line)).length, 1, `${path}: ${line}`);
	refused('src/drbd/status.ts', "import { readFileSync } from 'node:fs';");
	refused('src/drbd/status.ts', "import { step } from '#src/engine/step.ts';");
	refused('src/drbd/status.ts', "import { DrbdDriver } from '#src/drbd/driver.ts';");
	refused('src/drbd/status.ts', "import type {\n\tLoop,\n} from '#src/loop.ts';");
	refused('src/drbd/status.ts', "import { other } from './other.ts';");
	refused('src/drbd/status.ts', 'import { execa } from "execa";');
	refused('src/drbd/status.ts', "const fs = import( 'node:fs/promises' );");
	refused('src/drbd/status.ts', "import 'winston';");
	refused('src/drbd/driver.ts', "import { XenDriver } from '#src/xen/driver.ts';");
	refused('src/drbd/driver.ts', "import type { Action } from '#src/engine/action.ts';");
	refused('src/drbd/driver.ts', "import winston from 'winston';");
	refused('src/engine/step.ts', "import { XenDriver } from '#src/xen/driver.ts';");
	refused('src/engine/step.ts', "import { World } from '#src/sim/world.ts';");
	refused('src/loop.ts', "import { readFile } from 'node:fs/promises';");
	refused('src/sim/world.ts', "import { XenDriver } from '#src/xen/driver.ts';");
	refused('src/std/prng.ts', "import { z } from 'zod';");
	refused('src/std/prng.ts', "import type { HostName } from '#src/ports.ts';");
	refused('src/cli/status.ts', "import { XenDriver } from '#src/xen/driver.ts';");
	refused('src/agent.ts', "import { status } from '#src/cli/status.ts';");
	refused('src/xen/domain.ts', "import left from 'left-pad';");
	refused('src/novel/thing.ts', '');
	t.deepEqual(
		checkLayers(
			sample(
				'src/drbd/driver.ts',
				"import { execa } from 'execa';",
				"import { setTimeout } from 'node:timers/promises';",
				"import { parse } from '#src/drbd/status.ts';",
				"import type { Role } from '#src/ports.ts';",
				"// import { step } from '#src/engine/step.ts';",
				"const worker = new URL('./worker.ts', import.meta.url);",
			),
		),
		[],
	);
});

test('pure files know no clock, no promise, no random number and no process', (t) => {
	t.is(clean(product, checkPurity), '');
});

test('a use of the world in a pure file is found, and only a use', (t) => {
	const lines = [
		'const a = Date.now();',
		'const b = Math.random();',
		'const c = performance.now();',
		'setTimeout(() => {}, 1);',
		'setInterval(() => {}, 1);',
		'setImmediate(() => {});',
		'queueMicrotask(() => {});',
		'const d = process.env;',
		'const e = async () => 1;',
		'await e();',
		'void fetch(`a ${Promise.resolve()}`);',
		'const f = import.meta.url;',
	];
	const problems = checkPurity(sample('src/engine/step.ts', ...lines));
	t.deepEqual(
		problems.map(({ line }) => line),
		[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 11, 12],
	);
	t.deepEqual(checkPurity(sample('src/drbd/driver.ts', ...lines)), []);
	t.deepEqual(
		checkPurity(
			sample(
				'src/engine/step.ts',
				'// Date.now() is for drivers; the process decides nothing.',
				"const text = 'await the process';",
				'const match = /Date|async/.exec(`process ${text}`);',
				'const kept = { process: 1 }.process;',
			),
		),
		[],
	);
});

test('functions fit on a page and files have one reason to exist', (t) => {
	t.is(clean(code, checkFunctionLength), '');
	t.is(clean(code, checkSize), '');
});

test('a long function, a long file and a wide comment are found', (t) => {
	const body = Array.from({ length: 70 }, (_, index) => `\tcall(${index});`);
	const long = (head: string, tail = '};') => sample('src/a.ts', head, ...body, tail);
	t.is(
		checkFunctionLength(long('export const f = (a: string): Map<string, number> => {')).length,
		1,
	);
	t.is(checkFunctionLength(long('export function f(a: string): Thing[] {', '}')).length, 1);
	t.is(checkFunctionLength(long("test('a title', async (t) => {", '});')).length, 1);
	t.is(
		checkFunctionLength(long('class A {\n\t#method(a: string): string | null {', '}}')).length,
		1,
	);
	t.is(checkFunctionLength(long('const table = {')).length, 0);
	t.is(checkFunctionLength(long('export class A extends B {', '}')).length, 0);
	t.is(checkFunctionLength(long('export interface A {', '}')).length, 0);
	t.is(checkSize(sample('src/a.ts', ...Array.from({ length: 401 }, () => 'a;'))).length, 1);
	t.is(checkSize(sample('src/a.ts', `// ${'word '.repeat(30)}`)).length, 1);
	t.is(checkSize(sample('src/a.ts', ...Array.from({ length: 400 }, () => 'a;'))).length, 0);
});

test('everything is exported by name from where it is made', (t) => {
	t.is(clean(code, checkExports), '');
	const found = (line: string) => checkExports(sample('src/a.ts', line)).length;
	t.is(found('export default 1;'), 1);
	t.is(found("export * from '#src/a.ts';"), 1);
	t.is(found("export type { A } from '#src/a.ts';"), 1);
	t.is(found("export {\n\ta,\n} from '#src/a.ts';"), 1);
	t.is(found("export const a = 'export default';"), 0);
});

test('nothing is left unfinished and no test is switched off', (t) => {
	t.is(clean(prose, checkUnfinished), '');
	t.is(clean(tests, checkTestsRun), '');
	t.is(checkUnfinished(sample('src/a.ts', '// TODO: later')).length, 1);
	const found = (line: string) => checkTestsRun(sample('test/a.test.ts', line)).length;
	t.is(found("test.only('a', () => {});"), 1);
	t.is(found("test.serial.skip('a', () => {});"), 1);
	t.is(found("test.failing('a', () => {});"), 1);
	t.is(found("t.is('.only(', text);"), 0);
});

test('the words are those of the glossary and of no particular place', (t) => {
	const named = prose.filter(({ path }) => !/^docs\/glossary\.md$|^test\/fixture\//.test(path));
	t.is(clean(named, checkWords), '');
	t.is(clean(prose, checkWorkplace), '');
	t.is(checkWords(sample('src/a.ts', 'const slave = 1;')).length, 1);
	t.is(checkWorkplace(sample('a.md', 'see /work/place, issue 7 and redteam.md')).length, 3);
	t.is(checkWorkplace(sample('a.md', 'in /usr/work/x and ./work/x')).length, 0);
});

test('every file is reached from an entry', (t) => {
	const programs = code.filter(({ path }) => /^(src|deploy)\//.test(path));
	const published = ['src/main.ts', 'deploy/package.ts', 'deploy/schemas.ts'];
	t.is(render(checkReach(programs, published, 'src/')), '');
	const entries = paths.filter((file) =>
		/^test\/.*\.test\.ts$|^(deploy|bench)\/[^/]+\.ts$|^test\/lab\/main\.ts$/.test(file),
	);
	t.is(render(checkReach(code, entries, 'test/')), '');
});

test('a file that nothing reaches is found', (t) => {
	const sources = [
		sample('src/main.ts', "const verb = async () => (await import('#src/cli/a.ts')).a;"),
		sample('src/cli/a.ts', "new Worker(new URL('../heartbeat/worker.ts', import.meta.url));"),
		sample('src/heartbeat/worker.ts', "import type { B } from '#src/b.ts';"),
		sample('src/b.ts', "// import '#src/c.ts'"),
		sample('src/c.ts', 'export const c = 1;'),
	];
	t.deepEqual(
		checkReach(sources, ['src/main.ts'], 'src/').map(({ path }) => path),
		['src/c.ts'],
	);
});

test('help and README show every verb', (t) => {
	const main = read('src/main.ts');
	t.true(verbsOf(main).has('status'));
	t.is(render(checkVerbs(main, [read('src/cli/help.ts'), read('README.md')])), '');
	const planted = sample(
		'src/main.ts',
		'\tstatus: async () => 1,',
		"\t'take-over': async () => 1,",
	);
	t.is(checkVerbs(planted, [sample('README.md', 'vmpair status')]).length, 1);
	t.is(checkVerbs(sample('src/main.ts', ''), []).length, 1);
});

test('README shows the status screen as the program prints it', (t) => {
	const { text } = read('README.md');
	for (const screen of readmeScreens()) t.true(text.includes(screen), `README lacks\n${screen}`);
});

test('docs/errors.md tells of every error code and of no other', (t) => {
	t.is(render(checkErrorCodes(product, read('docs/errors.md'))), '');
	const source = sample('src/a.ts', "throw new VmpairError(\n\t'new-code', `text`, { next });");
	t.is(checkErrorCodes([source], sample('docs/errors.md', '| `new-code` | x |')).length, 0);
	t.is(checkErrorCodes([source], sample('docs/errors.md', '| `old-code` | x |')).length, 2);
	const codes = (text: string, rows: string) =>
		checkErrorCodes([sample('src/a.ts', text)], sample('docs/errors.md', rows)).length;
	t.is(codes('new VmpairError(code, message)', ''), 1);
	t.is(codes("new VmpairError(found ? 'one-code' : 'other-code', message)", '| `one-code` |'), 1);
	t.is(codes("const named = 'one-code';\nnew VmpairError(named, message)", '| `one-code` |'), 0);
	t.is(codes('new VmpairError(error.code, message)', ''), 0);
	t.is(codes("new BadRequest(400, 'one-code', message)", ''), 1);
	const refusal = sample(
		'src/engine/a.ts',
		"return refused(\n\t\tarmed ? 'one-code' : 'busy', blocker)",
	);
	t.is(checkErrorCodes([refusal], sample('docs/errors.md', '')).length, 2);
});

test('the published schemas are those of the program', (t) => {
	for (const [name, schema] of publishedSchemas()) {
		const published: unknown = JSON.parse(read(`docs/${name}.schema.json`).text);
		const current: unknown = JSON.parse(JSON.stringify(schema));
		const remedy = `docs/${name}.schema.json is out of date: run "npm run schemas"`;
		t.true(isDeepStrictEqual(published, current), remedy);
	}
});

test('every document has a title and every link leads somewhere', (t) => {
	t.is(clean(documents, checkTitle), '');
	t.is(
		clean(documents, (source) => checkLinks(source, paths)),
		'',
	);
	t.is(checkTitle(sample('a.md', 'text')).length, 1);
	const links = sample('docs/a.md', '[a](b.md) [c](../README.md) [d](https://example.org) [e](#e)');
	t.is(checkLinks(links, ['README.md']).length, 1);
	t.is(checkLinks(links, ['README.md', 'docs/b.md']).length, 0);
});

test('every link to a heading finds it', (t) => {
	t.is(
		clean(documents, (source) => checkAnchors(source, documents)),
		'',
	);
	const there = sample('docs/b.md', '# A title', '', '## 2. `Two`, and [more](c.md)');
	const links = sample('docs/a.md', '# A', '[a](b.md#2-two-and-more) [b](#a) [c](b.md#3-three)');
	t.is(checkAnchors(links, [there]).length, 1);
	t.is(checkAnchors(links, []).length, 2);
});

test('every story stands in the table of situations or in that of breaks', (t) => {
	const tables = documents.filter(({ path }) => /^docs\/(situations|breaks)\.md$/.test(path));
	t.is(tables.length, 2);
	t.is(render(checkStories(tables, paths)), '');
	const stories = ['test/scenario/power-cut/scenario.yaml', 'test/scenario/move/scenario.yaml'];
	const table = sample('docs/situations.md', '[power-cut](../test/scenario/power-cut) and move');
	t.is(checkStories([table], stories).length, 1);
	t.is(checkStories([table], []).length, 1);
});

test('every alert condition, and every page a message sends to, has its runbook page', (t) => {
	t.is(render(checkRunbook(product, paths)), '');
	const planted = sample('src/a.ts', "raise(\n\t'peer-lost',", "next: 'see the runbook peer-gone'");
	const pages = ['docs/runbook/index.md', 'docs/runbook/peer-lost.md'];
	const all = [...pages, 'docs/runbook/peer-gone.md'];
	t.is(checkRunbook([planted], all).length, 0);
	t.is(checkRunbook([planted], [...all, 'docs/runbook/nobody-leads-here.md']).length, 1);
	t.is(checkRunbook([planted], pages).length, 1);
	t.is(checkRunbook([planted], []).length, 2);
	t.is(checkRunbook([sample('src/a.ts', '')], pages).length, 1);
});

test('the lock file names every optional package, so that npm ci takes it', (t) => {
	t.is(render(checkLock(read('package-lock.json'))), '');
	const lock = (packages: object) => sample('package-lock.json', JSON.stringify({ packages }));
	const main = { optionalDependencies: { other: '1.0.0' } };
	t.is(checkLock(lock({ 'node_modules/main': main })).length, 1);
	t.is(checkLock(lock({ 'node_modules/main': main, 'node_modules/other': {} })).length, 0);
});
