import type { HealthReading, LoadSample } from '#src/ports-load.ts';
import type { VmName } from '#src/ports.ts';
import type { SimAgent, SimHost, Simulation } from '#src/sim/model.ts';
import { isRunnable } from '#src/sim/truth.ts';

/** What the checks of moves for load remember of a run, looked at whenever a host has read its load. */

interface Sampled {
	readonly atMs: number;
	/** Null: the tools did not answer. */
	readonly sample: LoadSample | null;
}

/** From the first to the last of readings in a row. */
interface Stretch {
	readonly sinceMs: number;
	readonly lastMs: number;
}

/** What one run of an agent has read. */
interface Readings {
	session: string;
	samples: Sampled[];
	/** The last readings of a check that were all critical, by its name. */
	critical: Map<string, Stretch>;
}

export interface LoadMemory {
	readonly readings: readonly [Readings, Readings];
	/** Since when the copies of a VM are not both whole, by name. */
	readonly partialSinceMs: Map<VmName, number>;
	/** The domain in which a VM runs, and since when. */
	readonly running: Map<VmName, { readonly instance: string; readonly sinceMs: number }>;
	/** Since when a host is in standby, by its index. */
	readonly standbySinceMs: [number | null, number | null];
	/** All that a reading follows from, and since when it is as it is. */
	steady: { readonly words: string; readonly sinceMs: number };
}

export const newMemory = (): LoadMemory => ({
	readings: [
		{ session: '', samples: [], critical: new Map() },
		{ session: '', samples: [], critical: new Map() },
	],
	partialSinceMs: new Map(),
	running: new Map(),
	standbySinceMs: [null, null],
	steady: { words: '', sinceMs: 0 },
});

/** Readings beyond the hold, ms: enough to see what came before it. */
const keptBeyondMs = 120_000;

/** What every VM and host would like to use. */
export const loadWords = ({ vms, hosts }: Simulation): string =>
	JSON.stringify([
		vms.map(({ load }) => [load.cpus, load.inflowMibPerS]),
		hosts.map(({ load }) => [load.dom0, load.memory, load.disk, load.network]),
	]);

/** The same, where it runs, and what is read of it. */
const steadyWords = (simulation: Simulation): string =>
	JSON.stringify([
		loadWords(simulation),
		simulation.hosts.map((host) => [
			host.agent?.session,
			[...host.domains].map(([vm, { instance, presence }]) => [vm, instance, presence]),
			host.migrations.size,
			simulation.queue.nowMs < host.load.unknownUntilMs,
		]),
	]);

const isWhole = ({ vms }: Simulation, name: VmName): boolean =>
	vms
		.find((vm) => vm.name === name)
		?.replicas.every(
			({ disk, replication }) => disk === 'UpToDate' && replication === 'Established',
		) === true;

/** What is so of every VM now, and since when. */
export const lookAtVms = (
	simulation: Simulation,
	{ partialSinceMs, running }: LoadMemory,
): void => {
	const { nowMs } = simulation.queue;
	for (const vm of simulation.vms) {
		if (isWhole(simulation, vm.name)) partialSinceMs.delete(vm.name);
		else partialSinceMs.set(vm.name, partialSinceMs.get(vm.name) ?? nowMs);
		const on = simulation.hosts.find((host) => isRunnable(host, vm));
		const instance = on?.domains.get(vm.name)?.instance;
		if (instance === undefined) running.delete(vm.name);
		else if (running.get(vm.name)?.instance !== instance)
			running.set(vm.name, { instance, sinceMs: nowMs });
	}
};

/** The readings of this run of the agent; those of an earlier one are forgotten, as it forgets them. */
const readingsOf = (memory: LoadMemory, host: SimHost, session: string): Readings => {
	const readings = memory.readings[host.index];
	if (readings.session !== session) {
		readings.samples = [];
		readings.critical = new Map();
	}
	readings.session = session;
	return readings;
};

/** A check of a host has answered. */
export const lookAtCheck = (
	simulation: Simulation,
	memory: LoadMemory,
	{ host, session }: SimAgent,
	{ check, health }: HealthReading,
): void => {
	const { critical } = readingsOf(memory, host, session);
	const { nowMs } = simulation.queue;
	if (health !== 'critical') critical.delete(check);
	else critical.set(check, { sinceMs: critical.get(check)?.sinceMs ?? nowMs, lastMs: nowMs });
};

/** A host has read its load, or could not. */
export const lookAtAll = (
	simulation: Simulation,
	memory: LoadMemory,
	{ host, session }: SimAgent,
	sample: LoadSample | null,
): void => {
	const { nowMs } = simulation.queue;
	const readings = readingsOf(memory, host, session);
	const keptMs = host.config.balance.holdMs + keptBeyondMs;
	readings.samples = readings.samples.filter(({ atMs }) => nowMs - atMs < keptMs);
	readings.samples.push({ atMs: nowMs, sample });
	lookAtVms(simulation, memory);
	for (const { store, index } of simulation.hosts) {
		const { content } = store;
		const known = content !== null && content !== 'corrupt';
		const since = memory.standbySinceMs[index];
		memory.standbySinceMs[index] = known && content.standby !== null ? (since ?? nowMs) : null;
	}
	const words = steadyWords(simulation);
	if (words !== memory.steady.words) memory.steady = { words, sinceMs: nowMs };
};

/** For how long everything that load follows from has been as it is, by what was seen, ms. */
export const steadyForMs = (simulation: Simulation, { steady }: LoadMemory): number =>
	steady.words === steadyWords(simulation) ? simulation.queue.nowMs - steady.sinceMs : 0;

/** The readings of this check by which it is critical, of the present run of the agent; undefined: it is not. */
export const criticalOf = (
	{ readings }: LoadMemory,
	host: SimHost,
	check: string,
): Stretch | undefined =>
	readings[host.index].session === host.agent?.session
		? readings[host.index].critical.get(check)
		: undefined;

/** What the present run of the agent has read. */
export const samplesOf = ({ readings }: LoadMemory, host: SimHost): readonly Sampled[] =>
	readings[host.index].session === host.agent?.session ? readings[host.index].samples : [];
