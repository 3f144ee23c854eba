/** One level of a host's fencing ladder. Its devices together cut all power of the host (V22). */
export interface FenceLevel {
	/** Names of the devices; every one must read off. */
	readonly devices: readonly string[];
	/** Number of `off` commands at this level before the next one is tried. */
	readonly attempts: number;
	/** Upper bound of one `off` or `status` call over every device of the level, ms. */
	readonly callMs: number;
	/** The longest a device of the level may hold back an `off` before it takes effect (V12), ms. */
	readonly lateMs: number;
}

/** The levels of a host, in the order in which they are tried. */
export type Ladder = readonly FenceLevel[];

/** What was tried at a level since the host was last heard. */
export interface LevelTries {
	readonly sent: number;
	/** Commands that did not reach the device: they cost no attempt, but do not hold up the next level for ever. */
	readonly refused: number;
}

/** After an attempt and the reading that follows it, before the next attempt, ms. */
export const retryPauseMs = 1000;
/** An attempt and the reading after it each take a call of the level. */
const callsAnAttempt = 2;
/** Detections by which the two hosts' sight of the same loss may differ; D is stretched threefold at the worst. */
const skewDetections = 3;

const none: LevelTries = { sent: 0, refused: 0 };

/** What was tried at one level of the ladder. */
export const triesAt = (tries: readonly LevelTries[], level: number): LevelTries =>
	tries[level] ?? none;

/** The tries with those of one level replaced. */
export const withTries = (
	tries: readonly LevelTries[],
	level: number,
	change: LevelTries,
): readonly LevelTries[] =>
	Array.from({ length: Math.max(tries.length, level + 1) }, (_, index) =>
		index === level ? change : triesAt(tries, index),
	);

/** `off` commands over all levels before a person is paged. */
export const attemptsMax = (ladder: Ladder): number =>
	ladder.reduce((sum, level) => sum + level.attempts, 0);

/** The longest an `off` through any of these levels may be held back, ms. */
export const longestLateMs = (ladder: Ladder): number =>
	Math.max(0, ...ladder.map((level) => level.lateMs));

/** The longest an `off` through any of these levels may take until it has taken effect or never will, ms. */
export const landingMs = (ladder: Ladder): number =>
	Math.max(0, ...ladder.map((level) => level.callMs)) + longestLateMs(ladder);

const attemptsMs = (ladder: Ladder): number =>
	ladder.reduce(
		(sum, level) => sum + level.attempts * (callsAnAttempt * level.callMs + retryPauseMs),
		0,
	);

/**
 * How long a turn of the fencing order is, ms; equal on both hosts. It begins with the detection (stretched at
 * the worst), holds every attempt of every level of the longer ladder, the longest declared latency of either
 * host's devices, and the skew of two detections (V12).
 */
export const turnMs = (ladders: readonly Ladder[], detectionMs: number): number =>
	Math.max(0, ...ladders.map(attemptsMs)) +
	longestLateMs(ladders.flat()) +
	2 * skewDetections * detectionMs;

/**
 * How far into a turn of `lengthMs` an `off` through this level may still be sent, ms: it has taken effect, or
 * never will, before the other host's turn begins, however their clocks of the loss differ.
 */
export const latestInTurnMs = (level: FenceLevel, lengthMs: number, detectionMs: number): number =>
	lengthMs - level.lateMs - callsAnAttempt * level.callMs - skewDetections * detectionMs;

/**
 * The level to try next: the first with attempts left whose devices answer, else the first with attempts left;
 * null when all are used up. `answers`: whether every device of the level answered when it was asked last.
 */
export const nextLevel = (
	ladder: Ladder,
	tries: readonly LevelTries[],
	answers: readonly boolean[],
): number | null => {
	const left = ladder.flatMap((level, index) =>
		triesAt(tries, index).sent < level.attempts ? [index] : [],
	);
	const reached = left.find(
		(index) =>
			answers[index] === true && triesAt(tries, index).refused < (ladder[index]?.attempts ?? 0),
	);
	return reached ?? left[0] ?? null;
};
