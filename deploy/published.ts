import { z } from 'zod';
import { statusSchema } from '#src/api/view.ts';
import { configJsonSchema } from '#src/config/json-schema.ts';
import { scenarioJsonSchema } from '#src/sim/scenario.ts';

/** The JSON Schemas under `docs/` by name: the two files that people write, and what `vmpair status --json` prints. */
export const publishedSchemas = (): ReadonlyMap<string, unknown> =>
	new Map([
		['vmpair', configJsonSchema()],
		['scenario', scenarioJsonSchema()],
		['status', { title: 'vmpair status --json', ...z.toJSONSchema(statusSchema) }],
	]);
