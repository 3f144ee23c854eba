import { apiClient } from '#src/api/driver-client.ts';
import { engineStateSchema, type Question } from '#src/api/what-if.ts';
import { namedHost, namedLink, namedVm } from '#src/cli/names.ts';
import { parseOptions, usageError } from '#src/cli/options.ts';
import { exit, type Surroundings } from '#src/cli/surroundings.ts';
import { whatIfLines } from '#src/cli/what-if-text.ts';
import type { State } from '#src/engine/state.ts';
import { whatIf as simulated } from '#src/sim/what-if.ts';
import type { Status } from '#src/api/view.ts';
import { version } from '#src/version.ts';

/** A host or a link may be called `migrate`: what stands behind it tells them apart. */
const questionOf = (status: Status, one: string, other: string): Question => {
	if (other === 'dead') return { kind: 'dead', host: namedHost(status, one).host };
	if (other === 'cut') return { kind: 'cut', link: namedLink(status, one).link };
	if (one === 'migrate') return { kind: 'migrate', vm: namedVm(status, other).vm };
	throw usageError(`it is not known what "${one} ${other}" supposes`, 'what-if');
};

/**
 * `vmpair what-if HOST dead | LINK cut | migrate VM`: what both agents would do. The agent only hands out its state;
 * all that follows happens in this process. Throws `unknown-host`, `unknown-link`, `unknown-vm` and `version-mismatch`.
 */
export const whatIf = async (argv: string[], around: Surroundings): Promise<number> => {
	const { values, positionals } = parseOptions(
		'what-if',
		argv,
		{ json: { type: 'boolean', default: false } },
		['HOST dead', 'LINK cut or migrate VM'],
	);
	const [one = '', other = ''] = positionals;
	const client = apiClient(around.socketPath);
	const question = questionOf(await client.status(), one, other);
	// Checked here: the client is loaded by every verb, and must not load zod with it.
	const { state } = engineStateSchema.parse(await client.engine(version));
	// Of the same version: what comes is what this very program would have held.
	const answer = simulated(state as unknown as State, question);
	if (values.json) around.print(JSON.stringify(answer));
	else whatIfLines(answer, around).forEach(around.print);
	return exit.done;
};
