import type { LoadKind, LoadSample, VmLoad } from '#src/ports-load.ts';
import { isHeldUp } from '#src/sim/migration-path.ts';
import type { SimAgent, SimHost, SimVm, Simulation } from '#src/sim/model.ts';
import { delay, inAgentAfter } from '#src/sim/model.ts';
import { poll } from '#src/sim/poll.ts';
import { isRunnable } from '#src/sim/truth.ts';

/** How busy a host is, as the agent's samplers read it, and what its health checks say. */

/** As the product's sampler. */
const sampleEveryMs = 10_000;
/** A tool that hangs is given up after this long, ms. */
const toolLimitMs = 15_000;
/** Virtual CPUs of dom0. */
const dom0Cpus = 2;
/** What a device takes at most, MiB a second: a mirrored SATA SSD, gigabit Ethernet, and dom0's backends for both. */
const diskMibPerS = 400;
const networkMibPerS = 117;
const dom0MibPerS = 300;
/** The memory of a VM on its way fills most of the network it passes, and keeps the two xl busy. */
const streamNetwork = 0.8;
const streamDom0 = 0.2;

/** Half of what comes in is read from the disk, half is received. */
const halves = 2;

/** Without the dust of binary fractions. */
const rounded = (amount: number): number => Math.round(amount * 10_000) / 10_000;

const share = (amount: number): number => rounded(Math.min(1, amount));

const runningOn = (simulation: Simulation, host: SimHost): SimVm[] =>
	simulation.vms.filter((vm) => isRunnable(host, vm));

const isStreaming = (simulation: Simulation, host: SimHost): boolean =>
	[...host.migrations.values()].some(
		({ stream }) => stream?.stage === 'copies' && !isHeldUp(simulation, stream),
	);

const inflowOf = (vms: readonly SimVm[]): number =>
	vms.reduce((sum, { load }) => sum + load.inflowMibPerS, 0);

/**
 * What all that runs here wants of each kind, as a share of what there is; above 1 nobody gets all of it. What a
 * migration needs while it lasts is not in it.
 */
export const demandOf = (
	simulation: Simulation,
	host: SimHost,
): Readonly<Record<LoadKind, number>> => {
	const vms = runningOn(simulation, host);
	const inflow = inflowOf(vms);
	const { load } = host;
	const dom0 = load.dom0 + inflow / dom0MibPerS;
	const cpus = vms.reduce((sum, vm) => sum + vm.load.cpus, 0);
	return {
		cpu: (cpus + Math.min(1, dom0) * dom0Cpus) / load.cpus,
		dom0,
		memory: load.memory,
		disk: load.disk + inflow / halves / diskMibPerS,
		network: load.network + inflow / halves / networkMibPerS,
	};
};

/** Who ran here when the sample before was taken, by the domain that it was. */
type Before = ReadonlyMap<string, string>;

const domainsOf = (simulation: Simulation, host: SimHost): Before =>
	new Map(
		runningOn(simulation, host).map(({ name }) => [name, host.domains.get(name)?.instance ?? '']),
	);

const sampleOf = (simulation: Simulation, host: SimHost, before: Before): LoadSample => {
	const demand = demandOf(simulation, host);
	const streams = isStreaming(simulation, host) ? 1 : 0;
	const cpu = demand.cpu + (streams * streamDom0 * dom0Cpus) / host.load.cpus;
	return {
		cpus: host.load.cpus,
		host: {
			cpu: share(cpu),
			dom0: share(demand.dom0 + streams * streamDom0),
			memory: share(demand.memory),
			disk: share(demand.disk),
			network: share(demand.network + streams * streamNetwork),
		},
		vms: runningOn(simulation, host)
			.filter(({ name }) => before.get(name) === host.domains.get(name)?.instance)
			.map((vm): VmLoad => ({
				vm: vm.name,
				// Whoever wants more than there is gets its part.
				cpus: rounded(vm.load.cpus / Math.max(1, cpu)),
				inflowMibPerS: vm.load.inflowMibPerS,
			})),
	};
};

/** What would be read of this host if its sampler looked now. */
export const readingOf = (simulation: Simulation, host: SimHost): LoadSample =>
	sampleOf(simulation, host, domainsOf(simulation, host));

/** The first look has nothing to compare with; the tools that hang are given up. */
const watchSamples = (simulation: Simulation, agent: SimAgent): void => {
	const { host } = agent;
	let before: Before | null = domainsOf(simulation, host);
	poll(simulation, agent, sampleEveryMs, () => {
		const known = Math.max(host.load.unknownUntilMs, host.xlHungUntilMs) <= simulation.queue.nowMs;
		const sample = known && before !== null ? sampleOf(simulation, host, before) : null;
		before = known ? domainsOf(simulation, host) : null;
		const ms = known ? delay(simulation, 1, simulation.timings.observeMaxMs) : toolLimitMs / 3;
		inAgentAfter(simulation, agent, ms, () => agent.loop.post({ type: 'load-observed', sample }));
	});
};

const watchChecks = (simulation: Simulation, agent: SimAgent): void => {
	for (const [check, model] of agent.host.load.checks) {
		const look = (): void => {
			const { health, detail } = model;
			const ms = delay(simulation, 1, simulation.timings.observeMaxMs);
			inAgentAfter(simulation, agent, ms, () =>
				agent.loop.post({ type: 'health-observed', reading: { check, health, detail } }),
			);
		};
		look();
		poll(simulation, agent, model.everyMs, look);
	}
};

/** What a run of the agent does as long as it lives. In a world without balancing and checks nothing at all. */
export const watchLoad = (simulation: Simulation, agent: SimAgent): void => {
	if (agent.host.config.balance.mode !== 'off') watchSamples(simulation, agent);
	watchChecks(simulation, agent);
};
