/** The pair of hosts of one run: from the snapshot, with the product installed and started, and gone afterwards. */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { installTools } from './apt.ts';
import { ensureProofs } from './board.ts';
import { keepBundle } from './bundle.ts';
import type { Place } from './host.ts';
import { cacheFolder, ensureImage, type Image } from './image.ts';
import { takeLock } from './lock.ts';
import {
	armPair,
	checkWitness,
	configureProduct,
	findPackage,
	startAgents,
	verdictOf,
	type ProductSettings,
} from './product.ts';
import {
	ensureInstalled,
	ensureSnapshot,
	startFromSnapshot,
	tearDown,
	type Installed,
} from './snapshot.ts';
import { startTape, type Tape } from './tape.ts';
import { progress, until } from './tool.ts';
import { HostWatch } from './watch.ts';
import { createWitness } from './witness.ts';
import { hosts, type Network } from './world.ts';

export type SessionOptions = {
	readonly root: string;
	readonly signal: AbortSignal;
	/** Called with what undoes the run's traces, before the run leaves any. */
	readonly onCleanup: (cleanup: () => Promise<void>) => void;
};

/** Both hosts with agents that have been started and a tape that runs. */
export type Session = {
	readonly id: string;
	readonly place: Place;
	readonly settings: ProductSettings;
	readonly watches: readonly HostWatch[];
	readonly tape: Tape;
};

/** What to start: `cables` are the networks without a switch. */
export type Wanted = {
	readonly name: string;
	readonly settings: ProductSettings;
	readonly cables: readonly Network[];
};

const ownerFile = 'owner.json';
const protectedMs = 1_200_000;

/** Removes what runs left behind whose runner was killed outright: nothing else could. */
async function sweep(image: Image): Promise<void> {
	const runs = join(cacheFolder(), 'run');
	for (const name of await readdir(runs).catch(() => [])) {
		const folder = join(runs, name);
		const text = await readFile(join(folder, ownerFile), 'utf8').catch(() => '[0,""]');
		const [pid, namespace] = JSON.parse(text) as [number, string];
		if (pid !== 0 && existsSync(`/proc/${pid}`)) continue;
		progress(`removing what the run ${name} left behind`);
		await tearDown({ folder, namespace, image });
		await rm(folder, { recursive: true, force: true });
	}
}

/** Has the pair armed by its administrator's command, as soon as the agents accept it. */
export async function armed({ place }: Session): Promise<void> {
	progress('arming the pair');
	await armPair(place, protectedMs);
}

/** Looks at the agents' own view first: asking with the command costs an emulated host seconds each time. */
export async function untilProtected({ place, watches }: Session): Promise<void> {
	progress('waiting for both hosts to be protected');
	const views = (): HostWatch['view'][] => watches.map(({ view }) => view);
	const shown = (): string =>
		views()
			.map(({ status }) => `${status?.verdict ?? 'unknown'}: ${status?.reason ?? ''}`)
			.join(' / ');
	const probe = async (): Promise<true | undefined> => {
		if (!views().every(({ status }) => status?.verdict === 'protected')) return undefined;
		const told = await Promise.all(hosts.map((host) => verdictOf(place, host)));
		return told.every((text) => text.startsWith('protected')) ? true : undefined;
	};
	try {
		await until(probe, { what: 'both hosts to be protected', timeoutMs: protectedMs });
	} catch (cause) {
		throw new Error(`the pair did not become protected: ${shown()}`, { cause });
	}
}

/** Waits until every guest has written: before that nothing would prove anything of its data. */
export async function untilWriting({ settings, tape }: Session): Promise<void> {
	progress('waiting for every guest to write');
	const acknowledged = async (): Promise<true | undefined> => {
		const entries = await tape.entries();
		const silent = settings.vms.filter(
			({ name }) => entries.filter((entry) => entry.kind === 'ack' && entry.vm === name).length < 3,
		);
		return silent.length === 0 ? true : undefined;
	};
	const what = 'every guest to write';
	await until(acknowledged, { what, timeoutMs: protectedMs, everyMs: 2000 });
	for (const vm of settings.vms) progress(`${vm.name} runs on ${vm.host}`);
}

async function bringUp(
	{ place, settings, watches }: Session,
	prints: Installed['prints'],
	proofs: ReadonlyMap<string, string>,
): Promise<void> {
	const witness = settings.witness ? await createWitness(place) : undefined;
	await configureProduct(place, settings, prints, { witness, proofs });
	if (witness !== undefined) await checkWitness(place);
	await startAgents(place, settings);
	for (const watch of watches) watch.start();
	progress('agents started');
}

/**
 * Brings both hosts up with agents that have been started, uses them, and leaves nothing behind. When the use throws,
 * logs are kept.
 */
export async function withSession<T>(
	options: SessionOptions,
	{ name, settings, cables }: Wanted,
	use: (session: Session) => Promise<T>,
): Promise<T> {
	await installTools();
	const giveBack = await takeLock(options.signal);
	options.onCleanup(giveBack);
	const image = await ensureImage();
	await sweep(image);
	const id = `${name}-${randomBytes(3).toString('hex')}`;
	const deb = await findPackage(options.root);
	const spare = `vmpair-gold-${id.slice(-6)}`;
	const golden = await ensureSnapshot(image, spare, options.onCleanup);
	const installed = await ensureInstalled(image, golden, deb, spare, options.onCleanup);
	const trial: Place = { folder: `${golden}.trial`, namespace: spare, image };
	const proofs =
		settings.watchdogs.length === 0
			? new Map<string, string>()
			: await ensureProofs(trial, golden, installed, settings);
	const place: Place = {
		folder: join(cacheFolder(), 'run', id),
		namespace: `vmpair-${id.slice(-6)}`,
		image,
	};
	await mkdir(place.folder, { recursive: true });
	await writeFile(join(place.folder, ownerFile), JSON.stringify([process.pid, place.namespace]));
	let session: Session | undefined;
	const cleanup = async (): Promise<void> => {
		for (const watch of session?.watches ?? []) watch.stop();
		session?.tape.stop();
		await tearDown(place);
		await rm(place.folder, { recursive: true, force: true });
		await giveBack();
	};
	options.onCleanup(cleanup);
	try {
		await startFromSnapshot(place, installed.folder);
		progress('both hosts run');
		const watches = hosts.map((host) => new HostWatch(place, host, cables));
		session = { id, place, settings, watches, tape: await startTape(place) };
		await bringUp(session, installed.prints, proofs);
		return await use(session);
	} catch (thrown) {
		if (!options.signal.aborted) {
			progress(`failed; logs are kept in ${await keepBundle(place, session?.watches ?? [], id)}`);
		}
		throw thrown;
	} finally {
		await cleanup();
	}
}
