import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { report } from '#src/cli/report.ts';
import { scrubbed, secretFilesIn, secretsIn } from '#src/cli/report-text.ts';
import { createAround } from '#test/cli/around.ts';

test('the files of secrets are found by the names of their keys, wherever they stand', (t) => {
	const config = {
		tls: { certificate: '/c', key: '/k' },
		hosts: {
			a: { fence: { levels: [{ devices: [{ passwordFile: '/p', address: '10.0.0.1' }] }] } },
			b: { devices: [{ secretParameters: { password: '/s' } }] },
		},
		alerts: { webhooks: [{ secretFile: '/w', url: 'https://x/y' }], slack: { tokenFile: '/t' } },
	};
	t.deepEqual(secretFilesIn(config).toSorted(), ['/k', '/p', '/s', '/t', '/w']);
});

test('secrets, keys of addresses and what follows the name of a password are taken out', (t) => {
	const secrets = secretsIn([
		'hunter2hunter2\n\n',
		'-----BEGIN KEY-----\nAbCdEf0123\n-----END KEY-----\n',
		'no\n',
	]);
	t.deepEqual(secrets, ['hunter2hunter2', 'AbCdEf0123']);
	const text = [
		'ipmitool said hunter2hunter2 twice: hunter2hunter2',
		'url: https://user:pass@hooks.example.org/services/T0/B0/xyz',
		"vncpasswd='letmein1'",
		'passwordFile: /etc/vmpair/bmc',
		'"secret": "s3cr3t!", "after": 1',
	].join('\n');
	t.is(
		scrubbed(text, secrets),
		[
			'ipmitool said [redacted] twice: [redacted]',
			'url: https://hooks.example.org/[redacted]',
			'vncpasswd=[redacted]',
			'passwordFile: /etc/vmpair/bmc',
			'"secret": [redacted], "after": 1',
		].join('\n'),
	);
});

test('the bundle of a host without an agent is one file, with what there is and without its secrets', async (t) => {
	const folder = await mkdtemp(join(tmpdir(), 'vmpair-report-test-'));
	t.teardown(() => rm(folder, { recursive: true, force: true }));
	const state = join(folder, 'state');
	await mkdir(state);
	await writeFile(join(state, 'state.json'), '{"record":1}\n');
	await writeFile(join(state, 'events.jsonl'), '');
	await writeFile(join(folder, 'bmc'), 'planted-password\n');
	const config = join(folder, 'vmpair.yaml');
	await writeFile(config, `pair: p\n# planted-password\npasswordFile: ${join(folder, 'bmc')}\n`);
	const target = join(folder, 'out.tar.gz');
	const { around, printed } = createAround({ stateFolder: state });
	t.is(await report(['--out', target, '--config', config], around), 0);
	t.deepEqual(printed, [target]);
	const names = execFileSync('tar', ['-tzf', target], { encoding: 'utf8' });
	for (const name of [
		'status.json',
		'doctor.txt',
		'vmpair.yaml',
		'state/events.jsonl',
		'xl-list.txt',
	])
		t.true(names.includes(`/${name}\n`), name);
	const all = execFileSync('tar', ['-xzOf', target], { encoding: 'utf8' });
	t.false(all.includes('planted-password'));
	t.regex(all, /passwordFile: /);
	t.regex(all, /the agent on this host is not running/);
});

test('a bundle whose secrets could not be read is not called free of them', async (t) => {
	const folder = await mkdtemp(join(tmpdir(), 'vmpair-report-test-'));
	t.teardown(() => rm(folder, { recursive: true, force: true }));
	const config = join(folder, 'vmpair.yaml');
	const target = join(folder, 'out.tar.gz');
	for (const [text, named] of [
		[`passwordFile: ${folder}/missing\n`, `${folder}/missing`],
		['pair: [\n', config],
	] as const) {
		await writeFile(config, text);
		const { around, warned } = createAround({ stateFolder: folder });
		t.is(await report(['--out', target, '--config', config], around), 0);
		t.true(warned.join('\n').includes(`may hold secrets: those of ${named} `), warned.join('\n'));
	}
});

test('a place that cannot be written is told with another way', async (t) => {
	const { around } = createAround();
	await t.throwsAsync(report(['--out', '/nonexistent/x.tar.gz'], around), {
		code: 'report-failed',
	});
});
