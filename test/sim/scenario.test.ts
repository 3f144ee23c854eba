import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
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
