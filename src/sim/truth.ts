import type { SimHost, SimVm } from '#src/sim/model.ts';

/** What is so in the world, whatever an agent makes of it. */

/** The durable record of this host about this VM; undefined when its file is lost or damaged. */
export const durableRecord = (host: SimHost, vm: SimVm) => {
	const { content } = host.store;
	if (content === null || content === 'corrupt') return undefined;
	return content.resources[vm.engine.resource]?.record;
};

/** True while this VM's vCPUs are runnable on this host; a standing host may go on any time. */
export const isRunnable = (host: SimHost, vm: SimVm): boolean =>
	host.domains.get(vm.name)?.presence === 'running';
