import { parseConfiguration } from '#src/drbd/configuration.ts';
import type { ResourceName } from '#src/ports.ts';

/**
 * Whether both hosts may be Primary, from what `drbdsetup show RESOURCE` of 8.4 or 9 says of the kernel; null when it
 * says nothing of the resource. A default is not shown, and a resource without connection (StandAlone) allows nothing.
 */
export const allowsTwoPrimaries = (shown: string, resource: ResourceName): boolean | null => {
	const running = parseConfiguration(shown)?.get(resource);
	if (running === undefined) return null;
	return running.connections.some((net) => (net.get('allow-two-primaries') ?? 'no') !== 'no');
};
