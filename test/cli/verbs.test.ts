import { readFileSync } from 'node:fs';
import test from 'ava';
import { help, topics } from '#src/cli/help.ts';
import { exit } from '#src/cli/surroundings.ts';
import { version } from '#src/version.ts';
import { createAround } from '#test/cli/around.ts';

const text = (path: string): string =>
	readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

test('the help tells every verb, and no other', (t) => {
	const verbs = [...text('src/main.ts').matchAll(/^\t\['([a-z-]+)', async/gm)].map(
		([, verb]) => verb,
	);
	t.true(verbs.length > 10);
	t.deepEqual(new Set(Object.keys(topics)).symmetricDifference(new Set(verbs)), new Set());
});

test('no line of the help is wider than a terminal', (t) => {
	const lines = Object.values(topics).flatMap(({ synopsis, summary, details }) => [
		`  vmpair ${synopsis}`,
		`      ${summary}`,
		...details.map((line) => `  ${line}`),
	]);
	t.deepEqual(
		lines.filter((line) => line.length > 90),
		[],
	);
});

/** The options of the agent that only the demo and the tests use. */
const hidden = new Set(['place', 'relay', 'tied']);

test('the help tells every option of every verb', (t) => {
	let found = 0;
	for (const [verb, { synopsis, details }] of Object.entries(topics)) {
		const source = text(`src/cli/${verb === 'config' ? 'config-check' : verb}.ts`);
		const options = [...source.matchAll(/'?([a-z-]+)'?: \{ type: '(?:string|boolean)'/g)]
			.map(([, option = '']) => option)
			.concat(source.includes('...actOptions') ? ['json', 'no-wait'] : [])
			.filter((option) => !hidden.has(option));
		found += options.length;
		const told = [synopsis, ...details].join('\n');
		for (const option of options) {
			t.regex(told, new RegExp(`--${option}\\b`), `vmpair help ${verb} lacks --${option}`);
		}
	}
	t.true(found > 30, `only ${found} options were found`);
});

test('the version is the one of the package', (t) => {
	const manifest = JSON.parse(text('package.json')) as { version: string };
	t.is(version, manifest.version);
});

test('systemd does not restart the agent after what only a person can mend', (t) => {
	const unit = text('deploy/systemd/vmpair.service');
	const codes = /^RestartPreventExitStatus=(.*)$/m.exec(unit)?.[1];
	t.is(codes, `${exit.dataDamaged} ${exit.config}`);
});

test('--version prints the version and nothing else', async (t) => {
	const { around, printed } = createAround();
	t.is(await help(['--version'], around), exit.done);
	t.deepEqual(printed, [`vmpair ${version}`]);
});
