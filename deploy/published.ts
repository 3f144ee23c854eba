import { z } from 'zod';
import { statusSchema } from '#src/api/view.ts';
import { whatIfSchema } from '#src/api/what-if.ts';
import { configJsonSchema } from '#src/config/json-schema.ts';
import { scenarioJsonSchema } from '#src/sim/scenario.ts';

/** The JSON Schemas under `docs/` by name: the two files that people write, and what two verbs print with `--json`. */
export const publishedSchemas = (): ReadonlyMap<string, unknown> =>
	new Map([
		['vmpair', configJsonSchema()],
		['scenario', scenarioJsonSchema()],
		['status', { title: 'vmpair status --json', ...z.toJSONSchema(statusSchema) }],
		['what-if', { title: 'vmpair what-if --json', ...z.toJSONSchema(whatIfSchema) }],
	]);
