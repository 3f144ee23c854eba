import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { hostname } from 'node:os';
import { alertSecrets } from '#src/config/alerts.ts';
import { configChange } from '#src/config/change.ts';
import type { ConfigChange } from '#src/config/change.ts';
import { hostConfig, readConfig } from '#src/config/config.ts';
import type { Config, VmConfig } from '#src/config/config.ts';
import { guestMemoryMib, isParavirtual, liveBlocker } from '#src/config/guest.ts';
import { pathText, problemText } from '#src/config/problem.ts';
import type { ConfigProblem } from '#src/config/problem.ts';
import type { Path, Source } from '#src/config/source.ts';
import { digestText } from '#src/config/policy.ts';
import { tokenLengthMax, tokenLengthMin, tokenOf } from '#src/config/web.ts';
import { messageOf, VmpairError } from '#src/std/error.ts';

/** Where the configuration is when nobody says otherwise. */
export const defaultConfigFile = '/etc/vmpair/vmpair.yaml';

/** A configuration is a few kB; more is a wrong file. */
const sizeMax = 1_048_576;

export interface LoadedConfig {
	readonly file: string;
	readonly config: Config;
	/** SHA-256 in hex of everything that must be equal on both hosts. */
	readonly digest: string;
}

export interface LoadOptions {
	/** Name of this machine; the real one when left out. */
	readonly hostName?: string;
	/** False leaves alone every file that the configuration names, to check it on another machine. */
	readonly files?: boolean;
}

/** `loaded` is null when there is a problem. */
export interface LoadResult {
	readonly file: string;
	readonly loaded: LoadedConfig | null;
	readonly problems: readonly ConfigProblem[];
}

interface FileProblem {
	readonly path: Path;
	readonly message: string;
}

/** A file that the configuration names, and what makes it when it is not there. */
interface NamedFile {
	readonly path: Path;
	readonly file: string;
	readonly remedy: string;
	/** What is wrong with its text, in words; null when nothing is. */
	readonly fault?: (text: string) => string | null;
}

interface FileText {
	readonly text: string;
	/** Permission bits. */
	readonly mode: number;
}

/** Reads a small file; the size is checked first, so that a wrong path cannot fill the memory. */
const readSmall = async (file: string): Promise<FileText> => {
	// Without O_NONBLOCK a named pipe in the place of the file would hang the agent.
	await using handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
	const { size, mode } = await handle.stat();
	if (size > sizeMax) throw new Error(`${file} has ${size} bytes; at most ${sizeMax} are read`);
	return { text: await handle.readFile('utf8'), mode: mode & 0o777 };
};

/** What stands in the way of reading a file, in words. */
const obstacle = (file: string, error: unknown): string => {
	const code = error instanceof Error && 'code' in error ? error.code : undefined;
	if (code === 'ENOENT') return `found no file at ${file}`;
	if (code === 'EACCES') return `found that ${file} may not be read by this user`;
	return `found ${messageOf(error)}`;
};

const tryRead = async ({ path, file, remedy }: NamedFile): Promise<FileText | FileProblem> => {
	try {
		return await readSmall(file);
	} catch (error) {
		const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
		const end = missing && remedy !== '' ? `; ${remedy}` : '';
		return { path, message: `expected a readable file, ${obstacle(file, error)}${end}` };
	}
};

const keyRemedy = 'run "vmpair keygen", which makes certificate and key';

const secretRemedy = (file: string, holds: string): string =>
	`write ${holds} into it: install -m 600 /dev/null ${file}, then edit it`;

/** A file with a secret must be there and be closed to everybody but its owner. */
const checkSecret = async (named: NamedFile): Promise<readonly FileProblem[]> => {
	const { path, file } = named;
	const read = await tryRead(named);
	if ('message' in read) return [read];
	const fault = named.fault?.(read.text) ?? null;
	if ((read.mode & 0o077) === 0) return fault === null ? [] : [{ path, message: fault }];
	const mode = read.mode.toString(8);
	const message = `expected a file that only its owner may read, found mode ${mode}; run: chmod 600 ${file}`;
	return [{ path, message }];
};

const tokenFault =
	(file: string) =>
	(text: string): string | null =>
		tokenOf(text) === null
			? `expected a token of ${tokenLengthMin} to ${tokenLengthMax} letters and digits (or . _ ~ + / = -) on the first line, found another one or none; run: openssl rand -hex 24 > ${file}`
			: null;

/** The secrets that this host reads; the devices it uses are those of its peer. */
const secretFiles = (config: Config): readonly NamedFile[] => {
	const devices = hostConfig(config, config.peer).fenceLevels.flatMap((level, at) =>
		level.devices.map((device, index) => ({
			device,
			path: ['hosts', config.peer, 'fence', 'levels', at, 'devices', index] as Path,
		})),
	);
	const { witness } = config;
	const witnessKey = witness?.tls?.keyFile ?? null;
	const token = config.web?.tokenFile ?? null;
	const secret = (path: Path, file: string, holds: string): NamedFile => ({
		path,
		file,
		remedy: secretRemedy(file, holds),
	});
	return [
		{ path: ['tls', 'key'], file: config.tls.keyFile, remedy: keyRemedy },
		...(witness === null
			? []
			: [secret(['witness', 'passwordFile'], witness.passwordFile, 'the password')]),
		...(witnessKey === null
			? []
			: [secret(['witness', 'tls', 'key'], witnessKey, "this host's key for the witness")]),
		...alertSecrets(config.alerts).map(({ path, file, holds }) => secret(path, file, holds)),
		...(token === null
			? []
			: [{ ...secret(['web', 'tokenFile'], token, 'a token'), fault: tokenFault(token) }]),
		...devices.flatMap(({ device, path }): readonly NamedFile[] => {
			if (device.kind === 'ipmi')
				return [secret([...path, 'passwordFile'], device.passwordFile, 'the password')];
			return Object.entries(device.secretParameters).map(([name, file]) =>
				secret([...path, 'secretParameters', name], file, `the value of ${name}`),
			);
		}),
	];
};

/** Files that are read and hold no secret. */
const openFiles = (config: Config): readonly NamedFile[] => {
	const tls = config.witness?.tls ?? null;
	const remedy = 'copy it from the witness: docs/witness.md';
	return [
		{ path: ['tls', 'certificate'], file: config.tls.certificateFile, remedy: keyRemedy },
		...(tls === null ? [] : [{ path: ['witness', 'tls', 'ca'], file: tls.caFile, remedy }]),
		...(tls === null || tls.certificateFile === null
			? []
			: [{ path: ['witness', 'tls', 'certificate'], file: tls.certificateFile, remedy }]),
	];
};

const checkVm = async (vm: VmConfig): Promise<VmConfig | FileProblem> => {
	const path = ['vms', vm.vm, 'config'];
	const remedy = 'copy it from the other host';
	const read = await tryRead({ path, file: vm.configFile, remedy });
	if ('message' in read) return read;
	const memoryMib = vm.memoryMib ?? guestMemoryMib(read.text);
	if (memoryMib !== null) {
		const paravirtual = isParavirtual(read.text);
		return { ...vm, memoryMib, liveBlocker: liveBlocker(read.text), paravirtual };
	}
	const message = `expected "memory = MIB" in ${vm.configFile}, found none; add it there or set vms.${vm.vm}.memory here`;
	return { path, message };
};

/** Reads what the configuration names: secrets, the certificate, and the memory of the VMs. */
const withFiles = async (
	config: Config,
): Promise<{ readonly config: Config; readonly problems: readonly FileProblem[] }> => {
	const [certificates, secrets, vms] = await Promise.all([
		Promise.all(openFiles(config).map(tryRead)),
		Promise.all(secretFiles(config).map(checkSecret)),
		Promise.all(config.vms.map(checkVm)),
	]);
	return {
		config: { ...config, vms: vms.filter((each): each is VmConfig => !('message' in each)) },
		problems: [
			...certificates.filter((each) => 'message' in each),
			...secrets.flat(),
			...vms.filter((each) => 'message' in each),
		],
	};
};

/** The key's own line, or the nearest thing around it with the remark that nobody wrote the path. */
const placed = (problem: FileProblem, source: Source): ConfigProblem => {
	const { path, message } = problem;
	const written = source.has(path);
	return {
		...(written ? source.positionOfKey(path) : source.positionOf(path)),
		path: pathText(path),
		message: written ? message : `${message} (the path is the default, it is not in this file)`,
	};
};

/** SHA-256 in hex of everything that must be equal on both hosts. */
const configDigest = (config: Config): string =>
	createHash('sha256').update(digestText(config)).digest('hex');

/** Reads and checks a configuration file; every problem is in the result. Only a bug makes it throw. */
export const readConfigFile = async (
	file: string,
	{ hostName = hostname(), files = true }: LoadOptions = {},
): Promise<LoadResult> => {
	const remedy = 'copy /etc/vmpair/vmpair.yaml.example there and fill it in';
	const read = await tryRead({ path: [], file, remedy });
	if ('message' in read) {
		const problem = { line: 1, column: 1, path: '', message: read.message };
		return { file, loaded: null, problems: [problem] };
	}
	const { config, problems, source } = readConfig(read.text, hostName);
	if (config === null) return { file, loaded: null, problems };
	if (!files) return { file, loaded: { file, config, digest: configDigest(config) }, problems: [] };
	const complete = await withFiles(config);
	if (complete.problems.length > 0) {
		const found = complete.problems.map((each) => placed(each, source));
		return { file, loaded: null, problems: found.sort((one, other) => one.line - other.line) };
	}
	const digest = configDigest(complete.config);
	return { file, loaded: { file, config: complete.config, digest }, problems: [] };
};

/** Loads a configuration, or throws `config-invalid` with every problem on a line of its own. */
export const loadConfig = async (
	file: string = defaultConfigFile,
	options: LoadOptions = {},
): Promise<LoadedConfig> => {
	const { loaded, problems } = await readConfigFile(file, options);
	if (loaded !== null) return loaded;
	const lines = problems.map((each) => problemText(file, each));
	throw new VmpairError('config-invalid', `The configuration is not usable:\n${lines.join('\n')}`, {
		next: `Mend the lines above, then run: vmpair config check --file ${file}`,
	});
};

/**
 * Loads the file of a running configuration again. A file with a mistake throws and changes nothing: the
 * agent goes on with what it has.
 */
export const reloadConfig = async (
	current: LoadedConfig,
	options: LoadOptions = {},
): Promise<{ readonly loaded: LoadedConfig; readonly change: ConfigChange }> => {
	const loaded = await loadConfig(current.file, options);
	return { loaded, change: configChange(current.config, loaded.config) };
};
