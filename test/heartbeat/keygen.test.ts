import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import test from 'ava';
import { keygen } from '#src/cli/keygen.ts';
import type { VmpairError } from '#src/std/error.ts';

test('keygen makes a key and a certificate for ten years, readable by the owner only, once', async (t) => {
	const folder = await mkdtemp(path.join(tmpdir(), 'vmpair-keygen-'));
	t.teardown(() => rm(folder, { recursive: true }));
	const lines: string[] = [];
	const around = { print: (line: string) => void lines.push(line) };
	const argv = ['--host', 'alpha', '--out', path.join(folder, 'new')];
	t.is(await keygen(argv, around), 0);
	const certificatePath = path.join(folder, 'new', 'host.crt');
	const certificate = new X509Certificate(await readFile(certificatePath));
	t.true(lines.some((line) => line.includes(certificate.fingerprint256)));
	t.is(certificate.subject, 'CN=alpha');
	t.is(certificate.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
	const years = (certificate.validToDate.getTime() - Date.now()) / (365.25 * 24 * 3600 * 1000);
	t.true(years > 9.9 && years < 10.1);
	for (const name of ['host.crt', 'host.key'])
		t.is((await stat(path.join(folder, 'new', name))).mode & 0o777, 0o600);
	const again = await t.throwsAsync(keygen(argv, around), { code: 'keygen-exists' });
	t.true((again as VmpairError).next.includes(`-fingerprint -in ${certificatePath}"`));
	t.is(String(new X509Certificate(await readFile(certificatePath))), String(certificate));
});

test('keygen names the machine by itself, and prints what to do with other places', async (t) => {
	const folder = await mkdtemp(path.join(tmpdir(), 'vmpair-keygen-'));
	t.teardown(() => rm(folder, { recursive: true }));
	const lines: string[] = [];
	const around = { print: (line: string) => void lines.push(line) };
	t.is(await keygen(['--out', path.join(folder, 'own')], around), 0);
	t.true(
		lines.includes(
			`Write the fingerprint into vmpair.yaml on both hosts, as "certificate" of ${hostname()}.`,
		),
	);
	t.regex(lines.at(-1) ?? '', /under "tls"/);
	lines.length = 0;
	t.is(await keygen(['--json', '--host', 'beta', '--out', path.join(folder, 'other')], around), 0);
	t.is(lines.length, 1);
	const told = JSON.parse(lines.join('')) as Readonly<Record<string, string>>;
	t.is(told['host'], 'beta');
	const certificate = new X509Certificate(await readFile(told['certificatePath'] ?? ''));
	t.is(told['fingerprint256'], certificate.fingerprint256);
});

test('keygen makes the folders above, and ends where none can be made', async (t) => {
	const folder = await mkdtemp(path.join(tmpdir(), 'vmpair-keygen-'));
	t.teardown(() => rm(folder, { recursive: true }));
	const around = { print: () => {} };
	const deep = path.join(folder, 'one', 'two');
	t.is(await keygen(['--host', 'alpha', '--out', deep], around), 0);
	t.is((await stat(deep)).mode & 0o777, 0o700);
	await t.throwsAsync(keygen(['--host', 'alpha', '--out', '/proc/x'], around), {
		code: 'keygen-write',
	});
	await t.throwsAsync(keygen(['--host', 'alpha', '--out', path.join(deep, 'host.key')], around), {
		code: 'keygen-write',
	});
});

test('keygen refuses what cannot be a host name and what it does not know', async (t) => {
	const around = { print: () => {} };
	await t.throwsAsync(keygen(['--host', 'a/CN=b', '--out', '/nowhere'], around), {
		code: 'keygen-invalid-host',
	});
	await t.throwsAsync(keygen(['alpha'], around), { code: 'usage' });
});
