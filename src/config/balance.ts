import type * as z from 'zod';
import type { balanceSchema } from '#src/config/schema-balance.ts';
import type { LoadKind } from '#src/ports-load.ts';
import type { VmName } from '#src/ports.ts';

/** How a VM takes part in balancing. */
export interface VmBalance {
	/** Never moved because of load. */
	readonly pinned: boolean;
	/** Preferences among moves: with whom it should share a host, and with whom not. */
	readonly near: readonly VmName[];
	readonly apart: readonly VmName[];
}

/** When VMs are moved because a host is overloaded. Shares are 0 to 1, times in ms. */
export interface BalanceSettings {
	readonly mode: 'auto' | 'advise' | 'off';
	/** A host counts as overloaded when it was above a limit for all of this time. */
	readonly holdMs: number;
	readonly limits: Readonly<Record<LoadKind, number>>;
	/** The other host must stay at or below it in every kind after the move. */
	readonly target: number;
	/** What a move must bring at least. */
	readonly gain: number;
	readonly vmCooldownMs: number;
	readonly pairCooldownMs: number;
	/** Whether one host must be able to hold all VMs before any is moved for load. */
	readonly spare: 'required' | 'waived';
}

/** The settings as they are written, with shares in the place of percents. */
export const balanceSettings = (file: z.output<typeof balanceSchema>): BalanceSettings => ({
	mode: file.mode,
	holdMs: file.hold,
	limits: {
		cpu: file.limits.cpu / 100,
		dom0: file.limits.dom0 / 100,
		memory: file.limits.memory / 100,
		disk: file.limits.disk / 100,
		network: file.limits.network / 100,
	},
	target: file.target / 100,
	gain: file.gain / 100,
	vmCooldownMs: file.cooldown.vm,
	pairCooldownMs: file.cooldown.pair,
	spare: file.spare,
});
