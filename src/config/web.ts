import type { ConfigFile } from '#src/config/schema.ts';
import type { HostName } from '#src/ports.ts';

/** Page and metrics of this host. */
export interface WebConfig {
	readonly listen: readonly { readonly address: string; readonly port: number }[];
	/** Whoever asks must have the token in it; null: nobody needs one, and every address is loopback. */
	readonly tokenFile: string | null;
	readonly page: boolean;
	readonly metrics: boolean;
}

/** The listeners with the addresses of this host; links without one were found by the check. */
export const webOf = ({ web, hosts }: ConfigFile, host: HostName): WebConfig | null => {
	if (web === undefined) return null;
	return {
		listen: web.listen.flatMap(({ address, link, port }) => {
			const own = address ?? hosts[host]?.links[link ?? '']?.address;
			return own === undefined ? [] : [{ address: own, port }];
		}),
		tokenFile: web.tokenFile ?? null,
		page: web.page,
		metrics: web.metrics,
	};
};

export const tokenLengthMin = 16;
export const tokenLengthMax = 256;
const token = new RegExp(`^[A-Za-z0-9._~+/=-]{${tokenLengthMin},${tokenLengthMax}}$`);

/** The token in the text of its file; null when there is none that a browser and a scraper could send. */
export const tokenOf = (text: string): string | null => {
	const [line = ''] = text.split(/\r?\n/);
	return token.test(line) ? line : null;
};
