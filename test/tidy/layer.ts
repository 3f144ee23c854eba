import { type Blanked, blank } from '#test/tidy/blank.ts';
import { type Problem, type Source, problemAt } from '#test/tidy/source.ts';

/**
 * Who may import whom, as a list of what is allowed, so that a new folder or package is refused
 * until somebody decides where it belongs. The linter holds the same rules as a list of bans.
 */
type Layer =
	| 'std'
	| 'ports'
	| 'pure'
	| 'engine'
	| 'loop'
	| 'sim'
	| 'driver'
	| 'agent'
	| 'cli'
	| 'demo'
	| 'main';

export interface Import {
	readonly specifier: string;
	readonly offset: number;
}

const domainFolders = [
	'alert',
	'api',
	'config',
	'drbd',
	'fence',
	'health',
	'heartbeat',
	'load',
	'migrate',
	'store',
	'watchdog',
	'web',
	'witness',
	'xen',
];

const single: Readonly<Record<string, Layer>> = {
	'src/loop.ts': 'loop',
	'src/version.ts': 'ports',
	// Its shapes are checked where they come in: it needs zod and the record's schema.
	'src/ports-witness.ts': 'pure',
	'src/agent.ts': 'agent',
	'src/agent-alerts.ts': 'agent',
	'src/agent-drivers.ts': 'agent',
	'src/agent-load.ts': 'agent',
	'src/agent-goodbye.ts': 'agent',
	'src/agent-history.ts': 'agent',
	'src/agent-preflight.ts': 'agent',
	'src/agent-voter.ts': 'agent',
	'src/agent-web.ts': 'agent',
	'src/agent-witness.ts': 'agent',
	'src/main.ts': 'main',
	'src/heartbeat/worker.ts': 'driver',
	'src/heartbeat/links.ts': 'driver',
	'src/heartbeat/votes.ts': 'driver',
};

const whole: Readonly<Record<string, Layer>> = {
	std: 'std',
	engine: 'engine',
	sim: 'sim',
	cli: 'cli',
	demo: 'demo',
};

const allowed: Readonly<Record<Layer, readonly Layer[]>> = {
	std: ['std'],
	ports: ['std', 'ports'],
	pure: ['std', 'ports', 'pure'],
	engine: ['std', 'ports', 'pure', 'engine'],
	loop: ['std', 'ports', 'pure', 'engine'],
	sim: ['std', 'ports', 'pure', 'engine', 'loop', 'sim'],
	driver: ['std', 'ports', 'pure', 'driver'],
	agent: ['std', 'ports', 'pure', 'engine', 'loop', 'driver', 'agent'],
	cli: ['std', 'ports', 'pure', 'engine', 'sim', 'demo', 'cli', 'driver', 'agent'],
	demo: ['std', 'ports', 'pure', 'engine', 'loop', 'sim', 'demo', 'driver', 'agent', 'cli'],
	main: ['std', 'agent', 'cli', 'demo'],
};

/**
 * Folders whose drivers a person's command may use: never the tools that act on VMs, disks or power. The watchdog's
 * feeder and the transport of a migration are commands of their own.
 */
const driversForPeople = [
	'api',
	'config',
	'heartbeat',
	'migrate',
	'std',
	'store',
	'watchdog',
	'witness',
];

const packages: Readonly<Record<string, (file: string, layer: Layer) => boolean>> = {
	zod: (_file, layer) => layer !== 'std' && layer !== 'ports',
	yaml: (file, layer) => /^src\/(config|sim)\//.test(file) || layer === 'cli',
	ioredis: (file, layer) => file.startsWith('src/witness/') && layer === 'driver',
	execa: (_file, layer) => layer === 'driver' || layer === 'cli' || layer === 'demo',
	ws: (file, layer) => file.startsWith('src/heartbeat/') && layer === 'driver',
	winston: (file) => file === 'src/agent.ts',
};

/** The layer of a file below `src/`, or null when nobody has decided it yet. */
export const layerOf = (file: string): Layer | null => {
	const named = single[file];
	if (named !== undefined) return named;
	if (/^src\/ports(-[a-z]+)?\.ts$/.test(file)) return 'ports';
	const [, folder = '', name = ''] = file.split('/');
	if (name.startsWith('driver'))
		return domainFolders.includes(folder) || folder === 'std' ? 'driver' : null;
	const ofFolder = whole[folder];
	if (ofFolder !== undefined) return ofFolder;
	return domainFolders.includes(folder) ? 'pure' : null;
};

/** True where clocks, timers, promises and the process are out of bounds. */
export const isPure = (file: string): boolean =>
	['std', 'ports', 'pure', 'engine', 'loop', 'sim'].includes(layerOf(file) ?? 'pure');

/** Every module a file names: static, re-exported, dynamic, and workers started by URL. */
export const importsOf = (source: Source, { code }: Blanked = blank(source.text)): Import[] => {
	const pattern = /\bfrom\s+(?=\s)|\bimport\s*\(\s*(?=\s)|\bimport\s+(?=\s)|\bnew URL\(\s*(?=\s)/g;
	return [...code.matchAll(pattern)].flatMap((match) => {
		const literal = /^\s*(['"])([^'"\n]+)\1/.exec(
			source.text.slice(match.index + match[0].trimEnd().length),
		);
		if (literal?.[2] === undefined) return [];
		if (match[0].startsWith('new URL') && !literal[2].endsWith('.ts')) return [];
		return [{ specifier: literal[2], offset: match.index }];
	});
};

const refusal = (file: string, layer: Layer, specifier: string): string | null => {
	if (specifier.startsWith('.')) return `import ${specifier} through #src/`;
	if (specifier === 'node:assert') return null;
	if (specifier.startsWith('node:')) return isPure(file) ? `${specifier} in a pure file` : null;
	if (!specifier.startsWith('#')) {
		const mayUse = packages[specifier.split('/')[0] ?? ''];
		if (mayUse === undefined) return `${specifier} has no place yet: decide it in an ADR`;
		return mayUse(file, layer) ? null : `${layer} files may not import ${specifier}`;
	}
	const target = specifier.replace(/^#/, '');
	const targetLayer = layerOf(target);
	if (targetLayer === null) return `${specifier} belongs to no layer`;
	if (!allowed[layer].includes(targetLayer)) {
		return `${layer} files may not import ${targetLayer} files (${specifier})`;
	}
	if (targetLayer !== 'driver') return null;
	const [, folder = ''] = file.split('/');
	const [, targetFolder = ''] = target.split('/');
	if (layer === 'driver' && folder !== targetFolder) return `another driver (${specifier})`;
	if ((layer === 'cli' || layer === 'demo') && !driversForPeople.includes(targetFolder)) {
		return `a command talks to the agent, never to a tool itself (${specifier})`;
	}
	return null;
};

/** Imports that run against the layers. */
export const checkLayers = (source: Source): Problem[] => {
	const layer = layerOf(source.path);
	if (layer === null) {
		return [{ path: source.path, line: 0, message: 'belongs to no layer (test/tidy/layer.ts)' }];
	}
	return importsOf(source).flatMap(({ specifier, offset }) => {
		if (source.text.startsWith('new URL', offset)) return [];
		const message = refusal(source.path, layer, specifier);
		return message === null ? [] : [problemAt(source, offset, message)];
	});
};

const worldly =
	/(?<![.\w$#])(?:async|await|Date|performance|fetch|WebSocket|crypto|process|Buffer|Promise(?!<)|setTimeout|setInterval|setImmediate|queueMicrotask)(?![\w$]|\??:)|\bnew\s+Promise\b|\bMath\.random\b|\bimport\.meta\b/g;

/** Uses of the world in a file that must be pure: same input, same output, whoever runs it. */
export const checkPurity = (source: Source): Problem[] => {
	if (!isPure(source.path)) return [];
	const { code } = blank(source.text);
	return [...code.matchAll(worldly)].map((match) =>
		problemAt(source, match.index, `${match[0]} in a pure file`),
	);
};
