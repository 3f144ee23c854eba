import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { execa } from 'execa';
import { exampleText } from '#test/config/example.ts';
import { password, witnessServer, type WitnessServer } from '#test/process/redis.ts';
import { program } from '#test/process/stage.ts';
import { accepted, connected, healthy, pairId } from '#test/process/witness-record.ts';

/** A configuration of this host with the witness in it, and every file that it names. */
const configured = (server: WitnessServer, port: number): string => {
	const at = (name: string): string => join(server.folder, name);
	for (const name of ['host.crt', 'host.key', 'secret', 'ldap.cfg', 'witness.password'])
		writeFileSync(at(name), `${name === 'witness.password' ? password : 'x'}\n`, { mode: 0o600 });
	const text = exampleText
		.replaceAll(/^( +)(passwordFile|secretFile): .*/gm, `$1$2: ${at('secret')}`)
		.replaceAll(/config: \/etc\/xen\/(\w+)\.cfg/g, (_, vm: string) => {
			writeFileSync(at(`${vm}.cfg`), 'memory = 128\n');
			return `config: ${at(`${vm}.cfg`)}`;
		});
	const file = at('vmpair.yaml');
	const lines = [
		text,
		'host: alpha',
		`tls: { certificate: ${at('host.crt')}, key: ${at('host.key')} }`,
		'witness:',
		'  address: 127.0.0.1',
		`  port: ${port}`,
		`  passwordFile: ${at('witness.password')}`,
		...(server.access().tls === null ? [] : [`  tls: { ca: ${at('tls/ca.crt')} }`]),
	];
	writeFileSync(file, `${lines.join('\n')}\n`);
	return file;
};

const check = async (file: string, ...words: readonly string[]) => {
	const { exitCode, stdout, stderr } = await execa(
		process.execPath,
		[program, 'witness', 'check', '--config', file, ...words],
		{ reject: false, timeout: 60_000 },
	);
	return { exitCode, text: stdout + stderr };
};

test('"vmpair witness check" tells of a good witness, and leaves no trace in it', async (t) => {
	const server = await witnessServer(t, { encrypted: true });
	const connection = await connected(t, server);
	const file = configured(server, server.port);
	const fresh = await check(file);
	t.is(fresh.exitCode, 0, fresh.text);
	t.regex(fresh.text, /record +none of this pair/);
	await accepted(t, connection, {
		op: 'seed',
		host: 'a',
		expectedVersion: null,
		record: healthy(),
	});
	const { exitCode, text } = await check(file);
	t.is(exitCode, 0, text);
	t.regex(text, /Redis \d+\.\d+\.\d+, up /);
	t.regex(text, /run id +[0-9a-f]{40}/);
	t.regex(text, /renewal +[\d.]+ ms/);
	t.regex(text, /record +version 1, no claim, 2 resources/);
	t.regex(text, /alpha +0 renewals, watchdog armed, 5000 ms/);
	t.regex(text, /warning \(snapshot\)/);
	t.regex(text, /This witness can be used\./);
	t.deepEqual(await server.admin((redis) => redis.keys('*')), [`vmpair:${pairId}`]);
	const json = await check(file, '--json');
	t.like(JSON.parse(json.text), { usable: true, record: { version: 1 } });
	t.false((fresh.text + text + json.text).includes(password));
});

test('each finding has its remedy, its code and its exit code', async (t) => {
	const server = await witnessServer(t);
	const file = configured(server, server.port);
	const found = async (exitCode: number, ...expected: readonly RegExp[]): Promise<void> => {
		const result = await check(file);
		t.is(result.exitCode, exitCode, result.text);
		const sentences = result.text.replaceAll(/\s+/g, ' ');
		for (const each of expected) t.regex(sentences, each);
		t.false(result.text.includes(password));
	};
	await server.admin((redis) => redis.config('SET', 'appendfsync', 'everysec'));
	await found(1, /blocker \(fsync\)/, /CONFIG SET appendfsync always/, /cannot be used/);
	await server.admin((redis) => redis.config('SET', 'appendfsync', 'always'));
	await server.admin((redis) => redis.hset(`vmpair:${pairId}`, 'pair', 'other', 'format', '1'));
	await found(1, /blocker \(record\): The key vmpair:computing-centre holds/);
	await server.admin((redis) => redis.set(`vmpair:${pairId}`, 'text'));
	await found(1, /blocker \(record\)/, /redis-cli DEL/);
	await server.admin((redis) => redis.del(`vmpair:${pairId}`));
	await server.admin((redis) => redis.call('ACL', 'SETUSER', 'vmpair', '-hset'));
	await found(1, /blocker \(right\)/, /"seed"/, /users\.acl/);
	await server.admin((redis) => redis.call('ACL', 'SETUSER', 'vmpair', 'resetpass'));
	await found(1, /blocker \(password\)/);
	await server.kill();
	await found(69, /blocker \(unreachable\)/, /systemctl status/);
	chmodSync(join(server.folder, 'witness.password'), 0o644);
	await found(78, /vmpair\.yaml:\d+:\d+: witness\.passwordFile: .*chmod 600/);
});

test('without a witness in the configuration the check says what to add', async (t) => {
	const server = await witnessServer(t);
	const file = configured(server, server.port);
	const { stdout } = await execa('sed', ['/^witness:/,$d', file]);
	writeFileSync(file, stdout);
	const { exitCode, text } = await check(file);
	t.is(exitCode, 78, text);
	t.regex(text, /No witness is configured/);
	t.regex(text, /next: add the section "witness"/);
});
