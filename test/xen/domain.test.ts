import test from 'ava';
import fc from 'fast-check';
import {
	backendDomids,
	domainsOf,
	observationOf,
	parseConfigurations,
	parseDomainList,
	parseFreeMemory,
	presenceOf,
} from '#src/xen/domain.ts';
import type { Domain, Seen } from '#src/xen/domain.ts';
import { captured, firstListing } from '#test/xen/captured.ts';

const uuid = 'e0ae7608-8db7-45f4-9c4c-3a2c41a9df21';
const header =
	'Name                                        ID   Mem VCPUs\tState\tTime(s)   UUID                            Reason-Code\tSecurity Label';
const row = (name: string, state: string, code = '-', domid = 5): string =>
	`${name.padEnd(40)} ${String(domid).padStart(5)}   160     1     ${state}      12.5 ${uuid} ${code.padStart(8)}                -`;

const listed = (...rows: readonly string[]): readonly Domain[] =>
	parseDomainList([header, ...rows, ''].join('\n'))?.domains ?? [];

const seen = (domains: readonly Domain[], rest: Partial<Seen> = {}): Seen => ({
	domains,
	former: [],
	backends: new Set(),
	...rest,
});

const states: ReadonlyArray<readonly [string, string, string, string | null]> = [
	['r-----', '-', 'running', null],
	['-b----', '-', 'running', null],
	['------', '-', 'running', null],
	['--p---', '-', 'paused', null],
	['-bp---', '-', 'paused', null],
	['---s--', '0', 'stopped', 'poweroff'],
	['---sr-', '1', 'stopped', 'reboot'],
	['---ss-', '2', 'stopped', 'suspend'],
	['---sc-', '3', 'stopped', 'crash'],
	['---sw-', '4', 'stopped', 'watchdog'],
	['---sS-', '5', 'stopped', 'soft-reset'],
	['---s?-', 'ffffffff', 'stopped', 'crash'],
	['--ps--', '0', 'stopped', 'poweroff'],
	['--ps-d', '0', 'dying', null],
	['-----d', '-', 'dying', null],
];

for (const [state, code, presence, reason] of states)
	test(`a domain in state ${state} with reason ${code} is ${presence}`, (t) => {
		const observation = observationOf('ldap', seen(listed(row('ldap', state, code))));
		t.deepEqual(observation, {
			vm: 'ldap',
			presence,
			reason,
			neverRan: false,
			instance: `5/${uuid}`,
		} as never);
	});

test('a paused domain that used no CPU time has never run', (t) => {
	const text = firstListing(captured('xen/xl-list-v-paused').stdout);
	const observation = observationOf('ledger1', seen(parseDomainList(text)?.domains ?? []));
	t.is(observation?.presence, 'paused');
	t.true(observation?.neverRan);
});

for (const [file, presence, reason] of [
	['xl-list-v-running', 'running', null],
	['xl-list-v-paused', 'paused', null],
	['xl-list-v-after-failed-create', 'running', null],
	['xl-list-v-guest-poweroff', 'stopped', 'poweroff'],
	['xl-list-v-guest-reboot', 'stopped', 'reboot'],
	['xl-list-v-guest-crash', 'stopped', 'crash'],
] as const)
	test(`what a real host printed for ${file} is ${presence}`, (t) => {
		const list = parseDomainList(firstListing(captured(`xen/${file}`).stdout));
		t.deepEqual(list?.unreadable, []);
		t.is(list?.domains[0]?.name, 'Domain-0');
		const observation = observationOf('ledger1', seen(list?.domains ?? []));
		t.is(observation?.presence, presence);
		t.is(observation?.reason, reason);
	});

test('a domain that was created paused and never ran is told from one that was paused later', (t) => {
	const never = parseDomainList(captured('xen/xl-list-v-paused').stdout)?.domains ?? [];
	t.like(observationOf('ledger1', seen(never)), { presence: 'paused', neverRan: true });
	const later = listed(row('ldap', '--p---'));
	t.like(observationOf('ldap', seen(later)), { presence: 'paused', neverRan: false });
});

test('a domain that was destroyed on a real host is not listed', (t) => {
	const text = firstListing(captured('xen/xl-destroy-after-shutdown').stdout);
	t.deepEqual(
		parseDomainList(text)?.domains.map(({ name }) => name),
		['Domain-0'],
	);
});

test('a name may hold spaces and even look like a row', (t) => {
	const odd = `a b  7 ${row('x', '--p---', '-', 9).trimEnd()} z`;
	const [first, second] = listed(row('my web server', '-b----'), row(odd, '------'));
	t.is(first?.name, 'my web server');
	t.is(second?.name, odd);
	t.is(second?.domid, 5);
	t.is(second?.paused, false);
});

test('a domain whose name xenstore forgot has none, and is not concluded to be dying', (t) => {
	const [zombie, nameless] = listed(row('(null)', '--ps-d'), row('(null)', '-b----'));
	t.is(zombie?.name, null);
	t.is(nameless === undefined ? null : presenceOf(nameless), 'running');
});

test('copies that a migration leaves under another name are not the VM', (t) => {
	const domains = listed(row('ldap--incoming', '--p---'), row('ldap--migratedaway', '---ss-', '2'));
	t.is(observationOf('ldap', seen(domains)), null);
});

test('a nameless domain counts for the VM whose domain it was', (t) => {
	const former = [{ vm: 'ldap', domid: 5, uuid }];
	const state = seen(listed(row('(null)', '-----d')), { former });
	t.is(observationOf('ldap', state)?.presence, 'dying');
	t.is(observationOf('samba', state), null);
	t.is(domainsOf('ldap', state).length, 1);
});

test('a VM without domain is dying while a device of its last domain is left', (t) => {
	const former = [{ vm: 'ldap', domid: 5, uuid }];
	const left = backendDomids(['console-5-0', 'vbd-5-51712', 'vif-6-0']);
	t.is(observationOf('ldap', seen([], { former, backends: left }))?.presence, 'dying');
	t.is(observationOf('ldap', seen([], { former, backends: backendDomids(['vif-5-0']) })), null);
});

test('a running domain outweighs what is left of a former one', (t) => {
	const former = [{ vm: 'ldap', domid: 4, uuid }];
	const state = seen(listed(row('ldap', '-b----')), { former, backends: new Set([4, 5]) });
	t.is(observationOf('ldap', state)?.presence, 'running');
});

test('text that is no listing is not taken for an empty one', (t) => {
	t.is(parseDomainList(''), null);
	t.is(parseDomainList('xl: command not found\n'), null);
	t.is(parseDomainList(captured('xen/xl-list-running').stdout), null);
});

test('a row that is not understood is reported, not skipped', (t) => {
	const list = parseDomainList(`${header}\n${row('ldap', '-b----')}\nsomething new\n`);
	t.is(list?.domains.length, 1);
	t.deepEqual(list?.unreadable, ['something new']);
});

test('random text never throws and never invents a domain', (t) => {
	fc.assert(
		fc.property(fc.string(), fc.array(fc.string()), (first, lines) => {
			const list = parseDomainList([header, first, ...lines].join('\n'));
			t.deepEqual(list?.domains, []);
			parseDomainList(first);
			parseConfigurations(first);
			parseFreeMemory(first);
			backendDomids(lines);
		}),
	);
});

test('any state letters give a presence, and the pause flag alone gives paused', (t) => {
	const letters = fc.tuple(
		fc.constantFrom('r', '-'),
		fc.constantFrom('b', '-'),
		fc.constantFrom('p', '-'),
		fc.constantFrom('s', '-'),
		fc.constantFrom('-', 'r', 's', 'c', 'w', 'S', '?'),
		fc.constantFrom('d', '-'),
	);
	fc.assert(
		fc.property(letters, (state) => {
			const [domain] = listed(row('ldap', state.join(''), state[3] === 's' ? '0' : '-'));
			const paused = state[2] === 'p' && state[3] === '-' && state[5] === '-';
			t.is(domain !== undefined && presenceOf(domain) === 'paused', paused);
		}),
	);
});

test('free memory is read with and without its key', (t) => {
	t.is(parseFreeMemory('1470\n'), 1470);
	t.is(parseFreeMemory('free_memory            : 1470\n'), 1470);
	t.is(parseFreeMemory(''), null);
	t.is(parseFreeMemory('libxl_physinfo failed.'), null);
	const whole = captured('xen/xl-info').stdout.split('\n');
	t.is(parseFreeMemory(whole.find((line) => line.startsWith('free_memory')) ?? ''), 1470);
});

test('the configuration of real domains is read from xl list -l', (t) => {
	const [, ledger] = parseConfigurations(captured('xen/xl-list-l').stdout) ?? [];
	t.like(ledger, {
		domid: 1,
		name: 'ledger1',
		uuid,
		memoryMib: 160,
		disks: [{ path: '/dev/drbd1', device: 'xvda' }],
	});
	t.is(parseConfigurations('[{"domid": "1"}]'), null);
});
