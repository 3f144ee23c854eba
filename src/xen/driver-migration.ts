import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
	isTransport,
	parseTransport,
	transportFile,
	type End,
	type Transport,
} from '#src/migrate/transport.ts';
import { failed, succeeded, unknown } from '#src/ports-outcome.ts';
import type { Outcome, VmName } from '#src/ports.ts';
import { messageOf } from '#src/std/error.ts';
import type { Tools } from '#src/std/tool.ts';
import {
	migrationFailure,
	migrationUnitOf,
	receiveArguments,
	sendArguments,
	type MigrationPlan,
	type MigrationUnit,
} from '#src/xen/migration.ts';
import { wordsOf } from '#src/xen/outcome.ts';
import { listArguments, unitNames, type Migrations } from '#src/xen/units.ts';

const callMs = 5000;
const pollMs = 50;
/** A transport that has been told to end gets this long before it is killed. */
const graceMs = 2000;

const delay = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const ends: readonly End[] = ['send', 'receive'];

/** Runs the two ends of live migrations in units of systemd. */
export class MigrationUnits implements Migrations {
	readonly #tools: Tools;
	readonly #plan: MigrationPlan;
	#units = 0;
	/** Something may be under way, of an earlier run at first. */
	#any = true;
	#calls = 0;
	#running = 0;
	/** Those whose receiver was asked for and does not listen yet. */
	readonly #starting = new Set<VmName>();

	constructor(tools: Tools, plan: MigrationPlan) {
		this.#tools = tools;
		this.#plan = plan;
	}

	/** A receiver whose state cannot be read counts, unless it is known to be starting. */
	async underWay(twinSeen: boolean): Promise<ReadonlyMap<VmName, number | null> | null> {
		if (!this.#any && !twinSeen) return new Map();
		const calls = this.#calls;
		const units = await this.#list();
		if (units === null) return null;
		// A call that began in the meantime may have started what this list does not show.
		if (units.length === 0 && calls === this.#calls && this.#running === 0) this.#any = false;
		const carrying = await Promise.all(
			units.map(async ({ end, vm }): Promise<readonly [VmName, number | null][]> => {
				const transport = await this.#transport(end, vm);
				if (end === 'send') return [[vm, transport?.bytes ?? null]];
				const idle = transport === null ? this.#starting.has(vm) : transport.state === 'waiting';
				return idle ? [] : [[vm, null]];
			}),
		);
		return new Map(carrying.flat());
	}

	/** While a call runs, and afterwards until nothing is left, systemd is asked. */
	async #asked(call: Promise<Outcome>): Promise<Outcome> {
		this.#any = true;
		this.#calls += 1;
		this.#running += 1;
		try {
			return await call;
		} finally {
			this.#running -= 1;
		}
	}

	receive(vm: VmName, limitMs: number): Promise<Outcome> {
		return this.#asked(this.#receive(vm, limitMs));
	}

	send(vm: VmName, limitMs: number): Promise<Outcome> {
		return this.#asked(this.#send(vm, limitMs));
	}

	cut(vm: VmName, limitMs: number): Promise<Outcome> {
		return this.#asked(this.#cut(vm, limitMs));
	}

	async #receive(vm: VmName, limitMs: number): Promise<Outcome> {
		const endMs = performance.now() + limitMs;
		const before = await this.#of(vm);
		if (before === null) return unknown('systemd did not say what is under way');
		if (before.length > 0) {
			const transport = await this.#transport('receive', vm);
			if (transport?.state === 'waiting') return succeeded(null);
			return failed('migration-under-way', `${before[0]?.unit ?? ''} is still under way`);
		}
		this.#starting.add(vm);
		try {
			return await this.#startReceiver(vm, limitMs, endMs);
		} finally {
			this.#starting.delete(vm);
		}
	}

	async #startReceiver(vm: VmName, limitMs: number, endMs: number): Promise<Outcome> {
		const unit = this.#name('receive', vm);
		const args = receiveArguments(unit, vm, this.#plan);
		const ended = await this.#tools.run({ file: 'systemd-run', args, limitMs });
		if (ended.end === 'not-started') return failed('migrate-failed', ended.detail);
		if (ended.end === 'unknown') return unknown(`${ended.detail}; unit ${unit}`);
		if (ended.exitCode !== 0) return failed('migrate-failed', wordsOf(ended));
		return await this.#listening(vm, unit, endMs);
	}

	/** The receiver listens when its file says so. */
	async #listening(vm: VmName, unit: string, endMs: number): Promise<Outcome> {
		for (let polls = 0; performance.now() < endMs; polls += 1) {
			const transport = await this.#transport('receive', vm);
			if (transport !== null) return succeeded(null);
			// Asked now and then only: it is for a receiver that could not begin.
			if (polls % 10 === 9 && (await this.#hasEnded(unit))) {
				return failed('migrate-failed', migrationFailure(await this.#written(unit)));
			}
			await delay(pollMs);
		}
		return unknown(`the receiver of ${vm} is not ready yet; unit ${unit}`);
	}

	async #send(vm: VmName, limitMs: number): Promise<Outcome> {
		const before = await this.#of(vm);
		if (before === null) return unknown('systemd did not say what is under way');
		if (before.length > 0) {
			return failed('migration-under-way', `${before[0]?.unit ?? ''} is still under way`);
		}
		const unit = this.#name('send', vm);
		const args = sendArguments(unit, vm, this.#plan);
		const ended = await this.#tools.run({ file: 'systemd-run', args, limitMs });
		if (ended.end === 'not-started') return failed('migrate-failed', ended.detail);
		if (ended.end === 'unknown') return unknown(`${ended.detail}; unit ${unit}`);
		if (ended.exitCode === 0) return succeeded(null);
		// `systemd-run` also ends when it loses systemd, while the unit goes on.
		if (!(await this.#hasEnded(unit))) {
			return unknown(`systemd-run ended, the unit ${unit} did not: ${wordsOf(ended)}`);
		}
		const words = migrationFailure(`${ended.stderr}\n${await this.#written(unit)}`);
		return failed('migrate-failed', `xl migrate ended with exit code ${ended.exitCode}: ${words}`);
	}

	async #cut(vm: VmName, limitMs: number): Promise<Outcome> {
		const beganMs = performance.now();
		for (;;) {
			const elapsedMs = performance.now() - beganMs;
			const left = await this.#stillCarrying(vm);
			if (left.length === 0) return succeeded(null);
			if (elapsedMs >= limitMs) return unknown(`the transport of ${vm} is not gone yet`);
			for (const pid of left) {
				try {
					process.kill(pid, elapsedMs > graceMs ? 'SIGKILL' : 'SIGTERM');
				} catch (error) {
					// It ended in the meantime, or the next look says that it did not.
					if ((error as NodeJS.ErrnoException).code !== 'ESRCH') {
						return failed('migration-not-cut', messageOf(error));
					}
				}
			}
			await delay(pollMs);
		}
	}

	/** Process ids of transports of this VM that have not been cut. */
	async #stillCarrying(vm: VmName): Promise<readonly number[]> {
		const found = await Promise.all(ends.map((end) => this.#transport(end, vm)));
		return found.flatMap((each) => (each === null || each.state === 'cut' ? [] : [each.pid]));
	}

	#name(end: End, vm: VmName): string {
		this.#units += 1;
		return `vmpair-${end}-${vm}-${process.pid}-${this.#units}`;
	}

	async #list(): Promise<readonly MigrationUnit[] | null> {
		const args = listArguments('vmpair-send-*.service', 'vmpair-receive-*.service');
		const ended = await this.#tools.run({ file: 'systemctl', args, limitMs: callMs });
		if (ended.end !== 'exited' || ended.exitCode !== 0) return null;
		return unitNames(ended.stdout).flatMap((name) => migrationUnitOf(name) ?? []);
	}

	async #of(vm: VmName): Promise<readonly MigrationUnit[] | null> {
		return (await this.#list())?.filter((unit) => unit.vm === vm) ?? null;
	}

	async #hasEnded(unit: string): Promise<boolean> {
		const args = ['is-active', unit];
		const ended = await this.#tools.run({ file: 'systemctl', args, limitMs: callMs });
		return ended.end === 'exited' && ['inactive', 'failed'].includes(ended.stdout.trim());
	}

	async #written(unit: string): Promise<string> {
		const args = [`--unit=${unit}`, '--output=cat', '--no-pager', '--lines=40'];
		const ended = await this.#tools.run({ file: 'journalctl', args, limitMs: callMs });
		return ended.end === 'exited' ? ended.stdout : '';
	}

	/** What the transport's process says of itself; null when there is no such process now. */
	async #transport(end: End, vm: VmName): Promise<Transport | null> {
		try {
			const file = join(this.#plan.runtimeDirectory, transportFile(end, vm));
			const transport = parseTransport(await readFile(file, 'utf8'));
			if (transport === null) return null;
			const words = (await readFile(`/proc/${transport.pid}/cmdline`, 'utf8')).split('\0');
			return isTransport(words, end, vm) ? transport : null;
		} catch {
			// No file, or no such process any more.
			return null;
		}
	}
}
