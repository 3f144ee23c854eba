import { existsSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';

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
		'scenario-format.md',
		'scenario.schema.json',
		'status.schema.json',
		'vmpair.schema.json',
		'watchdog.md',
		'witness.md',
	].map((name) => plain(`docs/${name}`, `${documentFolder}/${name}`)),
	plain('README.md', `${documentFolder}/README.md`),
	plain('LICENSE', `${documentFolder}/copyright`),
	plain('CHANGELOG.md', `${documentFolder}/changelog.md`),
	plain('deploy/drbd/vmpair.res.example', `${documentFolder}/examples/vmpair.res.example`),
	...['redis.conf', 'users.acl', 'vmpair-witness.service'].map((name) =>
		plain(`deploy/witness/${name}`, `${documentFolder}/examples/witness/${name}`),
	),
];

/**
 * Every file of a checkout that the package takes as it is. Throws an error that names every one that is
 * missing: a package without it would be found out on the host, at night.
 */
export const packagedFiles = (root: string): readonly PackagedFile[] => {
	const runbook = join(root, 'docs/runbook');
	const pages = existsSync(runbook)
		? readdirSync(runbook).filter((name) => name.endsWith('.md'))
		: ['index.md'];
	const files: readonly PackagedFile[] = [
		{ from: 'deploy/debian/vmpair', to: 'usr/bin/vmpair', mode: 0o755 },
		{ from: 'deploy/drbd/drbd-handler', to: `${libraryFolder}/drbd-handler`, mode: 0o755 },
		plain('deploy/systemd/vmpair.service', 'lib/systemd/system/vmpair.service'),
		plain('deploy/systemd/vmpair-feeder.service', 'lib/systemd/system/vmpair-feeder.service'),
		plain('deploy/debian/needrestart.conf', configurationFiles[1]),
		plain('deploy/vmpair.yaml.example', configurationFiles[0]),
		...['postinst', 'prerm', 'postrm'].map((script): PackagedFile => ({
			from: `deploy/debian/${script}`,
			to: `DEBIAN/${script}`,
			mode: 0o755,
		})),
		...documents,
		...pages.map((page) => plain(`docs/runbook/${page}`, `${documentFolder}/runbook/${page}`)),
	];
	const missing = files.filter(({ from }) => !existsSync(join(root, from)));
	if (missing.length > 0) {
		const names = missing.map(({ from }) => from).join(', ');
		throw new Error(`the package cannot be built, the checkout lacks ${names}: git status`);
	}
	return files;
};

/** The README with its links to what the package holds leading there, seen from the folder of documents. */
export const readmeAsInstalled = (text: string, files: readonly PackagedFile[]): string => {
	const places = new Map(files.map(({ from, to }) => [from, to]));
	return text.replaceAll(/\]\(([^)\s]+)\)/g, (link, target: string) => {
		const place = places.get(target);
		return place === undefined ? link : `](${relative(documentFolder, place)})`;
	});
};
