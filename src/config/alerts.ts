import type { ConfigFile } from '#src/config/schema.ts';
import type { Path } from '#src/config/source.ts';

interface AnyReceiver {
	readonly name: string;
	readonly minimum: 'info' | 'warning' | 'critical';
	/** Time limit of one attempt. */
	readonly limitMs: number;
}

export type ReceiverConfig =
	| (AnyReceiver & { readonly kind: 'webhook'; readonly url: string; readonly secretFile: string })
	| (AnyReceiver & { readonly kind: 'slack'; readonly urlFile: string })
	| (AnyReceiver & {
			readonly kind: 'pagerduty';
			readonly url: string;
			readonly routingKeyFile: string;
	  })
	| (AnyReceiver & {
			readonly kind: 'alertmanager';
			readonly urls: readonly string[];
			readonly repeatMs: number;
	  })
	| (AnyReceiver & {
			readonly kind: 'command';
			readonly file: string;
			readonly args: readonly string[];
	  });

export interface AlertsConfig {
	readonly receivers: readonly ReceiverConfig[];
	readonly deadman: {
		readonly urlFile: string;
		readonly everyMs: number;
		readonly limitMs: number;
	} | null;
}

const common = (each: {
	readonly name: string;
	readonly minimum: AnyReceiver['minimum'];
	readonly limit: number;
}): AnyReceiver => ({ name: each.name, minimum: each.minimum, limitMs: each.limit });

/** The receivers of all kinds in one list, in the order of the kinds. */
export const alertsOf = ({ alerts }: ConfigFile): AlertsConfig => ({
	receivers: [
		...alerts.webhooks.map((each) => ({
			kind: 'webhook' as const,
			...common(each),
			url: each.url,
			secretFile: each.secretFile,
		})),
		...alerts.slack.map((each) => ({
			kind: 'slack' as const,
			...common(each),
			urlFile: each.urlFile,
		})),
		...alerts.pagerduty.map((each) => ({
			kind: 'pagerduty' as const,
			...common(each),
			url: each.url,
			routingKeyFile: each.routingKeyFile,
		})),
		...alerts.alertmanager.map((each) => ({
			kind: 'alertmanager' as const,
			...common(each),
			urls: each.urls,
			repeatMs: each.repeat,
		})),
		...alerts.commands.map((each) => ({
			kind: 'command' as const,
			...common(each),
			file: each.command,
			args: each.arguments,
		})),
	],
	deadman:
		alerts.deadman === undefined
			? null
			: {
					urlFile: alerts.deadman.urlFile,
					everyMs: alerts.deadman.every,
					limitMs: alerts.deadman.limit,
				},
});

const listOf = {
	webhook: 'webhooks',
	slack: 'slack',
	pagerduty: 'pagerduty',
	alertmanager: 'alertmanager',
	command: 'commands',
} as const;

interface SecretFile {
	readonly path: Path;
	readonly file: string;
	/** What it holds, in words. */
	readonly holds: string;
}

/** The files with secrets that alerts need, with the places that name them. */
export const alertSecrets = ({ receivers, deadman }: AlertsConfig): readonly SecretFile[] => [
	...receivers.flatMap((each): readonly SecretFile[] => {
		const kin = receivers.filter(({ kind }) => kind === each.kind);
		const path: Path = ['alerts', listOf[each.kind], kin.indexOf(each)];
		if (each.kind === 'webhook')
			return [
				{
					path: [...path, 'secretFile'],
					file: each.secretFile,
					holds: 'the signing secret (whsec_...)',
				},
			];
		if (each.kind === 'slack')
			return [
				{
					path: [...path, 'urlFile'],
					file: each.urlFile,
					holds: 'the URL of the incoming webhook',
				},
			];
		if (each.kind === 'pagerduty')
			return [
				{
					path: [...path, 'routingKeyFile'],
					file: each.routingKeyFile,
					holds: 'the integration key',
				},
			];
		return [];
	}),
	...(deadman === null
		? []
		: [
				{
					path: ['alerts', 'deadman', 'urlFile'],
					file: deadman.urlFile,
					holds: "the URL of this host's own check",
				},
			]),
];

/** The addresses that are not encrypted, by the name of their receiver. */
export const plainReceivers = ({ receivers }: AlertsConfig): readonly string[] =>
	receivers
		.filter((each) =>
			each.kind === 'alertmanager'
				? each.urls.some((url) => url.startsWith('http:'))
				: 'url' in each && each.url.startsWith('http:'),
		)
		.map(({ name }) => name);
