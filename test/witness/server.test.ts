import test from 'ava';
import { connectFinding, kindFindings, readInfo, readSettings } from '#src/witness/server.ts';

const info = (changes: Readonly<Record<string, string>> = {}): string =>
	Object.entries({
		redis_version: '7.0.15',
		redis_mode: 'standalone',
		run_id: '0123456789012345678901234567890123456789',
		uptime_in_seconds: '42',
		used_memory: '1000',
		maxmemory: '0',
		loading: '0',
		aof_enabled: '1',
		aof_last_write_status: 'ok',
		role: 'master',
		connected_slaves: '0',
		cluster_enabled: '0',
		...changes,
	})
		.map(([key, value]) => `${key}:${value}`)
		.join('\r\n');

const codes = (text: string): readonly string[] =>
	kindFindings(readInfo(`# Server\r\n${text}\r\n`)).map(({ code }) => code);

test('a standalone Redis of a known version may be a witness, and nothing else', (t) => {
	t.deepEqual(codes(info()), []);
	t.deepEqual(codes(info({ redis_mode: 'cluster', cluster_enabled: '1' })), ['cluster']);
	t.deepEqual(codes(info({ role: 'other' })), ['replica']);
	t.deepEqual(codes(info({ redis_version: '5.0.14' })), ['too-old']);
	t.deepEqual(codes(info({ loading: '1' })), ['loading']);
});

test('a Sentinel is told by what it says, although it says nothing of data', (t) => {
	const run = 'run_id:0123456789012345678901234567890123456789';
	const said = ['redis_version:7.0.15', 'redis_mode:sentinel', run, 'uptime_in_seconds:4'];
	t.deepEqual(codes(said.join('\r\n')), ['sentinel']);
});

test('an answer that lacks something is no answer', (t) => {
	for (const field of ['run_id', 'role', 'aof_enabled', 'loading'])
		t.throws(() => readInfo(info().replace(new RegExp(`^${field}:.*$`, 'm'), '')), {
			message: `the answer to INFO lacks ${field}`,
		});
	t.throws(() => readInfo(info({ run_id: 'short' })), { message: /run_id/ });
	t.throws(() => readSettings([], ['channel', '0']), { message: /appendfsync/ });
});

test('errors while connecting are told by what an admin has to mend', (t) => {
	const cases: readonly (readonly [string, string, string])[] = [
		['', 'WRONGPASS invalid username-password pair', 'password'],
		['', "NOPERM this user has no permissions to run the 'info' command", 'right'],
		['', 'ERR ACL failure in script: this user has no permissions', 'right'],
		['SELF_SIGNED_CERT_IN_CHAIN', 'self-signed certificate', 'certificate'],
		['CERT_HAS_EXPIRED', 'certificate has expired', 'certificate'],
		['ERR_TLS_CERT_ALTNAME_INVALID', 'altnames', 'certificate'],
		['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'alert', 'tls'],
		['ECONNREFUSED', 'connect ECONNREFUSED', 'unreachable'],
		['ETIMEDOUT', 'connect ETIMEDOUT', 'unreachable'],
	];
	for (const [code, message, expected] of cases) t.is(connectFinding(code, message).code, expected);
});
