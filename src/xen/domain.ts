import * as z from 'zod';
import type {
	MigrationObservation,
	Presence,
	ShutdownReason,
	Twin,
	VmName,
	VmObservation,
} from '#src/ports.ts';

/** One row of `xl list -v`. */
export interface Domain {
	readonly domid: number;
	/** Null when xenstore does not know the domain's name: while it is torn down, for instance. */
	readonly name: string | null;
	/** In lower case. */
	readonly uuid: string;
	readonly memoryMib: number;
	readonly paused: boolean;
	/** Shut down by the guest or by a crash; its vCPUs do not run. */
	readonly shutdown: boolean;
	readonly dying: boolean;
	/** CPU time since its creation, s, in steps of 0.1 s. */
	readonly cpuSeconds: number;
	/** Set when `shutdown` is. */
	readonly reason: ShutdownReason | null;
}

export interface DomainList {
	readonly domains: readonly Domain[];
	/** Lines that are no rows: something is not understood, so a missing VM must not be concluded. */
	readonly unreadable: readonly string[];
}

/**
 * A row from the right, because a name may hold anything (so `.*` is greedy): ID, Mem, VCPUs, state
 * letters, Time(s), UUID, reason code, then columns that differ by version (security label, CPU pool, claim).
 * Format: tools/xl/xl_info.c list_domains, Xen 4.17.
 */
const row =
	/^(.*)\s(\d{1,7})\s+(\d{1,15})\s+(\d{1,7})\s+([r-])([b-])([p-])([s-])(.)([d-])\s+(\d+\.\d)\s+([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\s+(-|[0-9a-f]+)(?:\s.*)?$/i;

const header = /^Name\s+ID\s+Mem\s+VCPUs\s+State\s+Time\(s\)\s+UUID\s+Reason-Code/;

/** Shutdown codes of Xen's public interface (xen/include/public/sched.h). */
const reasonByCode: Readonly<Record<string, ShutdownReason>> = {
	'0': 'poweroff',
	'1': 'reboot',
	'2': 'suspend',
	'3': 'crash',
	'4': 'watchdog',
	'5': 'soft-reset',
};

/** The fifth letter of the state column says the same. */
const reasonByLetter: Readonly<Record<string, ShutdownReason>> = {
	'-': 'poweroff',
	r: 'reboot',
	s: 'suspend',
	c: 'crash',
	w: 'watchdog',
	S: 'soft-reset',
};

/** A reason we do not know is taken for a crash: the restart budget bounds what follows. */
const reasonOf = (letter: string, code: string): ShutdownReason =>
	reasonByCode[code] ?? reasonByLetter[letter] ?? 'crash';

/** Longer lines are no rows; it also bounds what the expression above may cost. */
const lineCharactersMax = 1000;

const domainOf = (line: string): Domain | null => {
	const match = line.length > lineCharactersMax ? null : row.exec(line);
	if (match === null) return null;
	const [
		,
		paddedName = '',
		domid,
		memory,
		,
		,
		,
		paused,
		shutdown,
		letter = '',
		dying,
		cpuSeconds,
		uuid = '',
		code = '',
	] = match;
	const name = paddedName.trimEnd();
	return {
		domid: Number(domid),
		name: name === '(null)' || name === '' ? null : name,
		uuid: uuid.toLowerCase(),
		memoryMib: Number(memory),
		paused: paused === 'p',
		shutdown: shutdown === 's',
		dying: dying === 'd',
		cpuSeconds: Number(cpuSeconds),
		reason: shutdown === 's' ? reasonOf(letter, code.toLowerCase()) : null,
	};
};

/**
 * Reads `xl list -v`. Null when the text does not start with the header of that command: then nothing is
 * known, not even that there is no domain.
 */
export const parseDomainList = (text: string): DomainList | null => {
	const [first = '', ...rest] = text.split('\n');
	if (!header.test(first)) return null;
	const domains: Domain[] = [];
	const unreadable: string[] = [];
	for (const line of rest) {
		if (line.trim() === '') continue;
		const domain = domainOf(line);
		if (domain === null) unreadable.push(line);
		else domains.push(domain);
	}
	return { domains, unreadable };
};

/**
 * What a domain is doing. `------` is alive: runnable and merely not on a CPU. Only the pause flag makes
 * `paused` (V18); a shut-down domain is `stopped` even under it, because someone must destroy it.
 */
export const presenceOf = (domain: Domain): Presence => {
	if (domain.dying) return 'dying';
	if (domain.shutdown) return 'stopped';
	return domain.paused ? 'paused' : 'running';
};

/** Names this very domain. */
export const instanceOf = (domain: { readonly domid: number; readonly uuid: string }): string =>
	`${domain.domid}/${domain.uuid}`;

/** A domain that was this VM's, as seen before it lost its name or went away with devices left over. */
export interface FormerDomain {
	readonly vm: VmName;
	readonly domid: number;
	readonly uuid: string;
}

export interface Seen {
	readonly domains: readonly Domain[];
	readonly former: readonly FormerDomain[];
	/** Ids of domains that have back-end devices in this host's kernel. */
	readonly backends: ReadonlySet<number>;
}

/** The more alive, the more it counts when a VM has more than one domain. */
const order: readonly Presence[] = ['running', 'paused', 'stopped', 'dying'];

/** What xl appends to a VM's name while it moves. */
const suffixes: Readonly<Record<Twin, string>> = {
	incoming: '--incoming',
	away: '--migratedaway',
};

/** Which twin of the VM a domain is; null when it is none, or is being torn down: then it counts as the VM's rest. */
const twinOf = (vm: VmName, { name, dying }: Domain): Twin | null => {
	if (dying) return null;
	if (name === `${vm}${suffixes.incoming}`) return 'incoming';
	return name === `${vm}${suffixes.away}` ? 'away' : null;
};

/** The domains that a migration has beside the VM's own and that nobody destroys yet. */
export const twinsOf = (vm: VmName, seen: Seen): readonly Domain[] =>
	seen.domains.filter((domain) => twinOf(vm, domain) !== null);

/** True when one of the VMs has a twin. */
export const hasTwin = (vms: readonly { readonly vm: VmName }[], seen: Seen): boolean =>
	vms.some(({ vm }) => twinsOf(vm, seen).length > 0);

/** True while a twin of the VM, or a device of any domain but its own present one, is left. */
export const hasRest = (vm: VmName, seen: Seen): boolean =>
	twinsOf(vm, seen).length > 0 ||
	seen.former.some(
		(former) =>
			former.vm === vm &&
			!seen.domains.some(
				({ domid, name, dying }) => domid === former.domid && name === vm && !dying,
			) &&
			(seen.backends.has(former.domid) || seen.domains.some(({ domid }) => domid === former.domid)),
	);

/** What live migrations of the managed VMs have on this host; undefined when there is nothing. */
export const migrationsOf = (
	vms: readonly { readonly vm: VmName }[],
	seen: Seen,
	underWay: ReadonlyMap<VmName, number | null>,
): readonly MigrationObservation[] | undefined => {
	const found = vms.flatMap(({ vm }): MigrationObservation[] => {
		const twins = twinsOf(vm, seen).map((domain) => twinOf(vm, domain));
		// A host can have both, of two migrations; the one that is received is the newer one.
		const twin = twins.find((each) => each === 'incoming') ?? twins[0] ?? null;
		if (twin === null && !underWay.has(vm)) return [];
		const sentBytes = underWay.get(vm) ?? null;
		const sent = sentBytes === null ? {} : { sentBytes };
		return [{ vm, twin, underWay: underWay.has(vm), ...sent }];
	});
	return found.length === 0 ? undefined : found;
};

/**
 * The observations of one VM, at most one: its domain by exact name - `vm--incoming` and
 * `vm--migratedaway` are other domains - or, while that is gone, what is left of a former one. A twin is no rest of
 * the VM before it is torn down; then it is, because the disk is not free before its devices are gone.
 */
export const observationOf = (vm: VmName, seen: Seen): VmObservation | null => {
	const found = domainsOf(vm, seen).map((domain): VmObservation => {
		const presence = presenceOf(domain);
		const reason = presence === 'stopped' ? domain.reason : null;
		// A guest that ran for a moment has used a tenth of a second; an operator pauses no guest sooner.
		const neverRan = presence === 'paused' && domain.cpuSeconds === 0;
		return { vm, presence, reason, neverRan, instance: instanceOf(domain) };
	});
	const twins = twinsOf(vm, seen);
	for (const former of seen.former) {
		if (former.vm !== vm || !seen.backends.has(former.domid)) continue;
		if (twins.some(({ domid }) => domid === former.domid)) continue;
		found.push({
			vm,
			presence: 'dying',
			reason: null,
			neverRan: false,
			instance: instanceOf(former),
		});
	}
	found.sort((a, b) => order.indexOf(a.presence) - order.indexOf(b.presence));
	return found[0] ?? null;
};

/**
 * All managed VMs as they were listed; those in `creating` are still being created, and a domain of
 * theirs that is listed already is not whole.
 */
export const observationsOf = (
	vms: readonly { readonly vm: VmName }[],
	seen: Seen,
	creating: ReadonlySet<VmName>,
): VmObservation[] =>
	vms.flatMap(({ vm }): VmObservation[] => {
		if (creating.has(vm))
			return [{ vm, presence: 'creating', reason: null, neverRan: false, instance: 'creating' }];
		const observation = observationOf(vm, seen);
		return observation === null ? [] : [observation];
	});

/** The VM's domains: of its name, or nameless and known to have been its. */
export const domainsOf = (vm: VmName, seen: Omit<Seen, 'backends'>): readonly Domain[] =>
	seen.domains.filter(
		(domain) =>
			domain.name === vm ||
			(domain.name === null &&
				seen.former.some((former) => former.vm === vm && former.domid === domain.domid)),
	);

/** Whose each domain was, for as long as it, or a block device of it, is there. */
export const formerDomains = (
	vms: readonly { readonly vm: VmName }[],
	domains: readonly Domain[],
	backends: ReadonlySet<number>,
	previous: readonly FormerDomain[],
): readonly FormerDomain[] => {
	const named = domains.flatMap(({ name, domid, uuid }): FormerDomain[] => {
		// A twin's devices hold the same disk.
		const vm = vms.find((each) =>
			['', ...Object.values(suffixes)].some((suffix) => name === `${each.vm}${suffix}`),
		)?.vm;
		return vm === undefined ? [] : [{ vm, domid, uuid }];
	});
	const kept = previous.filter(
		({ domid, uuid }) =>
			!named.some((each) => each.domid === domid) &&
			(backends.has(domid) ||
				domains.some((domain) => domain.domid === domid && domain.uuid === uuid)),
	);
	return [...named, ...kept];
};

/** `vbd-<domid>-<device>`: block devices decide, because they hold the replicated disk open. */
const blockBackend = /^vbd-(\d{1,7})-\d+$/;

/** Domain ids with block back-ends, from the names in `/sys/bus/xen-backend/devices`. */
export const backendDomids = (names: readonly string[]): ReadonlySet<number> =>
	new Set(
		names.flatMap((name) => {
			const match = blockBackend.exec(name);
			return match === null ? [] : [Number(match[1])];
		}),
	);

/** MiB of `xl info free_memory`, with or without the key; null when the text is something else. */
export const parseFreeMemory = (text: string): number | null => {
	const match = /^\s*(?:free_memory\s*:\s*)?(\d{1,12})\s*$/.exec(text);
	return match === null ? null : Number(match[1]);
};

const listedConfiguration = z.array(
	z.looseObject({
		domid: z.int(),
		config: z.looseObject({
			c_info: z.looseObject({
				name: z.string().optional(),
				uuid: z.string().optional(),
				type: z.string().optional(),
			}),
			b_info: z.looseObject({ max_memkb: z.int().optional() }).optional(),
			disks: z
				.array(
					z.looseObject({
						pdev_path: z.string().nullish(),
						vdev: z.string().nullish(),
						readwrite: z.int().optional(),
						is_cdrom: z.union([z.int(), z.boolean()]).optional(),
					}),
				)
				.optional(),
			on_poweroff: z.string().optional(),
			on_reboot: z.string().optional(),
			on_watchdog: z.string().optional(),
			on_crash: z.string().optional(),
		}),
	}),
);

/** How a domain was configured, as far as it is checked. It says nothing of what the domain does now. */
export interface DomainConfiguration {
	readonly domid: number;
	readonly name: string | null;
	readonly uuid: string | null;
	readonly memoryMib: number | null;
	readonly disks: readonly { readonly path: string; readonly device: string | null }[];
	/** `poweroff`, `reboot`, `watchdog`, `crash` to the action, where listed. */
	readonly actions: Readonly<Record<string, string>>;
}

const json = (text: string): unknown => {
	try {
		return JSON.parse(text);
	} catch {
		// Not JSON is one of the answers the schema below refuses.
		return undefined;
	}
};

/** Reads `xl list -l`; null when it is not what that command prints. Domains xl cannot read are not in it. */
export const parseConfigurations = (text: string): readonly DomainConfiguration[] | null => {
	const parsed = listedConfiguration.safeParse(json(text));
	if (!parsed.success) return null;
	return parsed.data.map(({ domid, config }) => {
		const memoryKib = config.b_info?.max_memkb;
		const actions = {
			poweroff: config.on_poweroff,
			reboot: config.on_reboot,
			watchdog: config.on_watchdog,
			crash: config.on_crash,
		};
		return {
			domid,
			name: config.c_info.name ?? null,
			uuid: config.c_info.uuid?.toLowerCase() ?? null,
			memoryMib: memoryKib === undefined ? null : Math.ceil(memoryKib / 1024),
			disks: (config.disks ?? []).flatMap((disk) =>
				typeof disk.pdev_path === 'string' && disk.pdev_path !== ''
					? [{ path: disk.pdev_path, device: disk.vdev ?? null }]
					: [],
			),
			actions: Object.fromEntries(
				Object.entries(actions).filter(
					(entry): entry is [string, string] => entry[1] !== undefined,
				),
			),
		};
	});
};
