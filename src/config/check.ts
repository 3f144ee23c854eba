import { pathText } from '#src/config/problem.ts';
import type { ConfigProblem } from '#src/config/problem.ts';
import { checkBalance, checkHealth } from '#src/config/check-balance.ts';
import { checkVms } from '#src/config/check-vms.ts';
import {
	get,
	items,
	mapping,
	oneOf,
	portOf,
	quoted,
	type Report,
	unique,
} from '#src/config/raw.ts';
import type { Path, Source } from '#src/config/source.ts';
import { receiverLists } from '#src/config/schema-alerts.ts';
import { formatDuration, parseDuration } from '#src/std/duration.ts';

/**
 * What one value of the file says about another. These checks read the raw value and pass over whatever
 * has the wrong shape, so that a mistake of shape in one place hides no mistake of sense in another.
 */

const checkHosts = (raw: unknown, defaultHost: string, report: Report): void => {
	const hosts = Object.keys(mapping(get(raw, 'hosts')));
	if (get(raw, 'hosts') !== undefined && hosts.length !== 2)
		report(['hosts'], `expected exactly two hosts, found ${hosts.length}`, true);
	const self = get(raw, 'host');
	if (typeof self === 'string' && !hosts.includes(self))
		report(['host'], oneOf(self, hosts, 'one of the hosts'));
	if (self === undefined && hosts.length > 0 && !hosts.includes(defaultHost))
		report(
			['hosts'],
			`expected this machine among the hosts (${quoted(hosts)}), found that its name is "${defaultHost}"; rename the host here or say which one this is with "host: NAME"`,
			true,
		);
	unique(
		report,
		hosts.map((host) => {
			const certificate = get(raw, 'hosts', host, 'certificate');
			const digits =
				typeof certificate === 'string' ? certificate.replaceAll(':', '').toUpperCase() : undefined;
			return [['hosts', host, 'certificate'], digits];
		}),
		(_, first) => `expected a certificate of its own, found the same one as ${pathText(first)}`,
	);
};

const checkLinks = (raw: unknown, report: Report): void => {
	const links = mapping(get(raw, 'links'));
	const names = Object.keys(links);
	if (get(raw, 'links') !== undefined && (names.length < 1 || names.length > 8))
		report(['links'], `expected one to eight links, found ${names.length}`, true);
	const hosts = Object.keys(mapping(get(raw, 'hosts')));
	for (const host of hosts) {
		const own = mapping(get(raw, 'hosts', host, 'links'));
		for (const link of names) {
			if (Object.hasOwn(own, link)) continue;
			report(
				['hosts', host, 'links'],
				`expected the address of ${host} on the link "${link}", found nothing; every host is on every link`,
				true,
			);
		}
		for (const link of Object.keys(own)) {
			if (!Object.hasOwn(links, link))
				report(
					['hosts', host, 'links', link],
					oneOf(link, names, 'a link that is listed under links'),
					true,
				);
		}
	}
	unique(
		report,
		hosts.flatMap((host) =>
			Object.entries(mapping(get(raw, 'hosts', host, 'links'))).map(([link, settings]) => {
				const address = get(settings, 'address');
				const port = portOf(settings, 7400);
				return [
					['hosts', host, 'links', link, 'address'],
					typeof address === 'string' ? `${address} port ${port}` : undefined,
				] as const;
			}),
		),
		(value, first) =>
			`expected an address and port of its own, found ${value}, which is ${pathText(first)} already`,
	);
	for (const [link, settings] of Object.entries(links)) {
		const gateway = get(settings, 'gateway');
		const owner = hosts.find(
			(host) => get(raw, 'hosts', host, 'links', link, 'address') === gateway,
		);
		if (typeof gateway === 'string' && owner !== undefined)
			report(
				['links', link, 'gateway'],
				`expected an address outside the pair, found ${gateway}, which is ${owner} itself`,
			);
	}
};

const checkMigration = (raw: unknown, report: Report): void => {
	const links = Object.keys(mapping(get(raw, 'links')));
	const written = get(raw, 'migration', 'network');
	if (typeof written === 'string' && !links.includes(written))
		report(['migration', 'network'], oneOf(written, links, 'one of the links'));
	const direct = links.find((link) => get(raw, 'links', link, 'switched') === false);
	const network = typeof written === 'string' ? written : (direct ?? links[0] ?? '');
	const port = portOf(get(raw, 'migration'), 7402);
	for (const host of Object.keys(mapping(get(raw, 'hosts')))) {
		const link = get(raw, 'hosts', host, 'links', network);
		if (link === undefined || portOf(link, 7400) !== port) continue;
		report(
			['hosts', host, 'links', network],
			`expected another port for heartbeats, found ${port}, on which live migration waits; change "migration.port"`,
			true,
		);
	}
};

const checkFencing = (raw: unknown, report: Report): void => {
	const hosts = Object.keys(mapping(get(raw, 'hosts')));
	const devices = hosts.flatMap((host) =>
		items(get(raw, 'hosts', host, 'fence', 'levels')).flatMap((level, at) =>
			items(get(level, 'devices')).map((device, index) => ({
				path: ['hosts', host, 'fence', 'levels', at, 'devices', index] as Path,
				host,
				device,
			})),
		),
	);
	if (get(raw, 'arbiter') === 'fencing') {
		for (const host of hosts) {
			if (get(raw, 'hosts', host, 'fence') !== undefined) continue;
			report(
				['hosts', host],
				`expected a fence device for ${host}, found none; without one nothing can prove that ${host} is out: add fence.levels or set "arbiter: person"`,
				true,
			);
		}
	}
	unique(
		report,
		devices.map(({ path, device }) => [[...path, 'name'], get(device, 'name')]),
		(value, first) =>
			`expected a name of its own, found "${value}", which is ${pathText(first)} already`,
	);
	// The same BMC for both hosts would switch off the host that asks, and prove nothing of the other.
	const owners = new Map<string, { readonly path: Path; readonly host: string }>();
	for (const { path, host, device } of devices) {
		const address = get(device, 'address');
		if (get(device, 'kind') !== 'ipmi' || typeof address !== 'string') continue;
		const key = `${address}:${portOf(device, 623)}`;
		const first = owners.get(key);
		if (first === undefined) owners.set(key, { path, host });
		else if (first.host !== host)
			report(
				[...path, 'address'],
				`expected the BMC of ${host}, found ${address}, which is the BMC of ${first.host} (${pathText(first.path)})`,
			);
		else
			report(
				[...path, 'address'],
				`expected another BMC, found ${address}, which is ${pathText(first.path)} already: when it is silent, so is this level`,
			);
	}
	for (const host of hosts) checkBudget(raw, host, report);
};

/** The hour's limit must leave a power-off for the last level, or that level is there for nothing. */
const checkBudget = (raw: unknown, host: string, report: Report): void => {
	const levels = items(get(raw, 'hosts', host, 'fence', 'levels'));
	const attempts = levels.map((level) => {
		const value = get(level, 'attempts');
		return typeof value === 'number' ? value : 3;
	});
	const before = attempts.slice(0, -1).reduce((sum, each) => sum + each, 0);
	const written = get(raw, 'fencing', 'perHour');
	const perHour = typeof written === 'number' ? written : 3;
	if (before < perHour) return;
	report(
		['hosts', host, 'fence', 'levels', levels.length - 1],
		`expected a level that can be tried, found fencing.perHour ${perHour} used up by the ${before} attempts of the levels before it; lower their attempts or set "perHour" to ${before + 1} or more`,
	);
};

/** Below this a lease leaves no time between two renewals and the pauses before its end, ms. */
const leasedDetectionMinMs = 2000;

const checkArbiter = (raw: unknown, report: Report): void => {
	if (get(raw, 'arbiter') !== 'witness') return;
	if (get(raw, 'witness') === undefined)
		report(
			['arbiter'],
			'expected a section "witness" for this arbiter, found none; add it or set "arbiter: fencing"',
		);
	const detection = get(raw, 'detection');
	const detectionMs = typeof detection === 'string' ? parseDuration(detection) : null;
	if (detectionMs !== null && detectionMs < leasedDetectionMinMs)
		report(
			['detection'],
			`expected 2s or more with the arbiter witness, found ${formatDuration(detectionMs)}: votes are renewed every second, and VMs are paused 2 s before a vote ends`,
		);
	for (const host of Object.keys(mapping(get(raw, 'hosts')))) {
		const settings = get(raw, 'hosts', host);
		if (get(settings, 'watchdog') !== undefined || get(settings, 'fence') !== undefined) continue;
		report(
			['hosts', host],
			`expected a watchdog or a fence device for ${host}, found neither; without one nothing ever proves that ${host} is out`,
			true,
		);
	}
};

const checkWitness = (raw: unknown, report: Report): void => {
	const address = get(raw, 'witness', 'address');
	const hosts = mapping(get(raw, 'hosts'));
	const at = Object.keys(hosts).find((host) =>
		Object.values(mapping(get(hosts, host, 'links'))).some(
			(link) => typeof address === 'string' && get(link, 'address') === address,
		),
	);
	if (at !== undefined)
		report(
			['witness', 'address'],
			`expected a third machine, found ${String(address)}, which is ${at} itself; a witness that dies with a host decides nothing`,
		);
	const tls = mapping(get(raw, 'witness', 'tls'));
	for (const [one, other] of [
		['certificate', 'key'],
		['key', 'certificate'],
	] as const) {
		if (tls[one] !== undefined && tls[other] === undefined)
			report(['witness', 'tls', one], `expected "${other}" beside "${one}", found nothing`, true);
	}
};

const checkAlerts = (raw: unknown, report: Report): void => {
	const receivers = receiverLists.flatMap((kind) =>
		items(get(raw, 'alerts', kind)).map((receiver, index) => ({
			path: ['alerts', kind, index] as Path,
			receiver,
		})),
	);
	unique(
		report,
		receivers.map(({ path, receiver }) => [[...path, 'name'], get(receiver, 'name')]),
		(value, first) =>
			`expected a name of its own, found "${value}", which is ${pathText(first)} already`,
	);
	for (const { path, receiver } of receivers) {
		const url = get(receiver, 'url');
		const urls: readonly (readonly [Path, unknown])[] = [
			[[...path, 'url'], url],
			...items(get(receiver, 'urls')).map((each, at) => [[...path, 'urls', at], each] as const),
		];
		for (const [where, written] of urls) {
			if (typeof written !== 'string' || !/^[a-z]+:\/\/[^/?#]*@/i.test(written)) continue;
			report(
				where,
				'expected a URL without user and password, found one with them; a secret is never written into this file',
			);
		}
	}
};

const checkWeb = (raw: unknown, report: Report): void => {
	const links = Object.keys(mapping(get(raw, 'links')));
	const used = Object.values(mapping(get(raw, 'hosts'))).flatMap((host) =>
		Object.entries(mapping(get(host, 'links'))).flatMap(([link, own]) =>
			[portOf(own, 7400), portOf(get(raw, 'migration'), 7402)].flatMap((port) => [
				`${link} ${port}`,
				`${String(get(own, 'address'))} ${port}`,
			]),
		),
	);
	for (const [index, listener] of items(get(raw, 'web', 'listen')).entries()) {
		const path: Path = ['web', 'listen', index];
		const link = get(listener, 'link');
		if (typeof link === 'string' && !links.includes(link))
			report([...path, 'link'], oneOf(link, links, 'one of the links'));
		const place = `${String(link ?? get(listener, 'address'))} ${portOf(listener, 7403)}`;
		if (used.includes(place))
			report(path, `expected a port that heartbeats and live migration leave free, found ${place}`);
	}
};

/** Every mistake of sense in the file. `defaultHost` is the name of this machine. */
export const crossProblems = (source: Source, defaultHost: string): readonly ConfigProblem[] => {
	const problems: ConfigProblem[] = [];
	const report: Report = (path, message, onKey = false) => {
		const position = onKey ? source.positionOfKey(path) : source.positionOf(path);
		problems.push({ ...position, path: pathText(path), message });
	};
	const raw = source.value;
	checkHosts(raw, defaultHost, report);
	checkLinks(raw, report);
	checkMigration(raw, report);
	checkFencing(raw, report);
	checkArbiter(raw, report);
	checkWitness(raw, report);
	checkVms(raw, report);
	checkBalance(raw, report);
	checkHealth(raw, report);
	checkAlerts(raw, report);
	checkWeb(raw, report);
	return problems;
};
