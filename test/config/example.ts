import { readFileSync } from 'node:fs';
import { readConfig } from '#src/config/config.ts';
import type { Config } from '#src/config/config.ts';
import { problemText } from '#src/config/problem.ts';

/** The example that is shipped. */
export const exampleText = readFileSync(
	new URL('../../deploy/vmpair.yaml.example', import.meta.url),
	'utf8',
);

/** Every problem of a text, as a person sees it. */
export const problemsOf = (text: string, host = 'alpha'): readonly string[] =>
	readConfig(text, host).problems.map((problem) => problemText('f', problem));

/** The configuration of a text without problems. */
export const configOf = (text: string, host = 'alpha'): Config => {
	const { config, problems } = readConfig(text, host);
	if (config === null) throw new Error(problems.map((each) => problemText('f', each)).join('\n'));
	return config;
};

/** The smallest configuration with an arbiter of its own choice. */
export const smallText = (more = ''): string => `pair: p
arbiter: person
links:
  lan: {switched: true}
hosts:
  alpha:
    certificate: ${'A1'.repeat(32)}
    links: {lan: {address: 192.0.2.1}}
  beta:
    certificate: ${'B2'.repeat(32)}
    links: {lan: {address: 192.0.2.2}}
${more === '' ? 'vms: {}\n' : more}`;

/** The example with two outlets as the second level of alpha. */
export const twoLevelText = exampleText.replace('perHour: 3', 'perHour: 6').replace(
	/^ {8}# A BMC dies[^]*?(?=^ {2}beta:)/m,
	`        - attempts: 2
          devices:
            - {kind: agent, name: outlet-a, agent: fence_x, parameters: {plug: '1'}, limitMs: 20000, lateMs: 5000}
            - {kind: agent, name: outlet-b, agent: fence_x, parameters: {plug: '2'}, limitMs: 9000, lateMs: 7000}
`,
);
