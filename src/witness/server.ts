import * as z from 'zod';

/** What a Redis server says of itself, and whether it may be a witness. */

/** One thing that is wrong, with its remedy. A `blocker` forbids its use as a witness. */
export interface Finding {
	readonly code: string;
	readonly severity: 'blocker' | 'warning';
	readonly message: string;
	readonly next: string;
}

export interface ServerFacts {
	readonly version: string;
	readonly runId: string;
	readonly mode: string;
	readonly role: string;
	readonly replicas: number;
	readonly loading: boolean;
	readonly appendOnly: boolean;
	/** False after a write to the append-only file failed. */
	readonly appendWorks: boolean;
	readonly uptimeSeconds: number;
	readonly usedMemory: number;
	/** 0 without a limit. */
	readonly memoryMax: number;
}

const count = z.coerce.number().int().min(0);
const flag = z.enum(['0', '1']).transform((text) => text === '1');

const infoSchema = z.object({
	redis_version: z.string().min(1),
	run_id: z.string().regex(/^[0-9a-f]{40}$/),
	redis_mode: z.string(),
	role: z.string(),
	connected_slaves: count,
	loading: flag,
	aof_enabled: flag,
	aof_last_write_status: z.string(),
	cluster_enabled: flag,
	uptime_in_seconds: count,
	used_memory: count,
	maxmemory: count,
});

/** A Sentinel keeps no data and does not speak of any. */
const lackingInSentinel = {
	role: 'sentinel',
	connected_slaves: '0',
	loading: '0',
	cluster_enabled: '0',
	aof_enabled: '0',
	aof_last_write_status: 'ok',
	used_memory: '0',
	maxmemory: '0',
};

/** Reads the answer to `INFO`. Throws when what is needed is missing: then it is no Redis server. */
export const readInfo = (text: string): ServerFacts => {
	const lines = text.split(/\r?\n/).filter((line) => line.includes(':'));
	const fields = new Map(
		lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
	);
	const sentinel = fields.get('redis_mode') === 'sentinel' ? lackingInSentinel : {};
	const parsed = infoSchema.safeParse({ ...sentinel, ...Object.fromEntries(fields) });
	if (!parsed.success) {
		const field = parsed.error.issues[0]?.path.join('.') ?? 'a field';
		throw new Error(`the answer to INFO lacks ${field}`);
	}
	const info = parsed.data;
	return {
		version: info.redis_version,
		runId: info.run_id,
		mode: info.cluster_enabled ? 'cluster' : info.redis_mode,
		role: info.role,
		replicas: info.connected_slaves,
		loading: info.loading,
		appendOnly: info.aof_enabled,
		appendWorks: info.aof_last_write_status === 'ok',
		uptimeSeconds: info.uptime_in_seconds,
		usedMemory: info.used_memory,
		memoryMax: info.maxmemory,
	};
};

/** Settings that `INFO` does not show, and whether a Sentinel watches the server. */
export interface ServerSettings {
	readonly appendFsync: string;
	readonly fsyncPausedInRewrite: boolean;
	readonly memoryPolicy: string;
	readonly sentinels: number;
}

/** The settings read by `CONFIG GET`, by name. */
export const settingNames = [
	'appendfsync',
	'no-appendfsync-on-rewrite',
	'maxmemory-policy',
] as const;

const pairsSchema = z.array(z.string());
const numsubSchema = z.tuple([z.string(), z.coerce.number().int().min(0)]);

/** Reads the answers to `CONFIG GET` of each name and to `PUBSUB NUMSUB`. Throws when one is not understood. */
export const readSettings = (answers: readonly unknown[], subscribers: unknown): ServerSettings => {
	const found = new Map<string, string>();
	for (const answer of answers) {
		const [name = '', value = ''] = pairsSchema.parse(answer);
		found.set(name, value);
	}
	const value = (name: (typeof settingNames)[number]): string => {
		const text = found.get(name);
		if (text === undefined) throw new Error(`CONFIG GET ${name} has no answer`);
		return text;
	};
	return {
		appendFsync: value('appendfsync'),
		fsyncPausedInRewrite: value('no-appendfsync-on-rewrite') !== 'no',
		memoryPolicy: value('maxmemory-policy'),
		sentinels: numsubSchema.parse(subscribers)[1],
	};
};

/** Every Sentinel subscribes to this channel of the server it watches. */
export const sentinelChannel = '__sentinel__:hello';

const blocker = (code: string, message: string, next: string): Finding => ({
	code,
	severity: 'blocker',
	message,
	next,
});

const warning = (code: string, message: string, next: string): Finding => ({
	code,
	severity: 'warning',
	message,
	next,
});

const standalone =
	'give vmpair a Redis of its own: standalone, without replicas that could be promoted (/usr/share/doc/vmpair/witness.md)';

/** `CONFIG SET` at run time and the file, as one remedy. */
const setTo = (name: string, value: string): string =>
	`write "${name} ${value}" into redis.conf and run: redis-cli CONFIG SET ${name} ${value}`;

/**
 * Why a server cannot arbitrate: with these, a promotion elsewhere, which loses acknowledged writes, is only a
 * matter of time. Judged by `INFO` alone, before anything else is sent.
 */
export const kindFindings = (facts: ServerFacts): readonly Finding[] => [
	...(facts.mode === 'sentinel'
		? [
				blocker(
					'sentinel',
					'This is a Sentinel, not a Redis server.',
					`name the Redis server itself; ${standalone}`,
				),
			]
		: []),
	...(facts.mode === 'cluster'
		? [
				blocker(
					'cluster',
					'This is a node of a Redis Cluster. Its replicas get writes later than they are acknowledged, so a failover there can bring back a record in which a host is still in sync that has been excluded.',
					standalone,
				),
			]
		: []),
	...(facts.role === 'master' || facts.mode === 'sentinel'
		? []
		: [
				blocker(
					'replica',
					`This Redis is a replica (role ${facts.role}). It refuses writes, and what it shows is older than what was acknowledged.`,
					standalone,
				),
			]),
	...(Number(facts.version.split('.', 1)[0]) < 6
		? [
				blocker(
					'too-old',
					`Redis ${facts.version} has no users with limited rights.`,
					'install Redis 6.0 or newer (Debian 11 and later have it)',
				),
			]
		: []),
	...(facts.loading
		? [
				blocker(
					'loading',
					'Redis is still loading its file and shows nothing yet.',
					'wait until it has loaded',
				),
			]
		: []),
];

/** Why what this server acknowledged could be gone later. */
const durabilityFindings = (facts: ServerFacts, settings: ServerSettings): readonly Finding[] => [
	...(facts.appendOnly
		? []
		: [
				blocker(
					'not-durable',
					'The append-only file is off: a restart of Redis forgets which host was excluded.',
					setTo('appendonly', 'yes'),
				),
			]),
	...(settings.appendFsync === 'always'
		? []
		: [
				blocker(
					'fsync',
					`appendfsync is "${settings.appendFsync}": Redis acknowledges a write before it is on disk, and a power cut takes it back.`,
					setTo('appendfsync', 'always'),
				),
			]),
	...(settings.fsyncPausedInRewrite
		? [
				blocker(
					'fsync-rewrite',
					'no-appendfsync-on-rewrite is on: while the file is rewritten, nothing is made durable.',
					setTo('no-appendfsync-on-rewrite', 'no'),
				),
			]
		: []),
	...(facts.appendWorks
		? []
		: [
				blocker(
					'disk',
					'The last write to the append-only file failed.',
					'look at the disk of the witness: free space, rights, dmesg',
				),
			]),
	...(settings.memoryPolicy === 'noeviction'
		? []
		: [
				blocker(
					'eviction',
					`maxmemory-policy is "${settings.memoryPolicy}": Redis may drop a record while it runs, and nothing would show it.`,
					setTo('maxmemory-policy', 'noeviction'),
				),
			]),
];

/** Everything that forbids the use of a server as witness. */
export const blockers = (facts: ServerFacts, settings: ServerSettings): readonly Finding[] => [
	...kindFindings(facts),
	...(settings.sentinels === 0
		? []
		: [
				blocker(
					'sentinel-watched',
					'A Sentinel watches this Redis. It may promote a replica that lacks acknowledged writes.',
					`take it out of the Sentinels (SENTINEL REMOVE); ${standalone}`,
				),
			]),
	...durabilityFindings(facts, settings),
];

/** What works, but is worse than it could be. `virtual`: its network card is one that hypervisors give. */
export const warnings = (
	facts: ServerFacts,
	seen: {
		readonly encrypted: boolean;
		readonly username: string;
		readonly virtual: boolean;
		readonly medianMs: number;
	},
): readonly Finding[] => [
	warning(
		'snapshot',
		seen.virtual
			? 'The witness is a virtual machine, by its network card. Going back to a snapshot with memory would bring an old record back under the same run id, and no check can see that.'
			: 'If the witness is a virtual machine: going back to a snapshot with memory would bring an old record back under the same run id, and no check can see that.',
		'never go back to a snapshot with memory; take backups of its files, or use a small physical machine',
	),
	...(seen.encrypted
		? []
		: [
				warning(
					'plain',
					'The connection is not encrypted: who can listen on the way reads the password and can claim.',
					'give Redis a certificate and name its authority with witness.tls.ca, or use a network of its own',
				),
			]),
	...(seen.username === 'default'
		? [
				warning(
					'default-user',
					'vmpair connects as the user "default", who may do everything.',
					'make a user for this pair with the ACL file in /usr/share/doc/vmpair/witness.md',
				),
			]
		: []),
	...(facts.replicas > 0
		? [
				warning(
					'replicas',
					`${facts.replicas} replicas copy this Redis. Promoting one by hand may lose writes; both hosts will then ask to confirm it.`,
					'never promote one; take a backup of the append-only file in the place of replicas',
				),
			]
		: []),
	...(facts.memoryMax > 0 && facts.usedMemory > 0.8 * facts.memoryMax
		? [
				warning(
					'memory',
					`Redis uses ${Math.round((100 * facts.usedMemory) / facts.memoryMax)} % of its maxmemory; at 100 % it refuses every write.`,
					'raise maxmemory, or move what else it holds elsewhere',
				),
			]
		: []),
	...(seen.medianMs > 200
		? [
				warning(
					'slow',
					`A renewal takes ${Math.round(seen.medianMs)} ms; after 800 ms it counts as lost.`,
					'look at the disk of the witness and at the network between',
				),
			]
		: []),
];

const tlsFindings: Readonly<Record<string, readonly [string, string]>> = {
	CERT_HAS_EXPIRED: ['has expired', 'renew it, then restart Redis'],
	CERT_NOT_YET_VALID: ['is not valid yet', 'check the clocks of both machines'],
	ERR_TLS_CERT_ALTNAME_INVALID: [
		'is for another name',
		'issue it for the address of the witness, or say its name with witness.tls.name',
	],
};

/** What an error while connecting means. `code` is that of Node or OpenSSL, where there is one. */
export const connectFinding = (code: string, message: string): Finding => {
	if (/^WRONGPASS|^NOAUTH|without any password configured/.test(message))
		return blocker(
			'password',
			`Redis refuses the user or the password: ${message}.`,
			'compare witness.username and the password file with the ACL file of Redis (ACL LIST)',
		);
	if (/^NOPERM|ACL failure|can't run this command/.test(message))
		return blocker(
			'right',
			`The Redis user lacks a right: ${message}.`,
			'give it the rights of /usr/share/doc/vmpair/examples/witness/users.acl, then run on the witness: redis-cli ACL LOAD',
		);
	const tls = tlsFindings[code];
	if (tls !== undefined)
		return blocker('certificate', `The certificate of the witness ${tls[0]}.`, tls[1]);
	if (/SELF_SIGNED|UNABLE_TO_(VERIFY|GET)|CERT_(UNTRUSTED|SIGNATURE)/.test(code))
		return blocker(
			'certificate',
			`The certificate of the witness is not issued by the authority in witness.tls.ca (${code}).`,
			'copy the right authority here; an unexpected change may be somebody in between',
		);
	if (/^ERR_SSL|^ERR_TLS|EPROTO/.test(code))
		return blocker(
			'tls',
			`TLS with the witness fails: ${code}.`,
			'check that the port is the TLS port of Redis, and whether it asks for a certificate (witness.tls.certificate)',
		);
	return blocker(
		'unreachable',
		`The witness does not answer: ${message}.`,
		'check its address and port, the firewall, "bind" in redis.conf, and: systemctl status redis-server',
	);
};
