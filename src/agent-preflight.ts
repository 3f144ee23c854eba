import process from 'node:process';
import { resourcesOf, usualPlaces, type Drivers, type Places } from '#src/agent-drivers.ts';
import { healthChecksHere } from '#src/agent-load.ts';
import type { Config } from '#src/config/config.ts';
import { drbdPreflight } from '#src/drbd/driver-preflight.ts';
import { healthAdvice } from '#src/health/driver-preflight.ts';
import { sshPreflight } from '#src/migrate/driver-ssh.ts';
import { sshRouteOf } from '#src/migrate/ssh.ts';
import { tools } from '#src/std/driver-tool.ts';

/** What was found on this host, as sentences with remedies. */
interface Found {
	/** What forbids arming. */
	readonly blockers: readonly string[];
	/** What is allowed but worth mending. */
	readonly advice: readonly string[];
	/** Its own fence device is another host's. */
	readonly ownDeviceWrong: boolean;
}

export interface PreflightOptions {
	readonly drivers: Drivers;
	readonly places: Places;
	/** The configuration as it is at the time. */
	readonly config: () => Config;
	readonly onFound: (found: Pick<Found, 'blockers' | 'ownDeviceWrong'>) => void;
	/** An advice that was not given the time before. */
	readonly onAdvice: (advice: string) => void;
}

/** A finding is looked at again soon: it may be mended, or the host was only busy. */
const againMs = { clean: 300_000, found: 30_000 };

/** The packaged DRBD handler knows these folders only: elsewhere it would refuse every promote, thaw and resync. */
const handlerFolders = (config: Config, places: Places): string[] =>
	places.drbdHandler !== usualPlaces.drbdHandler ||
	(config.runtimeDirectory === '/run/vmpair' && config.stateDirectory === '/var/lib/vmpair')
		? []
		: [
				'The DRBD handler finds the agent only in /run/vmpair and its state only in /var/lib/vmpair. ' +
					'Take runtimeDirectory and stateDirectory out of vmpair.yaml and restart the agent.',
			];

const lookAt = async (drivers: Drivers, config: Config, places: Places): Promise<Found> => {
	const ssh = sshRouteOf(config);
	const [hypervisor, replication, mapping, health, sshFound] = await Promise.all([
		drivers.xen.preflight(),
		drbdPreflight({
			tools,
			resources: resourcesOf(config),
			detectionMs: config.detectionMs,
			unverified: config.drbdUnverified,
			migrating: drivers.drbd.migrating,
			handlerFile: places.drbdHandler,
			helperFile: places.drbdHelper,
		}),
		drivers.fence.verifyMapping(config.host),
		healthAdvice(healthChecksHere(config), process.env['PATH'] ?? ''),
		ssh === null ? null : sshPreflight(tools, ssh),
	]);
	// A mapping that cannot be told is no proof of a mistake; one that is wrong fences the wrong host.
	const ownDeviceWrong = mapping.result === 'mismatch';
	return {
		blockers: [
			...hypervisor,
			...replication.blockers,
			...handlerFolders(config, places),
			...(ownDeviceWrong ? [mapping.sentence] : []),
		],
		// A failover needs no ssh, and a host that is down answers none.
		advice: [...replication.advice, ...health, ...(sshFound === null ? [] : [sshFound])],
		ownDeviceWrong,
	};
};

/** Looks at the set-up of this host before the pair is armed, and again and again. */
export class Preflight {
	readonly #options: PreflightOptions;
	#kernelFindings: readonly string[] = [];
	#advice: readonly string[] = [];

	constructor(options: PreflightOptions) {
		this.#options = options;
	}

	/** What is allowed on this host but worth mending, as it was seen last. */
	get advice(): readonly string[] {
		return this.#advice;
	}

	/** Takes what only DRBD's running kernel shows to be wrong, and looks at the rest again. */
	kernelFound(findings: readonly string[]): void {
		this.#kernelFindings = findings;
		void this.look();
	}

	/** Looks at this host; returns when to look again, ms. */
	async look(): Promise<number> {
		const { drivers, config, places, onFound, onAdvice } = this.#options;
		const found = await lookAt(drivers, config(), places);
		const { ownDeviceWrong } = found;
		const blockers = [...this.#kernelFindings, ...found.blockers];
		found.advice.filter((each) => !this.#advice.includes(each)).forEach(onAdvice);
		this.#advice = found.advice;
		onFound({ blockers, ownDeviceWrong });
		return blockers.length === 0 ? againMs.clean : againMs.found;
	}
}
