import { readFileSync } from 'node:fs';
import { chmod, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { ReceiverConfig } from '#src/config/alerts.ts';
import { listen } from '#test/alert/listener.ts';
import type { Heard, Listener } from '#test/alert/listener.ts';

/** One word of a condition, as a receiver of any kind understood it. */
export interface Word {
	/** The name of the condition. */
	readonly name: string;
	readonly state: 'fired' | 'resolved';
	/** Wall-clock time. */
	readonly atMs: number;
}

interface Body {
	readonly type: string;
	readonly data: { readonly condition?: string };
}

interface ManagedAlert {
	readonly labels: { readonly alertname: string };
	readonly endsAt: string;
}

/** `VmpairPeerOut` becomes `peer-out`. */
const plainName = (name: string): string =>
	name
		.replace(/^Vmpair/, '')
		.replaceAll(/(?<!^)[A-Z]/g, (letter) => `-${letter}`)
		.toLowerCase();

const wordOf = (name: string, over: boolean, atMs: number): Word => ({
	name,
	state: over ? 'resolved' : 'fired',
	atMs,
});

const ofWebhook = (text: string, atMs: number): readonly Word[] => {
	const { type, data } = JSON.parse(text) as Body;
	return data.condition === undefined
		? []
		: [wordOf(data.condition, type === 'condition.resolved', atMs)];
};

/** What each kind of receiver reads out of a request. */
const readers: Readonly<
	Record<Exclude<ReceiverConfig['kind'], 'command'>, (heard: Heard) => readonly Word[]>
> = {
	webhook: ({ body, atMs }) => ofWebhook(body, atMs),
	slack: ({ body, atMs }) => {
		const { text } = JSON.parse(body) as { text: string };
		const name = /, pair[^/]*\/([^/]+)\/[^/]*_$/.exec(text)?.[1];
		return name === undefined ? [] : [wordOf(name, text.includes('*RESOLVED*'), atMs)];
	},
	pagerduty: ({ body, atMs }) => {
		const event = JSON.parse(body) as { event_action: string; dedup_key: string };
		const [, name] = event.dedup_key.split('/');
		return name === undefined ? [] : [wordOf(name, event.event_action === 'resolve', atMs)];
	},
	alertmanager: ({ body, atMs }) =>
		(JSON.parse(body) as ManagedAlert[]).map(({ labels, endsAt }) =>
			wordOf(plainName(labels.alertname), Date.parse(endsAt) <= atMs, atMs),
		),
};

/** A receiver of one kind. */
export interface AnyReceiver {
	readonly kind: ReceiverConfig['kind'];
	readonly config: ReceiverConfig;
	/** What it heard and took, in order. */
	readonly words: () => readonly Word[];
}

export interface Five {
	readonly all: readonly AnyReceiver[];
	/** The receivers that are asked over HTTP. */
	readonly listeners: readonly Listener[];
	/** What the next requests are answered with; a command fails while it is false. */
	readonly take: (answer: Listener['answer'], command: boolean) => Promise<void>;
}

/** A program that takes an alert on its input, and fails while the file `fails` is there. */
const program = async (directory: string) => {
	const [file, taken, fails] = ['tell', 'taken', 'fails'].map((name) => join(directory, name)) as [
		string,
		string,
		string,
	];
	// One line for each alert: a line of less than 4 KiB is written whole.
	await writeFile(file, `#!/bin/sh\n[ ! -e ${fails} ] || exit 1\ncat >>${taken}\n`);
	await chmod(file, 0o755);
	await writeFile(taken, '');
	return { file, taken, fails };
};

interface Urls {
	readonly webhook: string;
	readonly slack: string;
	readonly pagerduty: string;
	readonly alertmanager: string;
}

/** The configuration of a receiver of every kind, with its secrets in files. */
const configsOf = async (
	directory: string,
	urls: Urls,
	file: string,
	{ limitMs, repeatMs }: Limits,
): Promise<readonly ReceiverConfig[]> => {
	const secret = async (name: string, text: string): Promise<string> => {
		const path = join(directory, name);
		await writeFile(path, `${text}\n`, { mode: 0o600 });
		return path;
	};
	const common = (name: string) => ({ name, minimum: 'info' as const, limitMs });
	const key = Buffer.alloc(32, 5).toString('base64');
	return [
		{
			...common('webhook'),
			kind: 'webhook',
			url: `${urls.webhook}/hook`,
			secretFile: await secret('hook.secret', `whsec_${key}`),
		},
		{
			...common('slack'),
			kind: 'slack',
			urlFile: await secret('slack.secret', `${urls.slack}/services/T/B/x`),
		},
		{
			...common('pagerduty'),
			kind: 'pagerduty',
			url: `${urls.pagerduty}/v2/enqueue`,
			routingKeyFile: await secret('pager.secret', 'R0123456789abcdef0123456789abcde'),
		},
		{ ...common('alertmanager'), kind: 'alertmanager', urls: [urls.alertmanager], repeatMs },
		{ ...common('command'), kind: 'command', file, args: [] },
	];
};

/** Time limit of one attempt, and how often Alertmanager is told again, ms. */
interface Limits {
	readonly limitMs: number;
	readonly repeatMs: number;
}

/** A receiver of every kind on this machine, all of which take everything at first. */
export const startFive = async (
	t: Pick<ExecutionContext, 'teardown'>,
	directory: string,
	limits: Limits,
): Promise<Five> => {
	const { file, taken, fails } = await program(directory);
	const by = {
		webhook: await listen(t),
		slack: await listen(t),
		pagerduty: await listen(t),
		alertmanager: await listen(t),
	};
	const listeners = Object.values(by);
	const urls = {
		webhook: by.webhook.url,
		slack: by.slack.url,
		pagerduty: by.pagerduty.url,
		alertmanager: by.alertmanager.url,
	};
	const wordsOf = (kind: ReceiverConfig['kind']): readonly Word[] => {
		if (kind !== 'command')
			return by[kind].heard
				.filter(({ status }) => status >= 200 && status < 300)
				.flatMap((heard) => readers[kind](heard));
		return readFileSync(taken, 'utf8')
			.split('\n')
			.filter((line) => line !== '')
			.flatMap((line) => ofWebhook(line, 0));
	};
	return {
		all: (await configsOf(directory, urls, file, limits)).map((config) => ({
			kind: config.kind,
			config,
			words: () => wordsOf(config.kind),
		})),
		listeners,
		take: async (answer, command) => {
			for (const each of listeners) each.answer = answer;
			await (command ? rm(fails, { force: true }) : writeFile(fails, ''));
		},
	};
};
