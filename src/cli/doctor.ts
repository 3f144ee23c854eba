import { apiClient } from '#src/api/driver-client.ts';
import type { Status } from '#src/api/view.ts';
import {
	budgetFindings,
	finding,
	findingLines,
	statusFindings,
	type Finding,
} from '#src/cli/doctor-text.ts';
import { fenceFaults } from '#src/cli/fence-text.ts';
import { parseOptions } from '#src/cli/options.ts';
import { exit, type Surroundings } from '#src/cli/surroundings.ts';
import type { Config } from '#src/config/config.ts';
import { hostConfig } from '#src/config/config.ts';
import { defaultConfigFile, readConfigFile } from '#src/config/driver.ts';
import { problemText } from '#src/config/problem.ts';
import type { FenceCheck } from '#src/fence/check.ts';
import { messageOf, VmpairError } from '#src/std/error.ts';

interface Part {
	readonly title: string;
	readonly findings: readonly Finding[];
}

const wrongWith = (error: unknown): Finding =>
	finding('wrong', messageOf(error), error instanceof VmpairError ? error.next : '');

const configPart = async (
	file: string,
): Promise<{ readonly part: Part; readonly config: Config | null }> => {
	const title = 'configuration';
	try {
		const { loaded, problems } = await readConfigFile(file, { files: true });
		if (loaded !== null)
			return {
				part: { title, findings: [finding('good', `${file} is valid`)] },
				config: loaded.config,
			};
		const findings = problems.map((problem) => finding('wrong', problemText(file, problem)));
		return { part: { title, findings }, config: null };
	} catch (error) {
		return { part: { title, findings: [wrongWith(error)] }, config: null };
	}
};

/** What another verb finds, by its exit code and its own words. */
const byVerb = async (
	verb: (argv: string[], around: Surroundings) => Promise<number>,
	argv: string[],
	around: Surroundings,
): Promise<readonly Finding[]> => {
	const lines: string[] = [];
	const say = (line: string): void => void lines.push(...line.split('\n'));
	try {
		const code = await verb(argv, { ...around, colour: false, print: say, warn: say });
		const told = lines.map((line) => line.trim()).filter((line) => line !== '');
		return code === exit.done
			? [finding('good', told.at(-1) ?? 'nothing is wrong')]
			: told.map((line) => finding('wrong', line));
	} catch (error) {
		return [wrongWith(error)];
	}
};

const boardParts = async (
	config: Config | null,
	file: string,
	around: Surroundings,
): Promise<readonly Part[]> => {
	if (config === null) return [];
	const parts: Part[] = [];
	if (config.witness !== null) {
		const { witnessCheck } = await import('#src/cli/witness-check.ts');
		const findings = await byVerb(witnessCheck, ['--config', file], around);
		parts.push({ title: 'witness', findings });
	}
	if (hostConfig(config, config.host).watchdog !== null) {
		const { watchdog } = await import('#src/cli/watchdog.ts');
		const findings = await byVerb(watchdog, ['check', '--config', file], around);
		parts.push({ title: 'watchdog', findings });
	}
	return parts;
};

const askAgent = async (
	around: Surroundings,
): Promise<{
	readonly status: Status;
	readonly fences: FenceCheck | null;
	readonly part: Part;
}> => {
	const client = apiClient(around.socketPath);
	const status = await client.status();
	try {
		const fences = await client.fenceCheck();
		const faults = fenceFaults(fences);
		const findings =
			faults.length === 0
				? [finding('good', 'every device of both hosts answers')]
				: faults.map((fault) =>
						finding('wrong', fault, 'vmpair fence check', 'fence-device-silent'),
					);
		return { status, fences, part: { title: 'fencing', findings } };
	} catch (error) {
		return { status, fences: null, part: { title: 'fencing', findings: [wrongWith(error)] } };
	}
};

const agentParts = async (around: Surroundings): Promise<readonly Part[]> => {
	try {
		const { status, fences, part } = await askAgent(around);
		return [
			{ title: 'pair', findings: statusFindings(status) },
			part,
			{ title: 'a failover from here', findings: budgetFindings(status, fences) },
		];
	} catch (error) {
		return [{ title: 'pair', findings: [wrongWith(error)] }];
	}
};

/**
 * `vmpair doctor [--config FILE] [--json]`: everything that can be checked on this host, with remedies, and how long a
 * failover would take. Ends with 1 when something is wrong. Changes nothing.
 */
export const doctor = async (argv: string[], around: Surroundings): Promise<number> => {
	const { values } = parseOptions('doctor', argv, {
		config: { type: 'string', default: defaultConfigFile },
		json: { type: 'boolean', default: false },
	});
	const { part, config } = await configPart(values.config);
	const parts = [
		part,
		...(await boardParts(config, values.config, around)),
		...(await agentParts(around)),
	];
	const wrong = parts.flatMap(({ findings }) => findings).filter((each) => each.grade === 'wrong');
	if (values.json) around.print(JSON.stringify({ parts }));
	else {
		for (const { title, findings } of parts)
			for (const line of [...findingLines(title, findings, around), '']) around.print(line);
		around.print(wrong.length === 0 ? 'Nothing is wrong.' : `${wrong.length} to put right.`);
	}
	return wrong.length === 0 ? exit.done : exit.failed;
};
