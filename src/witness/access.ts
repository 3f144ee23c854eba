import type { Secret } from '#src/std/secret.ts';

/** Everything that a connection needs; nothing is read from files later. */
export interface WitnessAccess {
	readonly address: string;
	readonly port: number;
	readonly username: string;
	readonly password: Secret;
	/** Null without encryption. `name` is the one that its certificate must carry. */
	readonly tls: {
		readonly caPem: string;
		readonly name: string | null;
		readonly certificatePem: string | null;
		readonly keyPem: string | null;
	} | null;
}
