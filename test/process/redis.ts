import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import { execa } from 'execa';
import { Redis } from 'ioredis';
import { Secret } from '#src/std/secret.ts';
import type { WitnessAccess } from '#src/witness/access.ts';
import { until } from '#test/process/stage.ts';

const shipped = (name: string): string =>
	fileURLToPath(new URL(`../../deploy/witness/${name}`, import.meta.url));

const adminPassword = 'of-the-test-alone';
/** Looked for in everything that is printed: it must never appear. */
export const password = 'planted-8f2c1d77';

/** A port that was free a moment ago. */
const freePort = async (): Promise<number> =>
	await new Promise((resolve) => {
		const server = createServer();
		server.listen(0, '127.0.0.1', () => {
			const address = server.address();
			server.close(() => resolve(typeof address === 'object' ? (address?.port ?? 0) : 0));
		});
	});

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** An authority and a certificate by it for 127.0.0.1, in a folder. */
export const makeCertificates = async (folder: string): Promise<void> => {
	mkdirSync(folder, { recursive: true });
	const at = (name: string): string => join(folder, name);
	const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
	const authority = ['req', '-x509', ...key, '-days', '30', '-subj', '/CN=witness authority'];
	await execa('openssl', [...authority, '-keyout', at('ca.key'), '-out', at('ca.crt')]);
	const issuer = ['-CA', at('ca.crt'), '-CAkey', at('ca.key'), '-days', '30'];
	const name = ['-subj', '/CN=witness', '-addext', 'subjectAltName=IP:127.0.0.1'];
	await execa('openssl', [
		'req',
		'-x509',
		...key,
		...issuer,
		...name,
		'-addext',
		'basicConstraints=critical,CA:FALSE',
		'-keyout',
		at('witness.key'),
		'-out',
		at('witness.crt'),
	]);
};

interface Wishes {
	/** Lines after the shipped configuration, as arguments of redis-server. */
	readonly settings?: readonly string[];
	/** Rights of the pair's user; those of the shipped file when left out. */
	readonly rights?: string;
	/** The pair whose key they cover; that of the shipped file when left out. */
	readonly pair?: string;
	readonly encrypted?: boolean;
}

/** A redis-server of its own, with the configuration and the rights that we ship. */
export class WitnessServer {
	readonly folder = mkdtempSync(join(tmpdir(), 'vmpair-witness-'));
	readonly #wishes: Wishes;
	port = 0;
	#child: ChildProcess | null = null;

	constructor(wishes: Wishes) {
		this.#wishes = wishes;
	}

	async start(): Promise<void> {
		if (this.port === 0) await this.#prepare();
		const { settings = [], encrypted = false } = this.#wishes;
		const at = (name: string): string => join(this.folder, name);
		this.#child = spawn(
			'redis-server',
			[
				at('redis.conf'),
				'--bind',
				'127.0.0.1 127.0.0.2',
				'--aclfile',
				at('users.acl'),
				...(encrypted
					? ['--port', '0', '--tls-port', String(this.port), ...this.#certificates()]
					: ['--tls-port', '0', '--port', String(this.port)]),
				...settings,
			],
			{ stdio: ['ignore', 'pipe', 'inherit'] },
		);
		let said = '';
		this.#child.stdout?.on(
			'data',
			(text: Buffer) => (said = (said + text.toString()).slice(-2000)),
		);
		await until('redis-server answers', async () => {
			if (this.#child?.exitCode !== null) throw new Error(`redis-server ended: ${said}`);
			try {
				return (await this.admin((redis) => redis.ping())) === 'PONG';
			} catch {
				return false;
			}
		});
	}

	#certificates(): readonly string[] {
		const at = (name: string): string => join(this.folder, 'tls', name);
		return [
			'--tls-cert-file',
			at('witness.crt'),
			'--tls-key-file',
			at('witness.key'),
			'--tls-ca-cert-file',
			at('ca.crt'),
		];
	}

	async #prepare(): Promise<void> {
		this.port = await freePort();
		mkdirSync(join(this.folder, 'data'));
		const { encrypted = false, rights, pair = 'computing-centre' } = this.#wishes;
		if (encrypted) await makeCertificates(join(this.folder, 'tls'));
		const lines = readFileSync(shipped('redis.conf'), 'utf8')
			.replace(/^dir .*/m, `dir ${join(this.folder, 'data')}`)
			.split('\n');
		const kept = lines.filter((line) => encrypted || !line.startsWith('tls'));
		writeFileSync(join(this.folder, 'redis.conf'), kept.join('\n'));
		const users = readFileSync(shipped('users.acl'), 'utf8')
			.replace(/#REPLACE\S*/, `#${sha256(password)}`)
			.replace(/resetchannels.*/, (usual) => rights ?? usual)
			.replaceAll('vmpair:computing-centre', `vmpair:${pair}`);
		const admin = `user admin on #${sha256(adminPassword)} ~* &* +@all\n`;
		writeFileSync(join(this.folder, 'users.acl'), users + admin);
	}

	/** Runs something as a user who may do everything. */
	async admin<Value>(work: (redis: Redis) => Promise<Value>): Promise<Value> {
		const redis = new Redis({
			host: '127.0.0.1',
			port: this.port,
			username: 'admin',
			password: adminPassword,
			lazyConnect: true,
			retryStrategy: () => null,
			maxRetriesPerRequest: 0,
			protocol: 2,
			...(this.#wishes.encrypted === true ? { tls: { rejectUnauthorized: false } } : {}),
		});
		redis.on('error', () => {});
		try {
			await redis.connect();
			return await work(redis);
		} finally {
			redis.disconnect();
		}
	}

	signal(signal: NodeJS.Signals): void {
		this.#child?.kill(signal);
	}

	/** Ends it as a power cut would. */
	async kill(): Promise<void> {
		const child = this.#child;
		if (child === null || child.exitCode !== null || child.signalCode !== null) return;
		const ended = new Promise((resolve) => child.once('exit', resolve));
		child.kill('SIGKILL');
		await ended;
	}

	/** How the pair's hosts get in. */
	access(changes: Partial<WitnessAccess> = {}): WitnessAccess {
		const authority = join(this.folder, 'tls', 'ca.crt');
		return {
			address: '127.0.0.1',
			port: this.port,
			username: 'vmpair',
			password: new Secret(password),
			tls: existsSync(authority)
				? {
						caPem: readFileSync(authority, 'utf8'),
						name: null,
						certificatePem: null,
						keyPem: null,
					}
				: null,
			...changes,
		};
	}
}

/** A running server that is ended, and its folder removed, after the test. */
export const witnessServer = async (
	t: ExecutionContext,
	wishes: Wishes = {},
): Promise<WitnessServer> => {
	const server = new WitnessServer(wishes);
	t.teardown(async () => {
		await server.kill();
		rmSync(server.folder, { recursive: true, force: true });
	});
	await server.start();
	return server;
};
