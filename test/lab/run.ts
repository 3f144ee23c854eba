/** One run of one scenario: hosts from the snapshot, the product installed, the story played, the verdict. */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Scenario } from '#src/sim/scenario.ts';
import type { ScenarioStep } from '#src/sim/step.ts';
import { installTools } from './apt.ts';
import { killBmc } from './bmc.ts';
import { act, type Stage } from './fault.ts';
import { ssh, sshCommand, type Place } from './host.ts';
import { cacheFolder, ensureImage, type Image } from './image.ts';
import { judge, type VmVerdict } from './ledger.ts';
import { takeLock } from './lock.ts';
import { play, type Played } from './play.ts';
import { armPair, configureProduct, findPackage, startAgents, verdictOf } from './product.ts';
import type { ProductSettings, ProductVm } from './product.ts';
import { holds, type Seen } from './sight.ts';
import { ensureInstalled, ensureSnapshot, startFromSnapshot, tearDown } from './snapshot.ts';
import type { Installed } from './snapshot.ts';
import { readBack } from './read-back.ts';
import { reportText, type Report } from './report.ts';
import { guestPlaces, startTape, type Tape } from './tape.ts';
import { milestones, timeline } from './timeline.ts';
import { progress, until } from './tool.ts';
import { HostWatch, type Note } from './watch.ts';
import { hostNamed, hosts, networks, vms as slots, type Network } from './world.ts';

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

/** What the lab makes of the scenario's world; throws where it cannot be made. */
function settingsOf(scenario: Scenario): ProductSettings {
	const { world } = scenario;
	const names = hosts.map((host) => host.name);
	if (world.hosts.join(' ') !== names.join(' ')) {
		throw new Error(
			`this lab's hosts are ${names.join(' and ')}: set VMPAIR_LAB_HOSTS=${world.hosts.join(',')}`,
		);
	}
	if (world.vms.length > slots.length) throw new Error(`the lab has ${slots.length} VMs at most`);
	const vms = world.vms.map((vm, at): ProductVm => {
		const slot = slots[at];
		if (slot === undefined) throw new Error('the lab has too few VMs');
		const { name, host, priority, after } = vm;
		return { name, slot, host, priority, after, shutdownMs: vm.shutdown };
	});
	const { attempts, perHourMax, afterFence } = world.fencing;
	for (const [host, devices] of Object.entries(world.devices)) {
		const plain = devices.every(
			({ level, behaviour }) => level === 1 && /ok|dead/u.test(behaviour),
		);
		if (devices.length > 1 || !plain) throw new Error(`the lab has no such devices for ${host}`);
	}
	const { arbiter } = world;
	if (arbiter === 'witness') throw new Error('the lab has no witness: run it in the simulator');
	return {
		arbiter,
		detectionMs: world.detection,
		afterFence,
		attempts,
		perHour: perHourMax,
		vms,
	};
}

const cablesOf = (scenario: Scenario): Network[] =>
	scenario.world.networks.flatMap(({ name, switched }) =>
		networks.filter((network) => network === name && !switched),
	);

type Running = {
	readonly place: Place;
	readonly settings: ProductSettings;
	readonly watches: readonly HostWatch[];
	readonly tape: Tape;
	readonly places: Map<string, string>;
	readonly replies: Map<string, string>;
};

async function lookAt(running: Running, startMs: number): Promise<Seen> {
	const entries = await running.tape.entries();
	const byMac = await guestPlaces(running.place);
	for (const vm of running.settings.vms) {
		const host = byMac.get(vm.slot.mac);
		if (host !== undefined) running.places.set(vm.name, host.name);
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
	for (const { vm, violations } of ledger) {
		const more = violations.length > 5 ? ` (and ${violations.length - 5} more)` : '';
		const shown = violations.slice(0, 5).map(({ rule, text }) => `${rule}: ${text}`);
		if (shown.length > 0) failures.push(`${vm}: ${shown.join('; ')}${more}`);
	}
	const zeroMs = played.happened[0]?.atMs ?? 0;
	const notes = running.watches.flatMap(({ view }): Note[] => view.notes);
	const alerts = await running.tape.alerts();
	return {
		scenario: options.scenario.name,
		passed: failures.length === 0,
		failures,
		milestones: milestones(zeroMs, notes, seen.entries, alerts),
		expectations: played.met,
		ledger,
		timeline: timeline(zeroMs, played.happened, notes, seen.entries, alerts),
		bundle: undefined,
	};
}

/** Copies what explains a failure out of the hosts and the run's folder. */
async function keepBundle(place: Place, running: Running | undefined, id: string): Promise<string> {
	const folder = join(cacheFolder(), 'bundle', id);
	await mkdir(folder, { recursive: true });
	for (const name of ['recorder.jsonl', 'alerts.jsonl', 'vmpair.yaml']) {
		await cp(join(place.folder, name), join(folder, name)).catch(() => {});
	}
	const collect = `journalctl -b --no-pager -n 20000 > /tmp/journal.txt; dmesg > /tmp/dmesg.txt; cp /proc/drbd /tmp/drbd.txt; vmpair status > /tmp/status.txt 2>&1; xl list -v > /tmp/xl.txt; tar -C / -czf - tmp/journal.txt tmp/dmesg.txt tmp/drbd.txt tmp/status.txt tmp/xl.txt var/lib/vmpair var/log/xen etc/vmpair/vmpair.yaml | base64 -w0`;
	for (const host of hosts) {
		for (const log of ['serial.log', 'serial.log.old', 'bmc/chassis.log', 'bmc/log']) {
			const target = join(folder, `${host.name}-${log.replace('/', '-')}`);
			await cp(join(place.folder, host.name, log), target).catch(() => {});
		}
		const view = running?.watches.find((watch) => watch.host === host)?.view;
		if (view?.powered === false || view?.hung === true) continue;
		const told = await ssh(place, host, collect, { anyCode: true, timeoutMs: 120_000 }).catch(
			() => undefined,
		);
		if (told === undefined || told.stdout === '') continue;
		await writeFile(join(folder, `${host.name}.tar.gz`), Buffer.from(told.stdout, 'base64'));
	}
	return folder;
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

async function bringUp(place: Place, running: Running, prints: Installed['prints']): Promise<void> {
	await configureProduct(place, running.settings, prints);
	await startAgents(place);
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
		running = { place, settings, watches, tape, places: new Map(), replies: new Map() };
		await bringUp(place, running, installed.prints);
		const played = await playOn(running, options);
		const report = await finish(running, options, played);
		if (options.keep) await keepRunning(place, report, options.signal);
		if (report.passed) return report;
		const bundle = await keepBundle(place, running, id);
		await writeFile(join(bundle, 'report.json'), JSON.stringify(report, null, '\t'));
		return { ...report, bundle };
	} catch (thrown) {
		if (!options.signal.aborted) {
			progress(`failed; logs are kept in ${await keepBundle(place, running, id)}`);
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
