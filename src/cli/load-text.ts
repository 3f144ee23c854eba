import type { HostView, Status } from '#src/api/view.ts';
import { percent, stateWords } from '#src/api/words-load.ts';
import { loadKinds } from '#src/ports-load.ts';

/** Load and health as people read them. */

/** `cpu 12 %, dom0 5 %, memory 40 %, disk 3 %, network ?`. */
export const loadText = ({ load }: HostView): string =>
	load === null
		? 'not known'
		: loadKinds.map((kind) => `${kind} ${percent(load[kind])}`).join(', ');

/** The load of both hosts in one line; empty where nobody reads it. */
export const loadsText = ({ hosts }: Status): string =>
	hosts.every(({ load }) => load === null)
		? ''
		: hosts.map((host) => `${host.host} ${loadText(host)}`).join('; ');

/** The health checks of this host in one line: those that are not ok, and how many there are; empty without any. */
export const healthText = ({ health }: Status): string => {
	if (health.length === 0) return '';
	const bad = health
		.filter(({ state }) => state !== 'ok')
		.map((each) => `${each.check} ${stateWords(each)}`);
	const good = health.length - bad.length;
	return [`${good} of ${health.length} checks ok`, ...bad].join(', ');
};

/** What a person should know who sends VMs to a host; empty when all is well there. */
export const targetWarnings = ({ hosts }: Status, target: string): readonly string[] => {
	const critical = hosts.find(({ host }) => host === target)?.critical ?? [];
	return critical.length === 0
		? []
		: [`warning: ${target} is not well: ${critical.join(', ')} critical`];
};
