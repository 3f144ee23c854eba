import { apiClient } from '#src/api/driver-client.ts';
import { completionScript, shells } from '#src/cli/completion-text.ts';
import { parseOptions, usageError } from '#src/cli/options.ts';
import { exit, type Surroundings } from '#src/cli/surroundings.ts';

/** `vmpair completion bash|zsh|fish|vms|hosts`: the script for a shell, or the names that it asks for. */
export const completion = async (argv: string[], around: Surroundings): Promise<number> => {
	const { positionals } = parseOptions('completion', argv, {}, ['bash, zsh, fish, vms or hosts']);
	const [what = ''] = positionals;
	const shell = shells.find((each) => each === what);
	if (shell !== undefined) {
		around.print(completionScript(shell).trimEnd());
		return exit.done;
	}
	if (what !== 'vms' && what !== 'hosts')
		throw usageError(`there is no completion for "${what}"`, 'completion');
	const { vms, hosts } = await apiClient(around.socketPath).status();
	const names = what === 'vms' ? vms.map(({ vm }) => vm) : hosts.map(({ host }) => host);
	names.forEach(around.print);
	return exit.done;
};
