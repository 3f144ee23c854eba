/** The witness: a real Redis on an address of its own, set up from the files that the product ships. */
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { openSync } from 'node:fs';
import { cp, mkdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Place } from './host.ts';
import { inside } from './network.ts';
import { run, until } from './tool.ts';
import { hosts, pairName, witnessAddress } from './world.ts';

const shipped = join(import.meta.dirname, '../../deploy/witness');
const port = 6379;

const folderOf = (place: Place): string => join(place.folder, 'witness');
const file = (place: Place, name: string): string => join(folderOf(place), name);

/** What both hosts need to reach the witness. */
export type WitnessAccess = {
	readonly password: string;
	/** The certificate of its authority, as text. */
	readonly ca: string;
};

/** An authority of its own and a certificate from it, as docs/witness.md has them made. */
async function makeCertificates(place: Place): Promise<void> {
	const begin =
		'openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30';
	const made = (name: string): string => `-keyout ${name}.key -out ${name}.crt`;
	const commands = [
		`${begin} ${made('ca')} -subj '/CN=vmpair witness authority'`,
		`${begin} ${made('witness')} -CA ca.crt -CAkey ca.key -subj /CN=witness -addext subjectAltName=IP:${witnessAddress} -addext basicConstraints=critical,CA:FALSE`,
	];
	await run('sh', ['-ec', commands.join('\n')], { cwd: folderOf(place) });
}

/** The shipped configuration with this lab's address and folders. */
async function writeConfiguration(place: Place, password: string): Promise<void> {
	const conf = await readFile(join(shipped, 'redis.conf'), 'utf8');
	const acl = await readFile(join(shipped, 'users.acl'), 'utf8');
	const hash = createHash('sha256').update(password).digest('hex');
	await writeFile(
		file(place, 'redis.conf'),
		conf
			.replace(/^bind .*$/mu, `bind ${witnessAddress}`)
			.replace(/^dir .*$/mu, `dir ${file(place, 'data')}`)
			.replaceAll('/etc/vmpair-witness', folderOf(place)),
	);
	await writeFile(
		file(place, 'users.acl'),
		acl
			.replace('REPLACE-BY-THE-SHA256-OF-THE-PASSWORD', hash)
			.replaceAll('vmpair:computing-centre', `vmpair:${pairName}`),
	);
}

/** Sets the witness up and starts it, empty. */
export async function createWitness(place: Place): Promise<WitnessAccess> {
	await mkdir(file(place, 'data'), { recursive: true });
	const password = randomBytes(32).toString('hex');
	await makeCertificates(place);
	await writeConfiguration(place, password);
	await writeFile(file(place, 'password'), password, { mode: 0o600 });
	await startWitness(place);
	return { password, ca: await readFile(file(place, 'ca.crt'), 'utf8') };
}

/** The witness's process, checked to be really that one; undefined when it does not run. */
async function witnessPid(place: Place): Promise<number | undefined> {
	try {
		const pid = Number(await readFile(file(place, 'pid'), 'utf8'));
		return (await readlink(`/proc/${pid}/cwd`)) === file(place, 'data') ? pid : undefined;
	} catch {
		return undefined;
	}
}

async function redis(place: Place, ...words: string[]): Promise<string> {
	const tls = ['--tls', '--cacert', file(place, 'ca.crt'), '-h', witnessAddress, '-p', `${port}`];
	const [command, args] = inside(
		place.namespace,
		'redis-cli',
		...tls,
		'--user',
		'vmpair',
		...words,
	);
	const password = await readFile(file(place, 'password'), 'utf8');
	const { stdout } = await run(command, args, {
		env: { REDISCLI_AUTH: password },
		timeoutMs: 5000,
	});
	return stdout;
}

const key = `vmpair:${pairName}`;

/** Starts the witness with what it has on disk; it answers when this returns. */
export async function startWitness(place: Place): Promise<void> {
	const conf = file(place, 'redis.conf');
	const [command, args] = inside(place.namespace, 'redis-server', conf);
	const log = openSync(file(place, 'log'), 'a');
	const child = spawn(command, args, { detached: true, stdio: ['ignore', log, log] });
	child.unref();
	if (child.pid === undefined) throw new Error('cannot start the witness');
	await writeFile(file(place, 'pid'), String(child.pid));
	const answers = async (): Promise<true> => {
		await redis(place, 'EXISTS', key);
		return true;
	};
	await until(answers, { what: 'the witness', timeoutMs: 30_000 });
}

async function signal(place: Place, name: NodeJS.Signals): Promise<void> {
	const pid = await witnessPid(place);
	if (pid !== undefined) process.kill(pid, name);
}

/** Kills the witness as a power cut would; no error when it does not run. */
export async function stopWitness(place: Place): Promise<void> {
	await signal(place, 'SIGKILL');
	const gone = async (): Promise<true | undefined> =>
		(await witnessPid(place)) === undefined ? true : undefined;
	await until(gone, { what: 'the witness to end', timeoutMs: 10_000, everyMs: 10 });
}

/** It stands still for so long; what was sent to it is carried out afterwards. */
export async function stallWitness(place: Place, forMs: number): Promise<void> {
	await signal(place, 'SIGSTOP');
	setTimeout(() => void signal(place, 'SIGCONT'), forMs);
}

/** Keeps a copy of its files under a name. */
export const saveWitness = (place: Place, as: string): Promise<void> =>
	cp(file(place, 'data'), file(place, `saved-${as}`), { recursive: true });

/** Puts a copy back; the witness begins a new run with it. */
export async function restoreWitness(place: Place, from: string): Promise<void> {
	await stopWitness(place);
	await rm(file(place, 'data'), { recursive: true });
	await cp(file(place, `saved-${from}`), file(place, 'data'), { recursive: true });
	await startWitness(place);
}

/** Somebody deletes the pair's record while it runs. */
export async function emptyWitness(place: Place): Promise<void> {
	await redis(place, 'DEL', key);
}

/** The host that claims the other one; null for none, and when it cannot be asked. */
export async function claimant(place: Place): Promise<string | null> {
	const by = await redis(place, 'HGET', key, 'claim-by').catch(() => '');
	return by === '' ? null : by;
}

const blocked = new Map<string, Set<string>>();

/** Drops, or lets through again, all that comes from a host (undefined: from both). */
export async function setWitnessPath(
	place: Place,
	from: string | undefined,
	state: 'cut' | 'whole',
): Promise<void> {
	const set = blocked.get(place.namespace) ?? new Set<string>();
	blocked.set(place.namespace, set);
	for (const { name, management } of hosts) {
		if (from !== undefined && from !== name) continue;
		if (state === 'cut') set.add(management);
		else set.delete(management);
	}
	const rules = [...set].map((address) => `ip saddr ${address} ip daddr ${witnessAddress} drop;`);
	const table = 'inet lab_witness';
	const text = `table ${table} {}\ndelete table ${table}\ntable ${table} { chain in { type filter hook input priority 0; ${rules.join(' ')} } }\n`;
	const [command, args] = inside(place.namespace, 'nft', '-f', '-');
	await run(command, args, { input: text });
}
