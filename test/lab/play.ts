/** Plays a scenario in real time: steps when they are due, expectations looked at five times a second. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Expectation, Scenario } from '#src/sim/scenario.ts';
import type { ScenarioStep } from '#src/sim/step.ts';
import { holds, type Seen } from './sight.ts';

/** The lab's hosts are emulated; every limit is so many times longer, unless the scenario says otherwise. */
const slowness = 5;
const whenLimitMs = 600_000;
const lookEveryMs = 200;

export type Happened = {
	readonly atMs: number;
	/** When the step's work was done, for steps that take time. */
	readonly doneMs: number;
	readonly step: string;
	readonly text: string;
};

export type Played = {
	readonly failures: string[];
	readonly happened: Happened[];
	/** What was awaited and how long after its step it was seen, in ms. */
	readonly met: { readonly text: string; readonly afterMs: number; readonly limitMs: number }[];
	/** Expectations about the end: they need the ledger's verdict first. */
	readonly finals: Expectation[];
};

export type Player = {
	readonly look: () => Promise<Seen>;
	readonly act: (step: ScenarioStep) => Promise<void>;
	readonly signal: AbortSignal;
	readonly tell: (text: string) => void;
};

const words = (expectation: Expectation): string => JSON.stringify(expectation);

const describe = (step: ScenarioStep): string =>
	Object.entries(step)
		.filter(
			([key, value]) => !['id', 'at', 'when', 'within', 'after'].includes(key) && value !== null,
		)
		.map(([key, value]) => (key === 'do' ? step.do : `${key}=${JSON.stringify(value)}`))
		.join(' ');

const limitOf = (expectation: Extract<Expectation, { within: number }>): number =>
	expectation.labWithin ?? expectation.within * slowness;

class Play {
	readonly scenario: Scenario;
	readonly player: Player;
	readonly played: Played;
	readonly #pending: Set<Expectation>;
	/** When each named step happened; '' is the first one. */
	readonly #happened = new Map<string, number>();
	readonly #startMs = Date.now();

	constructor(scenario: Scenario, player: Player) {
		this.scenario = scenario;
		this.player = player;
		const finals = scenario.expect.filter((expectation) => 'finally' in expectation);
		this.played = { failures: [], happened: [], met: [], finals };
		this.#pending = new Set(scenario.expect.filter((each) => !('finally' in each)));
	}

	async run(): Promise<Played> {
		for (const [index, step] of this.scenario.steps.entries()) {
			if (!(await this.#untilDue(index, step))) break;
			await this.#take(index, step);
		}
		const lastMs = Date.now();
		for (;;) {
			await this.#look();
			const waiting = [...this.#pending].some((expectation) => this.#isAwaited(expectation));
			if (!waiting && Date.now() >= lastMs + this.scenario.ends) break;
			await this.#pause();
		}
		for (const expectation of this.#pending) {
			if ('that' in expectation) this.#fail(expectation, 'was not seen in time');
		}
		return this.played;
	}

	async #pause(): Promise<void> {
		await delay(lookEveryMs, undefined, { signal: this.player.signal });
	}

	#isAwaited(expectation: Expectation): boolean {
		if (!('that' in expectation)) return false;
		const sinceMs = this.#happened.get(expectation.of ?? '');
		return sinceMs !== undefined && Date.now() < sinceMs + limitOf(expectation);
	}

	async #untilDue(index: number, step: ScenarioStep): Promise<boolean> {
		const waitingMs = Date.now();
		let dueMs = step.when === undefined ? waitingMs + (step.after ?? 0) : Number.POSITIVE_INFINITY;
		if (step.at !== undefined) dueMs = Math.max(dueMs, this.#startMs + step.at);
		const limitMs = step.within === undefined ? whenLimitMs : step.within * slowness;
		for (;;) {
			const seen = await this.#look();
			if (step.when !== undefined && dueMs === Number.POSITIVE_INFINITY && holds(seen, step.when)) {
				dueMs = Math.max(Date.now() + (step.after ?? 0), this.#startMs + (step.at ?? 0));
			}
			if (Date.now() >= dueMs) return true;
			if (dueMs === Number.POSITIVE_INFINITY && Date.now() > waitingMs + limitMs) {
				this.played.failures.push(`step ${index + 1}: what it waits for was not seen in time`);
				return false;
			}
			await this.#pause();
		}
	}

	async #take(index: number, step: ScenarioStep): Promise<void> {
		const text = describe(step);
		this.player.tell(`step ${text}`);
		const atMs = Date.now();
		if (index === 0) this.#happened.set('', atMs);
		if (step.id !== undefined) this.#happened.set(step.id, atMs);
		await this.player.act(step);
		const doneMs = Date.now();
		this.played.happened.push({ atMs, doneMs, step: step.id ?? `step-${index + 1}`, text });
	}

	async #look(): Promise<Seen> {
		const seen = await this.player.look();
		for (const expectation of this.#pending) this.#check(expectation, seen);
		return seen;
	}

	#check(expectation: Expectation, seen: Seen): void {
		if ('that' in expectation) {
			const sinceMs = this.#happened.get(expectation.of ?? '');
			if (sinceMs === undefined || !holds(seen, expectation.that)) return;
			const limitMs = limitOf(expectation);
			const afterMs = seen.nowMs - sinceMs;
			this.played.met.push({ text: words(expectation), afterMs, limitMs });
			this.player.tell(`seen after ${afterMs} ms: ${JSON.stringify(expectation.that)}`);
			if (afterMs > limitMs) this.#fail(expectation, 'was seen too late');
			this.#pending.delete(expectation);
		} else if ('never' in expectation || 'always' in expectation) {
			const begun = expectation.from === undefined || this.#happened.has(expectation.from);
			const over = expectation.until !== undefined && this.#happened.has(expectation.until);
			if (!begun || over) return;
			const wanted = 'always' in expectation;
			const sight = wanted ? expectation.always : expectation.never;
			if (holds(seen, sight) === wanted) return;
			this.#fail(expectation, wanted ? 'did not hold' : 'was seen');
		}
	}

	#fail(expectation: Expectation, what: string): void {
		const text = `expectation ${this.scenario.expect.indexOf(expectation) + 1} ${what}: ${words(expectation)}`;
		this.played.failures.push(text);
		this.player.tell(`FAILED ${text}`);
		this.#pending.delete(expectation);
	}
}

/** Plays the whole scenario; returns what happened, was met, and failed. */
export const play = (scenario: Scenario, player: Player): Promise<Played> =>
	new Play(scenario, player).run();
