import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, type Plugin } from 'esbuild';

/** Worker threads and what they load are files of their own in the bundle; a URL gets the bundled name. */
const workers: Plugin = {
	name: 'workers',
	setup(context) {
		context.onLoad({ filter: /\/src\/.*\.ts$/ }, ({ path }) => {
			const text = readFileSync(path, 'utf8');
			const contents = text.replaceAll(
				/new URL\('([\w-]+)\.ts', import\.meta\.url\)/g,
				"new URL('./$1.js', import.meta.url)",
			);
			return { contents, loader: 'ts' };
		});
	},
};

/**
 * Bundles the program of a checkout into a folder. Lazily imported verbs become chunks of their own, so that
 * `vmpair status` loads little.
 */
export const bundle = async (root: string, outdir: string, version: string): Promise<void> => {
	await build({
		entryPoints: ['main.ts', 'heartbeat/worker.ts', 'agent-voter.ts', 'cli/simulate-worker.ts'].map(
			(file) => join(root, 'src', file),
		),
		entryNames: '[name]',
		chunkNames: 'chunk-[name]-[hash]',
		outdir,
		bundle: true,
		splitting: true,
		platform: 'node',
		target: 'node24',
		format: 'esm',
		// Some dependencies are CommonJS and call require for Node's own modules.
		banner: {
			js: "import { createRequire as vmpairCreateRequire } from 'node:module'; const require = vmpairCreateRequire(import.meta.url);",
		},
		define: { 'process.env.VMPAIR_VERSION': JSON.stringify(version) },
		plugins: [workers],
		logLevel: 'warning',
		legalComments: 'none',
		// ws uses these two when they are installed; we never install them.
		external: ['bufferutil', 'utf-8-validate'],
	});
	writeFileSync(join(outdir, 'package.json'), '{ "type": "module" }\n');
};
