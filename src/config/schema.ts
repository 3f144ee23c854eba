import * as z from 'zod';
import { alertsSchema } from '#src/config/schema-alerts.ts';
import { balanceSchema, healthSchema, vmBalanceSchema } from '#src/config/schema-balance.ts';
import { fenceDevice } from '#src/fence/device.ts';
import { webSection } from '#src/config/schema-web.ts';
import {
	address,
	duration,
	file,
	fingerprint,
	flag,
	folder,
	hostName,
	linkName,
	list,
	mapping,
	memory,
	name,
	resourceName,
	section,
	simpleName,
	text,
	vmName,
	whole,
} from '#src/config/shape.ts';

/**
 * The shape of `vmpair.yaml`. Every message here starts with `expected `, so that a problem can be told
 * as "expected ..., found ..." with the line it stands on. What one value says about another is checked
 * in `check.ts`.
 *
 * There is no key for the hypervisor and none that simulates one: a file that an admin can install must
 * never make an agent believe in VMs that do not exist. The demo composes its own world in code.
 */

const hostLink = section(
	{
		address: address.describe("This host's address on the link."),
		port: whole(1, 65_535).default(7400).describe('TCP port of the heartbeats on this address.'),
		device: text('the name of a network device', /^[^\s/]{1,15}$/)
			.optional()
			.describe('Network device whose carrier is watched, for instance eth1.'),
	},
	'the address of this host on the link',
);

const level = section(
	{
		attempts: whole(1, 10)
			.default(3)
			.describe('Power-offs through this level before the next one is tried.'),
		devices: list(fenceDevice, 'fence devices', 8)
			.min(1, { error: 'expected at least one fence device' })
			.describe(
				'All of them together cut the power of this host: off is only what all say is off.',
			),
	},
	'a level: the fence devices that together cut the power of this host',
);

const fence = section(
	{
		levels: list(level, 'levels of fence devices', 8)
			.min(1, { error: 'expected at least one level' })
			.describe(
				'Tried in this order: the next one when the attempts of one are used up or its devices do not answer.',
			),
	},
	'the fencing ladder of this host',
);

const watchdog = section(
	{
		device: text(
			'the device of a watchdog, such as /dev/watchdog0',
			/^\/dev\/watchdog[0-9]{0,3}$/,
		).describe('The watchdog that resets this host when nobody feeds it.'),
		parameter: text(
			'the file of a module parameter below /sys/module',
			/^\/sys\/module\/[a-z0-9_]+\/parameters\/[a-z0-9_]+$/,
		)
			.optional()
			.describe(
				'Where its time-out in seconds is read, for a driver that is not in /sys/class/watchdog (ipmi_watchdog).',
			),
		softdog: flag('true to count a watchdog in software as one')
			.default(false)
			.describe(
				'True counts softdog as a watchdog: a kernel that hangs does not reset the host then.',
			),
		sysrq: flag('true or false')
			.default(true)
			.describe('Resets the host through the kernel before the watchdog does.'),
	},
	'the watchdog of this host',
);

const host = section(
	{
		certificate: fingerprint.describe(
			'SHA-256 fingerprint of the certificate of this host; the only one its peer accepts.',
		),
		links: mapping(linkName, hostLink, 'link names to addresses').describe(
			'The addresses of this host, one on every link of the pair.',
		),
		fence: fence.optional().describe('How the peer cuts the power of this host.'),
		watchdog: watchdog.optional().describe('The watchdog of this host.'),
		shutdown: z
			.enum(['migrate', 'stop-and-hand-over', 'stop'], {
				error: 'expected migrate, stop-and-hand-over or stop',
			})
			.default('migrate')
			.describe(
				'What becomes of its VMs when this host shuts down or reboots: they go live to the other one (migrate), are stopped here and started there (stop-and-hand-over), or are stopped and start again when it is back (stop).',
			),
	},
	'the settings of a host',
);

const link = section(
	{
		switched: flag('true for a link through a switch, false for a direct cable').describe(
			'False for a direct cable: its carrier drops when the peer dies and says nothing of this host.',
		),
		gateway: address
			.optional()
			.describe(
				'Asked to learn which host is cut off. It must not be one of the VMs of this pair.',
			),
	},
	'the settings of a link',
);

const vm = section(
	{
		resource: resourceName.describe(
			'The DRBD resource with the disks of this VM, and of no other.',
		),
		config: file.describe('The configuration of the VM for xl, equal on both hosts.'),
		priority: whole(0, 1000)
			.default(100)
			.describe('Higher starts first, and weighs more when both hosts could fence each other.'),
		after: list(vmName, 'VMs', 64)
			.default([])
			.describe('VMs that are started before this one where they run on the same host.'),
		memory: memory('memory such as 512M or 2G')
			.optional()
			.describe('Memory of the VM; read from its configuration file when it is left out.'),
		preferred: hostName
			.optional()
			.describe('Where it starts first when nothing is known yet; the first host when left out.'),
		shutdown: duration(1000, 3_600_000)
			.default(120_000)
			.describe('How long the guest may take to shut down before it is destroyed.'),
		restarts: section(
			{
				atMost: whole(0, 100).default(3).describe('Starts after a crash or a failed start ...'),
				within: duration(10_000, 86_400_000).default(600_000).describe('... within this time.'),
			},
			'the restart budget',
		)
			.prefault({})
			.describe('After more the VM stays down and a person is paged.'),
		balance: vmBalanceSchema.prefault({}).describe('How it takes part in balancing.'),
	},
	'the settings of a VM',
);

const fencing = section(
	{
		perHour: whole(1, 64)
			.default(3)
			.describe('Never more power-offs than this in one hour, over all levels.'),
		afterFence: z
			.enum(['on', 'off'], { error: 'expected on or off' })
			.default('on')
			.describe('Whether the fenced host is switched on again once its VMs run here.'),
	},
	'the settings of fencing',
);

const witness = section(
	{
		address: address.describe('The Redis server. Never a VM of this pair, never one of its hosts.'),
		port: whole(1, 65_535).default(6379).describe('Its TCP port.'),
		username: text('the name of a Redis user', /^[A-Za-z0-9_.-]{1,64}$/)
			.default('vmpair')
			.describe('The Redis user of this pair.'),
		passwordFile: file.describe('Its password on the first line; readable by root alone.'),
		tls: section(
			{
				ca: file.describe('Certificate of the only authority that is trusted for the witness.'),
				name: text('a name in its certificate', /^[A-Za-z0-9][A-Za-z0-9.-]{0,252}$/)
					.optional()
					.describe('The name in its certificate, when it is not the address.'),
				certificate: file.optional().describe('Certificate of this host, when Redis asks for one.'),
				key: file.optional().describe('Its key, readable by root alone.'),
			},
			'the files of the encryption',
		)
			.optional()
			.describe('Encrypts the connection; without it the password travels as it is.'),
	},
	'the settings of the witness',
);

const migration = section(
	{
		port: whole(1, 65_535)
			.default(7402)
			.describe('TCP port on which a host waits for the memory of a VM that is moved live.'),
		network: linkName
			.optional()
			.describe(
				'The link that carries the memory; the first direct cable when left out, else the first link.',
			),
		ssh: section(
			{
				user: text('the name of a user', /^[a-z_][a-z0-9_-]{0,31}$/).describe(
					'The user on the other host. It needs no shell, only "permitopen" for its own migration port.',
				),
				port: whole(1, 65_535).default(22).describe('TCP port of sshd on that link.'),
				identity: file.optional().describe('The private key, readable by root alone.'),
				knownHosts: file
					.optional()
					.describe("The file with the other host's key for this address."),
			},
			'the settings of ssh',
		)
			.optional()
			.describe(
				'Carries the memory through ssh, where no other port may be open between the hosts.',
			),
	},
	'the settings of live migration',
);

const folders = {
	stateDirectory: folder
		.default('/var/lib/vmpair')
		.describe('Durable state, event journal and waiting alerts of this host.'),
	runtimeDirectory: folder.default('/run/vmpair').describe('The local socket of the agent.'),
};

export const configFileSchema = section(
	{
		pair: name('the name of the pair', simpleName).describe(
			'Names this pair in alerts and state; never change it on a running pair.',
		),
		host: hostName.optional().describe("This host; the machine's host name when left out."),
		arbiter: z
			.enum(['witness', 'fencing', 'person'], {
				error: 'expected witness, fencing or person',
			})
			.describe(
				'Who decides when the hosts lose each other: a third voter (witness), a verified power-off (fencing) or a person on call (person).',
			),
		detection: duration(1000, 60_000)
			.default(3000)
			.describe('The detection time D; every other time derives from it.'),
		links: mapping(linkName, link, 'link names to settings').describe(
			'The networks that carry heartbeats, management and replication at least.',
		),
		hosts: mapping(hostName, host, 'the two host names to settings').describe('The two hosts.'),
		witness: witness
			.optional()
			.describe(
				'A Redis server on a third machine, for both hosts. See witness.md beside this schema.',
			),
		fencing: fencing.prefault({}),
		migration: migration
			.prefault({})
			.describe('How the memory of a VM travels when it is moved live.'),
		balance: balanceSchema
			.prefault({})
			.describe('When VMs are moved because a host is overloaded.'),
		health: healthSchema
			.default({})
			.describe('Checks of the hosts that alert a person, or empty a host that is failing.'),
		vms: mapping(vmName, vm, 'VM names to settings').describe('The VMs of the pair.'),
		alerts: alertsSchema
			.prefault({})
			.describe('Who is told what is wrong. See alerts.md beside this schema.'),
		web: webSection
			.optional()
			.describe('A page to look at and metrics for Prometheus; off when left out.'),
		socketGroup: text('the name of a group', /^[a-z_][a-z0-9_-]{0,31}$/)
			.optional()
			.describe('Members of this group may use the local socket; root alone when left out.'),
		drbd: section(
			{
				unverified: flag('true or false')
					.default(false)
					.describe('Allows arming on DRBD 9, which has not been proven on real hosts yet.'),
			},
			'the settings of DRBD',
		).prefault({}),
		tls: section(
			{
				certificate: file.default('/etc/vmpair/host.crt').describe('Certificate of this host.'),
				key: file.default('/etc/vmpair/host.key').describe('Its key, readable by root alone.'),
			},
			'the files of the certificate and its key',
		).prefault({}),
		...folders,
		reservedMemory: memory('memory such as 256M')
			.prefault('256M')
			.describe('Memory that stays free on a host after a VM was started.'),
		startsAtOnce: whole(1, 32).default(4).describe('VMs that are started at the same time.'),
	},
	'a mapping with the settings of the pair',
).describe('Configuration of vmpair, the same file on both hosts.');

export type ConfigFile = z.output<typeof configFileSchema>;
