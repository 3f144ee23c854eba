import { type Problem, type Source, problemAt } from '#test/tidy/source.ts';

const capturesOf = (text: string, pattern: RegExp): string[] =>
	[...text.matchAll(pattern)].flatMap(({ 1: capture }) => (capture === undefined ? [] : [capture]));

/** What one list has and the other lacks, said both ways. */
const compare = (
	found: ReadonlySet<string>,
	documented: ReadonlySet<string>,
	where: { readonly found: string; readonly documented: string },
): Problem[] => [
	...[...found]
		.filter((item) => !documented.has(item))
		.map((item) => ({ path: where.documented, line: 0, message: `does not tell of ${item}` })),
	...[...documented]
		.filter((item) => !found.has(item))
		.map((item) => ({
			path: where.documented,
			line: 0,
			message: `${item} is not in ${where.found}`,
		})),
];

/** The verbs that `src/main.ts` answers to. */
export const verbsOf = (main: Source): Set<string> =>
	new Set(capturesOf(main.text, /^\t\['([a-z][a-z-]*)', async \(\) =>/gm));

/** Every verb stands in the help text and in a document, as a person types it. */
export const checkVerbs = (main: Source, documents: readonly Source[]): Problem[] => {
	const verbs = verbsOf(main);
	if (verbs.size === 0) return [problemAt(main, 0, 'no verb was found; has the table moved?')];
	return documents.flatMap((document) =>
		[...verbs]
			.filter((verb) => !new RegExp(`(?:vmpair |^\\s+'?)${verb}\\b`, 'm').test(document.text))
			.map((verb) => problemAt(document, 0, `does not show "vmpair ${verb}"`)),
	);
};

interface RaisedError {
	readonly offset: number;
	/** Empty when they cannot be told from the text. */
	readonly codes: readonly string[];
}

/** Errors, malformed requests, and refusals of the engine: each has a code that `--json` shows. */
const raising =
	/\bnew VmpairError\(\s*([^,]+),|\bnew BadRequest\(\s*\d+,\s*([^,]+),|(?:\breturn|[:?])\s+refused\(\s*([^,]+),/g;

/** The codes that a file may raise: a literal, a choice of literals, or a constant of the file. */
const raisedIn = ({ path, text }: Source): RaisedError[] =>
	[...text.matchAll(raising)].flatMap((match) => {
		if (match[3] !== undefined && !path.startsWith('src/engine/')) return [];
		const argument = match[1] ?? match[2] ?? match[3] ?? '';
		// A code that is passed on as it was raised elsewhere.
		if (/^[a-zA-Z]+\.code$/.test(argument)) return [];
		const named = new RegExp(`\\bconst ${argument} = '([a-z0-9-]+)'`).exec(text)?.[1];
		const codes = named === undefined ? capturesOf(argument, /'([a-z0-9-]+)'/g) : [named];
		return [{ offset: match.index, codes }];
	});

/** Every code is in a table of the document, every row of the tables is in use. */
export const checkErrorCodes = (sources: readonly Source[], table: Source): Problem[] => {
	const raised = sources.flatMap((source) =>
		raisedIn(source).map((error) => ({ source, ...error })),
	);
	const rows = new Set(capturesOf(table.text, /^\| `([a-z0-9-]+)`/gm));
	return [
		...raised
			.filter(({ codes }) => codes.length === 0)
			.map(({ source, offset }) =>
				problemAt(source, offset, 'this error code cannot be read off, so not documented'),
			),
		...compare(new Set(raised.flatMap(({ codes }) => codes)), rows, {
			found: 'src',
			documented: table.path,
		}),
	];
};

/** Every condition has its page, messages send to pages that exist, and no page is left that neither leads to. */
export const checkRunbook = (sources: readonly Source[], paths: readonly string[]): Problem[] => {
	const pages = new Set(
		paths
			.flatMap((file) => capturesOf(file, /^docs\/runbook\/([a-z0-9-]+)\.md$/g))
			.filter((page) => page !== 'index'),
	);
	const conditions = sources.flatMap(({ text }) => capturesOf(text, /\braise\(\s*'([a-z0-9-]+)'/g));
	if (conditions.length === 0) {
		return [{ path: 'src', line: 0, message: 'no alert condition was found' }];
	}
	const named = sources.flatMap(({ text }) => capturesOf(text, /\bthe runbook ([a-z0-9-]+)/g));
	return [
		...compare(new Set([...conditions, ...named]), pages, {
			found: 'src',
			documented: 'docs/runbook',
		}),
	];
};

/** Links between the documents lead somewhere. */
export const checkLinks = (source: Source, paths: readonly string[]): Problem[] =>
	[...source.text.matchAll(/\]\(([^)\s]+)\)/g)].flatMap((match) => {
		const target = match[1] ?? '';
		if (/^(?:[a-z]+:|#)/.test(target)) return [];
		const file = new URL(target, `file:///${source.path}`).pathname.slice(1);
		const there = paths.some(
			(known) => known === file || known.startsWith(file.replace(/\/?$/, '/')),
		);
		return there ? [] : [problemAt(source, match.index, `the link ${target} leads nowhere`)];
	});

/** A heading's name in a link, as the viewers of Markdown make it. */
const anchorOf = (heading: string): string =>
	heading
		.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
		.toLowerCase()
		.replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
		.trim()
		.replaceAll(/\s/g, '-');

/** Links to a heading, of the same document or another one, find it there. */
export const checkAnchors = (source: Source, documents: readonly Source[]): Problem[] =>
	[...source.text.matchAll(/\]\(([^)\s#:]*)#([^)\s]+)\)/g)].flatMap((match) => {
		const [, target = '', anchor = ''] = match;
		const path = new URL(target, `file:///${source.path}`).pathname.slice(1);
		const document = target === '' ? source : documents.find((each) => each.path === path);
		const headings = capturesOf(document?.text ?? '', /^#{1,6} (.+)$/gm).map(anchorOf);
		return headings.includes(anchor)
			? []
			: [problemAt(source, match.index, `the link ${target}#${anchor} leads to no heading`)];
	});

/** Every story stands in one of the documents that tell of them, with a link to its folder. */
export const checkStories = (
	documents: readonly Source[],
	paths: readonly string[],
): readonly Problem[] => {
	const told = new Set(
		documents.flatMap(({ text }) =>
			capturesOf(text, /\]\(\.\.\/test\/scenario\/([^/)#]+)(?:\/README\.md)?\)/g),
		),
	);
	const stories = paths.flatMap((file) =>
		capturesOf(file, /^test\/scenario\/([^/]+)\/scenario\.yaml$/g),
	);
	if (stories.length === 0) return [{ path: 'test/scenario', line: 0, message: 'no story found' }];
	const where = documents.map(({ path }) => path).join(' nor ');
	return stories
		.filter((story) => !told.has(story))
		.map((story) => ({
			path: `test/scenario/${story}`,
			line: 0,
			message: `has no link in ${where}`,
		}));
};

/** A document's first line is its title. */
export const checkTitle = (source: Source): Problem[] =>
	/^# \S/.test(source.text) ? [] : [problemAt(source, 0, 'does not start with a title')];

interface Lock {
	readonly packages: Readonly<
		Record<string, { readonly optionalDependencies?: Readonly<Record<string, string>> }>
	>;
}

/**
 * `npm ci` refuses a lock file that leaves out an optional package of another platform; npm leaves one
 * out when it was not to be had while the lock file was written.
 */
export const checkLock = (source: Source): Problem[] => {
	const { packages } = JSON.parse(source.text) as Lock;
	return Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
		Object.keys(optionalDependencies)
			.filter((name) => !(`node_modules/${name}` in packages))
			.map((name) => problemAt(source, source.text.indexOf(`"${path}"`), `lacks ${name}`)),
	);
};
