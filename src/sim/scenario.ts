import * as z from 'zod';
import { balanceSchema, vmBalanceSchema } from '#src/config/schema-balance.ts';
import {
	durationSchema,
	nameSchema,
	sightSchema,
	stepSchema,
	deviceBehaviours,
} from '#src/sim/step.ts';

/**
 * One scenario: a story, a world, what happens in it, and what must be seen. Simulator and lab read
 * the same file; where the lab's hosts are slower, it multiplies the limits (docs/scenario-format.md).
 */
const scenarioFormat = 1;

const vmSchema = z.strictObject({
	name: nameSchema,
	/** Where it runs at the beginning and by preference. */
	host: nameSchema,
	/** Higher starts first and weighs more in the fencing order. */
	priority: z.int().min(0).max(1000).default(100),
	after: z.array(nameSchema).default([]),
	memoryMib: z.int().min(1).default(512),
	/** The lab's guest writes so often; a simulated one writes all the time. */
	writeEvery: durationSchema.default(1000),
	/** False: the people do not want it to run at the beginning. */
	runs: z.boolean().default(true),
	shutdown: durationSchema.default(60_000),
	/** How it takes part in balancing, as in the configuration. */
	balance: vmBalanceSchema.prefault({}),
	/** What it would like to use: physical CPUs, and MiB a second that devices write into its memory. */
	load: z
		.strictObject({
			cpus: z.number().min(0).max(1024).default(0.1),
			inflowMibPerS: z.number().min(0).max(100_000).default(0),
		})
		.prefault({}),
	restartsMax: z.int().min(1).default(3),
	restartWindow: durationSchema.default(600_000),
});

const networkSchema = z.strictObject({
	name: nameSchema,
	/** False for a direct cable: its carrier drops when the other host loses power. */
	switched: z.boolean().default(true),
	/** DRBD's connection runs over this network; exactly one. */
	replication: z.boolean().default(false),
});

const deviceSchema = z.strictObject({
	/** Its level in the host's fencing ladder; every device of a level must say off. */
	level: z.int().min(1).max(8).default(1),
	behaviour: z.enum(deviceBehaviours).default('ok'),
	latency: durationSchema.default(300),
	/** What `slow` and `late` mean. */
	by: durationSchema.default(30_000),
	/** True for a BMC: it is dead while its host's supply is cut. */
	diesWithHost: z.boolean().default(false),
});

/** A health check, by its name in `world.health`; the step `health` lets it speak. */
const healthCheckSchema = z.strictObject({
	every: durationSchema.default(60_000),
	hold: durationSchema.default(120_000),
	action: z.enum(['alert', 'evacuate']).default('alert'),
	/** Where it runs; absent: on both. */
	hosts: z.array(nameSchema).min(1).max(2).optional(),
});

export const worldSchema = z.strictObject({
	hosts: z.tuple([nameSchema, nameSchema]),
	arbiter: z.enum(['witness', 'fencing', 'person']).default('fencing'),
	/** The third place; required by the arbiter `witness`. */
	witness: z
		.strictObject({
			/** Hosts whose watchdog is armed; the others have none. Default: both. */
			watchdogs: z.array(nameSchema).max(2).optional(),
		})
		.optional(),
	/** The detection time D. */
	detection: durationSchema.default(3000),
	/**
	 * `settled`: both hosts up, mirrored, VMs running, agents start now. `cold`: both hosts have just
	 * booted, nothing is up. `fresh`: like cold, and the agents have never run.
	 */
	begin: z.enum(['settled', 'cold', 'fresh']).default('settled'),
	networks: z
		.array(networkSchema)
		.min(1)
		.max(8)
		.prefault([
			{ name: 'management' },
			{ name: 'replication', switched: false, replication: true },
		]),
	vms: z.array(vmSchema).min(1).max(200),
	memoryMib: z.int().min(1).default(16_384),
	fencing: z
		.strictObject({
			/** At each level. */
			attempts: z.int().min(1).default(2),
			call: durationSchema.default(5000),
			late: durationSchema.default(10_000),
			perHourMax: z.int().min(1).default(3),
			afterFence: z.enum(['on', 'off']).default('off'),
		})
		.prefault({}),
	/** When VMs are moved because of load, as in the configuration; off when left out. */
	balance: balanceSchema.prefault({ mode: 'off' }),
	/** Physical CPUs of each host. */
	cpus: z.int().min(1).max(1024).default(8),
	health: z.record(nameSchema, healthCheckSchema).default({}),
	/** The fence devices of all levels, by host. Default: one BMC each. */
	devices: z.record(nameSchema, z.array(deviceSchema).min(1).max(8)).default({}),
	/** How long things take. The lab cannot change these. */
	timing: z
		.strictObject({
			boot: durationSchema.default(30_000),
			agentStart: durationSchema.default(1000),
			resync: durationSchema.default(5000),
			create: durationSchema.default(2000),
			guestShutdown: durationSchema.default(4000),
		})
		.prefault({}),
});

const limit = {
	/** Counted from this step; absent: from the first step. */
	of: nameSchema.optional(),
	/** The lab's own limit, where five times the simulator's is not right. */
	labWithin: durationSchema.optional(),
};

const expectationSchema = z.union([
	/** Seen at some time within the limit. */
	z.strictObject({ that: sightSchema, within: durationSchema, ...limit }),
	/** Seen at no time, from a step (or the start) to another (or the end). */
	z.strictObject({ never: sightSchema, from: nameSchema.optional(), until: nameSchema.optional() }),
	/** Seen at every time in the same span. */
	z.strictObject({
		always: sightSchema,
		from: nameSchema.optional(),
		until: nameSchema.optional(),
	}),
	/** Seen when the scenario ends. */
	z.strictObject({ finally: sightSchema }),
]);

export const scenarioSchema = z
	.strictObject({
		format: z.literal(scenarioFormat),
		name: nameSchema,
		/** What an operator would tell about it. */
		story: z.string().min(1),
		/** Where it can be run. */
		runsIn: z
			.array(z.enum(['simulator', 'lab']))
			.min(1)
			.default(['simulator']),
		/** Seed of everything the story leaves open. */
		seed: z.int().min(0).default(1),
		world: worldSchema,
		steps: z.array(stepSchema).min(1).max(200),
		expect: z.array(expectationSchema).min(1).max(200),
		/** The scenario ends this long after the last step, or earlier once every limit has passed. */
		ends: durationSchema.default(60_000),
		/** Promises the world itself breaks here, for example with a fence device that lies. */
		excused: z.array(z.string().min(1)).default([]),
	})
	.check((context) => {
		for (const problem of namesProblems(context.value)) {
			context.issues.push({ code: 'custom', ...problem, input: context.value });
		}
	});

export type Scenario = Readonly<z.infer<typeof scenarioSchema>>;
export type ScenarioInput = z.input<typeof scenarioSchema>;
export type ScenarioWorld = Scenario['world'];
export type ScenarioVm = ScenarioWorld['vms'][number];
export type ScenarioDevice = Readonly<z.infer<typeof deviceSchema>>;
export type Expectation = Scenario['expect'][number];

interface Problem {
	message: string;
	path: (string | number)[];
}

/** A check that is spoken of is there, on that host. */
const healthProblems = ({
	world,
	steps,
}: {
	readonly world: z.infer<typeof worldSchema>;
	readonly steps: readonly z.infer<typeof stepSchema>[];
}): Problem[] => {
	const unknownHosts = Object.entries(world.health).flatMap(([name, { hosts = [] }]) =>
		hosts
			.filter((host) => !world.hosts.includes(host))
			.map((host) => ({
				message: `no host is called "${host}" here`,
				path: ['world', 'health', name, 'hosts'],
			})),
	);
	const unknownChecks = steps.flatMap((step, index) => {
		if (step.do !== 'health') return [];
		const check = world.health[step.check];
		if (check !== undefined && check.hosts?.includes(step.host) !== false) return [];
		const message = `no check of ${step.host} is called "${step.check}" here`;
		return [{ message, path: ['steps', index, 'check'] }];
	});
	return [...unknownHosts, ...unknownChecks];
};

/** Every name that a step or an expectation uses must exist: a misspelt one would expect nothing. */
const namesProblems = (scenario: {
	world: z.infer<typeof worldSchema>;
	steps: z.infer<typeof stepSchema>[];
	expect: z.infer<typeof expectationSchema>[];
}): Problem[] => {
	const hosts = new Set<string>(scenario.world.hosts);
	const vms = new Set(scenario.world.vms.map((vm) => vm.name));
	const networks = new Set(scenario.world.networks.map((network) => network.name));
	const ids = new Set(scenario.steps.flatMap((step) => (step.id === undefined ? [] : [step.id])));
	const problems: Problem[] = [];
	const check = (set: Set<string>, word: string, value: unknown, path: (string | number)[]) => {
		if (typeof value !== 'string' || set.has(value)) return;
		problems.push({ message: `no ${word} is called "${value}" here`, path });
	};
	const checkAll = (object: object, path: (string | number)[]) => {
		const fields = object as Readonly<Record<string, unknown>>;
		for (const key of ['host', 'runsOn', 'owner', 'to', 'confirmDead', 'discard'])
			check(hosts, 'host', fields[key], [...path, key]);
		check(vms, 'VM', fields['vm'], [...path, 'vm']);
		check(networks, 'network', fields['network'], [...path, 'network']);
		check(ids, 'step', fields['of'], [...path, 'of']);
		check(ids, 'step', fields['until'], [...path, 'until']);
		check(ids, 'step', fields['reply'], [...path, 'reply']);
	};
	scenario.steps.forEach((step, index) => {
		checkAll(step, ['steps', index]);
		if (step.when !== undefined) checkAll(step.when, ['steps', index, 'when']);
		if (/^(witness-)?(cut|mend|degrade|clear)$/.test(step.do) && 'from' in step)
			check(hosts, 'host', step.from, ['steps', index, 'from']);
	});
	scenario.expect.forEach((expectation, index) => {
		checkAll(expectation, ['expect', index]);
		for (const key of ['that', 'never', 'always', 'finally'] as const) {
			const sight: unknown = (expectation as Readonly<Record<string, unknown>>)[key];
			if (typeof sight === 'object' && sight !== null) checkAll(sight, ['expect', index, key]);
		}
		if ('from' in expectation) check(ids, 'step', expectation.from, ['expect', index, 'from']);
	});
	scenario.world.vms.forEach((vm, index) => {
		check(hosts, 'host', vm.host, ['world', 'vms', index, 'host']);
		for (const other of vm.after) check(vms, 'VM', other, ['world', 'vms', index, 'after']);
	});
	if (scenario.world.networks.filter((network) => network.replication).length !== 1) {
		problems.push({
			message: 'exactly one network carries replication',
			path: ['world', 'networks'],
		});
	}
	if ((scenario.world.arbiter === 'witness') !== (scenario.world.witness !== undefined))
		problems.push({
			message: 'a witness belongs to the arbiter witness',
			path: ['world', 'witness'],
		});
	for (const host of scenario.world.witness?.watchdogs ?? [])
		check(hosts, 'host', host, ['world', 'witness', 'watchdogs']);
	problems.push(...healthProblems(scenario));
	for (const [host, devices] of Object.entries(scenario.world.devices)) {
		check(hosts, 'host', host, ['world', 'devices', host]);
		const levels = new Set(devices.map(({ level }) => level));
		if (Math.max(...levels) === levels.size) continue;
		problems.push({
			message: 'the levels are numbered from 1 without a gap',
			path: ['world', 'devices', host],
		});
	}
	return problems;
};

/** The scenario of a parsed YAML document; throws zod's error with every problem in it. */
export const parseScenario = (document: unknown): Scenario => scenarioSchema.parse(document);

/** The format as a JSON Schema, for editors: `docs/scenario.schema.json`. */
export const scenarioJsonSchema = (): unknown =>
	z.toJSONSchema(scenarioSchema, {
		io: 'input',
		target: 'draft-2020-12',
		unrepresentable: 'any',
		reused: 'ref',
	});
