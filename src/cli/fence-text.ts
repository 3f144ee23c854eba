import { cell, table, wrap, type Cell, type Column } from '#src/cli/text.ts';
import type { CheckedDevice, FenceCheck } from '#src/fence/check.ts';
import { span } from '#src/std/span.ts';

/** How wide and whether in colour. */
interface Look {
	readonly columns: number;
	readonly colour: boolean;
}

interface Asked extends CheckedDevice {
	readonly host: string;
	readonly level: number;
	/** It is a device of the host that asks. */
	readonly own: boolean;
}

const asked = (check: FenceCheck): readonly Asked[] =>
	check.hosts.flatMap(({ host, levels }) =>
		levels.flatMap(({ level, devices }) =>
			devices.map((device) => ({ ...device, host, level, own: host === check.self })),
		),
	);

/** What is wrong with a device, as a sentence; null when nothing is. */
const faultOf = (device: Asked): string | null => {
	const where = `${device.device} (level ${device.level} of ${device.host})`;
	if (device.mapping?.result === 'mismatch') return device.mapping.sentence;
	if (device.own && device.power === 'off')
		return `${where} reads off although ${device.host} runs: it belongs to another host.`;
	if (device.power !== 'unknown') return null;
	// The secrets of the own devices may be on the other host alone: it is the one that uses them.
	if (device.own && !device.asked) return null;
	return `${where} does not answer: ${device.detail}`;
};

/** Every fault that the check found, as sentences; empty when the ladders of both hosts are whole. */
export const fenceFaults = (check: FenceCheck): readonly string[] => {
	const devices = asked(check);
	const bare = check.hosts.flatMap(({ host, levels }) =>
		levels.length > 0 ? [] : [`${host} has no fence device: only a person can say that it is off.`],
	);
	return [...bare, ...devices.flatMap((device) => faultOf(device) ?? [])];
};

const whose = ({ mapping, identity, asked: couldAsk }: Asked): Cell => {
	if (!couldAsk) return cell('its secret is not on this host', 'dim');
	if (mapping?.result === 'matched') return cell("this host's own BMC", 'good');
	if (mapping?.result === 'mismatch') return cell("NOT this host's BMC", 'bad');
	const { macAddress, guid, ipAddress } = identity;
	const says = macAddress ?? guid ?? ipAddress;
	return says === null ? cell('does not say', 'dim') : cell(says);
};

const columns: readonly Column[] = [
	{ title: 'HOST', shed: 0 },
	{ title: 'LEVEL', shed: 0 },
	{ title: 'DEVICE', shed: 0 },
	{ title: 'KIND', shed: 1 },
	{ title: 'POWER', shed: 0 },
	{ title: 'TOOK', shed: 0 },
	{ title: 'WHOSE', shed: 2 },
];

/** The check on one screen: every device of both ladders, then what is wrong. */
export const fenceLines = (check: FenceCheck, look: Look): readonly string[] => {
	const rows = asked(check).map((device) => [
		cell(device.own ? `${device.host} (this host)` : device.host, 'strong'),
		cell(String(device.level)),
		cell(device.device),
		cell(device.kind),
		cell(device.power, faultOf(device) === null ? 'plain' : 'bad'),
		cell(span(device.tookMs)),
		whose(device),
	]);
	const faults = fenceFaults(check);
	const end =
		faults.length === 0
			? ['Every level can be used.']
			: faults.flatMap((fault) => wrap(`! ${fault}`, look.columns));
	return [...table(columns, rows, look.columns, look.colour), '', ...end];
};
