import { apiClient } from '#src/api/driver-client.ts';
import { actOptions } from '#src/cli/act.ts';
import { namedHost, namedVm } from '#src/cli/names.ts';
import { parseOptions } from '#src/cli/options.ts';
import type { Surroundings } from '#src/cli/surroundings.ts';

/** What a verb that takes a VM to another host is told. */
export interface Destination {
	readonly vm: string;
	/** As written; null: the other host, whichever that is when the owner decides. */
	readonly to: string | null;
	/** Where it shall be, as things are now. */
	readonly target: string;
	readonly json: boolean;
	readonly wait: boolean;
}

/** Reads `VM [--to HOST]` and the options of every verb that acts. Throws `unknown-vm` and `unknown-host`. */
export const destinationOf = async (
	verb: 'move' | 'migrate',
	argv: string[],
	around: Surroundings,
): Promise<Destination> => {
	const { values, positionals } = parseOptions(
		verb,
		argv,
		{ ...actOptions, to: { type: 'string' } },
		['VM'],
	);
	const [vm = ''] = positionals;
	const status = await apiClient(around.socketPath).status();
	if (values.to !== undefined) namedHost(status, values.to);
	const { owner } = namedVm(status, vm);
	const other = status.hosts.find((host) => host.host !== owner)?.host ?? '';
	return {
		vm,
		to: values.to ?? null,
		target: values.to ?? other,
		json: values.json,
		wait: !values['no-wait'],
	};
};
