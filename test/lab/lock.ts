/** One lab at a time on a machine: two would halve each other's speed and be of no use to either. */
import { existsSync } from 'node:fs';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheFolder } from './image.ts';
import { progress, until } from './tool.ts';

const waitMs = 3_600_000;

async function holder(path: string): Promise<number | undefined> {
	const pid = Number(await readFile(path, 'utf8').catch(() => '0'));
	return pid > 0 && existsSync(`/proc/${pid}`) ? pid : undefined;
}

/** Waits for its turn; returns what gives the lock back. A lock of a dead runner counts for nothing. */
export async function takeLock(signal: AbortSignal): Promise<() => Promise<void>> {
	const path = join(cacheFolder(), 'lock');
	const own = `${path}.${process.pid}`;
	await mkdir(cacheFolder(), { recursive: true });
	await writeFile(own, String(process.pid));
	let told = false;
	const attempt = async (): Promise<true | undefined> => {
		const pid = await holder(path);
		if (pid === undefined) {
			await rm(path, { force: true });
			// A link appears whole or not at all, and only for one of two runners.
			await link(own, path);
			return true;
		}
		if (!told) progress(`the lab is in use by process ${pid}: waiting`);
		told = true;
		return undefined;
	};
	try {
		await until(attempt, { what: 'the lab to be free', timeoutMs: waitMs, everyMs: 2000, signal });
	} finally {
		await rm(own, { force: true });
	}
	return () => rm(path, { force: true });
}
