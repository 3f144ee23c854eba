import type { Config, VmConfig } from '#src/config/config.ts';
import { hostConfig } from '#src/config/config.ts';
import { engineWitness, leaseMarginMs, timingTable } from '#src/config/timing.ts';
import type { Ladder } from '#src/fence/ladder.ts';
import type { HostName } from '#src/ports.ts';
import { probeLimitMs } from '#src/health/answer.ts';
import { assert } from '#src/std/assert.ts';
import type { HoldSettings } from '#src/watchdog/board.ts';

/** A tool that is ended at its limit needs a moment to be reaped before its answer is known to be missing. */
const reapMs = 500;

/** The ladder of a host; its slowest device sets the times of a level. */
const ladderOf = (config: Config, host: HostName): Ladder =>
	hostConfig(config, host).fenceLevels.map(({ attempts, devices }) => ({
		devices: devices.map(({ name }) => name),
		attempts,
		// The devices of a level are asked at the same time.
		callMs: Math.max(...devices.map((each) => each.limitMs)) + reapMs,
		lateMs: Math.max(...devices.map((each) => each.lateMs)),
	}));

/**
 * What the engine needs of the fence devices: both hosts' ladders, so that both reckon with the same turns. Null
 * when a host has none: then nothing can prove by power that it is out.
 */
export const engineFencing = (config: Config) => {
	const levels = ladderOf(config, config.peer);
	const ownLevels = ladderOf(config, config.host);
	if (levels.length === 0 || ownLevels.length === 0) return null;
	return {
		levels,
		ownLevels,
		perHourMax: config.fencing.perHourMax,
		afterFence: config.fencing.afterFence,
	};
};

/** A VM whose memory is unknown would pass every check of memory, so it never reaches the engine. */
const knownMemoryMib = (vm: VmConfig): number => {
	assert(vm.memoryMib !== null, 'the loader found the memory of every VM');
	return vm.memoryMib;
};

/** Xen follows the writes of a PV guest, while its memory is copied, by shadow paging alone. */
const pagingBlocker = ({ paravirtual }: VmConfig, shadowPaging: boolean | null): string | null =>
	paravirtual && shadowPaging === false
		? 'it is a PV guest and Xen on its host has no shadow paging, without which its memory cannot be followed; type="pvh" in its configuration, or a Xen with shadow paging, lets it go live'
		: null;

/**
 * What the engine needs of the configuration. Every VM's memory must be known by now. `digest` is the
 * hash of `digestText(config)`; `shadowPaging`: whether Xen on this host has it, null or left out: not known.
 */
export const engineConfig = (
	config: Config,
	by: {
		readonly version: string;
		readonly digest: string;
		readonly shadowPaging?: boolean | null;
	},
) => {
	const table = timingTable(config.detectionMs);
	return {
		pairId: config.pairId,
		self: config.host,
		peer: config.peer,
		arbiter: config.arbiter,
		witness: config.witness === null ? null : engineWitness(table, watchedHosts(config)),
		timing: {
			detectionMs: table.detectionMs,
			beatIntervalMs: table.beatIntervalMs,
			suspectMs: table.suspectMs,
			powerQueryMs: table.powerQueryMs,
			agentDownLostMs: table.agentDownLostMs,
			handlerMs: table.handlerMs,
		},
		links: config.links.map(({ link, switched }) => ({ link, switched })),
		fencing: engineFencing(config),
		balance: config.balance,
		healthChecks: config.healthChecks
			.filter(({ hosts }) => hosts.includes(config.host))
			.map(({ check, everyMs, holdMs, action, probe }) => ({
				check,
				holdMs,
				action,
				staleMs: 3 * everyMs + probeLimitMs(probe),
			})),
		vms: config.vms.map((each) => ({
			vm: each.vm,
			resource: each.resource,
			priority: each.priority,
			after: each.after,
			memoryMib: knownMemoryMib(each),
			preferredHost: each.preferredHost,
			shutdownMs: each.shutdownMs,
			restartsMax: each.restartsMax,
			restartWindowMs: each.restartWindowMs,
			balance: each.balance,
			liveBlocker: each.liveBlocker ?? pagingBlocker(each, by.shadowPaging ?? null),
		})),
		reservedMemoryMib: config.reservedMemoryMib,
		startsAtOnce: config.startsAtOnce,
		digest: by.digest,
		version: by.version,
	};
};

const watchedHosts = (config: Config): readonly HostName[] =>
	config.hostNames.filter((name) => hostConfig(config, name).watchdog !== null);

/** The watchdog of this host and how it is held; null when there is none. */
export const watchdogSettings = (config: Config): HoldSettings | null => {
	const { watchdog } = hostConfig(config, config.host);
	if (watchdog === null) return null;
	const { watchdogMs, leaseMs } = timingTable(config.detectionMs);
	return { ...watchdog, timeoutMs: watchdogMs, grantMaxMs: leaseMs + leaseMarginMs };
};

/** JSON with the keys of every object in order, so that equal values are equal texts. */
const canonical = (value: unknown): string =>
	JSON.stringify(value, (_, each: unknown) =>
		typeof each === 'object' && each !== null && !Array.isArray(each)
			? Object.fromEntries(
					Object.entries(each).sort(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0)),
				)
			: each,
	);

/**
 * Everything that must be equal on both hosts, as one text to be hashed. Left out is what belongs to one
 * host: which host it is, its folders and files, its socket and its receivers of alerts.
 */
export const digestText = (config: Config): string =>
	canonical({
		pairId: config.pairId,
		arbiter: config.arbiter,
		timing: timingTable(config.detectionMs),
		links: config.links,
		hostNames: config.hostNames,
		hosts: config.hosts,
		witness: config.witness,
		fencing: config.fencing,
		migration: config.migration,
		balance: config.balance,
		healthChecks: config.healthChecks,
		vms: config.vms,
		drbdUnverified: config.drbdUnverified,
		reservedMemoryMib: config.reservedMemoryMib,
		startsAtOnce: config.startsAtOnce,
	});
