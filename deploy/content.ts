import { existsSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

/** A file of the package that is taken as it is. */
export interface PackagedFile {
	/** From the top of the checkout. */
	readonly from: string;
	/** From the root of the host. */
	readonly to: string;
	readonly mode: 0o644 | 0o755;
}

/** Where the program lies on a host. */
export const libraryFolder = 'usr/lib/vmpair';
/** Where its documents lie: the messages of `vmpair` name pages there. */
export const documentFolder = 'usr/share/doc/vmpair';

/** Files that dpkg keeps when an admin changed them. */
export const configurationFiles = [
	'etc/vmpair/vmpair.yaml.example',
	'etc/needrestart/conf.d/vmpair.conf',
] as const;

const plain = (from: string, to: string): PackagedFile => ({ from, to, mode: 0o644 });

const documents: readonly PackagedFile[] = [
	...[
		'alerts.md',
		'errors.md',
		'glossary.md',
		'load.md',
		'metrics.md',
		'page.md',
		'protocol.md',
		'scenario-format.md',
		'scenario.schema.json',
		'status.schema.json',
		'vmpair.schema.json',
		'watchdog.md',
		'what-if.schema.json',
		'witness.md',
	].map((name) => plain(`docs/${name}`, `${documentFolder}/${name}`)),
	plain('README.md', `${documentFolder}/README.md`),
	plain('LICENSE', `${documentFolder}/copyright`),
	plain('SECURITY.md', `${documentFolder}/SECURITY.md`),
	plain('CHANGELOG.md', `${documentFolder}/changelog.md`),
	plain('deploy/drbd/vmpair.res.example', `${documentFolder}/examples/vmpair.res.example`),
	plain('deploy/grafana/vmpair.json', `${documentFolder}/examples/grafana/vmpair.json`),
	...['vmpair.rules.yml', 'vmpair.test.yml'].map((name) =>
		plain(`deploy/prometheus/${name}`, `${documentFolder}/examples/prometheus/${name}`),
	),
	...['redis.conf', 'users.acl', 'vmpair-witness.service'].map((name) =>
		plain(`deploy/witness/${name}`, `${documentFolder}/examples/witness/${name}`),
	),
];

/** The pages of a folder of documents; one that is always there stands for a folder that is missing. */
const pagesOf = (root: string, name: string, always: string): readonly PackagedFile[] => {
	const folder = join(root, 'docs', name);
	const pages = existsSync(folder)
		? readdirSync(folder).filter((page) => page.endsWith('.md'))
		: [always];
	return pages.map((page) => plain(`docs/${name}/${page}`, `${documentFolder}/${name}/${page}`));
};

/**
 * Every file of a checkout that the package takes as it is. Throws an error that names every one that is
 * missing: a package without it would be found out on the host, at night.
 */
export const packagedFiles = (root: string): readonly PackagedFile[] => {
	const files: readonly PackagedFile[] = [
		{ from: 'deploy/debian/vmpair', to: 'usr/bin/vmpair', mode: 0o755 },
		{ from: 'deploy/drbd/drbd-handler', to: `${libraryFolder}/drbd-handler`, mode: 0o755 },
		plain('deploy/systemd/vmpair.service', 'lib/systemd/system/vmpair.service'),
		plain('deploy/systemd/vmpair-feeder.service', 'lib/systemd/system/vmpair-feeder.service'),
		plain('deploy/systemd/vmpair-shutdown.service', 'lib/systemd/system/vmpair-shutdown.service'),
		plain('deploy/debian/needrestart.conf', configurationFiles[1]),
		plain('deploy/vmpair.yaml.example', configurationFiles[0]),
		...['postinst', 'prerm', 'postrm'].map((script): PackagedFile => ({
			from: `deploy/debian/${script}`,
			to: `DEBIAN/${script}`,
			mode: 0o755,
		})),
		...documents,
		...pagesOf(root, 'runbook', 'index.md'),
		...pagesOf(root, 'adr', '0001-pure-engine-and-one-seam.md'),
	];
	const missing = files.filter(({ from }) => !existsSync(join(root, from)));
	if (missing.length > 0) {
		const names = missing.map(({ from }) => from).join(', ');
		throw new Error(`the package cannot be built, the checkout lacks ${names}: git status`);
	}
	return files;
};

/** Where a file or folder of the checkout is on the host; undefined when the package has nothing of it. */
const placeOf = (path: string, files: readonly PackagedFile[]): string | undefined => {
	const file = files.find(({ from }) => from === path);
	if (file !== undefined) return file.to;
	const within = files.find(({ from }) => from.startsWith(`${path}/`));
	return within?.to.slice(0, -within.from.slice(path.length).length);
};

/**
 * The text of a document with its links leading to what the package holds. A link to something that stays
 * in the checkout leaves its words only.
 */
export const asInstalled = (
	text: string,
	{ from, to }: PackagedFile,
	files: readonly PackagedFile[],
): string =>
	text.replaceAll(/\[([^\]]*)\]\(([^)\s]+)\)/g, (link, words: string, target: string) => {
		if (/^(?:[a-z]+:|#)/.test(target)) return link;
		const [path = '', ...anchor] = target.split('#');
		const place = placeOf(join(dirname(from), path).replace(/\/$/, ''), files);
		if (place === undefined) return words;
		return `[${words}](${[relative(dirname(to), place), ...anchor].join('#')})`;
	});
