import { parseStatements, type Statement } from '#src/drbd/syntax.ts';
import type { HostName, ResourceName } from '#src/ports.ts';

/** Options of one section, the effective ones: `common`, then the resource, then the inner section. */
export type Options = ReadonlyMap<string, string>;

interface ConfiguredVolume {
	readonly volume: number;
	readonly minor: number | null;
	/** Such as `/dev/drbd0`; what a VM's disk must be. */
	readonly device: string;
	/** The backing device; null when it is diskless. */
	readonly disk: string | null;
	/** The effective disk options of this volume. */
	readonly options: Options;
}

interface ConfiguredHost {
	/** As in `on NAME`; null for `floating`. */
	readonly name: HostName | null;
	readonly volumes: readonly ConfiguredVolume[];
}

export interface ConfiguredResource {
	readonly resource: ResourceName;
	/** `FILE:LINE` where it is defined, as `drbdadm dump` says; null when it does not. */
	readonly file: string | null;
	/** True when DRBD finds no section for this very host. */
	readonly isIgnored: boolean;
	readonly hosts: readonly ConfiguredHost[];
	/** Net options per connection: one with DRBD 8.4. Empty when the kernel has no connection. */
	readonly connections: readonly Options[];
	readonly options: Options;
	readonly handlers: Options;
	readonly startup: Options;
}

type Origin = Pick<ConfiguredResource, 'file' | 'isIgnored'>;

const noOptions: Options = new Map();

/** A flag without a value, such as `allow-two-primaries;`, means yes. */
const optionsOf = (block: readonly Statement[]): Options =>
	new Map(
		block
			.filter((statement) => statement.block === null && statement.words.length > 0)
			.map(({ words: [key = '', ...values] }) => [
				key,
				values.length === 0 ? 'yes' : values.join(' '),
			]),
	);

const merge = (...layers: readonly Options[]): Options =>
	new Map(layers.flatMap((layer) => [...layer]));

const blocks = (block: readonly Statement[], keyword: string): (readonly Statement[])[] =>
	block.flatMap((statement) =>
		statement.words[0] === keyword && statement.block !== null ? [statement.block] : [],
	);

const section = (block: readonly Statement[], keyword: string): Options =>
	merge(...blocks(block, keyword).map(optionsOf));

const numberOf = (text: string | undefined): number | null =>
	text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : null;

/** `device /dev/drbd0 minor 0;`, `device /dev/drbd0;` or, with DRBD 9 and in the kernel, `device minor 0;`. */
const deviceOf = (block: readonly Statement[]): { device: string; minor: number | null } => {
	const words = block.find(({ words: [keyword] }) => keyword === 'device')?.words.slice(1) ?? [];
	const at = words.indexOf('minor');
	const path = at === 0 ? undefined : words[0];
	const minor = numberOf(at < 0 ? /(\d+)$/.exec(path ?? '')?.[1] : words[at + 1]);
	return { device: path ?? `/dev/drbd${minor ?? '?'}`, minor };
};

const volumeOf = (
	volume: number,
	block: readonly Statement[],
	inherited: Options,
): ConfiguredVolume => {
	const disk = block.find(({ words, block: inner }) => words[0] === 'disk' && inner === null);
	const path = disk?.words[1];
	return {
		volume,
		...deviceOf(block),
		disk: path === undefined || path === 'none' ? null : path,
		options: merge(inherited, section(block, 'disk')),
	};
};

const volumesOf = (
	block: readonly Statement[],
	inherited: Options,
	shared: ReadonlyMap<number, Options>,
): ConfiguredVolume[] => {
	const explicit = block.flatMap((statement) => {
		const number = numberOf(statement.words[1]);
		if (statement.words[0] !== 'volume' || statement.block === null || number === null) return [];
		const options = merge(inherited, shared.get(number) ?? noOptions);
		return [volumeOf(number, statement.block, options)];
	});
	if (explicit.length > 0) return explicit;
	const implicit = block.some(({ words: [keyword] }) => keyword === 'device');
	return implicit ? [volumeOf(0, block, merge(inherited, shared.get(0) ?? noOptions))] : [];
};

const hostKeywords: ReadonlySet<string> = new Set([
	'on',
	'floating',
	'_this_host',
	'stacked-on-top-of',
]);

const resourceOf = (
	resource: ResourceName,
	block: readonly Statement[],
	common: readonly Statement[],
	origin: Origin,
): ConfiguredResource => {
	const layered = (keyword: string): Options =>
		merge(section(common, keyword), section(block, keyword));
	const disk = layered('disk');
	const net = layered('net');
	const shared = new Map(
		block.flatMap((statement) => {
			const number = numberOf(statement.words[1]);
			return statement.words[0] === 'volume' && statement.block !== null && number !== null
				? [[number, section(statement.block, 'disk')] as const]
				: [];
		}),
	);
	const hosts = block.flatMap((statement) =>
		hostKeywords.has(statement.words[0] ?? '') && statement.block !== null
			? [
					{
						name: statement.words[0] === 'on' ? (statement.words[1] ?? null) : null,
						volumes: volumesOf(statement.block, disk, shared),
					},
				]
			: [],
	);
	const running = hosts.length === 1 && blocks(block, '_this_host').length === 1;
	const connections = blocks(block, 'connection').map((inner) => merge(net, section(inner, 'net')));
	const connected = !running || blocks(block, '_remote_host').length > 0;
	return {
		resource,
		...origin,
		hosts,
		connections: connections.length > 0 ? connections : connected ? [net] : [],
		options: layered('options'),
		handlers: layered('handlers'),
		startup: layered('startup'),
	};
};

/** The comments before a resource of a dump: `# resource NAME on HOST: ignored, …`, `# defined at FILE:LINE`. */
const originOf = (text: string, resource: ResourceName): Origin => {
	const lines = text.split('\n');
	const at = lines.findIndex((line) => /^resource "?([^\s"{]+)/.exec(line)?.[1] === resource);
	const comments = lines.slice(Math.max(0, at - 2), Math.max(0, at));
	return {
		file: comments.flatMap((line) => /^# defined at (\S+:\d+)$/.exec(line)?.[1] ?? [])[0] ?? null,
		isIgnored: comments.some((line) => /^# resource \S+ on \S+: ignored/.test(line)),
	};
};

/**
 * Reads `drbdadm dump` (the files) or `drbdsetup show` (the kernel), of 8.4 or 9. Null when it does not
 * follow DRBD's syntax.
 */
export const parseConfiguration = (
	text: string,
): ReadonlyMap<ResourceName, ConfiguredResource> | null => {
	const statements = parseStatements(text);
	if (statements === null) return null;
	const common = blocks(statements, 'common').flat();
	return new Map(
		statements.flatMap(({ words: [keyword, name], block }) =>
			keyword === 'resource' && name !== undefined && block !== null
				? [[name, resourceOf(name, block, common, originOf(text, name))] as const]
				: [],
		),
	);
};
