/** One lab host: a QEMU that boots Xen, its disks, its serial log, its way in by ssh. */
import { copyFile, constants, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Image } from './image.ts';
import { inside, tapOf } from './network.ts';
import { qmp } from './qmp.ts';
import { run, until, type Outcome, type RunOptions } from './tool.ts';
import {
	diskMiB,
	dom0MemoryMiB,
	hostMemoryMiB,
	networks,
	vms,
	type LabHost,
	type Network,
} from './world.ts';

/** Everything one run of the lab has on disk is in `folder`; `namespace` is its network. */
export type Place = {
	readonly folder: string;
	readonly namespace: string;
	readonly image: Image;
};

export const hostFolder = (place: Place, host: LabHost): string => join(place.folder, host.name);
export const qmpSocket = (place: Place, host: LabHost): string =>
	join(hostFolder(place, host), 'qmp');
export const pidFile = (place: Place, host: LabHost): string =>
	join(hostFolder(place, host), 'pid');
export const startScript = (place: Place, host: LabHost): string =>
	join(hostFolder(place, host), 'start');
const diskNames = ['root', ...vms.map((vm) => vm.name)];
export const bmcSerialPort = (host: LabHost): number => 9000 + host.index;

const xenLine = `dom0_mem=${dom0MemoryMiB}M,max:${dom0MemoryMiB}M dom0_max_vcpus=1 console=com1 com1=115200,8n1 bootscrub=0 loglvl=warning guest_loglvl=warning`;

const dom0Line = (host: LabHost): string =>
	[
		'root=/dev/vda rw console=hvc0 net.ifnames=0 quiet fsck.mode=skip',
		`systemd.hostname=${host.name} systemd.show_status=0 audit=0 selinux=0`,
		`lab.management=${host.management}/24 lab.replication=${host.replication}/24 lab.control=${host.control}/24`,
	].join(' ');

const words = (text: string): string[] => text.split(' ');

/** QEMU's command line for this host. */
export function qemuArguments(place: Place, host: LabHost): string[] {
	const { image } = place;
	const folder = hostFolder(place, host);
	const disks = diskNames.flatMap((name) => [
		'-drive',
		`if=virtio,format=qcow2,cache=writeback,discard=unmap,file=${join(folder, `${name}.qcow2`)}`,
	]);
	const cards = networks.flatMap((network, at) => [
		'-netdev',
		`tap,id=${network},ifname=${tapOf(network, host)},script=no,downscript=no,vhost=off`,
		'-device',
		`virtio-net-pci,id=${network}-card,netdev=${network},romfile=,speed=1000,duplex=full,mac=52:54:00:77:0${at}:1${host.index}`,
	]);
	return [
		...words(
			`-name ${host.name} -accel tcg,thread=multi -cpu qemu64,+svm,+npt,+ssse3,+sse4.1,+sse4.2,+popcnt,+aes,+pclmulqdq -smp 1`,
		),
		...words(`-m ${hostMemoryMiB} -display none -nodefaults -no-user-config`),
		'-kernel',
		image.xen,
		'-append',
		xenLine,
		'-initrd',
		`${image.kernel} ${dom0Line(host).replaceAll(',', ',,')},${image.initrd}`,
		...disks,
		...cards,
		'-serial',
		`file:${join(folder, 'serial.log')}`,
		...words('-device i6300esb -action watchdog=reset'),
		...words(`-chardev socket,id=bmc,host=127.0.0.1,port=${bmcSerialPort(host)},reconnect=1`),
		...words('-device ipmi-bmc-extern,id=bmc0,chardev=bmc -device isa-ipmi-kcs,bmc=bmc0'),
		'-qmp',
		`unix:${qmpSocket(place, host)},server=on,wait=off`,
		'-pidfile',
		pidFile(place, host),
		'-daemonize',
	];
}

const quoted = (word: string): string => `'${word.replaceAll("'", String.raw`'\''`)}'`;

/** Writes the script that starts this host: the runner and the BMC use the same one. */
export async function writeStartScript(place: Place, host: LabHost): Promise<void> {
	const [command, args] = inside(place.namespace, 'qemu-system-x86_64');
	const words = [command, ...args, ...qemuArguments(place, host)].map(quoted).join(' ');
	const serial = quoted(join(hostFolder(place, host), 'serial.log'));
	const keep = `[ ! -e ${serial} ] || cat ${serial} >> ${serial}.old\n`;
	await writeFile(startScript(place, host), `#!/bin/sh\n${keep}exec ${words} "$@"\n`, {
		mode: 0o755,
	});
}

/** Fresh disks, not yet booted: the root is a layer over the image. */
export async function createDisks(place: Place, host: LabHost): Promise<void> {
	const folder = hostFolder(place, host);
	await mkdir(folder, { recursive: true });
	const root = join(folder, 'root.qcow2');
	await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', place.image.disk, '-F', 'raw', root]);
	for (const vm of vms) {
		const disk = join(folder, `${vm.name}.qcow2`);
		await run('qemu-img', ['create', '-q', '-f', 'qcow2', disk, `${diskMiB}M`]);
	}
}

/** Copies the disks, with the snapshots inside them, from one run's folder to another's. */
export async function copyDisks(from: Place, to: Place, host: LabHost): Promise<void> {
	await mkdir(hostFolder(to, host), { recursive: true });
	for (const name of diskNames) {
		const file = `${name}.qcow2`;
		await copyFile(
			join(hostFolder(from, host), file),
			join(hostFolder(to, host), file),
			constants.COPYFILE_FICLONE,
		);
	}
}

/** Starts the host's QEMU; it is running, or stopped at `-S`, when this returns. */
export async function startHost(place: Place, host: LabHost, ...extra: string[]): Promise<void> {
	await rm(pidFile(place, host), { force: true });
	await run(startScript(place, host), extra, { timeoutMs: 60_000 });
}

/** The process id of the host's QEMU, checked to be really that process; undefined when it is off. */
export async function hostPid(place: Place, host: LabHost): Promise<number | undefined> {
	try {
		const pid = Number(await readFile(pidFile(place, host), 'utf8'));
		const line = await readFile(`/proc/${pid}/cmdline`, 'utf8');
		return line.includes(pidFile(place, host)) ? pid : undefined;
	} catch {
		return undefined;
	}
}

/** A power cut: the QEMU process is gone when this returns. */
export async function cutPower(place: Place, host: LabHost): Promise<void> {
	const pid = await hostPid(place, host);
	if (pid === undefined) return;
	process.kill(pid, 'SIGKILL');
	const gone = async (): Promise<true | undefined> =>
		(await hostPid(place, host)) === undefined ? true : undefined;
	await until(gone, { what: `${host.name} to lose power`, timeoutMs: 10_000, everyMs: 5 });
}

/** Takes the carrier of one network card away, or gives it back. */
export async function setCarrier(
	place: Place,
	host: LabHost,
	network: Network,
	up: boolean,
): Promise<void> {
	await qmp(qmpSocket(place, host), 'set_link', { name: `${network}-card`, up });
}

const sshWords = words(
	'-o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectTimeout=10 -o ServerAliveInterval=5 -o ServerAliveCountMax=4 -o IdentitiesOnly=yes -o ControlMaster=auto -o ControlPersist=60',
);

const sshOptions = (place: Place): string[] => [
	...sshWords,
	'-i',
	place.image.sshKey,
	'-o',
	`ControlPath=${place.folder}/ssh-%h`,
];

/** The command line that runs `command` in dom0. */
export const sshCommand = (place: Place, host: LabHost, command: string): [string, string[]] =>
	inside(place.namespace, 'ssh', ...sshOptions(place), `root@${host.control}`, command);

/** Runs a shell command in dom0. */
export async function ssh(
	place: Place,
	host: LabHost,
	command: string,
	options: RunOptions = {},
): Promise<Outcome> {
	const [program, args] = sshCommand(place, host, command);
	return run(program, args, { timeoutMs: 60_000, ...options });
}

/** Copies a file into dom0 (the guest's ssh has no sftp to speak of: a pipe does). */
export async function putFile(
	place: Place,
	host: LabHost,
	source: string,
	target: string,
): Promise<void> {
	const [program, args] = sshCommand(place, host, `cat > ${target}`);
	const line = [program, ...args].map(quoted).join(' ');
	await run('sh', ['-c', `${line} < ${quoted(source)}`], { timeoutMs: 300_000 });
}

/** Forgets the shared ssh connection of a host that went away. */
export async function forgetSsh(place: Place, host: LabHost): Promise<void> {
	await run('ssh', ['-O', 'exit', '-o', `ControlPath=${place.folder}/ssh-%h`, host.control], {
		anyCode: true,
		timeoutMs: 5000,
	});
	await rm(join(place.folder, `ssh-${host.control}`), { force: true });
}

/** Waits until dom0 answers by ssh. */
export async function untilUp(place: Place, host: LabHost, timeoutMs = 600_000): Promise<void> {
	const probe = async (): Promise<true> => {
		await ssh(place, host, 'true', { timeoutMs: 20_000 });
		return true;
	};
	await until(probe, { what: `${host.name} to answer`, timeoutMs, everyMs: 1000 });
}
