import type { Config } from '#src/config/config.ts';

/** What a new configuration changes, by the names of its keys. */
export interface ConfigChange {
	/** Taken over at once. */
	readonly live: readonly string[];
	/** Not taken over before the agent is restarted; guests do not notice that. */
	readonly restart: readonly string[];
}

/** Paths of the values that the agent binds to when it starts. */
const bound = (config: Config): Readonly<Record<string, unknown>> => ({
	pair: config.pairId,
	host: config.host,
	hosts: config.hostNames.map((name) => ({
		name,
		certificate: config.hosts[name]?.certificate,
		links: config.hosts[name]?.links,
		watchdog: config.hosts[name]?.watchdog,
	})),
	links: config.links,
	witness: config.witness,
	socketGroup: config.socketGroup,
	tls: config.tls,
	stateDirectory: config.stateDirectory,
	runtimeDirectory: config.runtimeDirectory,
});

const live = (config: Config): Readonly<Record<string, unknown>> => ({
	arbiter: config.arbiter,
	detection: config.detectionMs,
	fencing: config.fencing,
	fence: config.hostNames.map((name) => config.hosts[name]?.fenceLevels),
	migration: config.migration,
	balance: config.balance,
	health: config.healthChecks,
	vms: config.vms,
	alerts: config.alerts,
	web: config.web,
	drbd: config.drbdUnverified,
	reservedMemory: config.reservedMemoryMib,
	startsAtOnce: config.startsAtOnce,
});

const changed = (
	before: Readonly<Record<string, unknown>>,
	after: Readonly<Record<string, unknown>>,
): readonly string[] =>
	Object.keys(after).filter((key) => JSON.stringify(before[key]) !== JSON.stringify(after[key]));

/** What changes from one checked configuration to the next. */
export const configChange = (before: Config, after: Config): ConfigChange => ({
	live: changed(live(before), live(after)),
	restart: changed(bound(before), bound(after)),
});
