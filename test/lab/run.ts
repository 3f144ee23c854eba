/** One run of one scenario: the story played on the pair of a session, and the verdict. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Scenario } from '#src/sim/scenario.ts';
import type { ScenarioStep } from '#src/sim/step.ts';
import { killBmc } from './bmc.ts';
import { keepBundle, keepEvents } from './bundle.ts';
import { act, type Stage } from './fault.ts';
import { sshCommand, type Place } from './host.ts';
import { play, type Played } from './play.ts';
import { reportText, type Report } from './report.ts';
import {
	armed,
	untilProtected,
	untilWriting,
	withSession,
	type Session,
	type SessionOptions,
} from './session.ts';
import { cablesOf, settingsOf } from './settings.ts';
import { type GuestPlace, holds, type Seen } from './sight.ts';
import { guestPlaces } from './tape.ts';
import { costOf, milestones, timeline } from './timeline.ts';
import { progress } from './tool.ts';
import { judgeAll, untilSeen } from './verdict.ts';
import type { Note } from './watch.ts';
import { claimant } from './witness.ts';
import { hostNamed, hosts } from './world.ts';

type RunOptions = SessionOptions & {
	readonly scenario: Scenario;
	/** Leave the hosts running at the end, until the signal. */
	readonly keep: boolean;
};

type Running = Session & {
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

async function runOn(session: Session, options: RunOptions): Promise<Report> {
	const running: Running = {
		...session,
		places: new Map(),
		replies: new Map(),
		asksClaim: JSON.stringify(options.scenario).includes('"claim":'),
	};
	const { id, place, watches } = session;
	await armed(session);
	await untilProtected(session);
	await untilWriting(session);
	const played = await playOn(running, options);
	const report = await finish(running, options, played);
	if (options.keep) await keepRunning(place, report, options.signal);
	if (report.passed) return report;
	const bundle = await keepBundle(place, watches, id);
	await writeFile(join(bundle, 'report.json'), JSON.stringify(report, null, '\t'));
	return { ...report, bundle };
}

/** Runs one scenario from beginning to end, and leaves nothing behind. */
export const runScenario = (options: RunOptions): Promise<Report> =>
	withSession(
		options,
		{
			name: options.scenario.name,
			settings: settingsOf(options.scenario),
			cables: cablesOf(options.scenario),
		},
		(session) => runOn(session, options),
	);

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
