import { readFile } from 'node:fs/promises';
import { parseSnapshot } from '#src/drbd/events2.ts';
import { parseEvidence, parseGeneration, parseOutOfSync } from '#src/drbd/generation.ts';
import { minorsOf, observe } from '#src/drbd/observation.ts';
import { outcomeOf } from '#src/drbd/outcome.ts';
import { detachRefusal, outdateRefusal, reconnectRefusal } from '#src/drbd/refusal.ts';
import { hasNoDisk, highestDisk, isOutdated, lowestDisk, promotable } from '#src/drbd/role.ts';
import { drbdTiming, type DrbdTiming } from '#src/drbd/timing.ts';
import { allowsTwoPrimaries } from '#src/drbd/two-primaries.ts';
import type { ManagedResource } from '#src/drbd/watch.ts';
import { failed, succeeded, unknown, type Failed, type Unknown } from '#src/ports-outcome.ts';
import type {
	HostName,
	Outcome,
	ResourceName,
	ResourceObservation,
	VolumeEvidence,
	VolumeGeneration,
} from '#src/ports.ts';
import type { ToolEnd, Tools } from '#src/std/tool.ts';

export interface DrbdOptions {
	readonly tools: Tools;
	readonly resources: readonly ManagedResource[];
	readonly drbdadm?: string;
	readonly drbdsetup?: string;
	/** Where the kernel shows DRBD's state as text. */
	readonly procFile?: string;
	readonly timing?: Partial<DrbdTiming>;
}

/** What a resource looks like right now; `resource` is null when it is down. */
interface Look {
	readonly resource: ResourceObservation | null;
	readonly volumes: readonly number[];
	readonly minors: ReadonlyMap<number, number>;
}

/** Seen on a real kernel: one refusal after the peer was marked Outdated, then success. */
const promoteTries = 3;

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Drives DRBD 8.4 and 9 through `drbdadm` and `drbdsetup`. Every method ends within its limit and
 * never rejects; a call that ran out of time is `unknown`. Data is given up by `connectDiscarding` alone, for a
 * person's order; `detach` forces nothing but a frozen loser's disk away from its held-back writes.
 */
export class DrbdDriver {
	readonly #tools: Tools;
	readonly #drbdadm: string;
	readonly #drbdsetup: string;
	readonly #procFile: string;
	readonly #timing: DrbdTiming;
	#managed: ReadonlyMap<ResourceName, HostName> = new Map();
	/** Resources that two hosts may have in use on purpose: nobody has set them up wrongly. */
	readonly migrating = new Set<ResourceName>();

	constructor(options: DrbdOptions) {
		this.#tools = options.tools;
		this.#drbdadm = options.drbdadm ?? 'drbdadm';
		this.#drbdsetup = options.drbdsetup ?? 'drbdsetup';
		this.#procFile = options.procFile ?? '/proc/drbd';
		this.#timing = { ...drbdTiming, ...options.timing };
		this.manage(options.resources);
	}

	/** Replaces the managed resources after the configuration changed. */
	manage(resources: readonly ManagedResource[]): void {
		this.#managed = new Map(resources.map(({ resource, peer }) => [resource, peer]));
	}

	/** Attaches and connects, never promotes. Succeeds at once when that is done already. */
	async up(resource: ResourceName, limitMs = this.#timing.actionMs): Promise<Outcome> {
		const deadline = performance.now() + limitMs;
		const look = await this.#look(resource, deadline);
		// Without the kernel module nothing can be seen yet; `drbdadm up` loads it.
		if ('result' in look || look.resource === null || lowestDisk(look.resource) === 'Diskless') {
			return this.#adm('up', resource, deadline);
		}
		if (look.resource.connection !== 'StandAlone') return succeeded(null);
		return this.#adm('connect', resource, deadline);
	}

	/** Takes the resource down; refused by DRBD while anything holds its device open. */
	async down(resource: ResourceName, limitMs = this.#timing.actionMs): Promise<Outcome> {
		return this.#untilLetGo('down', resource, performance.now() + limitMs);
	}

	/** Connects again after DRBD went StandAlone; with a split brain it goes StandAlone once more. */
	async connect(resource: ResourceName, limitMs = this.#timing.actionMs): Promise<Outcome> {
		const deadline = performance.now() + limitMs;
		const look = await this.#look(resource, deadline);
		if ('result' in look) return look;
		if (look.resource === null) return failed('drbd-not-up', `resource ${resource} is not up`);
		if (look.resource.connection !== 'StandAlone') return succeeded(null);
		return this.#adm('connect', resource, deadline);
	}

	/**
	 * Makes this host Primary. The kernel may call our fence-peer handler inside of this call. After a
	 * time-out it may still happen: `unknown`, to be observed.
	 */
	async promote(resource: ResourceName, limitMs = this.#timing.promoteMs): Promise<Outcome> {
		const deadline = performance.now() + limitMs;
		for (let attempt = 1; ; attempt += 1) {
			const outcome = await this.#adm('primary', resource, deadline);
			if (outcome.result !== 'failed') return outcome;
			const look = await this.#look(resource, deadline);
			if ('result' in look) return unknown(`${outcome.detail}; ${look.detail}`);
			// The kernel asks a dead peer first, and can have used up its tries when our handler's answer
			// has marked the peer Outdated; the next try then needs nobody's answer any more.
			const peerIsOut =
				outcome.code === 'drbd-peer-not-outdated' &&
				look.resource !== null &&
				promotable(look.resource) === 'now';
			if (!peerIsOut || attempt >= promoteTries) {
				return this.#undoHalfPromote(resource, look, outcome, deadline);
			}
		}
	}

	/**
	 * Disconnects and connects again, for a connection that does not get on. Refused on a Primary: there a
	 * disconnect could hold writes back, or let them go on alone.
	 */
	async reconnect(resource: ResourceName, limitMs = this.#timing.actionMs): Promise<Outcome> {
		return this.#reconnect(resource, performance.now() + limitMs, []);
	}

	/**
	 * Connects with the own copy given up, for a person's order alone: DRBD overwrites it when it finds a
	 * split brain. Refused on a Primary and while connected.
	 */
	async connectDiscarding(
		resource: ResourceName,
		limitMs = this.#timing.actionMs,
	): Promise<Outcome> {
		return this.#reconnect(resource, performance.now() + limitMs, ['--discard-my-data']);
	}

	async #reconnect(
		resource: ResourceName,
		deadline: number,
		flags: readonly string[],
	): Promise<Outcome> {
		const look = await this.#look(resource, deadline);
		if ('result' in look) return look;
		if (look.resource === null) return failed('drbd-not-up', `resource ${resource} is not up`);
		const refusal = reconnectRefusal(look.resource, flags.length > 0);
		if (refusal !== null) return refusal;
		if (look.resource.connection !== 'StandAlone') {
			const gone = await this.#adm('disconnect', resource, deadline);
			const noneLeft = gone.result === 'failed' && gone.code === 'drbd-not-connected';
			if (gone.result !== 'succeeded' && !noneLeft) return gone;
		}
		return this.#adm('connect', resource, deadline, flags);
	}

	/** Makes this host Secondary, with retries while something still holds the device open. */
	async demote(resource: ResourceName, limitMs = this.#timing.actionMs): Promise<Outcome> {
		return this.#untilLetGo('secondary', resource, performance.now() + limitMs);
	}

	/**
	 * Marks the own copy Outdated in its metadata. Succeeds only when every volume was read back as
	 * Outdated, or as Inconsistent, which is just as durable and as unusable.
	 */
	async outdate(resource: ResourceName, limitMs = this.#timing.actionMs): Promise<Outcome> {
		const deadline = performance.now() + limitMs;
		const before = await this.#look(resource, deadline);
		if ('result' in before) return before;
		if (before.resource === null) return this.#outdateDown(resource, deadline);
		const refusal = outdateRefusal(before.resource);
		if (refusal !== null) return refusal;
		if (isOutdated(before.resource)) return succeeded(null);
		const outcome = await this.#adm('outdate', resource, deadline);
		const after = await this.#look(resource, deadline);
		if ('result' in after) return after;
		if (after.resource !== null && isOutdated(after.resource)) return succeeded(null);
		if (outcome.result !== 'succeeded') return outcome;
		const disk = after.resource === null ? 'gone' : highestDisk(after.resource);
		return failed('drbd-not-outdated', `resource ${resource} was read back as ${disk}`);
	}

	/** Lets a frozen Primary write again; it rotates its UUID. Succeeds when read back as not frozen. */
	async resumeIo(resource: ResourceName, limitMs = this.#timing.actionMs): Promise<Outcome> {
		const deadline = performance.now() + limitMs;
		const outcome = await this.#adm('resume-io', resource, deadline);
		if (outcome.result !== 'succeeded') return outcome;
		const look = await this.#look(resource, deadline);
		if ('result' in look) return look;
		if (look.resource === null) return failed('drbd-not-up', `resource ${resource} is not up`);
		const left = look.resource.suspended.filter((why) => why === 'fencing' || why === 'user');
		if (left.length === 0) return succeeded(null);
		return failed('drbd-still-frozen', `resource ${resource} is suspended: ${left.join(',')}`);
	}

	/**
	 * Takes the disk away from a frozen Primary: what it holds back can reach it no more. Refused unless it is
	 * Primary, frozen and not connected at this moment; succeeds only when every volume was read back without disk.
	 */
	async detach(resource: ResourceName, limitMs = this.#timing.actionMs): Promise<Outcome> {
		const deadline = performance.now() + limitMs;
		const before = await this.#look(resource, deadline);
		if ('result' in before) return before;
		if (before.resource === null) return failed('drbd-not-up', `resource ${resource} is not up`);
		if (hasNoDisk(before.resource)) return succeeded(null);
		const refusal = detachRefusal(before.resource);
		if (refusal !== null) return refusal;
		const outcome = await this.#adm('detach', resource, deadline, ['--force']);
		const after = await this.#look(resource, deadline);
		if ('result' in after) return after;
		if (after.resource !== null && hasNoDisk(after.resource)) return succeeded(null);
		if (outcome.result !== 'succeeded') return outcome;
		return failed('drbd-not-detached', `resource ${resource} was read back with its disk`);
	}

	/** Ends the held-back writes of a Primary without disk with errors. Refused while any volume has its disk. */
	async failIo(resource: ResourceName, limitMs = this.#timing.actionMs): Promise<Outcome> {
		const deadline = performance.now() + limitMs;
		const look = await this.#look(resource, deadline);
		if ('result' in look) return look;
		if (look.resource === null) return failed('drbd-not-up', `resource ${resource} is not up`);
		// With a disk they would be written to it, in a data generation of their own: a split brain.
		if (!hasNoDisk(look.resource)) {
			return failed('drbd-has-disk', `resource ${resource} still has its disk`);
		}
		return this.resumeIo(resource, Math.max(1, deadline - performance.now()));
	}

	/**
	 * Lets both hosts be Primary at once, or no more; DRBD takes it over to the connected peer. Succeeds when read
	 * back; `drbd-two-primaries` when DRBD refuses it, as it does while both are. What is as wanted already is left
	 * alone.
	 */
	async setTwoPrimaries(
		resource: ResourceName,
		allowed: boolean,
		limitMs = this.#timing.actionMs,
	): Promise<Outcome> {
		const deadline = performance.now() + limitMs;
		if (allowed) this.migrating.add(resource);
		const before = await this.#twoPrimaries(resource, deadline);
		if (typeof before !== 'boolean') return before;
		if (!before && !allowed) this.migrating.delete(resource);
		if (before === allowed) return succeeded(null);
		const flag = `--allow-two-primaries=${allowed ? 'yes' : 'no'}`;
		const outcome = await this.#adm('net-options', resource, deadline, [flag]);
		if (outcome.result === 'unknown') return outcome;
		const after = await this.#twoPrimaries(resource, deadline);
		if (typeof after !== 'boolean') return after;
		if (!after && !allowed) this.migrating.delete(resource);
		if (after === allowed) return succeeded(null);
		const detail = outcome.result === 'failed' ? outcome.detail : `"${flag}" had no effect`;
		return failed('drbd-two-primaries', detail);
	}

	/** Whether the kernel lets both hosts be Primary; a resource that is down lets nobody. */
	async #twoPrimaries(resource: ResourceName, deadline: number): Promise<boolean | Unknown> {
		const look = await this.#look(resource, deadline);
		if ('result' in look) return look;
		if (look.resource === null) return false;
		const end = await this.#run(this.#drbdsetup, ['show', resource], deadline);
		if (end.end !== 'exited') return unknown(end.detail);
		const allowed = end.exitCode === 0 ? allowsTwoPrimaries(end.stdout, resource) : null;
		return allowed ?? unknown(`DRBD did not show the options of ${resource}`);
	}

	/** The data generation of every volume, in order of their numbers. */
	async readGenerations(
		resource: ResourceName,
		limitMs = this.#timing.actionMs,
	): Promise<Outcome<readonly VolumeGeneration[]>> {
		const deadline = performance.now() + limitMs;
		const look = await this.#look(resource, deadline);
		if ('result' in look) return look;
		if (look.resource === null) return failed('drbd-not-up', `resource ${resource} is not up`);
		const bare = look.resource.volumes.find(({ disk }) => disk === 'Diskless' || disk === 'Failed');
		if (bare !== undefined) {
			return failed('drbd-no-local-disk', `volume ${bare.volume} of ${resource} is ${bare.disk}`);
		}
		const generations: VolumeGeneration[] = [];
		for (const volume of look.volumes) {
			// One after the other: each call is a few milliseconds, and the limit is shared.
			const end = await this.#run(this.#drbdadm, ['get-gi', `${resource}/${volume}`], deadline);
			const outcome = outcomeOf(end);
			if (outcome.result !== 'succeeded') return outcome;
			const stdout = end.end === 'exited' ? end.stdout : '';
			const generation = parseGeneration(stdout, volume);
			if (generation === null) {
				return failed('drbd-not-understood', `get-gi of ${resource}/${volume}: ${stdout.trim()}`);
			}
			generations.push(generation);
		}
		return succeeded(generations);
	}

	/** What DRBD would compare when the two copies meet, of every volume in order of their numbers. */
	async readEvidence(
		resource: ResourceName,
		limitMs = this.#timing.actionMs,
	): Promise<Outcome<readonly VolumeEvidence[]>> {
		const deadline = performance.now() + limitMs;
		const look = await this.#look(resource, deadline);
		if ('result' in look) return look;
		if (look.resource === null) return failed('drbd-not-up', `resource ${resource} is not up`);
		// DRBD 8.4 forgets its peer while StandAlone and shows there alone what differs; 9 has no such file content.
		const shown = await readFile(this.#procFile, 'latin1').catch(() => '');
		const evidence: VolumeEvidence[] = [];
		for (const { volume, outOfSyncKib } of look.resource.volumes) {
			const end = await this.#run(this.#drbdadm, ['get-gi', `${resource}/${volume}`], deadline);
			const outcome = outcomeOf(end);
			if (outcome.result !== 'succeeded') return outcome;
			const stdout = end.end === 'exited' ? end.stdout : '';
			const minor = look.minors.get(volume);
			const differs = minor === undefined ? null : parseOutOfSync(shown, minor);
			const read = parseEvidence(stdout, volume, outOfSyncKib ?? differs);
			if (read === null) {
				return failed('drbd-not-understood', `get-gi of ${resource}/${volume}: ${stdout.trim()}`);
			}
			evidence.push(read);
		}
		return succeeded(evidence);
	}

	/** DRBD 8.4 promotes volume by volume: a refusal can leave some Primary. All or none. */
	async #undoHalfPromote(
		resource: ResourceName,
		look: Look,
		refused: Failed,
		deadline: number,
	): Promise<Outcome> {
		if (look.resource?.role !== 'Primary' || look.volumes.length < 2) return refused;
		const undone = await this.#untilLetGo('secondary', resource, deadline);
		if (undone.result === 'succeeded') return refused;
		return failed('drbd-partly-promoted', `${refused.detail}; then not undone: ${undone.detail}`);
	}

	/** `drbdmeta` does it when the resource is down; the state is then read from the metadata too. */
	async #outdateDown(resource: ResourceName, deadline: number): Promise<Outcome> {
		const outcome = await this.#adm('outdate', resource, deadline);
		if (outcome.result !== 'succeeded') return outcome;
		const end = await this.#run(this.#drbdadm, ['dstate', resource], deadline);
		if (end.end !== 'exited') return unknown(end.detail);
		const states = end.stdout.trim().split(/\s+/);
		if (states.every((state) => /^(Outdated|Inconsistent)$/.test(state))) return succeeded(null);
		return failed(
			'drbd-not-outdated',
			`resource ${resource} was read back as ${states.join(', ')}`,
		);
	}

	async #untilLetGo(verb: string, resource: ResourceName, deadline: number): Promise<Outcome> {
		const { heldOpenRetries, heldOpenRetryMs } = this.#timing;
		for (let attempt = 1; ; attempt += 1) {
			const outcome = await this.#adm(verb, resource, deadline);
			const passing =
				outcome.result === 'failed' &&
				(outcome.code === 'drbd-held-open' || outcome.code === 'drbd-in-transition');
			const timeLeft = performance.now() + heldOpenRetryMs < deadline;
			if (!passing || attempt > heldOpenRetries || !timeLeft) return outcome;
			await wait(heldOpenRetryMs);
		}
	}

	async #look(resource: ResourceName, deadline: number): Promise<Look | Unknown> {
		const end = await this.#run(this.#drbdsetup, ['events2', '--now', resource], deadline);
		if (end.end !== 'exited') return unknown(end.detail);
		const view = end.exitCode === 0 ? parseSnapshot(end.stdout) : null;
		if (view === null) return unknown(`DRBD did not show the state of ${resource}`);
		const seen = observe(view, new Map([[resource, this.#managed.get(resource) ?? '']]));
		const [problem] = seen.problems;
		if (problem !== undefined) return unknown(`the state of DRBD is not understood: ${problem}`);
		const [observation = null] = seen.resources;
		const volumes = observation?.volumes.map(({ volume }) => volume) ?? [];
		return { resource: observation, volumes, minors: minorsOf(view, resource) };
	}

	async #adm(
		verb: string,
		resource: ResourceName,
		deadline: number,
		flags: readonly string[] = [],
	): Promise<Outcome<null>> {
		return outcomeOf(await this.#run(this.#drbdadm, [verb, ...flags, resource], deadline));
	}

	async #run(file: string, args: readonly string[], deadline: number): Promise<ToolEnd> {
		const limitMs = Math.ceil(deadline - performance.now());
		if (limitMs <= 0) return { end: 'unknown', detail: `no time was left for ${file} ${args[0]}` };
		return this.#tools.run({ file, args, limitMs });
	}
}
