/** One run of one scenario: hosts from the snapshot, the product installed, the story played, the verdict. */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Scenario } from '#src/sim/scenario.ts';
import type { ScenarioStep } from '#src/sim/step.ts';
import { installTools } from './apt.ts';
import { killBmc } from './bmc.ts';
import { ensureProofs } from './board.ts';
import { keepBundle, keepEvents } from './bundle.ts';
import { act, type Stage } from './fault.ts';
import { sshCommand, type Place } from './host.ts';
import { cacheFolder, ensureImage, type Image } from './image.ts';
import { judge, type VmVerdict } from './ledger.ts';
import { takeLock } from './lock.ts';
import { play, type Played } from './play.ts';
import {
	armPair,
	checkWitness,
	configureProduct,
	findPackage,
	startAgents,
	verdictOf,
	type Extras,
	type ProductSettings,
} from './product.ts';
import { cablesOf, settingsOf } from './settings.ts';
import { type GuestPlace, holds, type Seen } from './sight.ts';
import { ensureInstalled, ensureSnapshot, startFromSnapshot, tearDown } from './snapshot.ts';
import type { Installed } from './snapshot.ts';
import { readBack } from './read-back.ts';
import { reportText, type Report } from './report.ts';
import { guestPlaces, startTape, type Tape } from './tape.ts';
import { costOf, milestones, timeline } from './timeline.ts';
import { progress, until } from './tool.ts';
import { HostWatch, type Note } from './watch.ts';
import { claimant, createWitness } from './witness.ts';
import { hostNamed, hosts } from './world.ts';

export type RunOptions = {
	readonly scenario: Scenario;
	readonly root: string;
	/** Leave the hosts running at the end, until the signal. */
	readonly keep: boolean;
	readonly signal: AbortSignal;
	/** Called with what undoes the run's traces, before the run leaves any. */
	readonly onCleanup: (cleanup: () => Promise<void>) => void;
};

const protectedMs = 1_200_000;

type Running = {
	readonly id: string;
	readonly place: Place;
	readonly settings: ProductSettings;
	readonly watches: readonly HostWatch[];
	readonly tape: Tape;
	readonly places: Map<string, GuestPlace>;
	readonly replies: Map<string, string>;
	/** The scenario speaks of claims: the witness is asked at every look. */
	readonly asksClaim: boolean;
};

function placeNow(
	before: GuestPlace | undefined,
	host: string,
	boot: string | undefined,
): GuestPlace {
	const began = boot === undefined ? undefined : { id: boot, host };
	return {
		host,
		sinceMs: before?.host === host ? before.sinceMs : Date.now(),
		boot: before?.boot !== undefined && before.boot.id === boot ? before.boot : began,
	};
}

async function lookAt(running: Running, startMs: number): Promise<Seen> {
	const entries = await running.tape.entries();
	const byMac = await guestPlaces(running.place);
	for (const vm of running.settings.vms) {
		const host = byMac.get(vm.slot.mac);
		const before = running.places.get(vm.name);
		const boot = entries.findLast(
			({ vm: name, kind }) => name === vm.name && kind === 'boot',
		)?.boot;
		if (host !== undefined) running.places.set(vm.name, placeNow(before, host.name, boot));
	}
	return {
		nowMs: Date.now(),
		startMs,
		hosts: new Map(running.watches.map(({ host, view }) => [host.name, view])),
		vms: running.settings.vms,
		entries,
		places: running.places,
		replies: running.replies,
		alerts: await running.tape.alerts(),
		claim: running.asksClaim ? await claimant(running.place) : undefined,
		intact: undefined,
	};
}

/** Fence devices that do not answer from the beginning: the pair could not have been armed with them. */
async function breakDevices(place: Place, { world }: Scenario): Promise<void> {
	for (const [name, devices] of Object.entries(world.devices)) {
		if (devices[0]?.behaviour === 'dead') await killBmc(place, hostNamed(name));
	}
}

async function playOn(running: Running, options: RunOptions): Promise<Played> {
	await breakDevices(running.place, options.scenario);
	const startMs = Date.now();
	const stage: Stage = {
		place: running.place,
		vms: running.settings.vms,
		watchdogs: running.settings.watchdogs,
		bmcDiesToo: new Set(
			Object.entries(options.scenario.world.devices)
				.filter(([, devices]) => devices.some((device) => device.diesWithHost))
				.map(([host]) => host),
		),
		onReply: (step, status, text) => {
			running.replies.set(step, status);
			progress(`answer to ${step}: ${text.split('\n')[0] ?? ''}`);
		},
	};
	return play(options.scenario, {
		look: () => lookAt(running, startMs),
		act: async (step: ScenarioStep) => {
			await act(stage, step);
			for (const watch of running.watches) {
				if (!('host' in step) || step.host !== watch.host.name) continue;
				if (step.do === 'hang') watch.view.hung = true;
				if (step.do === 'resume' || step.do === 'power-cut') watch.view.hung = false;
				if (step.do === 'resume') watch.reopen();
			}
		},
		signal: options.signal,
		tell: progress,
	});
}

async function judgeAll(running: Running): Promise<VmVerdict[]> {
	const untilMs = Date.now();
	// The file first, the disks after it: what is acknowledged in between may be on the disk, not the reverse.
	const entries = await running.tape.entries();
	const verdicts: VmVerdict[] = [];
	for (const vm of running.settings.vms) {
		const highest = entries.reduce(
			(most, entry) => (entry.vm === vm.name ? Math.max(most, entry.number) : most),
			0,
		);
		const disk = await readBack(running.place, running.watches, vm, highest);
		verdicts.push(judge(vm.name, entries, disk, untilMs));
	}
	return verdicts;
}

/** A host that has just booted is not looked at yet: the end is judged by what is seen of every host. */
async function untilSeen(running: Running): Promise<void> {
	const sinceMs = Date.now();
	const probe = (): Promise<true | undefined> =>
		Promise.resolve(
			running.watches.every(({ view }) => !view.powered || view.hung || view.seenMs > sinceMs)
				? true
				: undefined,
		);
	await until(probe, { what: 'a look at every host with power', timeoutMs: 180_000 });
}

async function finish(running: Running, options: RunOptions, played: Played): Promise<Report> {
	await untilSeen(running);
	const ledger = await judgeAll(running);
	const failures = [...played.failures];
	const intact = new Map(ledger.map(({ vm, violations }) => [vm, violations.length === 0]));
	const seen: Seen = { ...(await lookAt(running, 0)), intact };
	for (const expectation of played.finals) {
		if (!('finally' in expectation) || holds(seen, expectation.finally)) continue;
		failures.push(`does not hold at the end: ${JSON.stringify(expectation.finally)}`);
	}
	failures.push(...(await keepEvents(running.place, running.watches, running.id)));
	for (const { vm, violations } of ledger) {
		const more = violations.length > 5 ? ` (and ${violations.length - 5} more)` : '';
		const shown = violations.slice(0, 5).map(({ rule, text }) => `${rule}: ${text}`);
		if (shown.length > 0) failures.push(`${vm}: ${shown.join('; ')}${more}`);
	}
	const zeroMs = played.happened[0]?.atMs ?? 0;
	const notes = running.watches.flatMap(({ view }): Note[] => view.notes);
	const freezes = running.watches.flatMap(({ view }) => view.freezes);
	const alerts = await running.tape.alerts();
	return {
		scenario: options.scenario.name,
		passed: failures.length === 0,
		failures,
		milestones: milestones(zeroMs, notes, seen.entries, alerts),
		cost: costOf(zeroMs, Date.now(), notes, freezes),
		expectations: played.met,
		ledger,
		timeline: timeline(zeroMs, played.happened, notes, seen.entries, alerts),
		bundle: undefined,
	};
}

const ownerFile = 'owner.json';

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

/** Looks at the agents' own view first: asking with the command costs an emulated host seconds each time. */
async function untilProtected(running: Running): Promise<void> {
	const views = (): HostWatch['view'][] => running.watches.map(({ view }) => view);
	const shown = (): string =>
		views()
			.map(({ status }) => `${status?.verdict ?? 'unknown'}: ${status?.reason ?? ''}`)
			.join(' / ');
	const probe = async (): Promise<true | undefined> => {
		if (!views().every(({ status }) => status?.verdict === 'protected')) return undefined;
		const told = await Promise.all(hosts.map((host) => verdictOf(running.place, host)));
		return told.every((text) => text.startsWith('protected')) ? true : undefined;
	};
	try {
		await until(probe, { what: 'both hosts to be protected', timeoutMs: protectedMs });
	} catch (cause) {
		throw new Error(`the pair did not become protected: ${shown()}`, { cause });
	}
}

/** The story begins when every guest has written: a fault before that would prove nothing of its data. */
async function untilWriting(running: Running): Promise<void> {
	const acknowledged = async (): Promise<true | undefined> => {
		const entries = await running.tape.entries();
		const silent = running.settings.vms.filter(
			({ name }) => entries.filter((entry) => entry.kind === 'ack' && entry.vm === name).length < 3,
		);
		return silent.length === 0 ? true : undefined;
	};
	const what = 'every guest to write';
	await until(acknowledged, { what, timeoutMs: protectedMs, everyMs: 2000 });
}

async function bringUp(
	running: Running,
	prints: Installed['prints'],
	extras: Extras,
): Promise<void> {
	const { place, settings } = running;
	await configureProduct(place, settings, prints, extras);
	if (extras.witness !== undefined) await checkWitness(place);
	await startAgents(place, settings);
	for (const watch of running.watches) watch.start();
	progress('agents started; arming the pair');
	await armPair(place, protectedMs);
	progress('armed; waiting for both to be protected');
	await untilProtected(running);
	progress('protected on both hosts; waiting for every guest to write');
	await untilWriting(running);
	for (const vm of running.settings.vms) progress(`${vm.name} runs on ${vm.host}`);
}

async function keepRunning(place: Place, report: Report, signal: AbortSignal): Promise<void> {
	progress(reportText(report));
	for (const host of hosts) {
		const [command, args] = sshCommand(place, host, '');
		progress(`${host.name}: ${[command, ...args].join(' ').trim()}`);
	}
	progress('the hosts go on running until Ctrl-C');
	await new Promise<void>((resolve) => {
		// A pending promise alone does not keep the process alive.
		const timer = setInterval(() => {}, 60_000);
		signal.addEventListener('abort', () => {
			clearInterval(timer);
			resolve();
		});
	});
}

/** Runs one scenario from beginning to end, and leaves nothing behind. */
export async function runScenario(options: RunOptions): Promise<Report> {
	const settings = settingsOf(options.scenario);
	await installTools();
	const giveBack = await takeLock(options.signal);
	options.onCleanup(giveBack);
	const image = await ensureImage();
	await sweep(image);
	const id = `${options.scenario.name}-${randomBytes(3).toString('hex')}`;
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
	let running: Running | undefined;
	const cleanup = async (): Promise<void> => {
		for (const watch of running?.watches ?? []) watch.stop();
		running?.tape.stop();
		await tearDown(place);
		await rm(place.folder, { recursive: true, force: true });
		await giveBack();
	};
	options.onCleanup(cleanup);
	try {
		await startFromSnapshot(place, installed.folder);
		progress('both hosts run');
		const cables = cablesOf(options.scenario);
		const watches = hosts.map((host) => new HostWatch(place, host, cables));
		const tape = await startTape(place);
		running = {
			id,
			place,
			settings,
			watches,
			tape,
			places: new Map(),
			replies: new Map(),
			asksClaim: JSON.stringify(options.scenario).includes('"claim":'),
		};
		const witness = settings.witness ? await createWitness(place) : undefined;
		await bringUp(running, installed.prints, { witness, proofs });
		const played = await playOn(running, options);
		const report = await finish(running, options, played);
		if (options.keep) await keepRunning(place, report, options.signal);
		if (report.passed) return report;
		const bundle = await keepBundle(place, running?.watches ?? [], id);
		await writeFile(join(bundle, 'report.json'), JSON.stringify(report, null, '\t'));
		return { ...report, bundle };
	} catch (thrown) {
		if (!options.signal.aborted) {
			progress(`failed; logs are kept in ${await keepBundle(place, running?.watches ?? [], id)}`);
		}
		throw thrown;
	} finally {
		await cleanup();
	}
}

/** Names that people use for a scenario. */
const aliases: Readonly<Record<string, string>> = { 'agent-kill': 'agent-crash' };

/** The scenario's text, from a file or by its name among the lab's and the shared ones. */
export async function readScenario(root: string, name: string): Promise<string> {
	const places = [
		join(root, 'test/lab/scenario', `${name}.yaml`),
		join(root, 'test/scenario', aliases[name] ?? name, 'scenario.yaml'),
		name,
	];
	for (const path of places) {
		const text = await readFile(path, 'utf8').catch(() => undefined);
		if (text !== undefined) return text;
	}
	throw new Error(`there is no scenario '${name}': looked in ${places.join(', ')}`);
}
