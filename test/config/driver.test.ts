import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { loadConfig, readConfigFile, reloadConfig } from '#src/config/driver.ts';
import { exampleText } from '#test/config/example.ts';

/** A folder with the example and every file it names. */
const installed = async (t: ExecutionContext): Promise<{ folder: string; file: string }> => {
	const folder = await mkdtemp(join(tmpdir(), 'vmpair-config-'));
	t.teardown(() => rm(folder, { recursive: true, force: true }));
	const file = join(folder, 'vmpair.yaml');
	const text = exampleText
		.replaceAll('/etc/vmpair/', `${folder}/`)
		.replaceAll('/etc/xen/', `${folder}/`)
		.replace('    memory: 512M\n', '');
	const tls = `tls: {certificate: ${folder}/host.crt, key: ${folder}/host.key}\n`;
	await writeFile(file, text + tls);
	const secrets = ['alpha-bmc.password', 'beta-bmc.password', 'on-call.secret', 'host.key'];
	for (const name of secrets) await writeFile(join(folder, name), 'secret\n', { mode: 0o600 });
	for (const name of ['ldap', 'samba', 'batch'])
		await writeFile(join(folder, `${name}.cfg`), `name = "${name}"\nmemory = 300\n`);
	await writeFile(join(folder, 'host.crt'), 'certificate\n');
	return { folder, file };
};

const problems = async (file: string): Promise<readonly string[]> =>
	(await readConfigFile(file, { hostName: 'alpha' })).problems.map(
		({ line, path, message }) => `${line} ${path}: ${message}`,
	);

test('a configuration is loaded with its digest and the memory of its VMs', async (t) => {
	const { file } = await installed(t);
	const alpha = await loadConfig(file, { hostName: 'alpha' });
	const beta = await loadConfig(file, { hostName: 'beta' });
	t.regex(alpha.digest, /^[0-9a-f]{64}$/);
	t.is(alpha.digest, beta.digest);
	t.deepEqual(
		alpha.config.vms.map((vm) => vm.memoryMib),
		[300, 1024, 2048],
	);
});

test('which guests are of type PV is read from their own files', async (t) => {
	const { folder, file } = await installed(t);
	await writeFile(join(folder, 'samba.cfg'), 'memory = 300\ntype = "pvh"\n');
	const { config } = await loadConfig(file, { hostName: 'alpha' });
	t.deepEqual(
		config.vms.map(({ vm, paravirtual }) => [vm, paravirtual]),
		[
			['ldap', true],
			['samba', false],
			['batch', true],
		],
	);
});

test('a file that is not there is told in words', async (t) => {
	await t.throwsAsync(loadConfig('/nonexistent/vmpair.yaml'), {
		code: 'config-invalid',
		message: /expected a readable file, found no file at \/nonexistent\/vmpair\.yaml/,
	});
});

test('a missing file is told with what makes it, at its own line or as the default', async (t) => {
	const { folder, file } = await installed(t);
	for (const name of ['host.key', 'beta-bmc.password', 'on-call.secret'])
		await rm(join(folder, name));
	const lines = (await readFile(file, 'utf8')).split('\n');
	const lineOf = (text: string): number => lines.findIndex((line) => line.includes(text)) + 1;
	const found = await problems(file);
	const of = (key: string): string => found.find((each) => each.includes(key)) ?? '';
	t.regex(of('tls.key'), /run "vmpair keygen"/);
	t.regex(of('passwordFile'), /write the password into it: install -m 600 .*beta-bmc\.password/);
	t.true(of('passwordFile').startsWith(`${lineOf('beta-bmc.password')} `));
	t.true(of('secretFile').startsWith(`${lineOf('on-call.secret')} `));
	t.notRegex(of('tls.key'), /default/);
	await writeFile(file, lines.filter((line) => !line.startsWith('tls:')).join('\n'));
	const usual = (await problems(file)).filter((each) => each.includes(' tls.'));
	t.true(usual.every((each) => /the path is the default/.test(each)));
});

test('every file that is missing or open to others is told at once, at the line that names it', async (t) => {
	const { folder, file } = await installed(t);
	await chmod(join(folder, 'on-call.secret'), 0o644);
	await rm(join(folder, 'beta-bmc.password'));
	await rm(join(folder, 'samba.cfg'));
	await writeFile(join(folder, 'ldap.cfg'), 'name = "ldap"\n');
	const found = await problems(file);
	t.is(found.length, 4);
	t.regex(
		found[0] ?? '',
		/^80 hosts\.beta\.fence\.levels\[0\]\.devices\[0\]\.passwordFile: .* found no file at/,
	);
	t.regex(
		found[1] ?? '',
		/^94 vms\.ldap\.config: expected "memory = MIB" .* set vms\.ldap\.memory here$/,
	);
	t.regex(found[2] ?? '', /^100 vms\.samba\.config: .* found no file at/);
	t.regex(
		found[3] ?? '',
		/^118 alerts\.webhooks\[0\]\.secretFile: .* found mode 644; run: chmod 600/,
	);
});

test('the password of the own BMC may be missing here: only the peer uses it', async (t) => {
	const { folder, file } = await installed(t);
	await rm(join(folder, 'alpha-bmc.password'));
	t.deepEqual(await problems(file), []);
});

test('a file with a mistake does not replace a running configuration', async (t) => {
	const { file } = await installed(t);
	const running = await loadConfig(file, { hostName: 'alpha' });
	await writeFile(file, 'pair: [');
	const error = await t.throwsAsync(reloadConfig(running, { hostName: 'alpha' }));
	t.is((error as { code?: string }).code, 'config-invalid');
});

test('a reload brings the new configuration and says what changed', async (t) => {
	const { folder, file } = await installed(t);
	const running = await loadConfig(file, { hostName: 'alpha' });
	await writeFile(join(folder, 'ldap.cfg'), 'memory = 400\n');
	const { loaded, change } = await reloadConfig(running, { hostName: 'alpha' });
	t.is(loaded.config.vms[0]?.memoryMib, 400);
	t.deepEqual(change, { live: ['vms'], restart: [] });
	t.not(loaded.digest, running.digest, 'the peer has to have the same');
});
