import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { parseOptions } from '#src/cli/options.ts';
import { exit, type Surroundings } from '#src/cli/surroundings.ts';
import { createIdentity } from '#src/heartbeat/driver-identity.ts';

/** Where the configuration looks for the certificate and its key when it does not say otherwise. */
const usualDirectory = '/etc/vmpair';

/**
 * `vmpair keygen [--host NAME] [--out DIRECTORY] [--json]`: this host's certificate and key for the
 * heartbeat links. Throws the errors of `createIdentity`; existing files are kept.
 */
export const keygen = async (
	argv: string[],
	around: Pick<Surroundings, 'print'>,
): Promise<number> => {
	const { values } = parseOptions('keygen', argv, {
		host: { type: 'string', default: hostname() },
		out: { type: 'string', default: usualDirectory },
		json: { type: 'boolean', default: false },
	});
	const { host, out } = values;
	const { certificatePath, keyPath, fingerprint256 } = await createIdentity(out, host);
	if (values.json) {
		around.print(JSON.stringify({ host, certificatePath, keyPath, fingerprint256 }));
		return exit.done;
	}
	around.print(`certificate  ${certificatePath}`);
	around.print(`key          ${keyPath}`);
	around.print(`fingerprint  ${fingerprint256}`);
	around.print('');
	around.print(
		`Write the fingerprint into vmpair.yaml on both hosts, as "certificate" of ${host}.`,
	);
	if (dirname(certificatePath) !== usualDirectory) {
		around.print(`Name the two files there, too, under "tls": certificate and key.`);
	}
	return exit.done;
};
