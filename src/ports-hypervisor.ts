import type { HypervisorObservation, MonotonicMs, Outcome, VmName } from '#src/ports.ts';

/**
 * The toolstack that runs VMs on this host. Every call ends exactly once and within its limit; none
 * rejects. `limitMs` bounds one call; without it the driver's own limit counts.
 */
export interface Hypervisor {
	/**
	 * Reports what the managed VMs' domains do, at each change and at least every few seconds; null when the
	 * toolstack did not answer in time (unknown, not "nothing"). `beganMs`: when the look began, on the clock that all
	 * processes of this host share. The returned function ends the watch.
	 */
	watch(
		onObserved: (observation: HypervisorObservation | null, beganMs: MonotonicMs) => void,
	): () => void;
	/** Look every second, because pauses must be verified again and again; or as usual. */
	watchClosely(closely: boolean): void;
	/** Creates the VM's domain paused, without any monitor that would restart it. Value: its instance. */
	create(vm: VmName, limitMs?: number): Promise<Outcome>;
	/** Lets the VM run: succeeded when the pause flag was seen gone. */
	unpause(vm: VmName, limitMs?: number): Promise<Outcome>;
	/** Succeeded when the pause flag was seen set. */
	pause(vm: VmName, limitMs?: number): Promise<Outcome>;
	/** Asks the guest to shut down; ends when asked, not when it is down. */
	shutdown(vm: VmName, limitMs?: number): Promise<Outcome>;
	/** Succeeded when the domain and every device of it were seen gone; also when there was none. */
	destroy(vm: VmName, limitMs?: number): Promise<Outcome>;
	/** Waits for the VM's memory from the peer, succeeded when the peer can send. */
	receive(vm: VmName, limitMs?: number): Promise<Outcome>;
	/** Sends the running VM to the peer, which waits for it, and leaves the copy there paused; ends when xl has. */
	send(vm: VmName, limitMs?: number): Promise<Outcome>;
	/** Ends the transport of a migration, never xl itself: before xl's point of no return the guest goes on here. */
	cutMigration(vm: VmName, limitMs?: number): Promise<Outcome>;
	/** Destroys `VM--incoming` or `VM--migratedaway`; succeeded when seen gone; also when there was none. */
	destroyTwin(vm: VmName, limitMs?: number): Promise<Outcome>;
	/** What forbids arming, as sentences with remedies; empty when all is well. */
	preflight(): Promise<string[]>;
}
