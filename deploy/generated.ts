import { gzipSync } from 'node:zlib';
import { completionScript, type Shell } from '../src/cli/completion-text.ts';
import { exitCodes, topics } from '../src/cli/help.ts';
import { version } from '../src/version.ts';
import { documentFolder } from './content.ts';

/** Files of the package that are written from the program's own help, so that they can tell nothing else. */

interface GeneratedFile {
	/** From the root of the host. */
	readonly to: string;
	readonly content: string | Buffer;
}

/** A line that begins with `.` or `'` is a request to roff, and `-` a hyphen that nobody can copy. */
const roff = (text: string): string => {
	const escaped = text.replaceAll('\\', '\\e').replaceAll('-', '\\-');
	return /^[.']/.test(escaped) ? `\\&${escaped}` : escaped;
};

/** The manual page vmpair(8), as man(7) wants it. */
export const manual = (): string =>
	[
		`.TH VMPAIR 8 "" "vmpair ${version}" "vmpair"`,
		'.SH NAME',
		roff('vmpair - failover of virtual machines between two Xen hosts'),
		'.SH SYNOPSIS',
		'.B vmpair',
		'.I verb',
		'.RI [ argument ...]',
		'.SH DESCRIPTION',
		'Two Xen hosts, disks mirrored by DRBD, one agent on each.',
		'The verbs below ask the agent of the host on which they are typed; they work on either one.',
		'.SH VERBS',
		...Object.values(topics).flatMap(({ synopsis, summary, details }) => [
			'.TP',
			`.B ${roff(`vmpair ${synopsis}`)}`,
			roff(summary),
			...details.flatMap((line) => [
				'.br',
				roff(line.trim().replaceAll('docs/', `/${documentFolder}/`)),
			]),
		]),
		'.SH OPTIONS OF EVERY VERB',
		'.TP',
		`.B ${roff('--socket PATH')}`,
		'The local socket of another agent than the usual one.',
		'.TP',
		`.B ${roff('--state DIRECTORY')}`,
		'The folder with the durable state of that agent.',
		'.SH EXIT STATUS',
		...exitCodes.map((line) => roff(line.replace(/^Exit codes: /, ''))),
		'.SH FILES',
		'.TP',
		'.I /etc/vmpair/vmpair.yaml',
		'The configuration, the same on both hosts.',
		'.TP',
		'.I /var/lib/vmpair',
		'Durable state, history, alerts that wait.',
		'.TP',
		`.I /${documentFolder}/runbook`,
		'What to do, a page for each alert.',
		'.SH SEE ALSO',
		'.BR xl (1),',
		'.BR drbdadm (8)',
		'',
	].join('\n');

const scripts: Readonly<Record<Shell, string>> = {
	bash: 'usr/share/bash-completion/completions/vmpair',
	zsh: 'usr/share/zsh/vendor-completions/_vmpair',
	fish: 'usr/share/fish/vendor_completions.d/vmpair.fish',
};

/** All of them, with their places. */
export const generatedFiles = (): readonly GeneratedFile[] => [
	...Object.entries(scripts).map(([shell, to]) => ({
		to,
		content: completionScript(shell as Shell),
	})),
	// Debian wants manual pages compressed; without a time in it, equal pages are equal bytes.
	{ to: 'usr/share/man/man8/vmpair.8.gz', content: gzipSync(manual(), { level: 9 }) },
];
