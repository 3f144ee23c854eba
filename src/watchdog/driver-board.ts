import { execFile } from 'node:child_process';
import * as fs from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Board, BoardFacts, HoldSettings, Proof } from '#src/watchdog/board.ts';
import { readProof } from '#src/watchdog/board.ts';

/** Where the kernel shows things. Tests have trees of their own. */
export interface BoardPlaces {
	/** In the place of /dev. */
	readonly devices: string;
	readonly sysfs: string;
	readonly bootId: string;
	readonly machine: string;
	readonly sysrq: string;
	/** The program that sets a time-out; Node has no ioctl. */
	readonly wdctl: string;
	readonly proof: string;
}

export const usualBoardPlaces: BoardPlaces = {
	devices: '/dev',
	sysfs: '/sys/class/watchdog',
	bootId: '/proc/sys/kernel/random/boot_id',
	machine: '/sys/class/dmi/id/product_uuid',
	sysrq: '/proc/sysrq-trigger',
	wdctl: 'wdctl',
	proof: '/var/lib/vmpair/watchdog.json',
};

const wdctlMs = 5000;
const readBytesMax = 4096;

/** The text of a small file of the kernel; null when it cannot be read. */
const text = (file: string): string | null => {
	let fd: number | null = null;
	try {
		fd = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
		const buffer = Buffer.alloc(readBytesMax);
		return buffer.toString('utf8', 0, fs.readSync(fd, buffer, 0, readBytesMax, null)).trim();
	} catch {
		return null;
	} finally {
		if (fd !== null) fs.closeSync(fd);
	}
};

const whole = (found: string | null): number | null =>
	found !== null && /^[0-9]{1,9}$/.test(found) ? Number(found) : null;

/** `/sys/module/NAME/parameters/...`: the driver's name stands for its identity where sysfs shows none. */
const moduleOf = (parameter: string): string => basename(dirname(dirname(parameter)));

/** A watchdog device by the kernel's own files, without any library. */
export class WatchdogBoard implements Board {
	readonly #places: BoardPlaces;
	#device: number | null = null;
	#trigger: number | null = null;

	constructor(places: BoardPlaces) {
		this.#places = places;
	}

	facts({ device, parameter }: Pick<HoldSettings, 'device' | 'parameter'>): BoardFacts {
		// The kernel's old name is its first board.
		const name = basename(device) === 'watchdog' ? 'watchdog0' : basename(device);
		const shown = (attribute: string): string | null =>
			text(join(this.#places.sysfs, name, attribute));
		const state = shown('state');
		const nowayout = shown('nowayout');
		const seconds = whole(parameter === null ? shown('timeout') : text(parameter));
		const there = fs.existsSync(this.#path(device));
		const named = parameter === null ? null : moduleOf(parameter);
		return {
			identity: there ? (shown('identity') ?? named) : null,
			timeoutMs: seconds === null ? null : seconds * 1000,
			active: state === null ? null : state === 'active',
			nowayout: nowayout === null ? null : nowayout !== '0',
			bootStatus: whole(shown('bootstatus')),
			machine: text(this.#places.machine) ?? '',
			bootId: text(this.#places.bootId) ?? '',
		};
	}

	async prepare(settings: HoldSettings): Promise<BoardFacts> {
		const before = this.facts(settings);
		const differs = before.timeoutMs !== settings.timeoutMs;
		if (before.identity === null || before.timeoutMs === null || !differs) return before;
		await this.#setTimeout(settings);
		return this.facts(settings);
	}

	open(device: string): void {
		this.#device = fs.openSync(this.#path(device), fs.constants.O_WRONLY | fs.constants.O_APPEND);
	}

	feed(): void {
		if (this.#device !== null) fs.writeSync(this.#device, '\0');
	}

	stop(): void {
		if (this.#device !== null) fs.writeSync(this.#device, 'V');
		this.abandon();
		if (this.#trigger !== null) fs.closeSync(this.#trigger);
		this.#trigger = null;
	}

	abandon(): void {
		if (this.#device !== null) fs.closeSync(this.#device);
		this.#device = null;
	}

	armReset(): void {
		this.#trigger ??= fs.openSync(this.#places.sysrq, fs.constants.O_WRONLY);
	}

	reset(): void {
		if (this.#trigger !== null) fs.writeSync(this.#trigger, 'b');
	}

	proof(): Proof | null {
		const found = text(this.#places.proof);
		return found === null ? null : readProof(found);
	}

	keepProof(proof: Proof): void {
		const file = this.#places.proof;
		const temporary = `${file}.new`;
		const fd = fs.openSync(temporary, 'w', 0o600);
		try {
			fs.writeSync(fd, JSON.stringify(proof));
			fs.fsyncSync(fd);
		} finally {
			fs.closeSync(fd);
		}
		fs.renameSync(temporary, file);
		const folder = fs.openSync(dirname(file), 'r');
		try {
			fs.fsyncSync(folder);
		} finally {
			fs.closeSync(folder);
		}
	}

	#path(device: string): string {
		return join(this.#places.devices, basename(device));
	}

	/** Whatever comes of it, the time-out is read back afterwards. */
	async #setTimeout({ device, parameter, timeoutMs }: HoldSettings): Promise<void> {
		const seconds = String(Math.floor(timeoutMs / 1000));
		if (parameter !== null) {
			try {
				fs.writeFileSync(parameter, seconds);
			} catch {
				// Most modules take it only when they are loaded.
			}
			return;
		}
		await new Promise<void>((resolve) => {
			const options = { timeout: wdctlMs, killSignal: 'SIGKILL' } as const;
			execFile(this.#places.wdctl, ['--settimeout', seconds, this.#path(device)], options, () =>
				resolve(),
			);
		});
	}
}
