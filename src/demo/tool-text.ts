import type { Outcome, ResourceObservation, VmName } from '#src/ports.ts';
import type { SimHost, Simulation } from '#src/sim/model.ts';
import type { Domain } from '#src/sim/model-migration.ts';

/** What the simulated world looks like in the words of DRBD 8.4, `xl` and `ipmitool`. */

/** The lines of one resource in `drbdsetup events2`; none for a resource that is down. */
export const resourceLines = (
	action: string,
	seen: ResourceObservation,
	minor: number,
): string[] => {
	const name = `name:${seen.resource}`;
	const peer = 'peer-node-id:0 conn-name:peer';
	const suspended = seen.suspended.length === 0 ? 'no' : seen.suspended.join(',');
	const [volume] = seen.volumes;
	return [
		`${action} resource ${name} role:${seen.role} suspended:${suspended}`,
		`${action} connection ${name} ${peer} connection:${seen.connection} role:${seen.peerRole}`,
		`${action} device ${name} volume:0 minor:${minor} disk:${volume?.disk ?? 'Diskless'}`,
		`${action} peer-device ${name} ${peer} volume:0 replication:${volume?.replication ?? 'Off'} peer-disk:${volume?.peerDisk ?? 'DUnknown'} resync-suspended:no out-of-sync:${volume?.outOfSyncKib ?? 0}`,
	];
};

/** What the kernel says for the outcomes that the simulated DRBD has. */
const refusals: Readonly<Record<string, readonly [number, string]>> = {
	'drbd-multiple-primaries': [
		11,
		'State change failed: (-1) Multiple primaries not allowed by config',
	],
	'drbd-needs-up-to-date': [17, 'State change failed: (-2) Need access to UpToDate data'],
	'drbd-no-local-disk': [16, 'State change failed: (-4) Can not resume without disk'],
	'drbd-connected': [11, 'State change failed: (-6) Can not outdate a connected peer'],
	'drbd-peer-not-outdated': [
		11,
		'State change failed: (-7) Refusing to be Primary while peer is not outdated',
	],
	'drbd-held-open': [11, 'State change failed: (-12) Device is held open by someone'],
	'drbd-lower-than-outdated': [5, 'State change failed: (-16) Disk state is lower than outdated'],
	'drbd-in-transition': [
		11,
		'State change failed: (-18) In transient state, retry after next state change',
	],
	'drbd-not-up': [10, 'Failure: (158) Unknown resource'],
};

/** Exit code and stderr of `drbdadm` for an outcome. */
export const drbdadmEnd = (outcome: Outcome): readonly [number, string] => {
	if (outcome.result === 'succeeded') return [0, ''];
	const code = outcome.result === 'failed' ? outcome.code : '';
	return refusals[code] ?? [1, outcome.detail];
};

/** The answer of `drbdadm get-gi`: current, bitmap and two older generations, then the flags. */
export const generationText = (uuid: string, bitmap: string, peerOutdated: boolean): string =>
	`${uuid}:${bitmap || '0'.repeat(16)}:${'0'.repeat(16)}:${'0'.repeat(16)}:1:1:0:1:0:${peerOutdated ? 1 : 0}:0`;

/** Far above real ids, so that nothing of a real host is ever meant. */
const domidFirst = 30_000;

/** The id of a domain; its number is at the end of its instance. */
export const domidOf = (domain: Domain): number =>
	domidFirst + Number(domain.instance.split('-').at(-1));

const stateLetters = (domain: Domain): string => {
	const paused = domain.presence === 'paused' ? 'p' : '-';
	const shutdown = domain.presence === 'stopped' ? 's' : '-';
	const crashed = domain.presence === 'stopped' && domain.reason === 'crash' ? 'c' : '-';
	const dying = domain.presence === 'dying' ? 'd' : '-';
	const blocked = domain.presence === 'running' ? 'b' : '-';
	return `-${blocked}${paused}${shutdown}${crashed}${dying}`;
};

const reasonCodes = ['poweroff', 'reboot', 'suspend', 'crash', 'watchdog', 'soft-reset'];

const domainRow = (name: string, memoryMib: number, domain: Domain): string => {
	const id = domidOf(domain);
	const uuid = `00000000-0000-4000-8000-${String(id).padStart(12, '0')}`;
	const code =
		domain.presence === 'stopped' ? String(reasonCodes.indexOf(domain.reason ?? 'poweroff')) : '-';
	return `${name.padEnd(40)} ${String(id).padStart(5)} ${String(memoryMib).padStart(5)}     1     ${stateLetters(domain)}       ${domain.neverRan ? '0.0' : '1.0'} ${uuid}        ${code}                -`;
};

/** `xl list -v`. */
export const domainListText = (simulation: Simulation, host: SimHost): string =>
	[
		'Name                                        ID   Mem VCPUs	State	Time(s)   UUID                            Reason-Code	Security Label',
		`${'Domain-0'.padEnd(40)}     0  1024     1     r-----     100.0 00000000-0000-0000-0000-000000000000        -                -`,
		...simulation.vms.flatMap((vm) => {
			const domain = host.domains.get(vm.name);
			return domain === undefined ? [] : [domainRow(vm.name, vm.engine.memoryMib, domain)];
		}),
	].join('\n');

/** The VM that a name or a domain id on a command line means. */
export const vmOfDomain = (host: SimHost, word: string): VmName | null => {
	for (const [vm, domain] of host.domains) {
		if (vm === word || String(domidOf(domain)) === word) return vm;
	}
	return null;
};

/** The address of a host's BMC. Nothing listens there: it only says which one is meant. */
export const bmcAddress = (index: number): string => `127.1.0.${index + 1}`;

/** What `ipmitool lan print` shows of a BMC. */
export const bmcText = (index: number): string =>
	[
		`IP Address              : ${bmcAddress(index)}`,
		`MAC Address             : 02:00:00:00:00:0${index + 1}`,
	].join('\n');

/** `drbdadm --version` of DRBD 8.4.11. */
export const drbdVersionText = [
	'DRBDADM_BUILDTAG=GIT-hash:\\ simulated',
	'DRBDADM_API_VERSION=1',
	'DRBD_KERNEL_VERSION_CODE=0x08040b',
	'DRBD_KERNEL_VERSION=8.4.11',
].join('\n');

const onHost = (host: string, index: number, address: number): string[] => [
	`    on ${host} {`,
	'        volume 0 {',
	`            device       /dev/drbd${index} minor ${index};`,
	`            disk         /dev/vg/disk${index};`,
	'            meta-disk    internal;',
	'        }',
	`        address          ipv4 10.0.0.${address}:${7800 + index};`,
	'    }',
];

/** One resource as `drbdadm dump` shows it, set up as vmpair wants it. */
export const resourceFileText = (
	resource: string,
	index: number,
	hosts: readonly string[],
	handler: string,
): string =>
	[
		`# resource ${resource} on ${hosts[0] ?? ''}: not ignored, not stacked`,
		`# defined at /etc/drbd.d/${resource}.res:1`,
		`resource ${resource} {`,
		...hosts.flatMap((host, at) => onHost(host, index, at + 1)),
		'    net {',
		'        protocol           C;',
		'        allow-two-primaries  no;',
		'        after-sb-0pri    discard-zero-changes;',
		'        after-sb-1pri    disconnect;',
		'        after-sb-2pri    disconnect;',
		'        rr-conflict      disconnect;',
		'        ping-int           1;',
		'        ping-timeout      10;',
		'        timeout            9;',
		'        connect-int        2;',
		'    }',
		'    disk {',
		'        fencing          resource-and-stonith;',
		'        on-io-error      detach;',
		'    }',
		'    handlers {',
		`        fence-peer       "${handler} fence-peer";`,
		`        before-resync-target "${handler} before-resync-target";`,
		'    }',
		'}',
	].join('\n');
