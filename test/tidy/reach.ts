import { importsOf } from '#test/tidy/layer.ts';
import type { Problem, Source } from '#test/tidy/source.ts';

/** The file that an import or a `new URL` of a worker names; null for packages. */
const targetOf = (from: string, specifier: string): string | null => {
	if (specifier.startsWith('#')) return specifier.slice(1);
	return specifier.endsWith('.ts') ? new URL(specifier, `file:///${from}`).pathname.slice(1) : null;
};

/** Files below `root` that no entry reaches by imports: nobody would miss them. */
export const checkReach = (
	sources: readonly Source[],
	entries: readonly string[],
	root: string,
): Problem[] => {
	const byPath = new Map(sources.map((source) => [source.path, source]));
	const seen = new Set<string>();
	const waiting = [...entries];
	for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
		const source = byPath.get(file);
		if (source === undefined || seen.has(file)) continue;
		seen.add(file);
		for (const { specifier } of importsOf(source)) {
			const target = targetOf(file, specifier);
			if (target !== null) waiting.push(target);
		}
	}
	return sources
		.filter((source) => source.path.startsWith(root) && !seen.has(source.path))
		.map((source) => ({ path: source.path, line: 0, message: 'nothing reaches this file' }));
};
