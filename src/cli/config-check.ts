import { parseOptions } from '#src/cli/options.ts';
import { exit, type Surroundings } from '#src/cli/surroundings.ts';
import { plainReceivers } from '#src/config/alerts.ts';
import type { Config } from '#src/config/config.ts';
import { defaultConfigFile, readConfigFile } from '#src/config/driver.ts';
import type { LoadedConfig, LoadResult } from '#src/config/driver.ts';
import { problemText } from '#src/config/problem.ts';
import { timingRows, timingText } from '#src/config/timing-text.ts';

const hostText = (config: Config, host: string): string => {
	const levels = config.hosts[host]?.fenceLevels ?? [];
	const texts = levels.map(({ devices }) => devices.map(({ name }) => name).join(' and '));
	const here = host === config.host ? ' (this host)' : '';
	return `  ${host}${here}: ${texts.length === 0 ? 'no fence device' : `fenced by ${texts.join(', then by ')}`}`;
};

const vmText = (each: Config['vms'][number]): string => {
	const memory =
		each.memoryMib === null ? `memory from ${each.configFile}` : `${each.memoryMib} MiB`;
	const after = each.after.length === 0 ? '' : `, after ${each.after.join(' and ')}`;
	return `  ${each.vm}: resource ${each.resource}, ${memory}, priority ${each.priority}, prefers ${each.preferredHost}${after}`;
};

const webText = ({ web }: Config): string => {
	if (web === null) return 'no page and no metrics (no section "web")';
	const what = [...(web.page ? ['page'] : []), ...(web.metrics ? ['metrics'] : [])].join(' and ');
	const where = web.listen.map(({ address, port }) => `${address} port ${port}`).join(', ');
	return `${what} on ${where}, ${web.tokenFile === null ? 'without a token' : 'with a token'}`;
};

/** What works but leaves the pair worse off than it could be. */
const advice = (config: Config): readonly string[] => {
	const found: string[] = [];
	if (config.links.length < 2)
		found.push('There is one link only: its loss silences the peer. Add the replication network.');
	if (!config.links.some((each) => each.switched))
		found.push('No link is switched: neither host can notice that it is the one that is cut off.');
	if (config.arbiter === 'person')
		found.push('The arbiter is a person: no VM is taken over before "vmpair takeover" is run.');
	if (config.alerts.receivers.length === 0)
		found.push('There is no receiver of alerts: nobody is told when something breaks.');
	for (const name of plainReceivers(config.alerts))
		found.push(
			`The receiver ${name} has an http:// URL: what is sent can be read on the way. Use https://.`,
		);
	if (config.vms.length === 0) found.push('There are no VMs to protect.');
	return found;
};

const summary = ({ config, digest, file }: LoadedConfig): readonly string[] => [
	`${file} is valid.`,
	'',
	`pair ${config.pairId}, arbiter ${config.arbiter}, digest ${digest.slice(0, 16)} (equal on both hosts, or they differ)`,
	'',
	'hosts',
	...config.hostNames.map((host) => hostText(config, host)),
	'',
	'VMs',
	...config.vms.map(vmText),
	'',
	webText(config),
	'',
	'times, all from the detection time D',
	...timingText(config)
		.split('\n')
		.map((line) => `  ${line}`),
	...advice(config).map((line) => `\nadvice: ${line}`),
];

const json = (result: LoadResult): string =>
	JSON.stringify(
		{
			file: result.file,
			valid: result.loaded !== null,
			problems: result.problems,
			digest: result.loaded?.digest ?? null,
			config: result.loaded?.config ?? null,
			timing: result.loaded === null ? null : timingRows(result.loaded.config),
			advice: result.loaded === null ? [] : advice(result.loaded.config),
		},
		null,
		'\t',
	);

/**
 * `vmpair config check [--file FILE] [--host NAME] [--no-files] [--json]`: every problem of the
 * configuration, or what it means. Ends with 78 when there is a problem.
 */
export const configCheck = async (argv: string[], around: Surroundings): Promise<number> => {
	const { values } = parseOptions('config check', argv, {
		file: { type: 'string', default: defaultConfigFile },
		host: { type: 'string' },
		'no-files': { type: 'boolean', default: false },
		json: { type: 'boolean', default: false },
	});
	const result = await readConfigFile(values.file, {
		files: !values['no-files'],
		...(values.host === undefined ? {} : { hostName: values.host }),
	});
	if (values.json) around.print(json(result));
	else if (result.loaded !== null) summary(result.loaded).forEach((line) => around.print(line));
	else {
		for (const problem of result.problems) around.warn(problemText(result.file, problem));
		const count = result.problems.length;
		around.warn(`${count} ${count === 1 ? 'problem' : 'problems'}; nothing of this file is used.`);
	}
	return result.loaded === null ? exit.config : exit.done;
};
