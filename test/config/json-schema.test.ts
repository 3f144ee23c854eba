import { readFileSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import test from 'ava';
import { configJsonSchema } from '#src/config/json-schema.ts';

const file = new URL('../../docs/vmpair.schema.json', import.meta.url);

test('the published JSON Schema is the one of the code (UPDATE_GOLDEN=1 writes it anew)', (t) => {
	const schema: unknown = JSON.parse(JSON.stringify(configJsonSchema()));
	if (process.env['UPDATE_GOLDEN'] === '1')
		writeFileSync(file, `${JSON.stringify(schema, null, '\t')}\n`);
	t.deepEqual(JSON.parse(readFileSync(file, 'utf8')), schema);
});

test('every setting is described for editors', (t) => {
	const undescribed: string[] = [];
	const visit = (value: unknown, path: string): void => {
		if (typeof value !== 'object' || value === null) return;
		const node = value as Readonly<Record<string, unknown>>;
		const properties = (node['properties'] ?? {}) as Readonly<Record<string, object>>;
		for (const [name, child] of Object.entries(properties)) {
			const leaf = !('properties' in child) && !('$ref' in child);
			// The shapes of fence devices belong to the fence drivers.
			if (leaf && !('description' in child) && !path.includes('devices'))
				undescribed.push(`${path}.${name}`);
			visit(child, `${path}.${name}`);
		}
		visit(node['additionalProperties'], `${path}.*`);
		visit(node['items'], `${path}[]`);
	};
	visit(configJsonSchema(), '');
	t.deepEqual(undescribed, []);
});
