import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { runScenario } from '#src/sim/run.ts';
import type { runSeed } from '#src/sim/swarm.ts';
import { plantedRules } from '#test/sim/_planted-rules.ts';

/**
 * Switches one rule of the engine off: its source is changed while it is loaded, for a simulation of its own, so
 * that nothing in the product can switch a rule off, and the bug is in the real rule and not in a copy. A rule
 * whose words are not found exactly once fails the test: it moved, and its planted bug must follow.
 */

interface Simulation {
	readonly runSeed: typeof runSeed;
	readonly runScenario: typeof runScenario;
}

const root = new URL('../../', import.meta.url);

const plantedIn = (url: string | undefined): string | null =>
	url === undefined ? null : new URL(url).searchParams.get('planted');

const change = (name: string, file: string, source: string): string => {
	const edits = (plantedRules[name]?.edits ?? []).filter((edit) => edit.file === file);
	let text = source;
	for (const { rule, without } of edits) {
		const parts = text.split(rule);
		if (parts.length !== 2)
			throw new Error(
				`${file} has the rule of the planted bug ${name} ${parts.length - 1} times, not once: ${rule}`,
			);
		text = parts.join(without);
	}
	return text;
};

/** Every module of the product that a planted one imports is loaded anew, for that bug alone. */
registerHooks({
	resolve: (specifier, context, next) => {
		const found = next(specifier, context);
		const name = plantedIn(context.parentURL);
		if (name === null || !found.url.startsWith(new URL('src/', root).href)) return found;
		const url = new URL(found.url);
		url.searchParams.set('planted', name);
		return { ...found, url: url.href };
	},
	load: (url, context, next) => {
		const loaded = next(url, context);
		if (!url.startsWith('file:') || loaded.source === undefined) return loaded;
		const name = plantedIn(url);
		if (name === null) return loaded;
		const file = fileURLToPath(url).slice(fileURLToPath(root).length);
		const { source } = loaded;
		const text = typeof source === 'string' ? source : Buffer.from(source as Uint8Array).toString();
		return { ...loaded, source: change(name, file, text) };
	},
});

/** The simulation with the rule of this name switched off. */
export const planted = async (name: string): Promise<Simulation> => {
	const load = async (file: string): Promise<Simulation> =>
		(await import(new URL(`${file}?planted=${name}`, root).href)) as Simulation;
	return { ...(await load('src/sim/swarm.ts')), ...(await load('src/sim/run.ts')) };
};
