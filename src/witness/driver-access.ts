import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { isIP } from 'node:net';
import type { WitnessConfig } from '#src/config/config.ts';
import { messageOf, VmpairError } from '#src/std/error.ts';
import { Secret } from '#src/std/secret.ts';
import type { WitnessAccess } from '#src/witness/access.ts';

const bytesMax = 65_536;

const read = async (file: string): Promise<string> => {
	try {
		await using handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
		const { size } = await handle.stat();
		if (size > bytesMax) throw new Error(`it has ${size} bytes, at most ${bytesMax} are read`);
		return await handle.readFile('utf8');
	} catch (error) {
		throw new VmpairError('witness-file', `${file} cannot be read: ${messageOf(error)}.`, {
			next: 'check that it exists and that root may read it, then run: vmpair config check',
			cause: error,
		});
	}
};

const readOrNull = async (file: string | null): Promise<string | null> =>
	file === null ? null : await read(file);

/** Reads the password and the certificates of the witness. Throws `witness-file`. */
export const readWitnessAccess = async (config: WitnessConfig): Promise<WitnessAccess> => {
	const { address, port, username, passwordFile, tls } = config;
	const [password = ''] = (await read(passwordFile)).split(/\r?\n/);
	if (password === '')
		throw new VmpairError('witness-file', `${passwordFile} has no password on its first line.`, {
			next: `write it there: openssl rand -hex 32 > ${passwordFile}`,
		});
	return {
		address,
		port,
		username,
		password: new Secret(password),
		tls:
			tls === null
				? null
				: {
						caPem: await read(tls.caFile),
						name: tls.name,
						certificatePem: await readOrNull(tls.certificateFile),
						keyPem: await readOrNull(tls.keyFile),
					},
	};
};

/** First bytes of the network addresses that QEMU, Xen, VMware, Hyper-V and VirtualBox give. */
const virtualCards = /^(52:54:00|00:16:3e|00:50:56|00:0c:29|00:05:69|00:15:5d|08:00:27)/i;

/** Whether the neighbour at an address has the network card of a virtual machine; false when it is not a neighbour. */
export const looksVirtual = async (address: string): Promise<boolean> => {
	if (isIP(address) !== 4) return false;
	const table = await read('/proc/net/arp').catch(() => '');
	const line = table.split('\n').find((each) => each.startsWith(`${address} `));
	return virtualCards.test(line?.split(/\s+/)[3] ?? '');
};
