import type { Places } from '#src/agent-drivers.ts';
import { hostConfig, type Config, type HealthCheck } from '#src/config/config.ts';
import type { Event } from '#src/engine/event.ts';
import { HealthChecks } from '#src/health/driver.ts';
import { linksOf } from '#src/health/driver-carrier.ts';
import { physicalBelow, readKernel } from '#src/load/driver-kernel.ts';
import { watchLoad } from '#src/load/driver.ts';
import { tools } from '#src/std/driver-tool.ts';

/** The health checks that run on this host. */
export const healthChecksHere = (config: Config): readonly HealthCheck[] =>
	config.healthChecks.filter(({ hosts }) => hosts.includes(config.host));

/** What tells the engine how busy this host is and whether its parts are well. */
export class LoadAndHealth {
	readonly #places: Pick<Places, 'proc' | 'sys' | 'xenBackends'>;
	readonly #post: (event: Event) => void;
	readonly #health: HealthChecks;
	#config: Config;
	#stopLoad: (() => void) | null = null;

	constructor(
		places: Pick<Places, 'proc' | 'sys' | 'xenBackends'>,
		config: Config,
		post: (event: Event) => void,
	) {
		this.#places = places;
		this.#config = config;
		this.#post = post;
		this.#health = new HealthChecks({
			tools,
			linksOf: (device) =>
				linksOf(places.sys, device, (bridge) => physicalBelow(places.sys, bridge)),
			onReading: (reading) => post({ type: 'health-observed', reading }),
		});
	}

	/** Goes on with a new configuration, or begins. Where nothing is balanced, nothing is measured. */
	configure(config: Config): void {
		this.#config = config;
		this.#health.manage(healthChecksHere(config));
		if (config.balance.mode === 'off') this.#endLoad();
		else this.#stopLoad ??= this.#watch();
	}

	stop(): void {
		this.#endLoad();
		this.#health.stop();
	}

	#endLoad(): void {
		this.#stopLoad?.();
		this.#stopLoad = null;
	}

	#watch(): () => void {
		return watchLoad({
			tools,
			kernel: (domids) => {
				const links = Object.values(hostConfig(this.#config, this.#config.host).links);
				return readKernel(this.#places, links, domids);
			},
			vms: () => this.#config.vms.map(({ vm }) => vm),
			onSample: (sample) => this.#post({ type: 'load-observed', sample }),
		});
	}
}
