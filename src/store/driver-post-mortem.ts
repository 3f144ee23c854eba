import { mkdir, open, readdir, readFile, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type PostMortem, postMortemSchema } from '#src/store/post-mortem.ts';

/** So many are kept, the newest. */
const keptMax = 20;

const fileName = /^post-mortem-\d{8}T\d{6}Z\.json$/;

const folderOf = (directory: string): string => join(directory, 'post-mortem');

const isMissing = (error: unknown): boolean =>
	error instanceof Error && 'code' in error && error.code === 'ENOENT';

const namesIn = async (folder: string): Promise<readonly string[]> => {
	try {
		return (await readdir(folder)).filter((name) => fileName.test(name)).toSorted();
	} catch (error) {
		if (isMissing(error)) return [];
		throw error;
	}
};

/** Writes a post-mortem below the state directory, whole or not at all; one of the same outage is replaced. */
export const writePostMortem = async (directory: string, found: PostMortem): Promise<void> => {
	const folder = folderOf(directory);
	await mkdir(folder, { recursive: true, mode: 0o700 });
	const stamp = found.at.slice(0, 19).replaceAll(/[-:]/g, '');
	// One name for all: a crash leaves one of these at most.
	const unfinished = join(folder, 'post-mortem.new');
	{
		await using handle = await open(unfinished, 'w', 0o600);
		await handle.writeFile(`${JSON.stringify(found, null, '\t')}\n`);
		await handle.sync();
	}
	await rename(unfinished, join(folder, `post-mortem-${stamp}Z.json`));
	const names = await namesIn(folder);
	for (const name of names.slice(0, -keptMax)) await unlink(join(folder, name));
};

/** The post-mortems that are kept, newest first; one that is damaged or of another version is passed over. */
export const readPostMortems = async (directory: string): Promise<readonly PostMortem[]> => {
	const folder = folderOf(directory);
	const found: PostMortem[] = [];
	for (const name of (await namesIn(folder)).toReversed()) {
		const text = await readFile(join(folder, name), 'utf8');
		try {
			const parsed = postMortemSchema.safeParse(JSON.parse(text));
			if (parsed.success) found.push(parsed.data);
		} catch {
			// Not JSON: the disk was full, or somebody edited it. The others count.
		}
	}
	return found;
};
