import type { EngineFencing } from '#src/engine/config.ts';
import type { LevelPower } from '#src/engine/state-fencing.ts';
import type { State } from '#src/engine/state.ts';
import { type Ladder, nextLevel } from '#src/fence/ladder.ts';

/** The peer's fencing ladder as this run of the agent knows it: what was tried, what its devices say. */

/** Fence devices are read every minute; an answer older than two readings is none, ms. */
const monitorFreshMs = 150_000;

const ladderOf = (state: State): Ladder => state.config.fencing?.levels ?? [];

/** `off` commands sent to the peer, over all levels, since it was last heard. */
export const attemptsOf = (state: State): number =>
	state.fencing.tries.reduce((sum, { sent }) => sum + sent, 0);

/** Both hosts' ladders: what the length of a turn is made of. */
export const laddersOf = (fencing: EngineFencing): readonly Ladder[] => [
	fencing.levels,
	fencing.ownLevels,
];

const says = ({ state }: LevelPower): number => (state === 'off' ? 2 : state === 'on' ? 1 : 0);

/**
 * The peer's power from all levels: a level that reads off is enough, whatever another reads (an outlet has power
 * while the host behind it is switched off by its BMC); then one that reads on. Null before the first reading.
 */
export const powerOf = (state: State): LevelPower | null => {
	let best: LevelPower | null = null;
	for (const each of state.peer.power) {
		if (each === null) continue;
		const better = best === null ? 1 : says(each) - says(best);
		if (better > 0 || (better === 0 && each.atMs > (best?.atMs ?? 0))) best = each;
	}
	return best;
};

/** True while every device of the level answered when it was asked last: the level can prove something. */
const answers = (power: LevelPower | null | undefined): boolean =>
	power !== null && power !== undefined && power.devices.every((device) => device.power !== null);

/** The level to switch the peer off at next; null when every attempt of every level is used up. */
export const levelToTry = (state: State): number | null => {
	const ladder = ladderOf(state);
	const known = ladder.map((_, index) => answers(state.peer.power[index]));
	return nextLevel(ladder, state.fencing.tries, known);
};

/** When the answer of the level that was read last is none any more. */
export const answerLapsesMs = ({ atMs }: LevelPower): number => atMs + monitorFreshMs + 1;

/** True when some level would prove the peer off: each of its devices answered lately. */
export const someLevelWorks = (state: State, nowMs: number): boolean =>
	state.peer.power.some(
		(power) => power !== null && answers(power) && nowMs - power.atMs <= monitorFreshMs,
	);

/** A device of the peer that did not answer when it was asked last. */
interface SilentDevice {
	readonly device: string;
	readonly level: number;
	readonly detail: string;
}

export const silentDevices = (state: State): readonly SilentDevice[] =>
	state.peer.power.flatMap((power, level) =>
		(power?.devices ?? []).flatMap(({ device, power: says, detail }) =>
			says === null ? [{ device, level, detail }] : [],
		),
	);

/** `level 2 of 3`, as people count; null while there is only one level: then nobody has to know of levels. */
const levelWords = (state: State, level: number): string | null => {
	const { length } = ladderOf(state);
	return length > 1 ? `level ${level + 1} of ${length}` : null;
};

/** The level as a field of a note; nothing while there is only one. */
export const levelField = (state: State, level: number): { readonly level?: number } =>
	ladderOf(state).length > 1 ? { level: level + 1 } : {};

/**
 * What is wrong with the ladder although another level works: a sentence; null when every level is whole. A
 * failover would still work, but on what the others are there for.
 */
export const degradedLevel = (state: State): string | null => {
	const { peer } = state.config;
	const [first] = silentDevices(state);
	const words = first === undefined ? null : levelWords(state, first.level);
	if (first === undefined || words === null) return null;
	const names = silentDevices(state)
		.filter(({ level }) => level === first.level)
		.map(({ device }) => device);
	return `${words} of the fencing of ${peer} is degraded: ${names.join(' and ')} does not answer`;
};

/** Names of the devices of one level of the peer. */
export const devicesAt = (state: State, level: number): readonly string[] =>
	ladderOf(state)[level]?.devices ?? [];

/** What follows a host's name where one level of several is meant. */
export const levelSuffix = (state: State, level: number): string => {
	const words = levelWords(state, level);
	return words === null ? '' : ` (${words})`;
};

/** What proves a power-off, as a sentence about the host that is known to the reader. */
export const offBy = (state: State, level: number): string =>
	`every fence device of its level${ladderOf(state).length > 1 ? ` ${level + 1}` : ''} reads off`;
