import type { HostName } from '#src/ports.ts';

/** What tells one BMC from another; null where it does not say. */
export interface BmcIdentity {
	/** Of its network port, in lower case. */
	readonly macAddress: string | null;
	/** 32 hex digits in lower case. */
	readonly guid: string | null;
	readonly ipAddress: string | null;
}

/** Whether a configured fence device is the BMC of the host it is configured for. */
export type MappingVerdict =
	| { readonly result: 'matched' }
	| { readonly result: 'mismatch'; readonly sentence: string }
	| { readonly result: 'cannot-tell'; readonly sentence: string };

const field = (text: string, name: string): string | null => {
	for (const line of text.split('\n')) {
		const colon = line.indexOf(':');
		if (colon > 0 && line.slice(0, colon).trim() === name) return line.slice(colon + 1).trim();
	}
	return null;
};

/** Placeholders that many machines share identify none of them. */
const isTelling = (digits: string): boolean => !/^(?:0+|f+)$/i.test(digits);

/** Reads `ipmitool lan print` and `ipmitool mc guid`; either text may be empty. */
export const readIdentity = (lanPrint: string, mcGuid: string): BmcIdentity => {
	const mac = field(lanPrint, 'MAC Address')?.toLowerCase() ?? '';
	const ip = field(lanPrint, 'IP Address') ?? '';
	const guid = field(mcGuid, 'System GUID')?.toLowerCase().replaceAll('-', '') ?? '';
	return {
		macAddress:
			/^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(mac) && isTelling(mac.replaceAll(':', ''))
				? mac
				: null,
		guid: /^[0-9a-f]{32}$/.test(guid) && isTelling(guid) ? guid : null,
		ipAddress: isAddress(ip) ? ip : null,
	};
};

/** A numeric address that is not "none": only such can be compared. */
export const isAddress = (text: string): boolean =>
	/^\d{1,3}(?:\.\d{1,3}){3}$/.test(text) && text !== '0.0.0.0';

const kinds = [
	['macAddress', 'MAC address'],
	['guid', 'GUID'],
	['ipAddress', 'IP address'],
] as const;

/**
 * Compares what a host reads of its own BMC in-band with what the device configured for it answers.
 * The MAC address goes first: it is unique, while some makers give all their boards one GUID.
 */
export const compareIdentity = (
	host: HostName,
	device: string,
	own: BmcIdentity,
	configured: BmcIdentity,
): MappingVerdict => {
	for (const [kind, name] of kinds) {
		const [ours, theirs] = [own[kind], configured[kind]];
		if (ours === null || theirs === null) continue;
		if (ours === theirs) return { result: 'matched' };
		// A switched outlet, a second port of the BMC or an address behind a router differ rightly.
		if (kind === 'ipAddress') continue;
		const sentence =
			`The fence device ${device} is configured for ${host} but is not its BMC: ` +
			`${host}'s own BMC has the ${name} ${ours}, the configured one ${theirs}. ` +
			`Correct the fence devices in the configuration: with these the wrong host would be switched off.`;
		return { result: 'mismatch', sentence };
	}
	return {
		result: 'cannot-tell',
		sentence: `Nothing that both ${host}'s own BMC and the fence device ${device} say of themselves can be compared.`,
	};
};

/** A host that cannot read its own BMC in-band can say nothing of what is configured for it. */
export const unreadableBmc = (host: HostName): MappingVerdict => ({
	result: 'cannot-tell',
	sentence:
		`${host} cannot read its own BMC, so it cannot be told whether the fence devices configured for it are the right ones. ` +
		`Load ipmi_si and ipmi_devintf and check that "ipmitool lan print" works on ${host}.`,
});

/** The verdict on one device; `own` is null when the host cannot read its own BMC. */
export const mappingOf = (
	host: HostName,
	device: string,
	own: BmcIdentity | null,
	configured: BmcIdentity,
): MappingVerdict =>
	own === null ? unreadableBmc(host) : compareIdentity(host, device, own, configured);

/** One verdict on all devices of a host: a mismatch weighs most, then one that cannot be told. */
export const combineVerdicts = (verdicts: readonly MappingVerdict[]): MappingVerdict => {
	for (const result of ['mismatch', 'cannot-tell'] as const) {
		const found = verdicts.filter((verdict) => verdict.result === result);
		if (found.length === 0) continue;
		const sentences = found.flatMap((each) => ('sentence' in each ? [each.sentence] : []));
		return { result, sentence: sentences.join(' ') };
	}
	return { result: 'matched' };
};
