import { writeFileSync } from 'node:fs';
import { publishedSchemas } from './published.ts';

// Writes the schemas anew; `test/tidy.test.ts` fails while they are out of date.
for (const [name, schema] of publishedSchemas()) {
	const file = new URL(`../docs/${name}.schema.json`, import.meta.url);
	writeFileSync(file, `${JSON.stringify(schema, null, '\t')}\n`);
}
