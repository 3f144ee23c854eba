import type { FenceDevice } from '#src/fence/device.ts';
import { alertsOf } from '#src/config/alerts.ts';
import type { AlertsConfig } from '#src/config/alerts.ts';
import type { ConfigFile } from '#src/config/schema.ts';
import { crossProblems } from '#src/config/check.ts';
import { type BalanceSettings, balanceSettings, type VmBalance } from '#src/config/balance.ts';
import { problemsOfIssue } from '#src/config/problem.ts';
import type { ConfigProblem } from '#src/config/problem.ts';
import { configFileSchema } from '#src/config/schema.ts';
import { readSource } from '#src/config/source.ts';
import type { Source } from '#src/config/source.ts';
import { type WebConfig, webOf } from '#src/config/web.ts';
import { assert } from '#src/std/assert.ts';
import type { HostName, ResourceName, VmName } from '#src/ports.ts';

interface HostLinkConfig {
	readonly address: string;
	readonly port: number;
	/** Network device whose carrier is watched, or null. */
	readonly device: string | null;
}

interface FenceLevelConfig {
	readonly attempts: number;
	/** Off is only what all of them say is off. */
	readonly devices: readonly FenceDevice[];
}

interface WatchdogConfig {
	readonly device: string;
	/** File of the module parameter with the time-out, or null when the kernel's watchdog class shows it. */
	readonly parameter: string | null;
	/** A watchdog in software counts too. */
	readonly softdog: boolean;
	/** The kernel is told to reset the host before the watchdog does. */
	readonly sysrq: boolean;
}

export interface WitnessConfig {
	readonly address: string;
	readonly port: number;
	readonly username: string;
	readonly passwordFile: string;
	readonly tls: {
		readonly caFile: string;
		readonly name: string | null;
		readonly certificateFile: string | null;
		readonly keyFile: string | null;
	} | null;
}

export interface HostConfig {
	/** SHA-256 of the certificate as Node spells it: upper case, pairs of digits with `:`. */
	readonly certificate: string;
	readonly links: Readonly<Record<string, HostLinkConfig>>;
	/** In the order in which they are tried. Empty when there is none. */
	readonly fenceLevels: readonly FenceLevelConfig[];
	readonly watchdog: WatchdogConfig | null;
	/** What becomes of its VMs when it shuts down. */
	readonly shutdown: 'migrate' | 'stop-and-hand-over' | 'stop';
}

interface LinkConfig {
	readonly link: string;
	readonly switched: boolean;
	readonly gateway: string | null;
}

export interface VmConfig {
	readonly vm: VmName;
	readonly resource: ResourceName;
	readonly configFile: string;
	readonly priority: number;
	readonly after: readonly VmName[];
	/** Null when the file leaves it to the VM's own configuration; the loader fills it in. */
	readonly memoryMib: number | null;
	readonly preferredHost: HostName;
	readonly shutdownMs: number;
	readonly restartsMax: number;
	readonly restartWindowMs: number;
	readonly balance: VmBalance;
	/** Why it can only be stopped and started over there, from its own configuration; null: nothing says so. */
	readonly liveBlocker: string | null;
	/** A PV guest, from its own configuration: it goes live only where Xen has shadow paging. */
	readonly paravirtual: boolean;
}

/** What is run to judge a host. */
export type HealthProbe =
	| { readonly kind: 'command'; readonly command: readonly string[]; readonly limitMs: number }
	| { readonly kind: 'carrier'; readonly device: string }
	| { readonly kind: 'smart'; readonly disk: string }
	| { readonly kind: 'ipmi' };

export interface HealthCheck {
	readonly check: string;
	readonly probe: HealthProbe;
	readonly everyMs: number;
	readonly holdMs: number;
	readonly action: 'alert' | 'evacuate';
	/** Where it runs. */
	readonly hosts: readonly HostName[];
}

interface MigrationConfig {
	/** The link that carries the memory of a VM that is moved live. */
	readonly network: string;
	readonly port: number;
	/** Null: straight over the network, without ssh. */
	readonly ssh: {
		readonly user: string;
		readonly port: number;
		readonly identityFile: string | null;
		readonly knownHostsFile: string | null;
	} | null;
}

/** The configuration as the agent and its drivers use it: checked, complete, with units in the names. */
export interface Config {
	readonly pairId: string;
	readonly host: HostName;
	readonly peer: HostName;
	readonly arbiter: 'witness' | 'fencing' | 'person';
	readonly detectionMs: number;
	readonly links: readonly LinkConfig[];
	/** The two hosts in the order of the file. */
	readonly hostNames: readonly [HostName, HostName];
	readonly hosts: Readonly<Record<HostName, HostConfig>>;
	readonly witness: WitnessConfig | null;
	readonly fencing: {
		readonly perHourMax: number;
		readonly afterFence: 'on' | 'off';
	};
	readonly migration: MigrationConfig;
	readonly balance: BalanceSettings;
	readonly healthChecks: readonly HealthCheck[];
	readonly vms: readonly VmConfig[];
	readonly alerts: AlertsConfig;
	/** Null: neither page nor metrics. */
	readonly web: WebConfig | null;
	readonly socketGroup: string | null;
	readonly drbdUnverified: boolean;
	readonly tls: { readonly certificateFile: string; readonly keyFile: string };
	readonly stateDirectory: string;
	readonly runtimeDirectory: string;
	readonly reservedMemoryMib: number;
	readonly startsAtOnce: number;
}

export interface ConfigReading {
	/** Null when there is a problem. */
	readonly config: Config | null;
	/** Every problem of the file, in the order of its lines. */
	readonly problems: readonly ConfigProblem[];
	/** Where things stand, for problems that are found later. */
	readonly source: Source;
}

/** The settings of one host; both hosts are always there in a checked configuration. */
export const hostConfig = (config: Config, host: HostName): HostConfig => {
	const found = config.hosts[host];
	assert(found !== undefined, 'a configuration holds both hosts');
	return found;
};

const hostOf = (file: ConfigFile['hosts'][string]): HostConfig => ({
	certificate: file.certificate,
	links: Object.fromEntries(
		Object.entries(file.links).map(([link, { address, port, device }]) => [
			link,
			{ address, port, device: device ?? null },
		]),
	),
	fenceLevels: file.fence?.levels ?? [],
	watchdog:
		file.watchdog === undefined
			? null
			: { ...file.watchdog, parameter: file.watchdog.parameter ?? null },
	shutdown: file.shutdown,
});

const witnessOf = (file: ConfigFile['witness']): WitnessConfig | null => {
	if (file === undefined) return null;
	const { address, port, username, passwordFile, tls } = file;
	return {
		address,
		port,
		username,
		passwordFile,
		tls:
			tls === undefined
				? null
				: {
						caFile: tls.ca,
						name: tls.name ?? null,
						certificateFile: tls.certificate ?? null,
						keyFile: tls.key ?? null,
					},
	};
};

/** A direct cable is there for the replication: migration finds the most bandwidth on it and disturbs nobody else. */
const migrationOf = ({ migration, links }: ConfigFile): MigrationConfig => {
	const [first = ''] = Object.keys(links);
	const direct = Object.keys(links).find((link) => links[link]?.switched === false);
	const { ssh } = migration;
	return {
		port: migration.port,
		network: migration.network ?? direct ?? first,
		ssh:
			ssh === undefined
				? null
				: {
						user: ssh.user,
						port: ssh.port,
						identityFile: ssh.identity ?? null,
						knownHostsFile: ssh.knownHosts ?? null,
					},
	};
};

const probeOf = (file: ConfigFile['health'][string]): HealthProbe => {
	if ('command' in file) return { kind: 'command', command: file.command, limitMs: file.limit };
	if ('carrier' in file) return { kind: 'carrier', device: file.carrier };
	if ('smart' in file) return { kind: 'smart', disk: file.smart };
	return { kind: 'ipmi' };
};

const healthChecksOf = ({ health, hosts }: ConfigFile): HealthCheck[] =>
	Object.entries(health).map(([check, each]) => ({
		check,
		probe: probeOf(each),
		everyMs: each.every,
		holdMs: each.hold,
		action: each.action,
		hosts: each.hosts.length === 0 ? Object.keys(hosts) : each.hosts,
	}));

const configOf = (file: ConfigFile, defaultHost: HostName): Config => {
	const [first, second] = Object.keys(file.hosts);
	assert(first !== undefined && second !== undefined, 'the check found two hosts');
	const host = file.host ?? defaultHost;
	return {
		pairId: file.pair,
		host,
		peer: host === first ? second : first,
		arbiter: file.arbiter,
		detectionMs: file.detection,
		links: Object.entries(file.links).map(([link, { switched, gateway }]) => ({
			link,
			switched,
			gateway: gateway ?? null,
		})),
		hostNames: [first, second],
		hosts: Object.fromEntries(
			Object.entries(file.hosts).map(([name, each]) => [name, hostOf(each)]),
		),
		witness: witnessOf(file.witness),
		fencing: {
			perHourMax: file.fencing.perHour,
			afterFence: file.fencing.afterFence,
		},
		migration: migrationOf(file),
		balance: balanceSettings(file.balance),
		healthChecks: healthChecksOf(file),
		vms: Object.entries(file.vms).map(([vm, each]) => ({
			vm,
			resource: each.resource,
			configFile: each.config,
			priority: each.priority,
			after: each.after,
			memoryMib: each.memory ?? null,
			preferredHost: each.preferred ?? first,
			shutdownMs: each.shutdown,
			restartsMax: each.restarts.atMost,
			restartWindowMs: each.restarts.within,
			balance: each.balance,
			liveBlocker: null,
			paravirtual: false,
		})),
		alerts: alertsOf(file),
		web: webOf(file, host),
		socketGroup: file.socketGroup ?? null,
		drbdUnverified: file.drbd.unverified,
		tls: { certificateFile: file.tls.certificate, keyFile: file.tls.key },
		stateDirectory: file.stateDirectory,
		runtimeDirectory: file.runtimeDirectory,
		reservedMemoryMib: file.reservedMemory,
		startsAtOnce: file.startsAtOnce,
	};
};

const inOrder = (problems: readonly ConfigProblem[]): readonly ConfigProblem[] => {
	const seen = new Set<string>();
	return problems
		.filter((each) => {
			const key = JSON.stringify(each);
			if (seen.has(key)) return false;
			seen.add(key);
			return true;
		})
		.sort((one, other) => one.line - other.line || one.column - other.column);
};

/**
 * Reads the text of `vmpair.yaml`. `defaultHost` is the name of this machine, used when the file does
 * not say which host it is for. Never throws for what is in the text.
 */
export const readConfig = (text: string, defaultHost: HostName): ConfigReading => {
	const source = readSource(text);
	if (source.faults.length > 0) {
		const problems = source.faults.map((fault) => ({ ...fault, path: '' }));
		return { config: null, problems: inOrder(problems), source };
	}
	const parsed = configFileSchema.safeParse(source.value);
	const problems = [
		...(parsed.success ? [] : parsed.error.issues.flatMap((each) => problemsOfIssue(each, source))),
		...crossProblems(source, defaultHost),
	];
	if (!parsed.success || problems.length > 0)
		return { config: null, problems: inOrder(problems), source };
	return { config: configOf(parsed.data, defaultHost), problems: [], source };
};
