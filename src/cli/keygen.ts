import { parseOptions, usageError } from '#src/cli/options.ts';
import type { Surroundings } from '#src/cli/surroundings.ts';
import { createIdentity } from '#src/heartbeat/driver-identity.ts';

/**
 * `vmpair keygen --host NAME --out DIRECTORY`: this host's certificate and key for the heartbeat links.
 * Throws `usage` and the errors of `createIdentity`; existing files are kept.
 */
export const keygen = async (
	argv: string[],
	around: Pick<Surroundings, 'print'>,
): Promise<number> => {
	const { values } = parseOptions('keygen', argv, {
		host: { type: 'string' },
		out: { type: 'string' },
	});
	if (values.host === undefined) throw usageError('"vmpair keygen" needs --host NAME', 'keygen');
	if (values.out === undefined) throw usageError('"vmpair keygen" needs --out DIRECTORY', 'keygen');
	const identity = await createIdentity(values.out, values.host);
	around.print(`certificate  ${identity.certificatePath}`);
	around.print(`key          ${identity.keyPath}`);
	around.print(`fingerprint  ${identity.fingerprint256}`);
	around.print('');
	around.print(`Write this into vmpair.yaml on both hosts, as "certificate" of ${values.host}.`);
	return 0;
};
