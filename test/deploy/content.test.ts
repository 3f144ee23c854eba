import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { documentFolder, packagedFiles, readmeAsInstalled } from '../../deploy/content.ts';

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
		'watchdog.md',
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

test('links between the documents lead somewhere on the host, too', (t) => {
	let links = 0;
	for (const { from, to } of files) {
		if (!from.startsWith('docs/') || !to.endsWith('.md')) continue;
		for (const [, target = ''] of readFileSync(join(root, from), 'utf8').matchAll(
			/\]\(([^)\s]+)\)/g,
		)) {
			if (/^(?:[a-z]+:|#)/.test(target)) continue;
			links += 1;
			const place = normalize(join(dirname(to), target.replace(/#.*$/, '')));
			t.true(places.has(place), `${from}: ${target}`);
		}
	}
	t.true(links > 30, `only ${links} links were found`);
	const readme = readmeAsInstalled(readFileSync(join(root, 'README.md'), 'utf8'), files);
	for (const link of ['](errors.md)', '](runbook/index.md)', '](examples/vmpair.res.example)']) {
		t.true(readme.includes(link), link);
	}
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
