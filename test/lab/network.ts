/** One network namespace: a bridge per network, a tap per host and network. Nothing in it leads out. */
import { run } from './tool.ts';
import {
	hosts,
	networks,
	outerAddress,
	witnessAddress,
	type LabHost,
	type Network,
} from './world.ts';

export const tapOf = (network: Network, host: LabHost): string => `${network}${host.index}`;
const bridgeOf = (network: Network): string => `br-${network}`;

/** The command line that runs something inside the namespace. */
export const inside = (namespace: string, ...command: string[]): [string, string[]] => [
	'ip',
	['netns', 'exec', namespace, ...command],
];

/** Makes the namespace with its bridges, taps and addresses. */
export async function createNetwork(namespace: string): Promise<void> {
	await run('ip', ['netns', 'add', namespace]);
	const ip = (...args: string[]): Promise<unknown> => run('ip', ['-n', namespace, ...args]);
	await ip('link', 'set', 'lo', 'up');
	for (const network of networks) {
		const bridge = bridgeOf(network);
		await ip('link', 'add', bridge, 'type', 'bridge', 'forward_delay', '0', 'stp_state', '0');
		await ip('address', 'add', `${outerAddress[network]}/24`, 'dev', bridge);
		await ip('link', 'set', bridge, 'up');
		for (const host of hosts) {
			const tap = tapOf(network, host);
			await ip('tuntap', 'add', tap, 'mode', 'tap');
			await ip('link', 'set', tap, 'master', bridge);
			await ip('link', 'set', tap, 'up');
		}
	}
	for (const address of [...hosts.map(({ bmc }) => bmc), witnessAddress]) {
		await ip('address', 'add', `${address}/24`, 'dev', bridgeOf('management'));
	}
}

/**
 * Cuts or heals the way between the hosts on one network. Each still sees its carrier, and reaches what else is there
 * (BMCs, receivers of alerts): isolated ports of a bridge pass nothing to each other only.
 */
export async function setPath(
	namespace: string,
	network: Network,
	state: 'cut' | 'whole',
): Promise<void> {
	const isolated = state === 'cut' ? 'on' : 'off';
	for (const host of hosts) {
		const tap = tapOf(network, host);
		await run('bridge', ['-n', namespace, 'link', 'set', 'dev', tap, 'isolated', isolated]);
	}
}

/** Removes the namespace and with it every bridge and tap; no error when it is gone already. */
export async function removeNetwork(namespace: string): Promise<void> {
	await run('ip', ['netns', 'delete', namespace], { anyCode: true });
}
