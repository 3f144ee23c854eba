/** The DRBD resource files of both hosts: as the product asks for them (fencing, handlers, short timers). */
import { hosts, vms, type LabHost, type LabVm } from './world.ts';

const handler = (event: string): string => `${event} "/usr/lib/vmpair/drbd-handler ${event}";`;

const side = (vm: LabVm, host: LabHost): string => `	on ${host.name} {
		device /dev/drbd${vm.minor} minor ${vm.minor};
		disk ${vm.backing};
		meta-disk internal;
		address ${host.replication}:${vm.port};
	}`;

/** One resource a VM, one volume, protocol C, frozen on the loss of the peer. */
const resourceFile = (vm: LabVm): string => `resource ${vm.name} {
	net {
		protocol C;
		cram-hmac-alg sha256;
		shared-secret "lab-${vm.name}";
		allow-two-primaries no;
		after-sb-0pri discard-zero-changes;
		after-sb-1pri disconnect;
		after-sb-2pri disconnect;
		rr-conflict disconnect;
		ping-int 1;
		ping-timeout 10;
		timeout 9;
		connect-int 2;
		ko-count 7;
	}
	disk {
		fencing resource-and-stonith;
		on-io-error detach;
	}
	handlers {
		${handler('fence-peer')}
		${handler('before-resync-target')}
	}
${hosts.map((host) => side(vm, host)).join('\n')}
}
`;

/** Every file DRBD reads, by path in the host. */
export const drbdFiles = (): Record<string, string> => ({
	'/etc/drbd.d/global_common.conf': 'global { usage-count no; }\ncommon { }\n',
	...Object.fromEntries(vms.map((vm) => [`/etc/drbd.d/${vm.name}.res`, resourceFile(vm)])),
});
