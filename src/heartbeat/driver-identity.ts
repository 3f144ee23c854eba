import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdir, open, rm } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import { messageOf, VmpairError } from '#src/std/error.ts';

const opensslMs = 30_000;
/** Ten years: the pin, not a date, is what is trusted. */
const validDays = 3650;
/** What OpenSSL takes as a subject without quoting, and what a certificate's name may hold. */
const hostPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** A host's certificate and key, and where they lie. */
export interface Identity {
	readonly certificatePath: string;
	readonly keyPath: string;
	readonly certificatePem: string;
	readonly keyPem: string;
	/** SHA-256 of the certificate as `AB:CD:…`, for the other host's configuration. */
	readonly fingerprint256: string;
}

/**
 * Creates a self-signed EC P-256 certificate and its key, `host.crt` and `host.key` in `directory`, both
 * readable by the owner only. Errors: `keygen-invalid-host`, `keygen-exists`, `keygen-openssl`, `keygen-write`.
 */
export const createIdentity = async (directory: string, host: string): Promise<Identity> => {
	if (!hostPattern.test(host))
		throw new VmpairError('keygen-invalid-host', `"${host}" cannot be a host's name.`, {
			next: 'Give it one with --host: letters, digits, dots, hyphens and underscores, at most 64.',
		});
	const certificatePath = path.join(directory, 'host.crt');
	const keyPath = path.join(directory, 'host.key');
	const { certificatePem, keyPem } = await generate(host);
	const certificate = new X509Certificate(certificatePem);
	if (!certificate.checkPrivateKey(createPrivateKey(keyPem)))
		throw new VmpairError('keygen-openssl', 'OpenSSL made a certificate of another key.', {
			next: 'Check the installed version of OpenSSL.',
		});
	await writable(directory, () => makeFolder(directory));
	await writable(keyPath, () => write(keyPath, keyPem));
	try {
		await writable(certificatePath, () => write(certificatePath, certificatePem));
	} catch (error) {
		// A key without its certificate is of no use, and would be in the way of the next try.
		await rm(keyPath, { force: true });
		throw error;
	}
	return {
		certificatePath,
		keyPath,
		certificatePem,
		keyPem,
		fingerprint256: certificate.fingerprint256,
	};
};

const generate = async (host: string): Promise<{ certificatePem: string; keyPem: string }> => {
	const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
	args.push('-sha256', '-days', String(validDays), '-subj', `/CN=${host}`);
	// Both go to a pipe, never to a file that could be readable by others for a moment.
	args.push('-keyout', '-', '-out', '-');
	const result = await execa('openssl', args, {
		stdin: 'ignore',
		timeout: opensslMs,
		maxBuffer: 64 * 1024,
		reject: false,
		env: { LC_ALL: 'C' },
	});
	const keyPem = block(result.stdout, 'PRIVATE KEY');
	const certificatePem = block(result.stdout, 'CERTIFICATE');
	if (!result.failed && keyPem !== null && certificatePem !== null)
		return { certificatePem, keyPem };
	const missing = result.code === 'ENOENT';
	const detail = result.timedOut ? `no answer within ${opensslMs} ms` : result.stderr.slice(-512);
	throw new VmpairError(
		'keygen-openssl',
		missing ? 'OpenSSL is not installed.' : `OpenSSL made no certificate: ${detail}`,
		{ next: missing ? 'Install the package openssl.' : 'Run it again.', cause: result },
	);
};

const block = (text: string, label: string): string | null => {
	const begin = `-----BEGIN ${label}-----`;
	const end = `-----END ${label}-----`;
	const from = text.indexOf(begin);
	const to = text.indexOf(end, from);
	return from === -1 || to === -1 ? null : `${text.slice(from, to)}${end}\n`;
};

/**
 * Makes a folder and what it lies in. Node's own recursive call tries for ever where the parent is there and
 * the kernel still says ENOENT, as below /proc.
 */
const makeFolder = async (directory: string): Promise<void> => {
	const make = () => mkdir(directory, { mode: 0o700 });
	try {
		await make();
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		if (code === 'EEXIST') return;
		const parent = path.dirname(directory);
		if (code !== 'ENOENT' || parent === directory) throw error;
		await makeFolder(parent);
		await make();
	}
};

/** Never over an existing file: the other host trusts that one's fingerprint. */
const write = async (file: string, text: string): Promise<void> => {
	const handle = await open(file, 'wx', 0o600);
	try {
		await handle.writeFile(text);
		await handle.sync();
	} finally {
		await handle.close();
	}
};

const writable = async (file: string, work: () => Promise<unknown>): Promise<void> => {
	try {
		await work();
	} catch (error) {
		const exists = (error as NodeJS.ErrnoException).code === 'EEXIST';
		throw new VmpairError(
			exists ? 'keygen-exists' : 'keygen-write',
			exists ? `${file} exists already.` : `${file} cannot be written: ${messageOf(error)}`,
			{
				next: exists
					? `Keep it: "openssl x509 -noout -sha256 -fingerprint -in ${path.join(path.dirname(file), 'host.crt')}" shows its fingerprint. Or move it away and give both hosts the new one.`
					: 'Run it as root, or check the directory and its permissions.',
				cause: error,
			},
		);
	}
};
