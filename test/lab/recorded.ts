import { balanceSettings } from '#src/config/balance.ts';
import { balanceSchema } from '#src/config/schema-balance.ts';
import type { EngineConfig, EngineVm } from '#src/engine/config.ts';

type Later = 'balance' | 'healthChecks';

/** The configuration that a recorded run began with; an earlier version knew less. */
export type RecordedConfig = Omit<EngineConfig, Later | 'vms'> &
	Partial<Pick<EngineConfig, Later>> & {
		readonly vms: readonly (Omit<EngineVm, 'balance'> & Partial<Pick<EngineVm, 'balance'>>)[];
	};

/** What a later version added is as if it had been left out then: nothing was moved for load, nothing checked. */
export const configOf = (recorded: RecordedConfig): EngineConfig => ({
	balance: balanceSettings(balanceSchema.parse({ mode: 'off' })),
	healthChecks: [],
	...recorded,
	vms: recorded.vms.map((vm) => ({ balance: { pinned: false, near: [], apart: [] }, ...vm })),
});
