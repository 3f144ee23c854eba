import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { Stage, StageHost } from '#src/demo/stage.ts';
import { truths } from '#src/demo/truth.ts';
import { password as redisPassword } from '#test/process/redis.ts';
import { ofProcess, processes, setStage, until, vmpair } from '#test/process/stage.ts';
import { setTrio } from '#test/process/trio.ts';

const plant = (): string => `planted-${randomBytes(9).toString('hex')}`;

const bmcPassword = plant();
const webhookSecret = randomBytes(32).toString('base64');
const slackToken = plant();
const routingKey = randomBytes(16).toString('hex');

/** Every line of a key counts as the key. */
const keyLines = ({ files }: StageHost): readonly string[] =>
	readFileSync(join(files.folder, 'host.key'), 'utf8')
		.split('\n')
		.filter((line) => line.length > 40 && !line.includes('-----'));

interface Config {
	hosts: Record<string, { fence: { levels: { devices: Record<string, unknown>[] }[] } }>;
	witness?: Record<string, unknown>;
	alerts?: { webhooks: Record<string, unknown>[] };
	tls: Record<string, unknown>;
}

const configOf = ({ files }: StageHost): Config =>
	JSON.parse(readFileSync(files.configFile, 'utf8')) as Config;

/** Who receives alerts, and everything that it received. */
const receiver = async (t: ExecutionContext) => {
	const received: string[] = [];
	const server = createServer((request, response) => {
		let body = '';
		request.on('data', (chunk: Buffer) => (body += chunk.toString()));
		request.on('end', () => {
			// Who is refused is answered with all that was sent.
			if (request.url === '/hook') received.push(JSON.stringify(request.headers), body);
			else response.statusCode = 503;
			response.end(`${request.url}: ${body}`);
		});
	});
	await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
	t.teardown(() => server.close());
	const address = server.address();
	const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
	return { received, url: `http://127.0.0.1:${port}/hook` };
};

/** A BMC that fails once, and repeats everything it was given, as a tool in trouble may. */
const makeTalkative = ({ files, gate }: StageHost): void => {
	const { folder } = files;
	mkdirSync(join(folder, 'quiet'));
	symlinkSync('../bin/tool', join(folder, 'quiet', 'ipmitool'));
	const script = `#!/bin/sh
case "$*" in
*"power off")
	if [ ! -e ${folder}/refused ]; then
		: >${folder}/refused
		echo "unknown: $0 $* with password $IPMITOOL_PASSWORD"
		echo "Error: wrong password '$IPMITOOL_PASSWORD' for $*" >&2
		exit 1
	fi ;;
esac
exec ${folder}/quiet/ipmitool "$@"
`;
	rmSync(join(gate.binFolder, 'ipmitool'));
	writeFileSync(join(gate.binFolder, 'ipmitool'), script, { mode: 0o755 });
};

const plantIn = (host: StageHost, url: string): void => {
	const { folder, configFile } = host.files;
	writeFileSync(join(dirname(folder), 'bmc.password'), `${bmcPassword}\n`);
	const secretFile = join(folder, 'hook.secret');
	writeFileSync(secretFile, `whsec_${webhookSecret}\n`, { mode: 0o600 });
	const urlFile = join(folder, 'slack.secret');
	writeFileSync(urlFile, `${url}/${slackToken}\n`, { mode: 0o600 });
	const routingKeyFile = join(folder, 'pager.secret');
	writeFileSync(routingKeyFile, `${routingKey}\n`, { mode: 0o600 });
	const alerts = {
		webhooks: [{ name: 'on-call', url, secretFile }],
		// Both repeat what they are given, and take nothing.
		slack: [{ name: 'channel', urlFile }],
		pagerduty: [{ name: 'pager', routingKeyFile, url: `${url}/refused` }],
	};
	writeFileSync(configFile, JSON.stringify({ ...configOf(host), alerts }));
	makeTalkative(host);
};

/** Files that may hold a secret: they are what the configuration names for it. */
const keepers = /(\.password|\.secret|\.key)$/;

const filesBelow = (folder: string): readonly string[] =>
	readdirSync(folder, { recursive: true, withFileTypes: true })
		.filter((entry) => entry.isFile() && !keepers.test(entry.name))
		.map((entry) => join(entry.parentPath, entry.name));

const looksMax = 10;

/**
 * Looks at every process of this machine for as long as it lives. A BMC's password is in the environment of its tool,
 * where only root can read it, and of what that tool starts.
 */
const watchProcesses = (t: ExecutionContext, secrets: readonly string[]) => {
	const found = new Set<string>();
	const seen = new Set<string>();
	/** How often each process was looked at: what it runs is settled soon after its start. */
	let looks = new Map<string, number>();
	const holds = (text: string): boolean => secrets.some((secret) => text.includes(secret));
	const look = (): void => {
		looks = new Map(processes().map((pid) => [pid, (looks.get(pid) ?? 0) + 1]));
		for (const [pid, times] of looks) {
			if (times > looksMax) continue;
			// In this order: a process that becomes another program has its arguments and its environment at once.
			const environment = ofProcess(pid, 'environ');
			const words = ofProcess(pid, 'cmdline').replaceAll('\0', ' ');
			const key = `${pid} ${words}`;
			if (words === '' || seen.has(key)) continue;
			seen.add(key);
			if (holds(words)) found.add(`arguments: ${words}`);
			// The fake tool is a script that starts others for its pipe, all of them in `calls`.
			const mayHold = words.includes('ipmitool') || words.includes('/calls/');
			if (!mayHold && holds(environment)) found.add(`environment: ${words}`);
		}
	};
	const timer = setInterval(look, 10);
	t.teardown(() => clearInterval(timer));
	return { found, seen };
};

/** What a person's commands say, one after the other, on a host. */
const everythingSaid = async (
	stage: Stage,
	host: string,
	commands: readonly (readonly string[])[],
): Promise<string> => {
	const said: string[] = [];
	for (const words of commands) {
		const { stdout, stderr } = await vmpair(stage, host, ...words);
		said.push(words.join(' '), stdout, stderr);
	}
	return said.join('\n');
};

test('secrets are in no log, argument, status, history, alert or file of state, even when a tool repeats them', async (t) => {
	const hook = await receiver(t);
	const secrets = [bmcPassword, webhookSecret, redisPassword, slackToken, routingKey];
	const watch = watchProcesses(t, secrets);
	const { stage, witness } = await setTrio(t, (host) => plantIn(host, hook.url));
	secrets.push(...stage.hosts.flatMap(keyLines));
	const { configFile } = stage.host('south').files;
	const said = [
		await everythingSaid(stage, 'south', [
			['fence', 'check'],
			['alert', 'test'],
			['witness', 'check', '--config', configFile],
			['config', 'check', '--file', configFile],
			['disarm', '--reason', 'a test'],
			['arm'],
		]),
	];
	// North hears nobody and says nothing, and is switched off at the second attempt.
	stage.host('north').agent?.kill('SIGSTOP');
	stage.cut('management');
	stage.cut('replication');
	await until('every VM runs on south', () =>
		truths(stage.simulation).every(({ runsOn }) => runsOn.join() === 'south'),
	);
	await until('an alert tells of it', () =>
		hook.received.some((text) => text.includes('peer-out')),
	);
	said.push(
		await everythingSaid(stage, 'south', [
			['ack', 'peer-out/north', '--reason', 'a test'],
			['status'],
			['status', '--json'],
			['history'],
			['history', '--json'],
			['history', '--inputs'],
			['alert', 'list', '--kept'],
			['alert', 'list', '--json'],
		]),
	);
	t.regex(said.join('\n'), /wrong password '\[redacted\]'/);
	t.regex(said.join('\n'), /channel[^\n]*HTTP status 503/);
	t.regex(said.join('\n'), /on-call has it, after [0-9.]+ s/);
	t.regex(said.join('\n'), /peer-out\/north is acknowledged until it is over/);
	t.regex(said.join('\n'), /"acknowledged":\{[^}]*"reason":"a test"\}/);
	t.true(watch.seen.size > 50);
	t.deepEqual([...watch.found], []);
	const texts = [
		...said.map((text) => ['what a person reads', text] as const),
		...hook.received.map((text) => ['an alert', text] as const),
		...[stage.folder, join(witness.folder, 'data')]
			.flatMap(filesBelow)
			.map((path) => [path, readFileSync(path, 'latin1')] as const),
	];
	t.true(texts.some(([where]) => where.endsWith('events.jsonl')));
	t.true(texts.some(([where]) => where.endsWith('agent.log')));
	const leaks = texts.filter(([, text]) => secrets.some((secret) => text.includes(secret)));
	t.deepEqual(
		leaks.map(([where, text]) => {
			const secret = secrets.find((each) => text.includes(each)) ?? '';
			const at = text.indexOf(secret);
			return `${where}: ${text.slice(Math.max(0, at - 200), at + 100)}`;
		}),
		[],
	);
});

type Device = Record<string, unknown>;

/** The configuration with every fence device changed. */
const withDevices = (config: Config, change: (device: Device) => Device): string => {
	for (const { fence } of Object.values(config.hosts))
		for (const level of fence.levels) level.devices = level.devices.map(change);
	return JSON.stringify(config);
};

const withHook = (config: Config, changes: object): string => {
	const hook = { name: 'a', url: 'https://a.example/', secretFile: '/a/b', ...changes };
	return JSON.stringify({ ...config, alerts: { webhooks: [hook] } });
};

const withAlerts = (config: Config, alerts: object): string =>
	JSON.stringify({ ...config, alerts });

const agentDevice = { kind: 'agent', name: 'a', limitMs: 1000, lateMs: 0, agent: 'fence_apc' };

/** Places in the configuration where somebody may write a secret itself, and what is said of it. */
const mistakes: readonly (readonly [RegExp, (config: Config, secret: string) => string])[] = [
	[
		/passwordFile: .* absolute path, found a value that is not shown/,
		(config, secret) => withDevices(config, (device) => ({ ...device, passwordFile: secret })),
	],
	[
		/a secret is never written into this file/,
		(config, password) => withDevices(config, (device) => ({ ...device, password })),
	],
	[
		/parameters\.password/,
		(config, password) => withDevices(config, () => ({ ...agentDevice, parameters: { password } })),
	],
	[
		/secretFile: .*found a value that is not shown/,
		(config, secret) => withHook(config, { secretFile: `whsec_${secret}` }),
	],
	[
		/webhooks\[0\]\.url: expected a URL without a user and a password/,
		(config, secret) => withHook(config, { url: `https://me:${secret}@a.example/` }),
	],
	[
		/slack\[0\]\.urlFile: .*found a value that is not shown/,
		(config, secret) =>
			withAlerts(config, { slack: [{ name: 'a', urlFile: `https://hooks.slack.com/${secret}` }] }),
	],
	[
		/pagerduty\[0\]\.routingKeyFile: .*found a value that is not shown/,
		(config, secret) => withAlerts(config, { pagerduty: [{ name: 'a', routingKeyFile: secret }] }),
	],
	[
		/alertmanager\[0\]\.urls\[0\]: expected a URL without a user and a password/,
		(config, secret) =>
			withAlerts(config, {
				alertmanager: [{ name: 'a', urls: [`https://me:${secret}@a.example/`] }],
			}),
	],
	[
		/deadman\.urlFile: .*found a value that is not shown/,
		(config, secret) =>
			withAlerts(config, { deadman: { urlFile: `https://hc.example/${secret}` } }),
	],
	[
		/webhooks\[0\]\.url: expected a URL that starts/,
		(config, secret) => withHook(config, { url: `a.example/hook?token=${secret}` }),
	],
	[
		/witness\.passwordFile: .*found a value that is not shown/,
		(config, secret) =>
			JSON.stringify({
				...config,
				witness: { address: '192.0.2.1', passwordFile: secret, tls: { ca: '/a', key: secret } },
			}),
	],
	[
		/tls\.key: .*found a value that is not shown/,
		(config, key) => JSON.stringify({ ...config, tls: { ...config.tls, key } }),
	],
	[/expected/, (config, secret) => `${JSON.stringify(config)}\npasswordFile: ${secret}\n`],
	[/expected/, (_config, secret) => `passwordFile: *${secret}\nkey: !${secret} a\n`],
	[/expected/, (_config, secret) => `passwordFile: %${secret}\nkey: "${secret}\n`],
];

test('a secret in the wrong place of the configuration is refused without being repeated', async (t) => {
	const stage = await setStage(t);
	const north = stage.host('north');
	const file = join(north.files.folder, 'wrong.yaml');
	const secret = plant();
	const refused = async (said: RegExp, ...words: readonly string[]): Promise<void> => {
		const { exitCode, stdout, stderr } = await vmpair(null, '', ...words, file);
		t.is(exitCode, 78);
		t.regex(`${stdout}${stderr}`, said);
		t.false(`${stdout}${stderr}`.includes(secret), `${stdout}${stderr}`);
	};
	for (const [said, wrong] of mistakes) {
		writeFileSync(file, wrong(configOf(north), secret));
		await refused(said, 'config', 'check', '--file');
	}
	await refused(/expected/, 'agent', '--config');
});
