/** What a support bundle holds, and how it is kept free of secrets. */

/** One program whose answer belongs into the bundle. */
interface Asked {
	/** The file that its answer is written to. */
	readonly name: string;
	readonly file: string;
	readonly args: readonly string[];
}

/** Nothing here changes anything. A program that is missing, or hangs, is told in its own file. */
export const asked: readonly Asked[] = [
	{ name: 'xl-list.txt', file: 'xl', args: ['list', '-v'] },
	{ name: 'xl-info.txt', file: 'xl', args: ['info'] },
	{ name: 'drbd-status.txt', file: 'drbdsetup', args: ['status', '--verbose', '--statistics'] },
	{ name: 'drbd-show.txt', file: 'drbdsetup', args: ['show'] },
	{ name: 'proc-drbd.txt', file: 'cat', args: ['/proc/drbd'] },
	{ name: 'units.txt', file: 'systemctl', args: ['--no-pager', 'status', 'vmpair*'] },
	{
		name: 'journal.txt',
		file: 'journalctl',
		args: ['--no-pager', '-n', '5000', '-u', 'vmpair*', '-o', 'short-precise'],
	},
	{ name: 'kernel.txt', file: 'journalctl', args: ['--no-pager', '-k', '-n', '2000'] },
	{ name: 'links.txt', file: 'ip', args: ['-s', 'address'] },
	{ name: 'disks.txt', file: 'lsblk', args: [] },
	{ name: 'space.txt', file: 'df', args: ['-h'] },
	{ name: 'memory.txt', file: 'cat', args: ['/proc/meminfo', '/proc/loadavg', '/proc/uptime'] },
	{
		name: 'packages.txt',
		file: 'dpkg-query',
		args: ['-W', 'vmpair', 'xen*', 'drbd*', 'linux-image*'],
	},
];

const gone = '[redacted]';

/** Shorter lines of a secret file are words that stand everywhere. */
const secretLengthMin = 6;

const isSecretKey = (key: string): boolean =>
	/(password|secret|token|key)(file|s)?$/i.test(key) || key === 'secretParameters';

/** Every file that the configuration names as the place of a secret, by the name of its key, wherever it stands. */
export const secretFilesIn = (value: unknown, key = ''): string[] => {
	if (typeof value === 'string') return isSecretKey(key) && value.startsWith('/') ? [value] : [];
	if (typeof value !== 'object' || value === null) return [];
	return Object.entries(value).flatMap(([name, each]) =>
		secretFilesIn(each, Array.isArray(value) || isSecretKey(key) ? key : name),
	);
};

/** The secrets that stand in those files. */
export const secretsIn = (texts: readonly string[]): string[] => [
	...new Set(
		texts
			.flatMap((text) => text.split('\n'))
			.map((line) => line.trim())
			.filter((line) => line.length >= secretLengthMin && !line.startsWith('-----')),
	),
];

/**
 * `text` without the secrets, the path and query of web addresses (receivers of alerts put their key there), and
 * without what stands behind the name of a password.
 */
export const scrubbed = (text: string, secrets: readonly string[]): string => {
	let clean = text;
	for (const secret of secrets) clean = clean.replaceAll(secret, gone);
	return clean
		.replaceAll(/\b(https?:\/\/)([^\s/"'@]*@)?([^\s/"']+)\/[^\s"']+/g, `$1$3/${gone}`)
		.replaceAll(
			/((?:passw(?:or)?d|secret|token)\w*["']?\s*[=:]\s*)(["']?)(?!\/)[^\s"',;]+\2/gi,
			`$1${gone}`,
		);
};
