import type { HostView, Status } from '#src/api/view.ts';
import { statusLines } from '#src/cli/status-text.ts';
import { exampleStatus, exampleVm } from '#test/cli/example.ts';

const names = ['ldap', 'samba', 'batch', 'ui', 'ce'];
const healthy = exampleStatus(names.map((name) => exampleVm(name)));

/** A minute after a power cut, seen from the host that took over. */
const takenOver: Status = {
	...healthy,
	self: 'south',
	peer: 'north',
	verdict: 'unprotected',
	reason: 'north is out (power-off): nothing protects south now',
	next: 'repair north and power it on; it resyncs and stands by',
	hosts: healthy.hosts.toReversed().map((host): HostView => {
		if (host.host === 'south') return { ...host, self: true, heardAgeMs: 0 };
		const reason = 'every fence device of its level reads off';
		return { ...host, self: false, state: 'out', ageMs: 61_000, heardAgeMs: 64_000, reason };
	}),
	links: healthy.links.map((link) => ({ ...link, state: 'silent', ageMs: 64_000 })),
	fencing:
		healthy.fencing === null
			? null
			: { ...healthy.fencing, target: 'north', power: 'off', powerAgeMs: 4000, lastHour: 1 },
	vms: names.map((name) =>
		exampleVm(name, {
			owner: 'south',
			runsOn: 'south',
			ageMs: 48_000,
			sights: exampleVm(name)
				.sights.toReversed()
				.map((sight) => (sight.host === 'north' ? { ...sight, disk: null } : sight)),
			failover: { ready: false, to: 'north', blocker: 'replication is down', next: '' },
		}),
	),
};

const screen = (status: Status): string =>
	statusLines(status, { columns: 80, colour: false })
		.map((line) => (line === '' ? '' : `    ${line}`))
		.join('\n');

/** The status screens that the README shows, as the program prints them. */
export const readmeScreens: readonly string[] = [screen(healthy), screen(takenOver)];
