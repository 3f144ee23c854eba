/** The `xl` configuration of a ledger guest. */
import { guestFolder } from './guest.ts';
import { outerAddress, recorderPort, vmMemoryMiB, type LabVm } from './world.ts';

/** `xl` configuration of the VM in a slot, under a name of its own; its guest writes once in so long. */
export function guestConfig(slot: LabVm, name: string, writeEveryMs: number): string {
	const recorder = `${outerAddress.guest}:${recorderPort}`;
	const words = ['console=hvc0 quiet', `vm=${name} addr=${slot.address} recorder=${recorder}`];
	return `name = "${name}"
type = "pvh"
kernel = "${guestFolder}/vmlinux"
ramdisk = "${guestFolder}/ledger.img"
extra = "${[...words, `period=${writeEveryMs}`].join(' ')}"
memory = ${vmMemoryMiB}
vcpus = 1
disk = ["phy:/dev/drbd/by-res/${slot.name},xvda,w"]
vif = ["bridge=xenbr0,mac=${slot.mac}"]
on_poweroff = "destroy"
on_reboot = "destroy"
on_crash = "destroy"
`;
}
