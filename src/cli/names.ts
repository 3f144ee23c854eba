import type { HostView, LinkView, Status, VmView } from '#src/api/view.ts';
import { nearest } from '#src/config/suggest.ts';
import { VmpairError } from '#src/std/error.ts';

/** More than this on one line is searched in the status. */
const namesMax = 20;

const listed = (names: readonly string[]): string => {
	const more = names.length - namesMax;
	return names.slice(0, namesMax).join(', ') + (more > 0 ? ` and ${more} more` : '');
};

const meant = (name: string, known: readonly string[], otherwise: string): string => {
	const near = nearest(name, known);
	return near === null ? otherwise : `did you mean ${near}? ${otherwise}`;
};

/** The VM of that name. Throws `unknown-vm` with the names that there are. */
export const namedVm = (status: Status, name: string): VmView => {
	const found = status.vms.find(({ vm }) => vm === name);
	if (found !== undefined) return found;
	const names = status.vms.map(({ vm }) => vm).toSorted();
	const there = names.length === 0 ? 'it has none' : `its VMs are ${listed(names)}`;
	throw new VmpairError('unknown-vm', `there is no VM "${name}" in this pair; ${there}`, {
		next:
			names.length === 0
				? 'write it into vmpair.yaml on both hosts, then vmpair reload on both'
				: meant(name, names, '"vmpair status" shows every VM'),
	});
};

/** The host of that name. Throws `unknown-host` with the two names that there are. */
export const namedHost = (status: Status, name: string): HostView => {
	const found = status.hosts.find(({ host }) => host === name);
	if (found !== undefined) return found;
	const names = status.hosts.map(({ host }) => host);
	throw new VmpairError(
		'unknown-host',
		`there is no host "${name}" in this pair; its hosts are ${names.join(' and ')}`,
		{ next: meant(name, names, '"vmpair status" shows both hosts') },
	);
};

/** The link of that name. Throws `unknown-link` with the names that there are. */
export const namedLink = (status: Status, name: string): LinkView => {
	const found = status.links.find(({ link }) => link === name);
	if (found !== undefined) return found;
	const names = status.links.map(({ link }) => link);
	throw new VmpairError(
		'unknown-link',
		`there is no link "${name}" in this pair; its links are ${listed(names)}`,
		{ next: meant(name, names, '"vmpair status" shows every link') },
	);
};

/** The other host of that name. Throws `unknown-host`, and `wrong-host` for this host: it cannot be dead. */
export const namedPeer = (status: Status, name: string): HostView => {
	const found = namedHost(status, name);
	if (!found.self) return found;
	throw new VmpairError('wrong-host', `${name} is this host, and its agent answers`, {
		next: `if ${status.peer} is dead, name that; if ${name} shall be switched off: vmpair leave`,
	});
};

/** The error for a verb that there is not, with the one that was probably meant. */
export const unknownVerb = (written: string, verbs: readonly string[]): VmpairError => {
	const meant = nearest(written, verbs);
	const end = meant === null ? '' : `; "${meant}" was probably meant`;
	return new VmpairError('usage', `there is no verb "${written}"${end}`, { next: 'vmpair help' });
};
