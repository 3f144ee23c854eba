import { get, items, mapping, oneOf, type Report } from '#src/config/raw.ts';
import { balanceSchema } from '#src/config/schema-balance.ts';

/** What the settings of load and health say of one another, of the VMs and of the hosts. */

const percentOf = (written: unknown, standard: number): number =>
	typeof written === 'number' ? written : standard;

/** A host that takes a VM must not be overloaded by it: the VM would be sent back. */
const checkTarget = (raw: unknown, report: Report): void => {
	const standard = balanceSchema.parse({});
	const written = get(raw, 'balance', 'target');
	const target = percentOf(written, standard.target);
	for (const [kind, usual] of Object.entries(standard.limits)) {
		const path = ['balance', 'limits', kind];
		const limit = percentOf(get(raw, ...path), usual);
		if (target < limit) continue;
		if (written === undefined)
			report(path, `expected a limit above balance.target, which is ${target}, found ${limit}`);
		else
			report(
				['balance', 'target'],
				`expected a target below every limit, found ${target}, and balance.limits.${kind} is ${limit}; a VM would be sent back as soon as it arrives`,
			);
		return;
	}
};

/** That names in `near` and `apart` are other VMs of the pair, and that no two wishes contradict each other. */
const checkWishes = (raw: unknown, report: Report): void => {
	const vms = mapping(get(raw, 'vms'));
	const names = Object.keys(vms);
	const wishes = (name: string, wish: 'near' | 'apart') => items(get(vms, name, 'balance', wish));
	for (const name of names)
		for (const wish of ['near', 'apart'] as const)
			for (const [index, other] of wishes(name, wish).entries()) {
				if (typeof other !== 'string') continue;
				const path = ['vms', name, 'balance', wish, index];
				if (other === name) report(path, `expected another VM, found ${name} itself`);
				else if (!names.includes(other)) report(path, oneOf(other, names, 'a VM of this pair'));
				else if (wish === 'apart' && wishes(name, 'near').includes(other))
					report(path, `expected a VM that is not in "near" as well, found ${other}`);
				else if (wish === 'apart' && wishes(other, 'near').includes(name))
					report(
						path,
						`expected a VM that does not want to be near, found ${other}, which has ${name} in "near"`,
					);
			}
};

/** Every mistake of sense in the settings of load. */
export const checkBalance = (raw: unknown, report: Report): void => {
	checkTarget(raw, report);
	checkWishes(raw, report);
};

/** Every mistake of sense in the health checks. */
export const checkHealth = (raw: unknown, report: Report): void => {
	const hosts = Object.keys(mapping(get(raw, 'hosts')));
	for (const [check, settings] of Object.entries(mapping(get(raw, 'health'))))
		for (const [index, host] of items(get(settings, 'hosts')).entries())
			if (typeof host === 'string' && !hosts.includes(host))
				report(['health', check, 'hosts', index], oneOf(host, hosts, 'one of the hosts'));
};
