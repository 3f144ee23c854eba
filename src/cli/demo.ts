import { parseOptions, usageError } from '#src/cli/options.ts';
import { exit, type Surroundings } from '#src/cli/surroundings.ts';
import { runDemo, runScript } from '#src/demo/demo.ts';
import { scripts } from '#src/demo/script.ts';

/** `vmpair demo [--script NAME] [--json] [--keep]` */
export const demo = async (argv: string[], around: Surroundings): Promise<number> => {
	const { values } = parseOptions('demo', argv, {
		script: { type: 'string' },
		json: { type: 'boolean', default: false },
		keep: { type: 'boolean', default: false },
		seed: { type: 'string', default: '1' },
	});
	const seed = Number(values.seed);
	if (!Number.isSafeInteger(seed)) throw usageError('--seed takes a whole number', 'demo');
	const { json, keep } = values;
	if (values.script === undefined) return await runDemo({ seed, keep }, around);
	const script = scripts[values.script];
	if (script === undefined) {
		throw usageError(`there are the scripts ${Object.keys(scripts).join(', ')}`, 'demo');
	}
	const report = await runScript({ name: values.script, script, json, keep, seed }, around);
	return report.held ? exit.done : exit.failed;
};
