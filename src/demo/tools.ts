import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Places } from '#src/agent-drivers.ts';
import type { Call } from '#src/demo/tool-gate.ts';
import {
	bmcAddress,
	bmcText,
	domainListText,
	domidOf,
	drbdadmEnd,
	drbdVersionText,
	generationText,
	resourceFileText,
	resourceLines,
	vmOfDomain,
} from '#src/demo/tool-text.ts';
import type { CarriedAction } from '#src/engine/action.ts';
import type { DeviceReading, Outcome, ResourceObservation } from '#src/ports.ts';
import { execute } from '#src/sim/executor.ts';
import { observeHypervisor } from '#src/sim/hypervisor.ts';
import type { SimHost, Simulation } from '#src/sim/model.ts';
import { replicaOf } from '#src/sim/model.ts';
import { observeReplica } from '#src/sim/replica.ts';

/** Far beyond what any agent asks for; the world has no clock of its own for calls. */
const limitMs = 3_600_000;

type Distribute<Action> = Action extends unknown
	? Omit<Action, 'id' | 'limitMs' | 'generation'>
	: never;
type Wish = Distribute<CarriedAction>;

const resourceVerbs: Readonly<Record<string, CarriedAction['type']>> = {
	up: 'resource-up',
	connect: 'resource-connect',
	down: 'resource-down',
	primary: 'promote',
	secondary: 'demote',
	outdate: 'outdate',
	'resume-io': 'resume-io',
	detach: 'detach',
};

const vmVerbs: Readonly<Record<string, CarriedAction['type']>> = {
	pause: 'pause-vm',
	unpause: 'unpause-vm',
	shutdown: 'shutdown-vm',
	destroy: 'destroy-vm',
};

/** The kernel's back-end devices: one opened disk for each domain, as under `/sys/bus/xen-backend`. */
const showBackends = (host: SimHost, folder: string): void => {
	const wanted = new Set(
		[...host.domains.values()].map((domain) => `vbd-${domidOf(domain)}-51712`),
	);
	for (const name of readdirSync(folder)) {
		if (!wanted.delete(name)) rmSync(join(folder, name), { recursive: true });
	}
	for (const name of wanted) {
		mkdirSync(join(folder, name));
		writeFileSync(join(folder, name, 'physical_device'), '93:0\n');
	}
};

/** The tools of one simulated host: which call does what in the world, and what it prints. */
export class HostTools {
	readonly #simulation: Simulation;
	readonly #host: SimHost;
	readonly #places: Places;
	/** Followers of `events2` with what each resource looked like when they were told last. */
	readonly #streams = new Map<Call, Map<string, string>>();
	/** Followers of `xenstore-watch`. */
	readonly #watchers = new Set<Call>();

	constructor(simulation: Simulation, host: SimHost, places: Places) {
		this.#simulation = simulation;
		this.#host = host;
		this.#places = places;
		showBackends(host, places.xenBackends);
	}

	/** Carries out one call. A host without power answers nobody. */
	call(call: Call): void {
		if (!this.#host.kernelUp) return;
		switch (call.tool) {
			case 'drbdsetup':
				return this.#drbdsetup(call);
			case 'drbdadm':
				return this.#drbdadm(call);
			case 'xl':
				return this.#xl(call);
			case 'systemd-run':
				return this.#create(call);
			case 'ipmitool':
				return this.#ipmitool(call);
			case 'systemctl':
				return this.#systemctl(call);
			case 'xenstore-watch':
				this.#watchers.add(call);
				return;
			default:
				call.exit(0);
		}
	}

	/** DRBD or the domains changed: those who follow them are told. */
	changed(what: 'replication' | 'domains'): void {
		if (what === 'replication') {
			for (const [call, told] of this.#streams) this.#tell(call, told);
			return;
		}
		showBackends(this.#host, this.#places.xenBackends);
		for (const call of this.#watchers) {
			if (!call.out('@introduceDomain')) this.#watchers.delete(call);
		}
	}

	#carryOut(wish: Wish, done: (outcome: Outcome) => void): void {
		const action = { ...wish, id: 0, generation: 0, limitMs } as CarriedAction;
		execute(this.#simulation, this.#host, action, done);
	}

	#observed(): readonly (readonly [ResourceObservation, number])[] {
		return this.#simulation.vms
			.map((vm) => replicaOf(this.#host, vm))
			.filter((replica) => replica.up)
			.map((replica) => [observeReplica(replica), replica.vm.index] as const);
	}

	#tell(call: Call, told: Map<string, string>): void {
		const now = this.#observed();
		for (const resource of told.keys()) {
			if (now.some(([seen]) => seen.resource === resource)) continue;
			told.delete(resource);
			call.out(`destroy resource name:${resource}`);
		}
		for (const [seen, minor] of now) {
			const text = JSON.stringify(seen);
			const before = told.get(seen.resource);
			if (before === text) continue;
			told.set(seen.resource, text);
			const lines = resourceLines(before === undefined ? 'create' : 'change', seen, minor);
			if (!call.out(lines.join('\n'))) this.#streams.delete(call);
		}
	}

	#drbdsetup(call: Call): void {
		if (call.args[0] === 'events2') this.#events2(call);
		else {
			// Nothing runs otherwise than the files say.
			call.out('# nothing');
			call.exit(0);
		}
	}

	#events2(call: Call): void {
		const now = this.#observed();
		const { vms } = this.#simulation;
		const only = call.args.find((word) => vms.some(({ engine }) => engine.resource === word));
		const lines = now
			.filter(([seen]) => only === undefined || seen.resource === only)
			.flatMap(([seen, minor]) => resourceLines('exists', seen, minor));
		call.out([...lines, 'exists -'].join('\n'));
		if (call.args.includes('--now')) call.exit(0);
		else {
			this.#streams.set(call, new Map(now.map(([seen]) => [seen.resource, JSON.stringify(seen)])));
		}
	}

	#drbdadm(call: Call): void {
		const verb = call.args[0] ?? '';
		const target = call.args.at(-1) ?? '';
		const [resource = ''] = target.split('/');
		const vm = this.#simulation.vms.find(({ engine }) => engine.resource === resource);
		const type = resourceVerbs[verb];
		if (verb === '--version' || verb === 'dump') {
			call.out(verb === 'dump' ? this.#dump() : drbdVersionText);
			call.exit(0);
			return;
		}
		if (vm === undefined) {
			call.error(`'${target}' not defined in your config (for this host).`);
			call.exit(1);
			return;
		}
		const replica = replicaOf(this.#host, vm);
		if (verb === 'get-gi') {
			call.out(
				generationText(
					replica.current || '0000000000000004',
					replica.bitmap,
					replica.flags.peerOutdated,
				),
			);
			call.exit(0);
		} else if (verb === 'dstate') {
			call.out(replica.disk);
			call.exit(0);
		} else if (type === undefined) {
			call.error(`Unknown command '${verb}'`);
			call.exit(1);
		} else {
			this.#carryOut({ type, resource } as Wish, (outcome) => {
				const [code, words] = drbdadmEnd(outcome);
				if (words !== '') call.error(`0: ${words}`);
				call.exit(code);
			});
		}
	}

	#dump(): string {
		const [one, other] = this.#simulation.hosts;
		const names = this.#host === one ? [one.name, other.name] : [other.name, one.name];
		return this.#simulation.vms
			.map(({ index, engine }) =>
				resourceFileText(engine.resource, index, names, this.#places.drbdHandler),
			)
			.join('\n');
	}

	#xl(call: Call): void {
		const [verb = '', ...words] = call.args;
		const type = vmVerbs[verb];
		if (verb === 'list') {
			call.out(domainListText(this.#simulation, this.#host));
			call.exit(0);
		} else if (verb === 'info') {
			const { freeMemoryMib } = observeHypervisor(this.#simulation, this.#host);
			call.out(words[0] === 'free_memory' ? String(freeMemoryMib) : 'dom0_mem=1024M,max:1024M');
			call.exit(0);
		} else if (type === undefined) {
			call.error(`command not implemented: ${verb}`);
			call.exit(1);
		} else {
			this.#domain(call, type, words.findLast((word) => !word.startsWith('-')) ?? '');
		}
	}

	#domain(call: Call, type: CarriedAction['type'], word: string): void {
		const vm = vmOfDomain(this.#host, word);
		if (vm === null) {
			call.error(`${word} is an invalid domain identifier (rc=-6)`);
			call.exit(1);
		} else this.#carryOut({ type, vm } as Wish, (outcome) => endXl(call, outcome));
	}

	/** The only thing that is started in a unit of its own is a VM; its file is named after it. */
	#create(call: Call): void {
		const vm = basename(call.args.at(-1) ?? '', '.cfg');
		this.#carryOut({ type: 'create-vm', vm } as Wish, (outcome) => endXl(call, outcome));
	}

	#power(call: Call, wish: Wish, words: (value: unknown) => string): void {
		this.#carryOut(wish, (outcome) => {
			const done = outcome.result === 'succeeded';
			if (done) call.out(words(outcome.value));
			else call.error('Error: Unable to establish IPMI v2 / RMCP+ session');
			call.exit(done ? 0 : 1);
		});
	}

	#ipmitool(call: Call): void {
		const at = call.args.indexOf('-H');
		const address = call.args[at + 1];
		const { hosts } = this.#simulation;
		const target =
			at === -1 ? this.#host : hosts.find(({ index }) => bmcAddress(index) === address);
		const command = call.args.join(' ');
		const host = target?.name ?? '';
		if (target === undefined) {
			call.error('Error: Unable to establish IPMI v2 / RMCP+ session');
			call.exit(1);
		} else if (command.endsWith('chassis power status')) {
			this.#power(
				call,
				{ type: 'query-power', host, level: 0 },
				(value) => `Chassis Power is ${(value as readonly DeviceReading[])[0]?.power ?? '?'}`,
			);
		} else if (command.endsWith('chassis power off')) {
			this.#power(
				call,
				{ type: 'power-off', host, level: 0 },
				() => 'Chassis Power Control: Down/Off',
			);
		} else if (command.endsWith('chassis power on')) {
			this.#power(call, { type: 'power-on', host, level: 0 }, () => 'Chassis Power Control: Up/On');
		} else if (/lan print( 1)?$/.test(command)) {
			call.out(bmcText(target.index));
			call.exit(0);
		} else {
			call.error('Invalid command');
			call.exit(1);
		}
	}

	/** Nothing on this host starts VMs or resources by itself. */
	#systemctl(call: Call): void {
		if (call.args[0] === 'list-units') {
			call.exit(0);
			return;
		}
		const enabled = call.args[0] === 'is-enabled';
		call.out(enabled ? 'disabled' : 'inactive');
		call.exit(enabled ? 1 : 3);
	}
}

const endXl = (call: Call, outcome: Outcome): void => {
	if (outcome.result !== 'succeeded') call.error(`libxl: error: ${outcome.detail}`);
	call.exit(outcome.result === 'succeeded' ? 0 : 1);
};
