import * as z from 'zod';
import { configFileSchema } from '#src/config/schema.ts';

/** The JSON Schema of `vmpair.yaml` for editors and other tools, published as `docs/vmpair.schema.json`. */
export const configJsonSchema = (): unknown => ({
	title: 'vmpair.yaml',
	...z.toJSONSchema(configFileSchema, { io: 'input' }),
});
