import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import test from 'ava';
import { parse } from 'yaml';
import { runScenario } from '#src/sim/run.ts';
import { parseScenario } from '#src/sim/scenario.ts';

/** Each folder is a story an operator can read, with the trace of the simulator as its golden file. */
const folder = 'test/scenario';
const names = readdirSync(folder, { withFileTypes: true })
	.filter((entry) => entry.isDirectory())
	.map((entry) => entry.name);

const load = (name: string) => {
	const document: unknown = parse(readFileSync(`${folder}/${name}/scenario.yaml`, 'utf8'));
	return parseScenario(document);
};

test('there are scenarios, each with its story', (t) => {
	t.true(names.length > 30);
	for (const name of names) {
		t.is(load(name).name, name);
		t.regex(readFileSync(`${folder}/${name}/README.md`, 'utf8'), /^# .+\n\n[\s\S]{100}/);
	}
});

test('an expectation asks for alerts that exist, and rules out what could be seen', (t) => {
	const traces = names
		.map((name) => `${folder}/${name}/trace.expect`)
		.filter((file) => existsSync(file))
		.map((file) => readFileSync(file, 'utf8'))
		.join('');
	const engine = readdirSync('src/engine')
		.map((file) => readFileSync(`src/engine/${file}`, 'utf8'))
		.join('');
	for (const name of names) {
		for (const expectation of load(name).expect) {
			for (const sight of Object.values(expectation)) {
				if (typeof sight !== 'object' || sight.condition === undefined) continue;
				t.true(existsSync(`docs/runbook/${sight.condition}.md`), `${name}: ${sight.condition}`);
			}
			const note = ('never' in expectation ? expectation.never.note : undefined) ?? '';
			t.true(traces.includes(note) || engine.includes(note), `${name}: nobody says "${note}"`);
		}
	}
});

/** The others run in the lab alone. */
const simulated = names.filter((name) => load(name).runsIn.includes('simulator'));

for (const name of simulated) {
	test(`scenario ${name} ends as its story says`, (t) => {
		const result = runScenario(load(name));
		const trace = `${result.trace.join('\n')}\n`;
		const golden = `${folder}/${name}/trace.expect`;
		t.deepEqual(result.failures, []);
		t.deepEqual(result.violations, []);
		if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(golden, trace);
		t.is(trace, readFileSync(golden, 'utf8'), 'run with UPDATE_GOLDEN=1 when the change is meant');
	});
}
