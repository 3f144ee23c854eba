import { writeFileSync } from 'node:fs';
import { configJsonSchema } from '#src/config/json-schema.ts';
import { scenarioJsonSchema } from '#src/sim/scenario.ts';

/** Publishes the JSON Schemas of the two files people write. `test/tidy.test.ts` fails while they are out of date. */
const publish = (name: string, schema: unknown): void => {
	const file = new URL(`../docs/${name}.schema.json`, import.meta.url);
	writeFileSync(file, `${JSON.stringify(schema, null, '\t')}\n`);
};

publish('vmpair', configJsonSchema());
publish('scenario', scenarioJsonSchema());
