import { setTimeout as delay } from 'node:timers/promises';
import type { HealthCheck } from '#src/config/config.ts';
import {
	answer,
	type Answer,
	noAnswer,
	probeLimitMs,
	type ProgramProbe,
	programOf,
} from '#src/health/answer.ts';
import { carrierAnswer, type DeviceLinks } from '#src/health/carrier.ts';
import { pluginAnswer } from '#src/health/plugin.ts';
import { sensorsAnswer } from '#src/health/sensors.ts';
import { smartAnswer } from '#src/health/smart.ts';
import type { HealthReading } from '#src/ports-load.ts';
import { same } from '#src/std/same.ts';
import type { Tools } from '#src/std/tool.ts';

export interface HealthOptions {
	readonly tools: Tools;
	/** What is known of a network device's links now; null: there is no such device. Never rejects. */
	readonly linksOf: (device: string) => Promise<DeviceLinks | null>;
	readonly onReading: (reading: HealthReading) => void;
}

/** Programs that run at the same time: checks must not become the load of the host they watch. */
const atOnceMax = 4;
/** First runs are spread over this time at most, so that a new agent soon knows. */
const spreadMs = 30_000;
/** Between the end of a slow run and the next one. */
const restMs = 1000;

/** Lets a few in at a time, in the order in which they came. */
class Gate {
	#free = atOnceMax;
	readonly #waiting: (() => void)[] = [];

	async enter(): Promise<void> {
		if (this.#free > 0) this.#free -= 1;
		else await new Promise<void>((resolve) => void this.#waiting.push(resolve));
	}

	leave(): void {
		const next = this.#waiting.shift();
		if (next === undefined) this.#free += 1;
		else next();
	}
}

/** One check, run again and again, never beside itself. */
class Watch {
	readonly check: HealthCheck;
	readonly #options: HealthOptions;
	readonly #gate: Gate;
	readonly #stop = new AbortController();
	/** Something of an earlier run is left: a program or a file that waits for a device. */
	#left = false;

	constructor(check: HealthCheck, options: HealthOptions, gate: Gate) {
		this.check = check;
		this.#options = options;
		this.#gate = gate;
	}

	stop(): void {
		this.#stop.abort();
	}

	async run(firstMs: number): Promise<void> {
		const { signal } = this.#stop;
		const pause = (ms: number) => delay(ms, undefined, { signal }).catch(() => {});
		await pause(firstMs);
		while (!signal.aborted) {
			const beganMs = performance.now();
			await this.#once();
			await pause(Math.max(restMs, beganMs + this.check.everyMs - performance.now()));
		}
	}

	async #once(): Promise<void> {
		await this.#gate.enter();
		try {
			if (this.#stop.signal.aborted) return;
			const said = await this.#ask();
			if (!this.#stop.signal.aborted) this.#options.onReading({ check: this.check.check, ...said });
		} finally {
			this.#gate.leave();
		}
	}

	async #ask(): Promise<Answer> {
		if (this.#left)
			return answer(
				'unknown',
				'an earlier run cannot be ended: what it asks does not answer (dmesg)',
			);
		const { probe } = this.check;
		return probe.kind === 'carrier'
			? await this.#askKernel(probe.device)
			: await this.#askProgram(probe);
	}

	async #askKernel(device: string): Promise<Answer> {
		this.#left = true;
		const found = this.#options.linksOf(device).finally(() => {
			this.#left = false;
		});
		const late = answer('unknown', `the kernel did not answer for ${device} in time`);
		return await Promise.race([
			found.then((links) => carrierAnswer(this.check.check, device, links)),
			delay(probeLimitMs(this.check.probe), late, { ref: false }),
		]);
	}

	async #askProgram(probe: ProgramProbe): Promise<Answer> {
		const { file, args } = programOf(probe);
		this.#left = true;
		const end = await this.#options.tools.run({
			file,
			args,
			limitMs: probeLimitMs(probe),
			sparse: true,
			signal: this.#stop.signal,
			onGone: () => {
				this.#left = false;
			},
		});
		if (end.end !== 'exited') return noAnswer(this.check.check, probe, end);
		if (probe.kind === 'smart') return smartAnswer(probe.disk, end);
		return probe.kind === 'ipmi' ? sensorsAnswer(end) : pluginAnswer(end);
	}
}

/** Runs the health checks of this host. */
export class HealthChecks {
	readonly #options: HealthOptions;
	readonly #gate = new Gate();
	#watches: readonly Watch[] = [];

	constructor(options: HealthOptions) {
		this.#options = options;
	}

	/** From now on these. One that is as it was goes on; the run of one that is gone or changed is ended. */
	manage(checks: readonly HealthCheck[]): void {
		const kept = this.#watches.filter(({ check }) => checks.some((each) => same(each, check)));
		for (const watch of this.#watches) if (!kept.includes(watch)) watch.stop();
		const added = checks
			.filter((each) => !kept.some(({ check }) => same(each, check)))
			.map((check) => new Watch(check, this.#options, this.#gate));
		this.#watches = [...kept, ...added];
		added.forEach((watch, index) => {
			const within = Math.min(spreadMs, watch.check.everyMs);
			void watch.run((within * index) / added.length);
		});
	}

	/** Ends all of them. */
	stop(): void {
		this.manage([]);
	}
}
