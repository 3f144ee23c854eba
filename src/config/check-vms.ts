import { pathText } from '#src/config/problem.ts';
import { get, items, mapping, oneOf, type Report, texts, unique } from '#src/config/raw.ts';
import type { Path } from '#src/config/source.ts';

/** What one VM says of another one, and of the hosts. */

/** One cycle of `after`, as the names on the way round, or null. */
const cycleFrom = (
	start: string,
	after: ReadonlyMap<string, readonly string[]>,
): readonly string[] | null => {
	const done = new Set<string>();
	const way: string[] = [];
	const visit = (name: string): boolean => {
		if (name === start && way.length > 0) return true;
		if (done.has(name)) return false;
		done.add(name);
		way.push(name);
		for (const next of after.get(name) ?? []) if (visit(next)) return true;
		way.pop();
		return false;
	};
	return visit(start) ? [...way, start] : null;
};

const checkOrder = (raw: unknown, report: Report): void => {
	const vms = mapping(get(raw, 'vms'));
	const names = Object.keys(vms);
	const after = new Map(names.map((name) => [name, texts(get(vms, name, 'after'))]));
	const told = new Set<string>();
	for (const name of names) {
		for (const [index, other] of items(get(vms, name, 'after')).entries()) {
			if (typeof other !== 'string') continue;
			const path = ['vms', name, 'after', index];
			if (other === name) report(path, `expected another VM, found ${name} itself`);
			else if (!after.has(other)) report(path, oneOf(other, names, 'a VM of this pair'));
		}
		const cycle = told.has(name) ? null : cycleFrom(name, after);
		if (cycle === null || cycle.length <= 2) continue;
		for (const each of cycle) told.add(each);
		report(
			['vms', name, 'after'],
			`expected an order in which the VMs can start, found a circle: ${cycle.join(' after ')}`,
		);
	}
};

export const checkVms = (raw: unknown, report: Report): void => {
	const vms = mapping(get(raw, 'vms'));
	const names = Object.keys(vms);
	const hosts = Object.keys(mapping(get(raw, 'hosts')));
	const all = (key: string) =>
		names.map((name) => [['vms', name, key] as Path, get(vms, name, key)] as const);
	unique(
		report,
		all('resource'),
		(value, first) =>
			`expected a resource of its own, found "${value}", which ${pathText(first)} uses already; two VMs on one resource cannot run on different hosts`,
	);
	unique(
		report,
		all('config'),
		(value, first) =>
			`expected a configuration file of its own, found "${value}", which ${pathText(first)} uses already`,
	);
	for (const [path, preferred] of all('preferred')) {
		if (typeof preferred === 'string' && !hosts.includes(preferred))
			report(path, oneOf(preferred, hosts, 'one of the hosts'));
	}
	checkOrder(raw, report);
};
