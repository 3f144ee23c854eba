import { access, constants, stat } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import type { HealthCheck } from '#src/config/config.ts';
import { programOf, programRemedy } from '#src/health/answer.ts';

const isProgram = async (file: string): Promise<boolean> => {
	try {
		await access(file, constants.X_OK);
		return (await stat(file)).isFile();
	} catch {
		return false;
	}
};

/** Checks whose program cannot be run, as sentences with remedies. `searchPath`: where programs are found by name. */
export const healthAdvice = async (
	checks: readonly HealthCheck[],
	searchPath: string,
): Promise<readonly string[]> => {
	const found: string[] = [];
	for (const { check, probe } of checks) {
		if (probe.kind === 'carrier') continue;
		const { file } = programOf(probe);
		const places = file.startsWith('/')
			? [file]
			: searchPath.split(delimiter).map((folder) => join(folder, file));
		const there = await Promise.all(places.map(isProgram));
		if (!there.includes(true))
			found.push(
				`The health check ${check} cannot run ${file}, so it is unknown: ${programRemedy(check, probe)}.`,
			);
	}
	return found;
};
