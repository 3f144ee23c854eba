import { readFileSync } from 'node:fs';

/** One captured call of a real tool, as the files of `test/fixture/{xen,fence}` hold it. */
export interface Captured {
	readonly command: string;
	readonly exitCode: number;
	readonly stdout: string;
	readonly stderr: string;
}

const sectionOf = (lines: readonly string[], name: string): string => {
	const start = lines.indexOf(`# ${name}:`);
	if (start < 0) return '';
	const end = lines.findIndex((line, index) => index > start && /^# std(out|err):$/.test(line));
	return lines.slice(start + 1, end < 0 ? undefined : end).join('\n');
};

/** Reads a file such as `xen/xl-list-v-running`. */
export const captured = (name: string): Captured => {
	const path = new URL(`../fixture/${name}.txt`, import.meta.url);
	const lines = readFileSync(path, 'utf8').split('\n');
	return {
		command: lines[0]?.replace(/^# command: /, '') ?? '',
		exitCode: Number(/^# exit: (\d+)/.exec(lines[1] ?? '')?.[1]),
		stdout: sectionOf(lines, 'stdout'),
		stderr: sectionOf(lines, 'stderr'),
	};
};

/** The rows of a captured `xl list -v` after which the same capture went on with other commands. */
export const firstListing = (text: string): string =>
	text
		.split('\n')
		.filter((line, index, all) => {
			const end = all.findIndex(
				(each, at) => at > 0 && (each.trim() === '' || /^(console|vbd|vif)-/.test(each)),
			);
			return (end < 0 || index < end) && !line.startsWith('secondary rc');
		})
		.join('\n');
