import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hostConfig } from '#src/config/config.ts';
import { loadConfig } from '#src/config/driver.ts';
import type { Route } from '#src/migrate/driver.ts';
import { migrationEnds, sshRouteOf, type SshRoute } from '#src/migrate/ssh.ts';
import { transportFile, type End, type Transport } from '#src/migrate/transport.ts';
import { VmpairError } from '#src/std/error.ts';

/** What both ends of a migration's transport begin with. */
export interface Start {
	readonly route: Route;
	/** Null: straight over the network. */
	readonly ssh: SshRoute | null;
	/** Says what this process does, for the agent. */
	readonly say: (state: Transport['state'], bytes?: number) => void;
	/** Takes that back. */
	readonly silence: () => void;
}

/**
 * Reads where the stream goes and who may be there. Throws `config-invalid`, `unknown-vm` and the errors of reading
 * the certificate.
 */
export const transportOf = async (end: End, configFile: string, vm: string): Promise<Start> => {
	// The agent has checked the files; a secret that is missing must not stop a migration.
	const { config } = await loadConfig(configFile, { files: false });
	if (!config.vms.some((each) => each.vm === vm)) {
		throw new VmpairError('unknown-vm', `there is no VM "${vm}" in ${configFile}`, {
			next: '"vmpair status" shows every VM',
		});
	}
	const file = join(config.runtimeDirectory, transportFile(end, vm));
	return {
		route: {
			...migrationEnds(config),
			certificatePem: readFileSync(config.tls.certificateFile, 'utf8'),
			keyPem: readFileSync(config.tls.keyFile, 'utf8'),
			peerFingerprint256: hostConfig(config, config.peer).certificate,
			header: { pairId: config.pairId, vm },
		},
		ssh: sshRouteOf(config),
		say: (state, bytes = 0) => {
			const text: Transport = { pid: process.pid, state, bytes };
			// Whoever reads it sees one state or the other, never half of one.
			writeFileSync(`${file}.new`, `${JSON.stringify(text)}\n`, { mode: 0o600 });
			renameSync(`${file}.new`, file);
		},
		silence: () => rmSync(file, { force: true }),
	};
};
