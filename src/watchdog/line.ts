import type { BoardKind, HoldSettings } from '#src/watchdog/board.ts';

/**
 * The lines between the agent and the feeder, JSON each. They are read by hand and not with zod: the feeder loads no
 * npm package, so that nothing but this program can stop it.
 */

/** Longer lines end the connection. */
export const lineBytesMax = 4096;

export type FeederOrder =
	/** The board to hold at the first grant, in the first line of a connection. */
	| { readonly order: 'hold'; readonly settings: HoldSettings }
	/** Feed until this time of CLOCK_MONOTONIC, ms, and no longer. The last one counts. */
	| { readonly order: 'grant'; readonly untilMs: number }
	/** Stop the board. Only after the peer, and the witness where it arbitrates, know that it is disarmed. */
	| { readonly order: 'disarm' };

/** What the feeder answers to each line. */
export interface FeederAnswer {
	readonly device: string | null;
	/** The real time-out, ms; null while it is not known. */
	readonly timeoutMs: number | null;
	/** It counts, is held, and is fed now. */
	readonly armed: boolean;
	readonly board: BoardKind;
	/** Stable word for why it is not armed; `ready` when nothing is in the way. */
	readonly code: string;
	readonly detail: string;
}

type Fields = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Fields =>
	typeof value === 'object' && value !== null && !Array.isArray(value);

const hasOnly = (value: Fields, keys: readonly string[]): boolean =>
	Object.keys(value).length === keys.length && keys.every((key) => Object.hasOwn(value, key));

const isPath = (value: unknown): value is string =>
	typeof value === 'string' && /^\/[^\p{Cc}]{1,255}$/u.test(value);

const isDuration = (value: unknown): value is number =>
	typeof value === 'number' && Number.isSafeInteger(value) && value > 0 && value <= 600_000;

const settingsOf = (value: unknown): HoldSettings | null => {
	const keys = ['device', 'parameter', 'timeoutMs', 'grantMaxMs', 'softdog', 'sysrq'];
	if (!isObject(value) || !hasOnly(value, keys)) return null;
	const { device, parameter, timeoutMs, grantMaxMs, softdog, sysrq } = value;
	if (!isPath(device) || !(parameter === null || isPath(parameter))) return null;
	if (!isDuration(timeoutMs) || !isDuration(grantMaxMs)) return null;
	if (typeof softdog !== 'boolean' || typeof sysrq !== 'boolean') return null;
	return { device, parameter, timeoutMs, grantMaxMs, softdog, sysrq };
};

/** An order from a line without its end; null when it is none. */
export const readOrder = (line: string): FeederOrder | null => {
	let value: unknown;
	try {
		value = JSON.parse(line);
	} catch {
		return null;
	}
	if (!isObject(value)) return null;
	if (hasOnly(value, ['hold'])) {
		const settings = settingsOf(value['hold']);
		return settings === null ? null : { order: 'hold', settings };
	}
	if (hasOnly(value, ['grantUntilMs'])) {
		const untilMs = value['grantUntilMs'];
		return typeof untilMs === 'number' && Number.isFinite(untilMs) && untilMs >= 0
			? { order: 'grant', untilMs }
			: null;
	}
	return hasOnly(value, ['disarm']) && value['disarm'] === true ? { order: 'disarm' } : null;
};

const boards: readonly unknown[] = ['tested', 'untested', 'softdog'];

/** An answer from a line without its end; null when it is none. */
export const readAnswer = (line: string): FeederAnswer | null => {
	let value: unknown;
	try {
		value = JSON.parse(line);
	} catch {
		return null;
	}
	const keys = ['device', 'timeoutMs', 'armed', 'board', 'code', 'detail'];
	if (!isObject(value) || !hasOnly(value, keys)) return null;
	const { device, timeoutMs, armed, board, code, detail } = value;
	if (!(device === null || isPath(device)) || !(timeoutMs === null || isDuration(timeoutMs)))
		return null;
	if (typeof armed !== 'boolean' || !boards.includes(board)) return null;
	if (typeof code !== 'string' || typeof detail !== 'string') return null;
	return { device, timeoutMs, armed, board: board as BoardKind, code, detail };
};

/** Two settings that hold the same board in the same way. */
export const sameSettings = (one: HoldSettings, other: HoldSettings): boolean =>
	one.device === other.device &&
	one.parameter === other.parameter &&
	one.timeoutMs === other.timeoutMs &&
	one.grantMaxMs === other.grantMaxMs &&
	one.softdog === other.softdog &&
	one.sysrq === other.sysrq;
