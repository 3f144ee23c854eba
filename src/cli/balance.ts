import { apiClient } from '#src/api/driver-client.ts';
import type { Status } from '#src/api/view.ts';
import { act, actOptions, type Goal } from '#src/cli/act.ts';
import { loadText } from '#src/cli/load-text.ts';
import { parseOptions } from '#src/cli/options.ts';
import { exit, type Surroundings } from '#src/cli/surroundings.ts';

const loadLines = ({ hosts }: Status): string[] =>
	hosts.map((host) => `load of ${host.host}: ${loadText(host)}`);

/** What an order would do; of the other host only what that one has told. */
const verdictLines = ({ self, peer, balance }: Status): string[] => {
	const { kind, vm, sentence } = balance.order;
	const own =
		kind === 'calm'
			? `${self} is not overloaded: nothing would be moved away from it`
			: kind === 'move'
				? `${vm ?? ''} would go to ${peer}: ${sentence}`
				: sentence;
	const there =
		balance.peerVerdict === null
			? `${peer} does not say what it makes of its load`
			: balance.peerVerdict === ''
				? `${peer} is not overloaded, or not for long enough: ask there for more`
				: `${peer} says: ${balance.peerVerdict}`;
	return [own, there, `mode: ${balance.mode}`];
};

const tellOnly = (status: Status, json: boolean, around: Surroundings): number => {
	const { hosts, balance } = status;
	const loads = hosts.map(({ host, load, critical }) => ({ host, load, critical }));
	if (json) around.print(JSON.stringify({ hosts: loads, balance }));
	else for (const line of [...loadLines(status), ...verdictLines(status)]) around.print(line);
	return exit.done;
};

/** Some VM has another owner than before, and runs; or one was on its way and came back. */
const goalFrom = (before: Status): Goal => {
	const owners = new Map(before.vms.map(({ vm, owner }) => [vm, owner]));
	const { kind, vm } = before.balance.order;
	let began = false;
	return {
		reached: ({ vms }) =>
			vms.some((now) => now.state === 'running' && now.owner !== owners.get(now.vm)),
		missed: ({ vms }) => {
			const moving = vms.some(({ state }) => state === 'moving');
			began ||= moving;
			const moved = vms.some((now) => now.owner !== owners.get(now.vm));
			return began && !moving && !moved ? 'its live migration turned back' : null;
		},
		vm: null,
		done: kind === 'move' ? `${vm ?? ''} runs on ${before.peer}` : 'a VM has moved: vmpair status',
	};
};

/**
 * `vmpair balance [--dry-run]`: moves the one VM now that the load policy would move, without waiting for hold, mode
 * and rests.
 */
export const balance = async (argv: string[], around: Surroundings): Promise<number> => {
	const options = { ...actOptions, 'dry-run': { type: 'boolean', default: false } } as const;
	const { values } = parseOptions('balance', argv, options);
	const status = await apiClient(around.socketPath).status();
	if (values['dry-run']) return tellOnly(status, values.json, around);
	if (!values.json) for (const line of loadLines(status)) around.print(line);
	return await act(
		{ verb: 'balance', by: around.user },
		goalFrom(status),
		{ json: values.json, wait: !values['no-wait'] },
		around,
	);
};
