import type { BmcIdentity, MappingVerdict } from '#src/fence/mapping.ts';
import type { HostName } from '#src/ports.ts';

/** What a fence device said when a person asked (`vmpair fence check`). */
export interface CheckedDevice {
	readonly device: string;
	/** `ipmi`, or the name of its fence agent. */
	readonly kind: string;
	readonly power: 'on' | 'off' | 'unknown';
	/** False when this host could not even ask: it has no readable secret for the device. */
	readonly asked: boolean;
	/** Why the power is unknown, in the tool's words; empty otherwise. */
	readonly detail: string;
	readonly tookMs: number;
	/** What it says of itself over the network. */
	readonly identity: BmcIdentity;
	/** Held against what this host reads of its own BMC in-band; null for the devices of the other host. */
	readonly mapping: MappingVerdict | null;
}

export interface CheckedLevel {
	/** 1 is the first. */
	readonly level: number;
	readonly devices: readonly CheckedDevice[];
}

/** Both hosts' ladders as the agent of one host sees them now. */
export interface FenceCheck {
	readonly self: HostName;
	/** This host first. */
	readonly hosts: readonly {
		readonly host: HostName;
		readonly levels: readonly CheckedLevel[];
	}[];
}
