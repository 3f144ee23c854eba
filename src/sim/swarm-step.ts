import { timingTable } from '#src/config/timing.ts';
import { turnMs } from '#src/fence/ladder.ts';
import type { ScenarioInput } from '#src/sim/scenario.ts';
import { swarmHosts, type WorldInput } from '#src/sim/swarm-world.ts';
import { formatDuration, parseDuration } from '#src/std/duration.ts';
import type { Prng } from '#src/std/prng.ts';
import { below, between, chance, pick } from '#src/std/prng.ts';

/** What all random faults are written with: steps of a scenario, each with its time. */

export type StepInput = ScenarioInput['steps'][number];

export interface Timed {
	readonly atMs: number;
	readonly step: StepInput;
}

/** Draws one fault that begins at about `atMs`, and what ends it. */
export type Fault = (random: Prng, world: WorldInput, atMs: number) => Timed[];

export const networks = ['management', 'replication'] as const;

export const at = (atMs: number, step: StepInput): Timed => ({ atMs: Math.max(0, atMs), step });

/** As a scenario writes it; parts of a millisecond are dropped. */
export const duration = (ms: number): string => formatDuration(Math.floor(ms));

/** The steps of a scenario, each at its time. */
export const inOrder = (timed: readonly Timed[]): StepInput[] =>
	timed
		.toSorted((one, other) => one.atMs - other.atMs)
		.map(({ atMs: when, step }) => ({ ...step, at: duration(when) }));

export const someHost = (random: Prng): string => pick(random, swarmHosts);

export const otherHost = (host: string): string =>
	host === swarmHosts[0] ? swarmHosts[1] : swarmHosts[0];

export const someVm = (random: Prng, world: WorldInput): string =>
	world.vms[below(random, world.vms.length)]?.name ?? '';

const detectionDefaultMs = 3000;

export const timingOf = ({ detection }: Pick<WorldInput, 'detection'>) =>
	timingTable(parseDuration(detection ?? '') ?? detectionDefaultMs);

/** The host that the story is about, and the other one. */
export const twoHosts = (random: Prng): readonly [string, string] =>
	chance(random, 0.5) ? [swarmHosts[0], swarmHosts[1]] : [swarmHosts[1], swarmHosts[0]];

export const cutAll = (atMs: number): Timed[] =>
	networks.map((network) => at(atMs, { do: 'cut', network }));

export const mendLater = (random: Prng, atMs: number): Timed[] =>
	networks.map((network) => at(atMs + between(random, 0, 8000), { do: 'mend', network }));

/** How long a turn of the fencing order is in this world, ms; equal on both hosts. */
export const turnOf = ({ fencing, devices = {}, ...world }: WorldInput): number => {
	const level = {
		devices: [],
		attempts: fencing?.attempts ?? 2,
		callMs: parseDuration(fencing?.call ?? '') ?? 0,
		lateMs: parseDuration(fencing?.late ?? '') ?? 0,
	};
	const ladders = swarmHosts.map((host) => {
		const length = Math.max(1, ...(devices[host] ?? []).map((device) => device.level ?? 1));
		return Array.from({ length }, () => level);
	});
	return turnMs(ladders, timingOf(world).detectionMs);
};
