import { answer, type Answer } from '#src/health/answer.ts';

/** The link of one physical network device; null: it is switched off, so that the kernel tells none. */
interface Link {
	readonly device: string;
	readonly carrier: boolean | null;
}

/** What was found of a device that is checked. */
export interface DeviceLinks {
	/** A bridge has a carrier as soon as a VM is on it, so its physical devices count. */
	readonly bridge: boolean;
	/** Of a bridge its physical devices, else the device itself. */
	readonly links: readonly Link[];
}

/** The content of a file `carrier`. */
export const parseCarrier = (text: string): boolean | null => {
	const word = text.trim();
	return word === '1' ? true : word === '0' ? false : null;
};

const lost = ({ device, carrier }: Link): string =>
	carrier === null
		? `${device} is switched off (ip link set ${device} up)`
		: `${device} has no link (cable, switch port)`;

/** Whether a device, or one physical device of a bridge, has a link. `found` is null when there is no such device. */
export const carrierAnswer = (check: string, device: string, found: DeviceLinks | null): Answer => {
	const correct = `correct health.${check}.carrier in vmpair.yaml`;
	if (found === null) return answer('unknown', `there is no network device ${device}: ${correct}`);
	const up = found.links.filter(({ carrier }) => carrier === true);
	const down = found.links.filter(({ carrier }) => carrier !== true);
	if (!found.bridge)
		return down[0] === undefined
			? answer('ok', `${device} has a link`)
			: answer('critical', lost(down[0]));
	if (found.links.length === 0)
		return answer('unknown', `the bridge ${device} has no physical device: ${correct}`);
	if (up.length === 0)
		return answer('critical', `the bridge ${device} is cut off: ${down.map(lost).join(', ')}`);
	const rest = down.length === 0 ? '' : `; ${down.map(lost).join(', ')}`;
	return answer(
		'ok',
		`the bridge ${device} has a link by ${up.map((each) => each.device).join(' and ')}${rest}`,
	);
};
