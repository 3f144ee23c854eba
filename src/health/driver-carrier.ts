import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseCarrier, type DeviceLinks } from '#src/health/carrier.ts';

/** The kernel tells no carrier of a device that is switched off: reading the file fails. */
const carrierOf = async (sys: string, device: string): Promise<boolean | null> =>
	await readFile(join(sys, 'class/net', device, 'carrier'), 'latin1').then(
		parseCarrier,
		() => null,
	);

/**
 * What is known of a device's links now; null when there is no such device. Never rejects. `physicalBelow` finds the
 * physical devices of a bridge.
 */
export const linksOf = async (
	sys: string,
	device: string,
	physicalBelow: (device: string) => Promise<readonly string[]>,
): Promise<DeviceLinks | null> => {
	const names = await readdir(join(sys, 'class/net', device)).catch(() => null);
	if (names === null) return null;
	const bridge = names.includes('bridge') || device === 'ovs-system';
	const links: DeviceLinks['links'][number][] = [];
	for (const each of bridge ? await physicalBelow(device) : [device])
		links.push({ device: each, carrier: await carrierOf(sys, each) });
	return { bridge, links };
};
