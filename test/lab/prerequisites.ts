/** Why this machine cannot run the lab, so that CI can count it as skipped and say the reason. */
import { access, constants, readFile, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { debianSources, suite } from './apt.ts';
import { cacheFolder } from './image.ts';

const gib = 1024 ** 3;
const diskBytes = 12 * gib;
const memoryBytes = 8 * gib;

async function memoryAvailable(): Promise<number> {
	const text = await readFile('/proc/meminfo', 'utf8');
	return Number(/^MemAvailable:\s+(\d+) kB/mu.exec(text)?.[1] ?? 0) * 1024;
}

/** Free bytes of the file system that would hold `folder`, which need not exist yet. */
async function diskFree(folder: string): Promise<number> {
	try {
		const { bavail, bsize } = await statfs(folder);
		return bavail * bsize;
	} catch {
		return folder === '/' ? 0 : diskFree(dirname(folder));
	}
}

/** One sentence for each thing that is missing; empty when the lab can run. */
export async function missingPrerequisites(): Promise<string[]> {
	const missing: string[] = [];
	if (process.platform !== 'linux' || process.arch !== 'x64') {
		return ['the lab runs on Linux x86-64 only'];
	}
	if (process.getuid?.() !== 0) missing.push('not root');
	const tun = await access('/dev/net/tun', constants.R_OK | constants.W_OK).then(
		() => true,
		() => false,
	);
	if (!tun) missing.push('no /dev/net/tun');
	const free = await diskFree(cacheFolder());
	if (free < diskBytes) {
		missing.push(`${(free / gib).toFixed(1)} GiB of disk are free, ${diskBytes / gib} are needed`);
	}
	const memory = await memoryAvailable();
	if (memory < memoryBytes) {
		const available = (memory / gib).toFixed(1);
		missing.push(`${available} GiB of memory are available, ${memoryBytes / gib} are needed`);
	}
	if ((await debianSources()).length === 0) {
		missing.push(`no apt source of Debian ${suite}: the hosts' image cannot be built`);
	}
	return missing;
}
