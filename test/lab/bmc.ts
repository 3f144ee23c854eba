/** A BMC for each host: OpenIPMI's simulator, whose chassis script really ends and starts the host's QEMU. */
import { spawn } from 'node:child_process';
import { openSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bmcSerialPort, hostFolder, pidFile, startScript, type Place } from './host.ts';
import { inside } from './network.ts';
import { run, until } from './tool.ts';
import { bmcPassword, bmcUser, type LabHost } from './world.ts';

const bmcFolder = (place: Place, host: LabHost): string => join(hostFolder(place, host), 'bmc');
const bmcPidFile = (place: Place, host: LabHost): string => join(bmcFolder(place, host), 'pid');

/** Distinct for each host, so that a check can tell whose BMC it is. */
const bmcGuid = (host: LabHost): string =>
	`766d7061697200000000000000000${host.index}0${host.index}`;

const lanConfig = (place: Place, host: LabHost): string => `name "${host.name}"
set_working_mc 0x20
startlan 1
  addr ${host.bmc} 623
  priv_limit admin
  allowed_auths_callback none md2 md5 straight
  allowed_auths_user none md2 md5 straight
  allowed_auths_operator none md2 md5 straight
  allowed_auths_admin none md2 md5 straight
  guid ${bmcGuid(host)}
  lan_config_program "${join(bmcFolder(place, host), 'lan')}"
endlan
chassis_control "${join(bmcFolder(place, host), 'chassis')}"
serial 15 127.0.0.1 ${bmcSerialPort(host)} codec VM
user 1 true "" "anonymous" user 10 none md2 md5 straight
user 2 true "${bmcUser}" "${bmcPassword}" admin 10 none md2 md5 straight
`;

const emulation = (host: LabHost): string => `mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable 0x20 1000 0x0a
mc_set_guid 0x20 ${bmcGuid(host)}
mc_enable 0x20
`;

/** `chassis get|set power [0|1]`: power is the QEMU process. Every call is one line in a log with its time. */
const chassisScript = (place: Place, host: LabHost): string => `#!/bin/sh
pid_file='${pidFile(place, host)}'
log='${join(bmcFolder(place, host), 'chassis.log')}'
alive() {
	[ -s "$pid_file" ] && grep -q -a -F "$pid_file" "/proc/$(cat "$pid_file")/cmdline" 2>/dev/null
}
cut() {
	alive && kill -9 "$(cat "$pid_file")"
	while alive; do sleep 0.01; done
}
start() {
	alive || { rm -f "$pid_file"; '${startScript(place, host)}' >>"$log" 2>&1 </dev/null; }
}
verb=$1
shift
[ "$verb" = get ] || echo "$(date +%s.%3N) $verb $*" >>"$log"
while [ $# -gt 0 ]; do
	case "$verb $1" in
	'get power') if alive; then echo power:1; else echo power:0; fi ;;
	'set power') if [ "$2" = 1 ]; then start; else cut; fi; shift ;;
	'set reset') cut; start; shift ;;
	'set shutdown') cut; shift ;;
	'set boot' | 'set identify') shift ;;
	'get boot') echo boot:none ;;
	esac
	shift
done
exit 0
`;

const lanScript = (host: LabHost): string => `#!/bin/sh
verb=$1
shift
[ "$verb" = get ] || exit 0
for name in "$@"; do
	case $name in
	ip_addr_src) echo ip_addr_src:static ;;
	ip_addr) echo ip_addr:${host.bmc} ;;
	mac_addr) echo mac_addr:52:54:00:77:0b:1${host.index} ;;
	subnet_mask) echo subnet_mask:255.255.255.0 ;;
	*_ip_addr) echo "$name:0.0.0.0" ;;
	*_mac_addr) echo "$name:00:00:00:00:00:00" ;;
	esac
done
`;

/** The BMC's own process; undefined when it does not run. */
async function bmcPid(place: Place, host: LabHost): Promise<number | undefined> {
	try {
		const pid = Number(await readFile(bmcPidFile(place, host), 'utf8'));
		const line = await readFile(`/proc/${pid}/cmdline`, 'utf8');
		return line.includes(bmcFolder(place, host)) ? pid : undefined;
	} catch {
		return undefined;
	}
}

/** Starts the host's BMC; it answers over the management network when this returns. */
export async function startBmc(place: Place, host: LabHost): Promise<void> {
	const folder = bmcFolder(place, host);
	await mkdir(join(folder, 'state'), { recursive: true });
	await writeFile(join(folder, 'lan.conf'), lanConfig(place, host));
	await writeFile(join(folder, 'emulation'), emulation(host));
	await writeFile(join(folder, 'chassis'), chassisScript(place, host), { mode: 0o755 });
	await writeFile(join(folder, 'lan'), lanScript(host), { mode: 0o755 });
	const files = ['-c', join(folder, 'lan.conf'), '-f', join(folder, 'emulation')];
	const state = ['-s', join(folder, 'state'), '-n'];
	const [command, args] = inside(place.namespace, 'ipmi_sim', ...files, ...state);
	const log = openSync(join(folder, 'log'), 'a');
	const child = spawn(command, args, { detached: true, stdio: ['ignore', log, log] });
	child.unref();
	if (child.pid === undefined) throw new Error(`cannot start the BMC of ${host.name}`);
	await writeFile(bmcPidFile(place, host), String(child.pid));
	const answered = async (): Promise<true> => {
		await bmcCall(place, host, 'chassis', 'power', 'status');
		return true;
	};
	await until(answered, { what: `the BMC of ${host.name}`, timeoutMs: 30_000 });
}

/** Asks the host's BMC over the management network, as the product would. */
async function bmcCall(place: Place, host: LabHost, ...words: string[]): Promise<string> {
	const login = [
		'-I',
		'lanplus',
		'-C',
		'3',
		'-N',
		'1',
		'-R',
		'2',
		'-H',
		host.bmc,
		'-U',
		bmcUser,
		'-E',
	];
	const [command, args] = inside(place.namespace, 'ipmitool', ...login, ...words);
	const { stdout } = await run(command, args, {
		env: { IPMITOOL_PASSWORD: bmcPassword },
		timeoutMs: 30_000,
	});
	return stdout;
}

/** The BMC dies: no answer to anybody. The host itself goes on. */
export async function killBmc(place: Place, host: LabHost): Promise<void> {
	const pid = await bmcPid(place, host);
	if (pid === undefined) return;
	process.kill(pid, 'SIGKILL');
	const gone = async (): Promise<true | undefined> =>
		(await bmcPid(place, host)) === undefined ? true : undefined;
	await until(gone, { what: `the BMC of ${host.name} to end`, timeoutMs: 10_000, everyMs: 10 });
}
