import test from 'ava';
import { alertSecrets, plainReceivers } from '#src/config/alerts.ts';
import { configChange } from '#src/config/change.ts';
import { configOf, problemsOf, smallText } from '#test/config/example.ts';

const withAlerts = (...lines: readonly string[]): string =>
	smallText(`vms: {}\nalerts:\n${lines.map((line) => `  ${line}\n`).join('')}`);

const everything = withAlerts(
	'webhooks: [{name: hook, url: "https://a.example/", secretFile: /s/hook}]',
	'slack: [{name: channel, urlFile: /s/slack, minimum: warning}]',
	'pagerduty: [{name: pager, routingKeyFile: /s/pager, limit: 5s}]',
	'alertmanager: [{name: prom, urls: ["http://192.0.2.9:9093", "https://b.example"]}]',
	'commands: [{name: sms, command: /usr/local/bin/sms, arguments: [--to, "on call"]}]',
	'deadman: {urlFile: /s/deadman, every: 5m}',
);

test('receivers of every kind are one list, with what is left out filled in', (t) => {
	const { alerts } = configOf(everything);
	t.deepEqual(alerts, {
		receivers: [
			{
				kind: 'webhook',
				name: 'hook',
				minimum: 'info',
				limitMs: 15_000,
				url: 'https://a.example/',
				secretFile: '/s/hook',
			},
			{ kind: 'slack', name: 'channel', minimum: 'warning', limitMs: 15_000, urlFile: '/s/slack' },
			{
				kind: 'pagerduty',
				name: 'pager',
				minimum: 'info',
				limitMs: 5000,
				url: 'https://events.pagerduty.com/v2/enqueue',
				routingKeyFile: '/s/pager',
			},
			{
				kind: 'alertmanager',
				name: 'prom',
				minimum: 'info',
				limitMs: 15_000,
				urls: ['http://192.0.2.9:9093', 'https://b.example'],
				repeatMs: 60_000,
			},
			{
				kind: 'command',
				name: 'sms',
				minimum: 'info',
				limitMs: 15_000,
				file: '/usr/local/bin/sms',
				args: ['--to', 'on call'],
			},
		],
		deadman: { urlFile: '/s/deadman', everyMs: 300_000, limitMs: 10_000 },
	});
	t.deepEqual(plainReceivers(alerts), ['prom']);
	t.deepEqual(
		alertSecrets(alerts).map(({ path, file }) => `${path.join('.')} ${file}`),
		[
			'alerts.webhooks.0.secretFile /s/hook',
			'alerts.slack.0.urlFile /s/slack',
			'alerts.pagerduty.0.routingKeyFile /s/pager',
			'alerts.deadman.urlFile /s/deadman',
		],
	);
});

test('every receiver has a name of its own, whatever its kind', (t) => {
	const found = problemsOf(
		withAlerts(
			'slack: [{name: on-call, urlFile: /s/slack}]',
			'commands: [{name: on-call, command: /bin/true}]',
		),
	);
	t.is(found.length, 1);
	t.regex(found[0] ?? '', /alerts\.commands\[0\]\.name: .*"on-call".*alerts\.slack\[0\]\.name/);
});

test('a secret in the place of its file, a relative program and no URL are refused in words', (t) => {
	const only = (...lines: readonly string[]): string => {
		const found = problemsOf(withAlerts(...lines));
		t.is(found.length, 1, found.join('\n'));
		return found[0] ?? '';
	};
	t.regex(
		only('slack: [{name: a, urlFile: "https://hooks.slack.com/planted"}]'),
		/urlFile: expected the absolute path of a file, found a value that is not shown$/,
	);
	t.regex(
		only('slack: [{name: a, url: "https://hooks.slack.com/planted", urlFile: /s/a}]'),
		/url: expected urlFile with the path of a file that holds it/,
	);
	t.regex(only('commands: [{name: a, command: sms}]'), /command: expected the absolute path/);
	t.regex(only('alertmanager: [{name: a, urls: []}]'), /urls: expected at least one URL/);
	t.regex(
		only('alertmanager: [{name: a, urls: ["a.example/?token=planted"]}]'),
		/urls\[0\]: expected a URL that starts with https:\/\/ or http:\/\/, found a value that is not/,
	);
	t.regex(only('deadman: {urlFile: /s/a, every: 1s}'), /every: expected a duration from 15s to 1h/);
});

test('receivers are taken over by a running agent', (t) => {
	const before = configOf(smallText());
	t.deepEqual(configChange(before, configOf(everything)), { live: ['alerts'], restart: [] });
});
