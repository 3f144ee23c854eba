import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { thirdVoter, type ThirdVoter } from '#src/agent-witness.ts';
import { Outbox } from '#src/alert/driver-outbox.ts';
import { sinksTo } from '#src/alert/driver-receivers.ts';
import type { Reply } from '#src/api/request.ts';
import type { Status } from '#src/api/view.ts';
import type { ConfigChange } from '#src/config/change.ts';
import { hostConfig, type Config } from '#src/config/config.ts';
import { engineConfig } from '#src/config/policy.ts';
import { snapshotBacking } from '#src/drbd/driver-snapshot.ts';
import { DrbdDriver } from '#src/drbd/driver.ts';
import type { HelperEvent } from '#src/drbd/events2.ts';
import { helperNote, isSplitBrain } from '#src/drbd/watch.ts';
import type { Event } from '#src/engine/event.ts';
import type { CarriedAction, CarriedType, Note } from '#src/engine/action.ts';
import type { FenceCheck } from '#src/fence/check.ts';
import { FenceDriver, type FenceDevices } from '#src/fence/driver.ts';
import type { ChannelOptions } from '#src/heartbeat/message.ts';
import type { Hypervisor } from '#src/ports-hypervisor.ts';
import type { World } from '#src/loop.ts';
import { unknown } from '#src/ports-outcome.ts';
import type { HypervisorObservation, MonotonicMs, Outcome } from '#src/ports.ts';
import type { Witness } from '#src/ports-witness.ts';
import { tools } from '#src/std/driver-tool.ts';
import { messageOf } from '#src/std/error.ts';
import { Journal } from '#src/store/driver-journal.ts';
import { peerJournalFolder } from '#src/store/journal.ts';
import { StateStore } from '#src/store/driver.ts';
import type { Persisted } from '#src/store/record.ts';
import { version } from '#src/version.ts';
import { usualBoardPlaces, WatchdogBoard } from '#src/watchdog/driver-board.ts';
import { backendsIn } from '#src/xen/driver-backends.ts';
import { shadowPaging } from '#src/xen/driver-paging.ts';
import { xenPreflight } from '#src/xen/driver-preflight.ts';
import { MigrationUnits } from '#src/xen/driver-migration.ts';
import { unitsBy } from '#src/xen/driver-units.ts';
import { XenDriver } from '#src/xen/driver.ts';

type ActionOf<Type extends CarriedType> = Extract<CarriedAction, { readonly type: Type }>;
export type Executors = {
	readonly [Type in CarriedType]: (action: ActionOf<Type>, limitMs: number) => Promise<Outcome>;
};

/** Where a host shows and keeps what the agent needs. The demo and the tests have hosts of their own. */
export interface Places {
	/** The id of this boot, by the kernel. */
	readonly bootId: string;
	/** Xen's back-end devices, by the kernel. */
	readonly xenBackends: string;
	/** Our handler, as DRBD's files name it. */
	readonly drbdHandler: string;
	/** The program that the kernel calls for DRBD's handlers. */
	readonly drbdHelper: string;
	/** The socket of the feeder. */
	readonly feeder: string;
	/** This program, for what runs in units of its own. */
	readonly program: string;
	/** Where the kernel takes an order to reset this host. */
	readonly sysrq: string;
	/** Where the kernel shows how busy this host is and what it is made of. */
	readonly proc: string;
	readonly sys: string;
}

export const usualPlaces: Places = {
	bootId: '/proc/sys/kernel/random/boot_id',
	xenBackends: '/sys/bus/xen-backend/devices',
	drbdHandler: '/usr/lib/vmpair/drbd-handler',
	drbdHelper: '/sys/module/drbd/parameters/usermode_helper',
	feeder: '/run/vmpair/feeder.sock',
	program: '/usr/bin/vmpair',
	sysrq: usualBoardPlaces.sysrq,
	proc: '/proc',
	sys: '/sys',
};

/** The tools of this host, one driver for each. */
export interface Drivers {
	readonly drbd: DrbdDriver;
	readonly xen: Hypervisor & Pick<XenDriver, 'manage'>;
	readonly fence: FenceDriver;
	/** Null in a pair without a witness. */
	readonly witness: Witness | null;
	/** Resets this host. */
	readonly reset: () => void;
}

/** One entry for each action that the engine can ask for; a new one does not compile without its own. */
export const executors = ({ drbd, xen, fence, witness }: Drivers): Executors => ({
	'resource-up': ({ resource }, limitMs) => drbd.up(resource, limitMs),
	'resource-connect': ({ resource }, limitMs) => drbd.connect(resource, limitMs),
	'resource-down': ({ resource }, limitMs) => drbd.down(resource, limitMs),
	promote: ({ resource }, limitMs) => drbd.promote(resource, limitMs),
	demote: ({ resource }, limitMs) => drbd.demote(resource, limitMs),
	outdate: ({ resource }, limitMs) => drbd.outdate(resource, limitMs),
	'resume-io': ({ resource }, limitMs) => drbd.resumeIo(resource, limitMs),
	'allow-two-primaries': ({ resource }, limitMs) => drbd.setTwoPrimaries(resource, true, limitMs),
	'forbid-two-primaries': ({ resource }, limitMs) => drbd.setTwoPrimaries(resource, false, limitMs),
	'read-evidence': ({ resource }, limitMs) => drbd.readEvidence(resource, limitMs),
	snapshot: ({ resource }, limitMs) => snapshotBacking(tools, resource, limitMs),
	'connect-discarding': ({ resource }, limitMs) => drbd.connectDiscarding(resource, limitMs),
	'resource-reconnect': ({ resource }, limitMs) => drbd.reconnect(resource, limitMs),
	detach: ({ resource }, limitMs) => drbd.detach(resource, limitMs),
	'fail-io': ({ resource }, limitMs) => drbd.failIo(resource, limitMs),
	'read-generations': ({ resource }, limitMs) => drbd.readGenerations(resource, limitMs),
	'create-vm': ({ vm }, limitMs) => xen.create(vm, limitMs),
	'unpause-vm': ({ vm }, limitMs) => xen.unpause(vm, limitMs),
	'pause-vm': ({ vm }, limitMs) => xen.pause(vm, limitMs),
	'shutdown-vm': ({ vm }, limitMs) => xen.shutdown(vm, limitMs),
	'destroy-vm': ({ vm }, limitMs) => xen.destroy(vm, limitMs),
	'receive-vm': ({ vm }, limitMs) => xen.receive(vm, limitMs),
	'send-vm': ({ vm }, limitMs) => xen.send(vm, limitMs),
	'cut-migration': ({ vm }, limitMs) => xen.cutMigration(vm, limitMs),
	'destroy-twin': ({ vm }, limitMs) => xen.destroyTwin(vm, limitMs),
	'query-power': ({ host, level }) => fence.query(host, level),
	'power-off': ({ host, level }) => fence.off(host, level),
	'power-on': ({ host, level }) => fence.on(host, level),
	witness: async ({ command }) =>
		witness === null ? unknown('this pair has no witness') : await witness.send(command),
});

/** A driver's own account of what happened arrives before the loop gives the action up, ms. */
const marginMs = 300;

/** Carries an action out; never rejects. */
export const carryOut = async (
	table: Executors,
	action: CarriedAction,
	log: Log,
): Promise<Outcome> => {
	const execute = table[action.type] as (
		action: CarriedAction,
		limitMs: number,
	) => Promise<Outcome>;
	try {
		return await execute(action, Math.max(marginMs, action.limitMs - marginMs));
	} catch (error) {
		log('error', 'a driver failed', { action: action.type, error: messageOf(error) });
		// Whatever it had begun may have happened.
		return unknown(messageOf(error));
	}
};

/** This host's monotonic clock: ms since its boot, so that it goes on over a restart of the agent. */
export const monotonicMs = (): MonotonicMs => Number(process.hrtime.bigint() / 1_000_000n);

/** What the DRBD driver manages. */
export const resourcesOf = (config: Config) =>
	config.vms.map(({ resource }) => ({ resource, peer: config.peer }));

/** What the hypervisor's driver manages. */
const vmsOf = (config: Config) =>
	config.vms.map(({ vm, resource, configFile }) => ({
		vm,
		resource,
		configurationFile: configFile,
	}));

/** The devices of both hosts: the peer's to fence it, the own ones to check that they are its own. */
const fenceDevicesOf = (config: Config): FenceDevices =>
	Object.fromEntries(
		config.hostNames.map((name) => [
			name,
			hostConfig(config, name).fenceLevels.map(({ devices }) => devices),
		]),
	);

/** Asks every device of both hosts' ladders now, for a person. */
export const checkFences = async (fence: FenceDriver, config: Config): Promise<FenceCheck> => ({
	self: config.host,
	hosts: await Promise.all(
		[config.host, config.peer].map(async (host) => ({
			host,
			levels: await fence.check(host, host === config.host),
		})),
	),
});

/** What the channel to the peer needs of the configuration and of this run. Reads the certificate and its key. */
export const channelOptions = (
	config: Config,
	run: {
		readonly bootId: string;
		readonly session: string;
		readonly knownBootIds: readonly string[];
		/** Ports to dial instead of the configured ones, by link: a relay stands in between. */
		readonly relayPorts: Readonly<Record<string, number>>;
		readonly voter: ChannelOptions['voter'];
	},
): ChannelOptions => {
	const { relayPorts, ...identity } = run;
	const { timing } = engineConfig(config, { version, digest: '' });
	const own = hostConfig(config, config.host);
	const other = hostConfig(config, config.peer);
	return {
		self: config.host,
		peer: config.peer,
		pairId: config.pairId,
		...identity,
		links: config.links.flatMap(({ link }) => {
			const here = own.links[link];
			const there = other.links[link];
			if (here === undefined || there === undefined) return [];
			return [
				{
					name: link,
					device: here.device,
					listenAddress: here.address,
					listenPort: here.port,
					peerAddress: there.address,
					peerPort: relayPorts[link] ?? there.port,
				},
			];
		}),
		tls: {
			certificatePem: readFileSync(config.tls.certificateFile, 'utf8'),
			keyPem: readFileSync(config.tls.keyFile, 'utf8'),
			peerFingerprint256: other.certificate,
		},
		timing,
	};
};

/** The drivers of this host for a configuration, and the file with it, for processes of their own. */
export const createDrivers = (
	config: Config,
	configPath: string,
	places: Places,
	witness: Drivers['witness'],
): Drivers => ({
	drbd: new DrbdDriver({ tools, resources: resourcesOf(config) }),
	xen: new XenDriver({
		tools,
		vms: vmsOf(config),
		preflight: xenPreflight({ tools }),
		units: unitsBy(tools),
		migrations: new MigrationUnits(tools, {
			peer: config.peer,
			program: [places.program],
			configurationFile: configPath,
			runtimeDirectory: config.runtimeDirectory,
		}),
		backends: backendsIn(places.xenBackends),
	}),
	fence: new FenceDriver({ tools, devices: fenceDevicesOf(config) }),
	witness,
	reset: () => resetHost(config, places),
});

/** Why a running agent cannot take a new configuration over; null when it can. */
export const restartNeeded = (change: ConfigChange): Reply | null => {
	// The heartbeat thread keeps the times it was started with.
	const restart = [...change.restart, ...change.live.filter((key) => key === 'detection')];
	if (restart.length === 0) return null;
	return {
		status: 'refused',
		code: 'restart-needed',
		message: `nothing was changed: ${restart.join(', ')} cannot change in a running agent`,
		next: 'systemctl restart vmpair (no VM notices)',
	};
};

/** Hands a new configuration to the drivers. */
export const configureDrivers = ({ drbd, xen, fence }: Drivers, config: Config): void => {
	drbd.manage(resourcesOf(config));
	xen.manage(vmsOf(config));
	fence.configure(fenceDevicesOf(config));
};

/** The last step of a host whose VMs could not be paused: the kernel resets it, at once and without a sync. */
const resetHost = (config: Config, places: Places): void => {
	// Without it the board does the same a little later: nobody feeds it any more.
	if (hostConfig(config, config.host).watchdog?.sysrq !== true) return;
	const board = new WatchdogBoard({ ...usualBoardPlaces, sysrq: places.sysrq });
	board.armReset();
	board.reset();
};

/** A line of the log: a constant sentence and its fields. */
export type Log = (level: Note['level'], message: string, fields?: Note['fields']) => void;

export const journaldLevels = { error: 3, warn: 4, info: 6, debug: 7 } as const;

/** One line for journald: its priority in front, the sentence, then the fields. */
export const logLine = (
	level: Note['level'],
	message: string,
	fields: Note['fields'] = {},
): string => {
	const text = Object.entries(fields)
		.map(([key, value]) => ` ${key}=${typeof value === 'string' ? JSON.stringify(value) : value}`)
		.join('');
	return `<${journaldLevels[level]}>${message}${text}`;
};

/** What has to be opened before an agent can be made. */
export interface Parts extends ThirdVoter {
	readonly store: StateStore;
	readonly journal: Journal;
	readonly peerJournal: Journal;
	readonly outbox: Outbox;
	/** As an earlier run left it; null without one. */
	readonly persisted: Persisted | null;
	/** Of Xen on this host; null: not known. */
	readonly shadowPaging: boolean | null;
}

/** What the status says of this run of the agent. */
export const agentView = (
	{ outbox, journal }: Pick<Parts, 'outbox' | 'journal'>,
	session: string,
	uptimeMs: number,
): Status['agent'] => ({
	version,
	pid: process.pid,
	session,
	uptimeMs,
	alertsPending: outbox.view().reduce((sum, { pending }) => sum + pending, 0),
	historyLost: journal.entriesLost,
});

/** Opens state, journal, alerts and the way to the witness. Throws `witness-file` and the errors of the state file. */
export const openParts = async (
	log: Log,
	config: Config,
	{ bootId, places }: { readonly bootId: string; readonly places: Places },
): Promise<Parts> => {
	const paging = shadowPaging(tools);
	const outbox = await Outbox.open({
		directory: config.stateDirectory,
		pairId: config.pairId,
		host: config.host,
		sinks: sinksTo(config.alerts.receivers, tools),
		first: config.host === config.hostNames[0],
		problem: (code, detail) => log('error', 'an alert has a problem', { code, detail }),
	});
	const store = new StateStore({
		directory: config.stateDirectory,
		pairId: config.pairId,
		host: config.host,
		stalled: (elapsedMs) => {
			log('error', 'the disk of the state file does not answer', { elapsedMs });
			// The loop waits for the disk, so no condition can say it.
			outbox.event({
				type: 'agent.stalled',
				severity: 'critical',
				summary: `the agent on ${config.host} decides nothing: the disk of its state file does not answer`,
				next: `look at the disks of ${config.host}: dmesg`,
			});
		},
		recovered: (elapsedMs) =>
			log('warn', 'the disk of the state file answers again', { elapsedMs }),
	});
	const journal = await Journal.open({
		directory: config.stateDirectory,
		bootId,
		problem: (code, detail) => log('error', 'the event journal has a problem', { code, detail }),
	});
	// What the peer said is worth less than what this host did: a few MiB of it.
	const peerJournal = await Journal.open({
		directory: join(config.stateDirectory, peerJournalFolder),
		bootId,
		fileBytesMax: 1 << 20,
		filesMax: 4,
		problem: (code, detail) =>
			log('error', 'the record of the peer has a problem', { code, detail }),
	});
	const persisted = await store.load();
	const claiming = persisted?.witness?.claiming === true;
	const released =
		persisted?.pair.armed === false && persisted.witness?.disarmed === persisted.pair.generation;
	const run = { bootId, claiming, released, feederSocket: places.feeder };
	const third = await thirdVoter(config, run);
	return { store, journal, peerJournal, outbox, persisted, ...third, shadowPaging: await paging };
};

/** What the domains do now, with the time for people. */
export const hypervisorEvent = (
	observation: HypervisorObservation | null,
	beganMs: MonotonicMs,
): Event => ({
	type: 'hypervisor-observed',
	observation,
	beganMs,
	at: new Date().toISOString(),
});

/** Takes a handler call of DRBD: it is noted, and the engine learns of a split brain. */
export const takeHelper = (
	helper: HelperEvent,
	log: Pick<World, 'note'>,
	post: (event: Event) => void,
): void => {
	log.note(helperNote(helper));
	if (isSplitBrain(helper)) post({ type: 'split-brain-reported', resource: helper.resource });
};
