import type { MonotonicMs } from '#src/ports.ts';

/** What one run of the agent remembers of an open migration; what it does not know, the next look shows. */
export interface MigrationMemory {
	/** Until then this host waits for the VM's memory; null: it does not. */
	readonly receivingUntilMs: MonotonicMs | null;
	/** When xl ended its sending here. */
	readonly sentMs: MonotonicMs | null;
	/** Since when the VM's own domain is not here any more and xl is not under way. */
	readonly goneSinceMs: MonotonicMs | null;
	/** Who wants it to turn back; null: nobody. */
	readonly cancelledBy: string | null;
	/** What the next step waits for, for people; empty while one is taken. */
	readonly waitsFor: string;
}
