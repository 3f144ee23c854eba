import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';

/**
 * A self-signed EC P-256 certificate without any tool: the demo runs on machines that have nothing but
 * Node. It is made anew for every run and only ever pinned by its fingerprint.
 */
export interface DemoIdentity {
	readonly certificatePem: string;
	readonly keyPem: string;
	/** SHA-256 as `AB:CD:...`. */
	readonly fingerprint256: string;
}

/** One DER value: tag, length, content (X.690). */
const der = (tag: number, ...contents: readonly Uint8Array[]): Buffer => {
	const content = Buffer.concat(contents);
	const { length } = content;
	if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content]);
	const bytes = length < 0x1_00 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
	return Buffer.concat([Buffer.from([tag, ...bytes]), content]);
};

const sequence = (...parts: readonly Uint8Array[]): Buffer => der(0x30, ...parts);
/** Object identifiers, already encoded: ecdsa-with-SHA256 (1.2.840.10045.4.3.2), commonName (2.5.4.3). */
const ecdsaWithSha256 = sequence(der(0x06, Buffer.from('2a8648ce3d040302', 'hex')));
const commonName = der(0x06, Buffer.from('550403', 'hex'));

const nameOf = (host: string): Buffer =>
	sequence(der(0x31, sequence(commonName, der(0x0c, Buffer.from(host)))));

const utcTime = (time: Date): Buffer =>
	der(0x17, Buffer.from(`${time.toISOString().slice(2, 19).replaceAll(/[-:T]/g, '')}Z`));

const pem = (label: string, content: Buffer): string =>
	`-----BEGIN ${label}-----\n${(content.toString('base64').match(/.{1,64}/g) ?? []).join('\n')}\n-----END ${label}-----\n`;

const dayMs = 86_400_000;

/** A certificate for `host`, valid from yesterday for a month. */
export const demoIdentity = (host: string): DemoIdentity => {
	const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
	// Positive and never zero: the first bit is clear, the second is set.
	const serial = randomBytes(16);
	serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
	const now = Date.now();
	const body = sequence(
		der(0xa0, der(0x02, Buffer.from([2]))),
		der(0x02, serial),
		ecdsaWithSha256,
		nameOf(host),
		sequence(utcTime(new Date(now - dayMs)), utcTime(new Date(now + 30 * dayMs))),
		nameOf(host),
		publicKey.export({ format: 'der', type: 'spki' }),
	);
	const signature = sign('sha256', body, privateKey);
	const certificate = sequence(body, ecdsaWithSha256, der(0x03, Buffer.from([0]), signature));
	const digest = createHash('sha256').update(certificate).digest('hex').toUpperCase();
	return {
		certificatePem: pem('CERTIFICATE', certificate),
		keyPem: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
		fingerprint256: (digest.match(/../g) ?? []).join(':'),
	};
};
