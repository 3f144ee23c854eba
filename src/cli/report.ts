import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parse } from 'yaml';
import { apiClient } from '#src/api/driver-client.ts';
import { doctor } from '#src/cli/doctor.ts';
import { parseOptions } from '#src/cli/options.ts';
import { asked, scrubbed, secretFilesIn, secretsIn } from '#src/cli/report-text.ts';
import { exit, type Surroundings } from '#src/cli/surroundings.ts';
import { defaultConfigFile } from '#src/config/driver.ts';
import { tools } from '#src/std/driver-tool.ts';
import { messageOf, VmpairError } from '#src/std/error.ts';
import { journalFiles, peerJournalFolder } from '#src/store/journal.ts';
import { version } from '#src/version.ts';

/** A host in trouble may answer slowly; each program gets this long, and all of them are asked at once, ms. */
const askMs = 20_000;
const packMs = 60_000;

/** A file that cannot be read says why, in its place: the reader must not take it for empty. */
const readOr = async (path: string): Promise<string> => {
	try {
		return await readFile(path, 'utf8');
	} catch (error) {
		return `could not be read: ${messageOf(error)}\n`;
	}
};

interface Secrets {
	readonly known: readonly string[];
	/** Files whose secrets are not known, so that they could not be taken out. */
	readonly unread: readonly string[];
}

/** The secrets of this host, so that none is in the bundle. A configuration that cannot be parsed names none. */
const secretsOf = async (configFile: string, configText: string): Promise<Secrets> => {
	let value: unknown;
	try {
		value = parse(configText);
	} catch {
		return { known: [], unread: [configFile] };
	}
	const unread: string[] = [];
	const texts = await Promise.all(
		secretFilesIn(value).map(async (path) => {
			try {
				return await readFile(path, 'utf8');
			} catch {
				unread.push(path);
				return '';
			}
		}),
	);
	return { known: secretsIn(texts), unread };
};

const askAll = async (put: (name: string, text: string) => Promise<void>): Promise<void> => {
	await Promise.all(
		asked.map(async ({ name, file, args }) => {
			const ended = await tools.run({ file, args, limitMs: askMs });
			const head = `$ ${[file, ...args].join(' ')}\n`;
			if (ended.end !== 'exited') return await put(name, `${head}${ended.detail}\n`);
			const code = ended.exitCode === 0 ? '' : `\nexit code ${ended.exitCode}\n`;
			return await put(name, `${head}${ended.stdout}${ended.stderr}${code}`);
		}),
	);
};

const askAgent = async (
	around: Surroundings,
	config: string,
	put: (name: string, text: string) => Promise<void>,
): Promise<void> => {
	const client = apiClient(around.socketPath);
	const say = async (name: string, ask: () => Promise<unknown>): Promise<void> => {
		try {
			await put(name, `${JSON.stringify(await ask(), null, '\t')}\n`);
		} catch (error) {
			await put(name, `${messageOf(error)}\n`);
		}
	};
	const lines: string[] = [];
	const print = (line: string): void => void lines.push(line);
	await Promise.all([
		say('status.json', () => client.status()),
		say('post-mortems.json', () => client.postMortems()),
		doctor(['--config', config], { ...around, colour: false, print, warn: print }),
	]);
	await put('doctor.txt', `${lines.join('\n')}\n`);
};

/** State and history as they are: they hold no secret, and must stay whole to be replayed. */
const copyState = async (from: string, to: string): Promise<void> => {
	await mkdir(to);
	const names: readonly string[] = await readdir(from).catch(() => []);
	const wanted = ['state.json', ...journalFiles(names)].filter((name) => names.includes(name));
	await Promise.all(wanted.map((name) => copyFile(join(from, name), join(to, name))));
};

const pack = async (folder: string, name: string, target: string): Promise<void> => {
	const args = ['-C', folder, '-czf', target, name];
	const ended = await tools.run({ file: 'tar', args, limitMs: packMs });
	if (ended.end === 'exited' && ended.exitCode === 0) return;
	const why = ended.end === 'exited' ? ended.stderr.trim() : ended.detail;
	throw new VmpairError('report-failed', `the bundle cannot be written to ${target}: ${why}`, {
		next: 'choose another place with --out',
	});
};

/**
 * `vmpair report [--out FILE] [--config FILE]`: everything that explains a trouble of this host, in one file, without
 * its secrets. Throws `report-failed`.
 */
export const report = async (argv: string[], around: Surroundings): Promise<number> => {
	const { values } = parseOptions('report', argv, {
		out: { type: 'string' },
		config: { type: 'string', default: defaultConfigFile },
	});
	const stamp = new Date().toISOString().slice(0, 19).replaceAll(/[-:]/g, '');
	const name = `vmpair-report-${hostname()}-${stamp}`;
	const target = resolve(values.out ?? `${name}.tar.gz`);
	const configText = await readOr(values.config);
	const { known, unread } = await secretsOf(values.config, configText);
	const folder = await mkdtemp(join(tmpdir(), 'vmpair-report-'));
	try {
		const bundle = join(folder, name);
		await mkdir(bundle);
		const put = async (file: string, text: string): Promise<void> =>
			await writeFile(join(bundle, file), scrubbed(text, known));
		await put('version.txt', `vmpair ${version}\nnode ${process.version}\n`);
		await put('vmpair.yaml', configText);
		await Promise.all([
			askAll(put),
			askAgent(around, values.config, put),
			copyState(around.stateFolder, join(bundle, 'state')),
			copyState(join(around.stateFolder, peerJournalFolder), join(bundle, 'state-of-peer')),
		]);
		await pack(folder, name, target);
	} finally {
		await rm(folder, { recursive: true, force: true });
	}
	around.print(target);
	around.warn(
		unread.length === 0
			? 'Its secrets are taken out. Look through it before you give it away: names and addresses are in it.'
			: `It may hold secrets: those of ${unread.join(', ')} could not be read, so they were not taken out. Run it as root, or search it for them before you give it away.`,
	);
	return exit.done;
};
