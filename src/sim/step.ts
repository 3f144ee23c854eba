import * as z from 'zod';
import { connectionStates, diskStates, presences, roles } from '#src/ports.ts';
import { healths } from '#src/ports-load.ts';
import { pauseMaxMs } from '#src/store/record.ts';
import { parseDuration } from '#src/std/duration.ts';

/**
 * The verbs of a scenario: faults, repairs and requests of people, at a time or once something is
 * seen. One vocabulary for the simulator and for the lab; docs/scenario-format.md explains each word.
 */

/** A name of a host, VM, network or step. */
export const nameSchema = z
	.string()
	.regex(
		/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/,
		'must be a name of letters, digits, "_", "." and "-"',
	);

/** A duration such as `500ms`, `3s` or `1m30s`; milliseconds after parsing. */
export const durationSchema = z
	.string()
	.regex(/^(\d{1,9}(d|h|m|s|ms)){1,5}$/, 'must be a duration such as "500ms", "3s" or "1m30s"')
	.transform((text, context) => {
		const ms = parseDuration(text);
		if (ms !== null) return ms;
		context.issues.push({ code: 'custom', message: 'is not a duration', input: text });
		return z.NEVER;
	});

const diskSchema = z
	.enum(diskStates)
	.extract(['Diskless', 'Negotiating', 'Inconsistent', 'Outdated', 'Consistent', 'UpToDate']);

const counted = z.int().min(0).max(1000).optional();

const countSchema = z
	.strictObject({ exactly: counted, atLeast: counted, atMost: counted })
	.refine((count) => Object.keys(count).length > 0, 'must say how many');

/** Something that can be seen in the world. All fields that are given must hold at the same time. */
export const sightSchema = z
	.strictObject({
		vm: nameSchema.optional(),
		host: nameSchema.optional(),
		/** The VM's vCPUs run on this host. */
		runsOn: nameSchema.optional(),
		/** The VM runs on some host (true) or on none (false). */
		runs: z.boolean().optional(),
		/** The number of hosts on which the VM's vCPUs run. */
		copies: z.int().min(0).max(2).optional(),
		/** The VM's domain on `host`. */
		presence: z.enum(['absent', ...presences]).optional(),
		/** DRBD's view of the VM's resource on `host`. */
		role: z.enum(roles).extract(['Primary', 'Secondary']).optional(),
		disk: diskSchema.optional(),
		connection: z
			.enum(connectionStates)
			.extract(['Connected', 'Connecting', 'StandAlone'])
			.optional(),
		/** True while DRBD holds back the VM's writes on `host`. */
		frozen: z.boolean().optional(),
		/** The guest's writes are being acknowledged. */
		writing: z.boolean().optional(),
		/** The arbiter that is in force by the durable record of `host`. */
		arbiter: z.enum(['witness', 'fencing', 'person', 'changing']).optional(),
		/** The host that claims the other one in the witness; null for none. */
		claim: nameSchema.nullable().optional(),
		/** The in-sync set of the VM's durable record on `host`. */
		inSync: z.array(nameSchema).max(2).optional(),
		/** The owner in the VM's durable record on `host`; null for none. */
		owner: nameSchema.nullable().optional(),
		/** Whether `host` has power. */
		power: z.enum(['on', 'off']).optional(),
		/** Whether the agent on `host` runs. */
		agent: z.enum(['running', 'down']).optional(),
		/** Name of an alert condition open on `host`, or on any host. */
		condition: z.string().min(1).optional(),
		/** Part of what that condition tells the person on call: its sentence, or the next step. */
		says: z.string().min(1).optional(),
		/** Part of a log message that was written on `host`, or on any host. */
		note: z.string().min(1).optional(),
		/** Every acknowledged write is there, in order, written by one copy at a time. */
		ledger: z.literal('intact').optional(),
		/** A request of this scenario (its step's `id`) got this answer. */
		reply: nameSchema.optional(),
		status: z.enum(['done', 'accepted', 'refused']).optional(),
		/** How often the VM, or all of them together, has begun to run on another host than before. */
		moves: countSchema.optional(),
	})
	.refine((sight) => Object.keys(sight).length > 0, 'must say what to see')
	.refine(
		({ condition, says }) => says === undefined || condition !== undefined,
		'"says" is about a condition',
	);

const host = { host: nameSchema };
const vm = { vm: nameSchema };
const onVm = { host: nameSchema, vm: nameSchema };

const cut = {
	network: nameSchema,
	/** Only what this host sends is lost; absent: both ways. */
	from: nameSchema.optional(),
	/** What is lost: everything, DRBD's connection alone, or the agents' beats alone. */
	traffic: z.enum(['all', 'replication', 'heartbeat']).default('all'),
};

const impairment = {
	/** So many of a hundred packets are lost, and sent again. */
	loss: z.int().min(0).max(90).default(0),
	/** A packet arrives up to this much later. */
	jitter: durationSchema.default(0),
};

const cpusSchema = z.number().min(0).max(1024);
/** What the host's own work uses of it, 0 (nothing) to 1 (all). */
const shareOf = z.number().min(0).max(1).optional();
const dayMs = 86_400_000;

const action = <Verb extends string, Shape extends z.ZodRawShape>(verb: Verb, shape: Shape) =>
	z.strictObject({ do: z.literal(verb), ...stepCommon, ...shape });

const stepCommon = {
	/** Names this step for expectations and for `reply`. */
	id: nameSchema.optional(),
	/** Time since the start of the scenario. */
	at: durationSchema.optional(),
	/** Wait for this sight first. */
	when: sightSchema.optional(),
	/** Give up on `when` after this long: the scenario has failed. */
	within: durationSchema.optional(),
	/** Time after the step before this one, or after `when` was seen. */
	after: durationSchema.optional(),
};

export const deviceBehaviours = [
	'ok',
	'dead',
	'slow',
	'late',
	'stuck',
	'lying',
	'wrong-host',
] as const;

/** What a host sends to the witness and a network or a stopped server may hold back. */
export const lateCommands = [
	'renew',
	'claim',
	'withdraw',
	'void-claim',
	'change',
	'takeover',
	'seed',
] as const;

/** What happens, in the order it is written. */
export const stepSchema = z.discriminatedUnion('do', [
	action('power-cut', { ...host, bmcToo: z.boolean().default(false) }),
	action('power-on', host),
	action('crash', host),
	action('hang', {
		...host,
		/** Its clock and its watchdog stand still as well, as in a virtual machine that is paused. */
		whole: z.boolean().optional(),
	}),
	action('resume', host),
	action('agent-crash', { ...host, restartAfter: durationSchema.nullable().default(1000) }),
	action('agent-start', host),
	action('agent-stop', host),
	action('agent-continue', host),
	action('cut', cut),
	action('mend', cut),
	action('degrade', { network: nameSchema, from: nameSchema.optional(), ...impairment }),
	action('clear', { network: nameSchema, from: nameSchema.optional() }),
	action('carrier-lost', { ...host, network: nameSchema }),
	action('carrier-back', { ...host, network: nameSchema }),
	action('gateway', { ...host, answers: z.boolean() }),
	action('disk-fail', onVm),
	action('disk-replace', onVm),
	action('disk-repair', onVm),
	action('store-full', host),
	action('store-free', host),
	action('store-hang', { ...host, for: durationSchema }),
	action('state-save', { ...host, as: nameSchema }),
	action('state-restore', { ...host, from: nameSchema }),
	action('state-lose', host),
	action('state-corrupt', host),
	action('crash-at-write', {
		...host,
		side: z.enum(['before', 'after']),
		who: z.enum(['agent', 'host']).default('agent'),
	}),
	action('clock-step', { ...host, by: durationSchema, back: z.boolean().default(false) }),
	action('xl-hang', { ...host, for: durationSchema }),
	action('drbd-hang', { ...host, for: durationSchema }),
	action('guest', { ...vm, does: z.enum(['poweroff', 'reboot', 'crash']) }),
	action('guest-ignores-shutdown', vm),
	action('create-fails', { ...onVm, times: z.int().min(1).max(100).default(1) }),
	action('slow-unpause', { ...onVm, by: durationSchema }),
	action('late-promote', { ...onVm, by: durationSchema }),
	action('watchdog-fails', host),
	action('device', {
		...host,
		behaviour: z.enum(deviceBehaviours),
		/** How long a slow device takes to answer, or a late one holds an `off` back. */
		by: durationSchema.optional(),
		/** Index of the device among the host's devices, of all levels; absent: all of them. */
		device: z.int().min(0).max(7).optional(),
	}),
	action('outlet-off', { ...host, device: z.int().min(0).max(7) }),
	action('disk-held-open', { ...onVm, for: durationSchema }),
	action('detach-fails', { ...onVm, times: z.int().min(1).max(100).default(1) }),
	action('drbd-stuck', { ...onVm, in: z.enum(['connecting', 'bitmap']) }),
	action('operator-promote', { ...onVm, force: z.boolean().default(false) }),
	action('operator-create', onVm),
	action('operator-drbd', { ...onVm, command: z.enum(['down', 'adjust', 'secondary']) }),
	action('stale-document', host),
	action('start', { ...onVm, acceptStale: z.boolean().default(false) }),
	action('stop', onVm),
	action('move', { ...onVm, to: nameSchema.nullable().default(null) }),
	action('drill', {
		...onVm,
		to: nameSchema.nullable().default(null),
		hard: z.boolean().default(false),
	}),
	action('migrate', { ...onVm, to: nameSchema.nullable().default(null) }),
	action('cancel-migration', onVm),
	action('xl-killed', host),
	action('stream-hangs', {
		for: durationSchema,
		/** Only where the next stream gets to this stage; absent: all of them, from now on. */
		in: z.enum(['copies', 'suspended', 'told', 'received']).nullable().default(null),
	}),
	action('takeover', {
		...host,
		confirmDead: nameSchema,
		/** The person went and looked: nothing is said while that host has power. */
		checked: z.boolean().default(true),
	}),
	action('arm', host),
	action('disarm', { ...host, reason: z.string().min(1).default('maintenance') }),
	action('pause', {
		...host,
		for: durationSchema.refine((ms) => ms > 0 && ms <= pauseMaxMs, 'must be 24h at most'),
		reason: z.string().min(1).default('maintenance'),
	}),
	action('pause-end', host),
	action('leave', {
		...host,
		how: z.enum(['migrate', 'hand-over', 'stop', 'cancel']).default('hand-over'),
	}),
	action('reboot', host),
	action('balance', host),
	action('evacuate', {
		...host,
		/** The host to be emptied; absent: the one that is asked. */
		target: nameSchema.nullable().default(null),
		cold: z.boolean().default(false),
	}),
	action('standby', { ...host, on: z.boolean() }),
	action('resolve', {
		...onVm,
		/** Absent: the copy that misses writes, asked on the host whose copy stays. */
		discard: nameSchema.nullable().default(null),
	}),
	action('witness-stop', {}),
	action('witness-start', {}),
	action('witness-cut', { from: nameSchema.optional() }),
	action('witness-mend', { from: nameSchema.optional() }),
	action('witness-degrade', { from: nameSchema.optional(), ...impairment }),
	action('witness-clear', { from: nameSchema.optional() }),
	action('witness-slow', { for: durationSchema }),
	action('witness-late', {
		...host,
		/** Only commands of this kind, sent within `for`, are carried out `by` later. */
		command: z.enum(lateCommands),
		for: durationSchema,
		by: durationSchema,
	}),
	action('witness-save', { as: nameSchema }),
	action('witness-restore', { from: nameSchema }),
	action('witness-empty', {}),
	action('thread-stall', { ...host, for: durationSchema }),
	action('loop-stall', { ...host, for: durationSchema }),
	action('load', {
		...vm,
		/** Physical CPUs that the guest would keep busy. */
		cpus: cpusSchema,
		/** What devices write into its memory. */
		inflowMibPerS: z.number().min(0).max(100_000).optional(),
	}),
	action('load-trace', {
		...vm,
		/** At these times after the step, in order, the guest wants so many CPUs. */
		points: z
			.array(z.tuple([durationSchema, cpusSchema]).transform(([after, cpus]) => ({ after, cpus })))
			.min(1)
			.max(200),
		/** The points begin anew after this long, `for` so long altogether; absent: they happen once. */
		every: durationSchema.refine((ms) => ms >= 1000, 'must be a second at least').optional(),
		for: durationSchema.default(dayMs),
	}),
	action('host-load', { ...host, dom0: shareOf, memory: shareOf, disk: shareOf, network: shareOf }),
	action('load-unknown', { ...host, for: durationSchema }),
	action('health', {
		...host,
		check: nameSchema,
		health: z.enum(healths),
		/** The first line of what the check says. */
		detail: z.string().min(1).max(200).optional(),
	}),
	action('nothing', {}),
]);

export type Sight = Readonly<z.infer<typeof sightSchema>>;
export type ScenarioStep = Readonly<z.infer<typeof stepSchema>>;
export type StepVerb = ScenarioStep['do'];
