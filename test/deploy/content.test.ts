import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { movingMs, stoppingMs } from '#src/api/shutdown.ts';
import { asInstalled, documentFolder, packagedFiles } from '../../deploy/content.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const files = packagedFiles(root);
const places = new Set(files.map(({ to }) => to));

test('the package holds what its own messages and files name', (t) => {
	for (const place of [
		'vmpair.schema.json',
		'errors.md',
		'runbook/index.md',
		'runbook/vm-down.md',
		'scenario-format.md',
		'status.schema.json',
		'examples/vmpair.res.example',
		'examples/witness/users.acl',
		'examples/prometheus/vmpair.rules.yml',
		'metrics.md',
		'page.md',
		'watchdog.md',
		'what-if.schema.json',
		'witness.md',
	]) {
		t.true(places.has(`${documentFolder}/${place}`), place);
	}
	const example = readFileSync(join(root, 'deploy/vmpair.yaml.example'), 'utf8');
	const schema = /^# yaml-language-server: \$schema=\/(\S+)$/m.exec(example)?.[1];
	t.true(places.has(schema ?? ''), 'the schema that the example names');
	for (const name of ['vmpair.service', 'vmpair-feeder.service']) {
		const unit = readFileSync(join(root, 'deploy/systemd', name), 'utf8');
		const document = /^Documentation=file:\/\/\/(\S+)$/m.exec(unit)?.[1];
		t.true(places.has(document ?? ''), `the document that ${name} names`);
	}
});

test('every link of an installed document leads to something that is installed', (t) => {
	let links = 0;
	const folders = new Set([...places].map((place) => dirname(place)));
	for (const file of files.filter(({ to }) => to.endsWith('.md'))) {
		const text = asInstalled(readFileSync(join(root, file.from), 'utf8'), file, files);
		for (const [, target = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
			if (/^(?:[a-z]+:|#)/.test(target)) continue;
			links += 1;
			const place = normalize(join(dirname(file.to), target.replace(/#.*$/, '')));
			t.true(places.has(place) || folders.has(place), `${file.from}: ${target}`);
		}
	}
	t.true(links > 60, `only ${links} links were found`);
});

test('a link to what stays in the checkout leaves its words, the others follow the files', (t) => {
	const file = files.find(({ from }) => from === 'README.md');
	if (file === undefined) throw new Error('the package lacks the README');
	const installed = (text: string): string => asInstalled(text, file, files);
	t.is(installed('see [the rules](CONTRIBUTING.md).'), 'see the rules.');
	t.is(installed('[a](docs/errors.md#refusals)'), '[a](errors.md#refusals)');
	t.is(installed('[b](docs/adr) [c](LICENSE)'), '[b](adr) [c](copyright)');
	t.is(installed('[d](https://example.org/x)'), '[d](https://example.org/x)');
	const example = installed('[e](deploy/drbd/vmpair.res.example)');
	t.is(example, '[e](examples/vmpair.res.example)');
});

test('a file that is missing fails the build by its name', (t) => {
	const folder = mkdtempSync(join(tmpdir(), 'vmpair-package-'));
	t.teardown(() => rmSync(folder, { recursive: true }));
	t.throws(() => packagedFiles(folder), { message: /lacks .*drbd-handler.*docs\/errors\.md/ });
	for (const { from } of files) cpSync(join(root, from), join(folder, from));
	t.is(packagedFiles(folder).length, files.length);
	rmSync(join(folder, 'docs/vmpair.schema.json'));
	t.throws(() => packagedFiles(folder), {
		message: 'the package cannot be built, the checkout lacks docs/vmpair.schema.json: git status',
	});
});

test('the shutdown unit and its command end before systemd forces the host down', (t) => {
	const unit = readFileSync(join(root, 'deploy/systemd/vmpair-shutdown.service'), 'utf8');
	const unitMinutes = Number(/^TimeoutStopSec=(\d+)min$/m.exec(unit)?.[1]);
	t.true(movingMs + stoppingMs < unitMinutes * 60_000);
	t.true(unitMinutes < 30, 'JobTimeoutSec of reboot.target and poweroff.target');
});
