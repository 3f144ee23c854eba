import { readFile } from 'node:fs/promises';
import test from 'ava';
import { z } from 'zod';
import type { ScenarioInput } from '#src/sim/scenario.ts';
import { parseScenario, scenarioJsonSchema } from '#src/sim/scenario.ts';
import { sightSchema, stepSchema } from '#src/sim/step.ts';

const smallest: ScenarioInput = {
	format: 1,
	name: 'smallest',
	story: 'nothing happens',
	world: { hosts: ['left', 'right'], vms: [{ name: 'ldap', host: 'left' }] },
	steps: [{ do: 'nothing', at: '1s', id: 'then' }],
	expect: [{ finally: { vm: 'ldap', runsOn: 'left' } }],
};

const refused = (change: object): string => {
	try {
		parseScenario({ ...smallest, ...change });
	} catch (error) {
		if (error instanceof z.ZodError) return z.prettifyError(error);
		throw error;
	}
	return 'accepted';
};

test('the published JSON Schema is the one of the code', async (t) => {
	const published = await readFile('docs/scenario.schema.json', 'utf8');
	if (process.env['UPDATE_GOLDEN'] === '1') {
		const { writeFile } = await import('node:fs/promises');
		await writeFile('docs/scenario.schema.json', JSON.stringify(scenarioJsonSchema(), null, '\t'));
		t.pass();
		return;
	}
	t.deepEqual(JSON.parse(published), JSON.parse(JSON.stringify(scenarioJsonSchema())));
});

test('the document names every verb and every field of a sight', async (t) => {
	const text = await readFile('docs/scenario-format.md', 'utf8');
	const verbs = stepSchema.options.map((option) => option.shape.do.value);
	t.true(verbs.length > 30);
	for (const verb of verbs) t.true(text.includes(`\`${verb}\``), `verb ${verb}`);
	const fields = Object.keys(sightSchema.shape);
	t.true(fields.length > 15);
	for (const field of fields) t.true(text.includes(`\`${field}\``), `field ${field}`);
});

test('a small scenario is complete: everything else has a default', (t) => {
	const scenario = parseScenario(smallest);
	t.is(scenario.world.detection, 3000);
	t.deepEqual(
		scenario.world.networks.map((network) => network.name),
		['management', 'replication'],
	);
	t.is(scenario.steps[0]?.at, 1000);
});

test('a misspelt key, host, VM or step is refused with its place', (t) => {
	t.regex(refused({ expects: [] }), /expects/);
	t.regex(
		refused({ steps: [{ do: 'power-cut', host: 'middle' }] }),
		/no host is called "middle" here[\s\S]*steps\[0\]\.host/,
	);
	t.regex(
		refused({ expect: [{ never: { vm: 'ldpa', runs: true } }] }),
		/no VM is called "ldpa" here[\s\S]*expect\[0\]\.never\.vm/,
	);
	t.regex(
		refused({ expect: [{ that: { vm: 'ldap', runs: true }, within: '1s', of: 'cut' }] }),
		/no step is called "cut" here/,
	);
});

test('a bare number is no duration', (t) => {
	t.regex(refused({ steps: [{ do: 'nothing', at: 5 }] }), /steps\[0\]/);
	t.regex(refused({ steps: [{ do: 'nothing', at: '5 s' }] }), /duration/);
});

test('exactly one network carries replication', (t) => {
	const world = { ...smallest.world, networks: [{ name: 'management' }] };
	t.regex(refused({ world }), /exactly one network carries replication/);
});
