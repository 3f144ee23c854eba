import * as z from 'zod';
import {
	duration,
	file,
	list,
	mapping,
	name,
	section,
	simpleName,
	text,
	whole,
} from '#src/config/shape.ts';

/** The part of `vmpair.yaml` that is about load and health: what makes VMs move away from a host by themselves. */

const percent = (standard: number) => whole(10, 100).default(standard);

/**
 * The standards are those that operators of other pools run with (docs/load.md): busy above 80 to 90 % for minutes, a
 * target that stays below 60 %, half an hour of rest.
 */
export const balanceSchema = section(
	{
		mode: z
			.enum(['auto', 'advise', 'off'], { error: 'expected auto, advise or off' })
			.default('advise')
			.describe(
				'What happens when a host is overloaded: a VM is moved live (auto), a person is told which one to move (advise), or nothing (off).',
			),
		hold: duration(10_000, 3_600_000)
			.default(180_000)
			.describe('A host counts as overloaded when it was above a limit for all of this time.'),
		limits: section(
			{
				cpu: percent(85).describe('Of all physical CPUs, percent.'),
				dom0: percent(85).describe("Of dom0's virtual CPUs, percent."),
				memory: percent(95).describe("Of dom0's memory, percent in use."),
				disk: percent(95).describe('Of the time, percent in which the busiest disk had work.'),
				network: percent(90).describe('Of what the busiest network device can carry, percent.'),
			},
			'the limits of a host',
		)
			.prefault({})
			.describe('Above one of them a host is overloaded.'),
		target: whole(10, 100)
			.default(60)
			.describe(
				'The other host must stay at or below this in all of them after the move, percent.',
			),
		gain: whole(1, 90)
			.default(10)
			.describe('A move must bring the overloaded host down by at least this, percent points.'),
		cooldown: section(
			{
				vm: duration(60_000, 604_800_000)
					.default(1_800_000)
					.describe('A VM that was moved for load stays at least this long.'),
				pair: duration(10_000, 86_400_000)
					.default(900_000)
					.describe('Between two moves for load, in either direction.'),
			},
			'the rests after a move',
		).prefault({}),
		spare: z
			.enum(['required', 'waived'], { error: 'expected required or waived' })
			.default('required')
			.describe(
				'Whether VMs are moved for load while one host could not hold all of them: required moves none then, waived does.',
			),
	},
	'the settings of balancing',
);

/** Of one VM. */
export const vmBalanceSchema = section(
	{
		pinned: z
			.boolean({ error: 'expected true or false' })
			.default(false)
			.describe(
				'True: it is never moved because of load. People, failures and standby still move it.',
			),
		near: list(name('the name of a VM', simpleName), 'VMs', 64)
			.default([])
			.describe('VMs that it should be on the same host with, a preference among moves.'),
		apart: list(name('the name of a VM', simpleName), 'VMs', 64)
			.default([])
			.describe('VMs that it should not be on the same host with, a preference among moves.'),
	},
	'how a VM is balanced',
);

const times = {
	every: duration(5000, 3_600_000).default(60_000).describe('Between two runs.'),
	hold: duration(0, 3_600_000)
		.default(120_000)
		.describe('It counts as critical when it was so in every run for this time.'),
	action: z
		.enum(['alert', 'evacuate'], { error: 'expected alert or evacuate' })
		.default('alert')
		.describe(
			'What a critical check does: only alert, or also move the VMs of its host to the other one, if that one is well.',
		),
	hosts: list(text('a host name', /^[A-Za-z0-9][A-Za-z0-9.-]{0,62}$/), 'host names', 2)
		.default([])
		.describe('The hosts that it runs on; both when left out.'),
};

const command = section(
	{
		command: list(text('a word of a command', /^[^\p{Cc}]{1,1024}$/u), 'words', 64)
			.min(1, { error: 'expected the program and its arguments' })
			.refine((words) => words[0]?.startsWith('/') === true, {
				error: 'expected the absolute path of the program first',
			})
			.describe(
				'A monitoring plugin and its arguments: exit 0 ok, 1 warning, 2 critical, 3 unknown.',
			),
		limit: duration(1000, 120_000).default(15_000).describe('Time limit of one run.'),
		...times,
	},
	'a check by a monitoring plugin',
);

const carrier = section(
	{
		carrier: text('the name of a network device or bridge', /^[^\s/]{1,15}$/).describe(
			'The device whose link must be there; of a bridge, the link of one of its physical devices.',
		),
		...times,
	},
	'a check of a network link',
);

const smart = section(
	{
		smart: file.describe('The disk whose own judgement is asked for, by smartctl.'),
		...times,
	},
	'a check of a disk',
);

const sensors = section(
	{
		sensors: z
			.literal('ipmi', { error: 'expected ipmi' })
			.describe(
				'All sensors of the board, by ipmitool: critical when one is beyond its critical limit.',
			),
		...times,
	},
	'a check of the sensors',
);

/** The checks of a pair by name. DRBD's disks need none: a failed one is seen, and its VM moves, in any case. */
export const healthSchema = mapping(
	name('the name of a check', simpleName),
	z.union([command, carrier, smart, sensors], {
		error: 'expected a check: one of command, carrier, smart or sensors',
	}),
	'names of checks to checks',
);
