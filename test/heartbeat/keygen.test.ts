import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'ava';
import { keygen } from '#src/cli/keygen.ts';

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
	await t.throwsAsync(keygen(argv, around), { code: 'keygen-exists' });
	t.is(String(new X509Certificate(await readFile(certificatePath))), String(certificate));
});

test('keygen refuses what cannot be a host name, and says what it lacks', async (t) => {
	const around = { print: () => {} };
	await t.throwsAsync(keygen(['--host', 'a/CN=b', '--out', '/nowhere'], around), {
		code: 'keygen-invalid-host',
	});
	await t.throwsAsync(keygen(['--out', '/nowhere'], around), { code: 'usage' });
	await t.throwsAsync(keygen(['--host', 'alpha'], around), { code: 'usage' });
});
