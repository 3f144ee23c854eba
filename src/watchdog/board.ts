/** What a watchdog is, whether it may count, and the proof that it resets this host. No npm package: see line.ts. */

/** What the agent wants of the feeder, in its first line. */
export interface HoldSettings {
	readonly device: string;
	/** File of a module parameter with the time-out in seconds, for a driver without an entry in sysfs; or null. */
	readonly parameter: string | null;
	/** The time-out to set; a longer real one does not count. */
	readonly timeoutMs: number;
	/** No grant reaches further than this: a wrong one must not feed for ever. */
	readonly grantMaxMs: number;
	/** A watchdog in software counts. */
	readonly softdog: boolean;
	/** The kernel is told to reset the host soon after a missed deadline, before the board does. */
	readonly sysrq: boolean;
}

/** What the kernel says of the board. Null where it does not say. */
export interface BoardFacts {
	readonly identity: string | null;
	readonly timeoutMs: number | null;
	/** Counting already: a feeder before us died with it. */
	readonly active: boolean | null;
	/** It cannot be stopped once it was opened. */
	readonly nowayout: boolean | null;
	/** WDIOF_* flags of the reason for this boot. */
	readonly bootStatus: number | null;
	/** Names the machine, so that a copied disk does not bring a proof along. */
	readonly machine: string;
	readonly bootId: string;
}

/** A reset test, as it is kept on disk. Times are CLOCK_MONOTONIC of the boot it began in, ms. */
export interface Proof {
	readonly format: 1;
	readonly device: string;
	readonly identity: string;
	readonly machine: string;
	readonly timeoutMs: number;
	readonly bootId: string;
	/** When the device was given up without the magic character: the board counts from here. */
	readonly closedMs: number;
	/** The last sign of life that reached the disk. */
	readonly markMs: number;
	readonly state: 'open' | 'proven' | 'failed';
	readonly detail: string;
	/** Wall clock, ISO 8601, for people. */
	readonly at: string;
}

/** G: what a board needs beyond its time-out to reset the host (docs/protocol.md, section 5). */
export const resetGraceMs = 2000;
/** The feeder comes by more often than this; a shorter time-out would reset a busy host. */
const timeoutMinMs = 2000;
/** WDIOF_CARDRESET: this boot follows a reset by the board. */
const cardReset = 0x20;

const isText = (value: unknown, max: number): value is string =>
	typeof value === 'string' && value.length <= max;
const isTime = (value: unknown): value is number =>
	typeof value === 'number' && Number.isFinite(value) && value >= 0;

/** A proof from a file's text; null when it is damaged, and then the board counts as untested. */
export const readProof = (text: string): Proof | null => {
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch {
		return null;
	}
	if (typeof value !== 'object' || value === null) return null;
	const fields = value as Readonly<Record<string, unknown>>;
	const { format, device, identity, machine, timeoutMs } = fields;
	const { bootId, closedMs, markMs, state, detail, at } = fields;
	if (format !== 1 || (state !== 'open' && state !== 'proven' && state !== 'failed')) return null;
	if (
		!isText(device, 256) ||
		!isText(identity, 256) ||
		!isText(machine, 256) ||
		!isText(bootId, 64)
	)
		return null;
	if (!isTime(timeoutMs) || !isTime(closedMs) || !isTime(markMs)) return null;
	if (!isText(detail, 1024) || !isText(at, 64)) return null;
	const board = { format, device, identity, machine, timeoutMs } as const;
	return { ...board, bootId, closedMs, markMs, state, detail, at };
};

/**
 * What a test that was begun has come to, seen now. After a reboot it is proven when the board says so, or when the
 * last sign of life fits its time-out; a host that still lives beyond time-out and grace was not reset.
 */
export const settle = (proof: Proof, facts: BoardFacts, nowMs: number): Proof => {
	if (proof.state !== 'open') return proof;
	const ended = (state: 'proven' | 'failed', detail: string): Proof => ({
		...proof,
		state,
		detail,
	});
	const limitMs = proof.timeoutMs + resetGraceMs;
	if (facts.bootId === proof.bootId) {
		return nowMs - proof.closedMs > limitMs
			? ended('failed', `the host still runs ${limitMs} ms after the board was fed last`)
			: proof;
	}
	const livedMs = Math.round(proof.markMs - proof.closedMs);
	if (livedMs > limitMs) return ended('failed', `the host lived for ${livedMs} ms after that`);
	if (((facts.bootStatus ?? 0) & cardReset) !== 0)
		return ended('proven', `the board itself says that it reset the host; it lived ${livedMs} ms`);
	return livedMs >= proof.timeoutMs / 2
		? ended('proven', `the host was reset; its last sign of life came after ${livedMs} ms`)
		: ended(
				'failed',
				`the last sign of life came after ${livedMs} ms, long before the time-out: something else may have reset the host`,
			);
};

export type BoardKind = 'tested' | 'untested' | 'softdog';

export interface Fitness {
	/** May be opened at a grant. */
	readonly fit: boolean;
	/** Counts as a watchdog for the peer's proof while it is held and fed. */
	readonly counts: boolean;
	readonly kind: BoardKind;
	/** Stable word for what is in the way; `ready` when nothing is. */
	readonly code: string;
	readonly detail: string;
}

const kindOf = (facts: BoardFacts, proof: Proof | null): BoardKind => {
	// In software it goes down with the kernel it watches, so no test of a healthy kernel proves it.
	if (facts.identity === 'Software Watchdog') return 'softdog';
	const same =
		proof?.state === 'proven' &&
		proof.identity === facts.identity &&
		proof.machine === facts.machine &&
		proof.timeoutMs === facts.timeoutMs;
	return same ? 'tested' : 'untested';
};

/** Whether a board may be held, and whether it counts. Everything that is not known speaks against it. */
export const judge = (
	facts: BoardFacts,
	settings: Pick<HoldSettings, 'device' | 'timeoutMs' | 'softdog'>,
	proof: Proof | null,
): Fitness => {
	const kind = kindOf(facts, proof);
	const { device, timeoutMs } = settings;
	const unfit = (code: string, detail: string): Fitness => ({
		fit: false,
		counts: false,
		kind,
		code,
		detail,
	});
	if (facts.identity === null) return unfit('absent', `${device} is not there`);
	if (facts.timeoutMs === null)
		return unfit('time-out-unknown', `nobody says what the time-out of ${device} is`);
	if (facts.timeoutMs > timeoutMs)
		return unfit(
			'too-long',
			`the time-out of ${device} is ${facts.timeoutMs} ms and cannot be made ${timeoutMs} ms`,
		);
	if (facts.timeoutMs < timeoutMinMs)
		return unfit('too-short', `the time-out of ${device} is ${facts.timeoutMs} ms`);
	if (facts.nowayout === true)
		return unfit('no-way-out', `${device} cannot be stopped any more (nowayout)`);
	if (proof?.state === 'open' && proof.bootId === facts.bootId)
		return unfit('test-open', 'a reset test is under way');
	const held = { fit: true, kind };
	if (kind === 'softdog')
		return settings.softdog
			? { ...held, counts: true, code: 'ready', detail: 'in software, and counted nevertheless' }
			: { ...held, counts: false, code: 'softdog', detail: 'it is in software only' };
	return kind === 'tested'
		? { ...held, counts: true, code: 'ready', detail: '' }
		: {
				...held,
				counts: false,
				code: 'untested',
				detail: `no reset test has proven ${device} with this time-out: vmpair watchdog test`,
			};
};

/** A watchdog of this host. */
export interface Board {
	/** Sets the time-out where it differs, then reads everything. Never rejects; takes 5 s at most. */
	prepare(settings: HoldSettings): Promise<BoardFacts>;
	facts(settings: Pick<HoldSettings, 'device' | 'parameter'>): BoardFacts;
	/** Opens the device: from here on it counts. Throws with the kernel's words, `EBUSY` when another holds it. */
	open(device: string): void;
	/** Feeds once. Throws when the device does not take it. */
	feed(): void;
	/** Stops the board by the magic character, then closes it. */
	stop(): void;
	/** Closes the device without the magic character, as a program that dies does: the board goes on counting. */
	abandon(): void;
	/** Opens the kernel's trigger now, so that no path has to be looked up when it is needed. */
	armReset(): void;
	/** Resets the host through the kernel, at once and without a sync. */
	reset(): void;
	/** Null without a test, or when the file is damaged. */
	proof(): Proof | null;
	/** Durable when it returns. */
	keepProof(proof: Proof): void;
}
