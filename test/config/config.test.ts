import { readSource } from '#src/config/source.ts';
import test from 'ava';
import fc from 'fast-check';
import { readConfig } from '#src/config/config.ts';
import {
	configOf,
	exampleText,
	problemsOf,
	smallText,
	twoLevelText,
} from '#test/config/example.ts';

test('the shipped example is valid on either host', (t) => {
	t.deepEqual(problemsOf(exampleText, 'alpha'), []);
	t.deepEqual(problemsOf(exampleText, 'beta'), []);
	t.like(configOf(exampleText, 'beta'), { host: 'beta', peer: 'alpha' });
});

test('what is left out has a sound default', (t) => {
	const config = configOf(smallText('vms: {ldap: {resource: r0, config: /etc/xen/ldap.cfg}}\n'));
	t.like(config, {
		detectionMs: 3000,
		startsAtOnce: 4,
		reservedMemoryMib: 256,
		drbdUnverified: false,
		socketGroup: null,
		alerts: { receivers: [], deadman: null },
		stateDirectory: '/var/lib/vmpair',
		fencing: { perHourMax: 3, afterFence: 'on' },
	});
	t.deepEqual(config.vms, [
		{
			vm: 'ldap',
			resource: 'r0',
			configFile: '/etc/xen/ldap.cfg',
			priority: 100,
			after: [],
			memoryMib: null,
			preferredHost: 'alpha',
			shutdownMs: 120_000,
			restartsMax: 3,
			restartWindowMs: 600_000,
			balance: { pinned: false, near: [], apart: [] },
			liveBlocker: null,
			paravirtual: false,
		},
	]);
});

test('a witness and a watchdog have sound defaults, and are null when they are left out', (t) => {
	const witness = 'witness: {address: 192.0.2.30, passwordFile: /etc/vmpair/w}\nvms: {}\n';
	t.deepEqual(configOf(smallText(witness)).witness, {
		address: '192.0.2.30',
		port: 6379,
		username: 'vmpair',
		passwordFile: '/etc/vmpair/w',
		tls: null,
	});
	t.is(configOf(smallText()).witness, null);
	const watched = smallText().replace('  beta:', '    watchdog: {device: /dev/watchdog0}\n  beta:');
	t.deepEqual(configOf(watched).hosts['alpha']?.watchdog, {
		device: '/dev/watchdog0',
		parameter: null,
		softdog: false,
		sysrq: true,
	});
	t.is(configOf(watched).hosts['beta']?.watchdog, null);
});

test('mistakes about the witness and the watchdog are told with their place', (t) => {
	const told = (witness: string): string =>
		problemsOf(smallText(`witness: {passwordFile: /etc/vmpair/w, ${witness}}\nvms: {}\n`)).join(
			'\n',
		);
	t.regex(
		told('address: redis.example.org'),
		/^f:12:49: witness\.address: expected an IPv4 or IPv6/,
	);
	t.regex(
		told('address: 192.0.2.1'),
		/witness\.address: expected a third machine, .* alpha itself/,
	);
	t.regex(
		told('address: 192.0.2.30, password: x'),
		/expected passwordFile .*: a secret is never written into this file/,
	);
	const tls = (more: string): string => told(`address: 192.0.2.30, tls: {ca: /ca, ${more}}`);
	t.regex(tls('certificate: /c'), /witness\.tls\.certificate: expected "key" beside "certificate"/);
	t.regex(tls('key: /k'), /witness\.tls\.key: expected "certificate" beside "key"/);
	const watched = smallText().replace('  beta:', '    watchdog: {device: /dev/sda}\n  beta:');
	t.regex(problemsOf(watched).join('\n'), /watchdog\.device: expected the device of a watchdog/);
});

test('an arbiter that could never act is told with what it lacks', (t) => {
	const witness = 'witness: {address: 192.0.2.30, passwordFile: /etc/vmpair/w}\nvms: {}\n';
	const asked = (text: string): string =>
		problemsOf(text.replace('arbiter: person', 'arbiter: witness')).join('\n');
	t.regex(asked(smallText()), /^f:2:10: arbiter: expected a section "witness"/);
	t.regex(asked(smallText(witness)), /hosts\.alpha: expected a watchdog or a fence device/);
	const quick = `${smallText(witness)}detection: 1500ms\n`;
	t.regex(asked(quick), /detection: expected 2s or more with the arbiter witness, found 1s500ms/);
	const watched = smallText(witness)
		.replace('  beta:', '    watchdog: {device: /dev/watchdog0}\n  beta:')
		.replace('witness:', '    watchdog: {device: /dev/watchdog0}\nwitness:');
	t.is(asked(watched), '');
});

test('a fingerprint may be written in any case, with or without colons', (t) => {
	const { hosts } = configOf(smallText());
	t.is(hosts['alpha']?.certificate, Array.from({ length: 32 }, () => 'A1').join(':'));
});

test('the file may say which host it is for', (t) => {
	t.is(configOf(`${smallText()}host: beta\n`, 'elsewhere').host, 'beta');
	t.deepEqual(problemsOf(`${smallText()}host: alhpa\n`, 'alpha'), [
		'f:13:7: host: expected one of the hosts (alpha or beta), found "alhpa"; "alpha" was probably meant',
	]);
	t.regex(problemsOf(smallText(), 'gamma')[0] ?? '', /^f:5:1: hosts: expected this machine among/);
});

/** A change of the example, the place and the words of what is told. */
const mistakes: Readonly<Record<string, readonly [string, string, RegExp]>> = {
	'an unknown key': [
		'socketGroup: adm',
		'socketgroup: adm',
		/^f:133:1: socketgroup: .*"socketGroup" was probably meant$/,
	],
	'a number in the place of a duration': [
		'detection: 3s',
		'detection: 3',
		/^f:14:12: detection: expected a duration from 1s to 1m, such as 3s, found the number 3$/,
	],
	'a detection time below its bound': [
		'detection: 3s',
		'detection: 999ms',
		/^f:14:12: detection: .* found "999ms"$/,
	],
	'a detection time above its bound': [
		'detection: 3s',
		'detection: 61s',
		/^f:14:12: detection: .* found "61s"$/,
	],
	'an arbiter that does not exist': [
		'arbiter: fencing',
		'arbiter: hope',
		/^f:11:10: arbiter: expected witness, fencing or person, found "hope"$/,
	],
	'no pair': [
		'pair: computing-centre',
		'',
		/^f:11:1: pair: expected the name of the pair, found nothing$/,
	],
	'a name in the place of an address': [
		'address: 192.0.2.11',
		'address: alpha.example.org',
		/^f:31:30: .*expected an IPv4 or IPv6 address, not a name, found "alpha\.example\.org"$/,
	],
	'a port that is none': [
		'192.0.2.11, port: 7400',
		'192.0.2.11, port: 74000',
		/^f:31:48: .*expected a whole number from 1 to 65535, found the number 74000$/,
	],
	'two VMs on one resource': [
		'resource: samba',
		'resource: ldap',
		/^f:100:15: vms\.samba\.resource: expected a resource of its own, found "ldap", which vms\.ldap\.resource uses/,
	],
	'two VMs with one configuration': [
		'samba.cfg',
		'ldap.cfg',
		/^f:101:13: vms\.samba\.config: expected a configuration file of its own/,
	],
	'a VM after one that does not exist': [
		'priority: 200\n    after: [ldap]',
		'priority: 200\n    after: [ldpa]',
		/^f:103:13: vms\.samba\.after\[0\]: expected a VM of this pair .*"ldpa"/,
	],
	'a VM after itself': [
		'priority: 200\n    after: [ldap]',
		'priority: 200\n    after: [samba]',
		/^f:103:13: vms\.samba\.after\[0\]: expected another VM, found samba itself$/,
	],
	'VMs in a circle': [
		'priority: 300',
		'after: [batch]',
		/^f:95:12: vms\.ldap\.after: .* found a circle: ldap after batch after ldap$/,
	],
	'a preferred host that does not exist': [
		'preferred: beta',
		'preferred: gamma',
		/^f:111:16: vms\.batch\.preferred: expected one of the hosts/,
	],
	'a path that is not absolute': [
		'config: /etc/xen/ldap.cfg',
		'config: ldap.cfg',
		/^f:94:13: vms\.ldap\.config: expected the absolute path of a file, found "ldap\.cfg"$/,
	],
	'memory without a unit': [
		'memory: 512M',
		'memory: 512',
		/^f:96:13: vms\.ldap\.memory: expected memory such as 512M or 2G, found the number 512$/,
	],
	'a VM named as Xen names a moving one': [
		'  samba:\n',
		'  samba--incoming:\n',
		/^f:99:3: vms\.samba--incoming: expected the name of a VM without "--"/,
	],
	'a VM named like a word of JavaScript': [
		'  samba:\n',
		'  constructor:\n',
		/^f:99:3: vms\.constructor: .* not a word of JavaScript/,
	],
	'a host without a fence device': [
		exampleText.slice(exampleText.indexOf('    fence:\n'), exampleText.indexOf('  beta:\n')),
		'',
		/^f:27:3: hosts\.alpha: expected a fence device for alpha, found none; .*"arbiter: person"$/,
	],
	'a device without a bound for a late off': [
		'lateMs: 10000',
		'',
		/^f:42:15: hosts\.alpha\.fence\.levels\[0\]\.devices\[0\]\.lateMs: expected a number \(the longest in ms that the device may hold back/,
	],
	'one BMC for both hosts': [
		'address: 192.0.2.22',
		'address: 192.0.2.21',
		/^f:78:24: .*expected the BMC of beta, found 192\.0\.2\.21, which is the BMC of alpha/,
	],
	'two devices of one name': [
		'name: beta-bmc',
		'name: alpha-bmc',
		/^f:77:21: .*expected a name of its own, found "alpha-bmc", which is hosts\.alpha\.fence/,
	],
	'a device of an unknown kind': [
		'kind: ipmi',
		'kind: ipmii',
		/^f:42:21: .*expected ipmi or agent, found "ipmii"$/,
	],
	'a link that one host lacks': [
		'      replication: { address: 198.51.100.2, port: 7400, device: eth1 }\n',
		'',
		/^f:69:5: hosts\.beta\.links: expected the address of beta on the link "replication"/,
	],
	'a link that is not listed': [
		'      replication: { address: 198.51.100.2',
		'      replicaton: { address: 198.51.100.2',
		/replicaton: expected a link that is listed under links .*"replication" was probably meant$/,
	],
	'two links on one address': [
		'address: 198.51.100.2,',
		'address: 192.0.2.12,',
		/^f:71:31: .*expected an address and port of its own, found 192\.0\.2\.12 port 7400, which is hosts\.beta\.links\.management\.address already$/,
	],
	'a gateway that is a host of the pair': [
		'gateway: 192.0.2.1',
		'gateway: 192.0.2.12',
		/^f:21:14: links\.management\.gateway: expected an address outside the pair/,
	],
	'a certificate that is cut short': [':60:1A', '', /^f:29:18: .*expected a SHA-256 fingerprint/],
	'a secret in the file': [
		'secretFile: /etc/vmpair/on-call.secret',
		'secret: whsec_hunter2',
		/^f:119:7: .*expected secretFile with the path of a file that holds it, found "secret": a secret is never written into this file$/,
	],
	'a password in the file': [
		'passwordFile: /etc/vmpair/alpha-bmc.password',
		'password: hunter2',
		/^f:47:15: .*expected passwordFile with the path of a file/,
	],
	'a URL with a password': [
		'https://alerts.example.org',
		'https://user:hunter2@alerts.example.org',
		/^f:118:12: .*expected a URL without user and password/,
	],
	'a URL that is none': [
		'https://alerts.example.org/hooks/vmpair',
		'alerts.example.org',
		/^f:118:12: .*expected a URL that starts with https/,
	],
	'a key twice': [
		'detection: 3s',
		'detection: 3s\ndetection: 5s',
		/^f:15:1: expected every key once/,
	],
	'a tab as indentation': [
		'  management:\n    switched',
		'  management:\n\tswitched',
		/^f:19:\d+: /,
	],
	'a second document': ['detection: 3s', '---\ndetection: 3s', /expected one document/],
	'a hypervisor that would be simulated': [
		'socketGroup: adm',
		'hypervisor: simulated',
		/hypervisor: expected .* found the unknown key "hypervisor"$/,
	],
};

for (const [what, [before, after, told]] of Object.entries(mistakes))
	test(`${what} is told with its place`, (t) => {
		t.true(exampleText.includes(before));
		const problems = problemsOf(exampleText.replace(before, after));
		t.true(
			problems.some((each) => told.test(each)),
			problems.join('\n'),
		);
		t.false(
			problems.some((each) => each.includes('hunter2')),
			'a secret is never shown',
		);
	});

test('every problem is told at once, in the order of the lines', (t) => {
	const text = exampleText
		.replace('detection: 3s', 'detection: soon')
		.replace('resource: samba', 'resource: ldap')
		.replace('preferred: beta', 'preferred: gamma')
		.replace('minimum: warning', 'minimum: loud');
	const lines = problemsOf(text).map((each) => Number(each.split(':')[1]));
	t.deepEqual(lines, [14, 100, 111, 120]);
});

test('a level that could never be tried, or whose BMC is another level, is told with its place', (t) => {
	t.deepEqual(problemsOf(twoLevelText), []);
	t.deepEqual(problemsOf(twoLevelText.replace('perHour: 6', 'perHour: 3')), [
		'f:51:11: hosts.alpha.fence.levels[1]: expected a level that can be tried, found fencing.perHour 3 used up by the 3 attempts of the levels before it; lower their attempts or set "perHour" to 4 or more',
	]);
	const same = twoLevelText.replace(
		/- \{kind: agent, name: outlet-a, .*/,
		'- {kind: ipmi, name: again, address: 192.0.2.21, username: u, passwordFile: /etc/p, limitMs: 5000, lateMs: 0}',
	);
	t.regex(
		problemsOf(same).join('\n'),
		/^f:53:\d+: .*levels\[1\]\.devices\[0\]\.address: expected another BMC, found 192\.0\.2\.21, which is hosts\.alpha\.fence\.levels\[0\]/,
	);
});

test('devices that stand where there was one level only are told where they belong', (t) => {
	const text = exampleText.replace(/ {6}levels:\n {8}- attempts: 3\n/, '      ');
	t.regex(problemsOf(text).join('\n'), /hosts\.alpha\.fence.*levels/);
});

test('three hosts, one host and no host are refused', (t) => {
	t.regex(
		problemsOf(smallText().replace(/ {2}beta:[^]*?2}}\n/, '')).join('\n'),
		/exactly two hosts, found 1/,
	);
	const third = smallText().replace(
		'vms:',
		`  gamma:\n    certificate: ${'C3'.repeat(32)}\n    links: {lan: {address: 192.0.2.3}}\nvms:`,
	);
	t.regex(problemsOf(third).join('\n'), /^f:5:1: hosts: expected exactly two hosts, found 3/);
	t.regex(problemsOf(smallText().replace(/hosts:[^]*vms/, 'hosts: {}\nvms')).join('\n'), /found 0/);
});

test('an empty file, a list and a word are refused', (t) => {
	for (const text of ['', '# nothing\n', '- a\n', 'word\n', 'null\n'])
		t.regex(
			problemsOf(text).join('\n'),
			/^f:1:1: expected a mapping with the settings of the pair/,
		);
});

test('a file that grows without end by aliases is refused at once', (t) => {
	const levels = Array.from({ length: 12 }, (_, index) => {
		const names = Array.from({ length: 10 }, () => `*l${index}`).join(', ');
		return `l${index + 1}: &l${index + 1} [${names}]`;
	});
	t.regex(problemsOf(`l0: &l0 x\n${levels.join('\n')}\n`).join('\n'), /fewer aliases/);
});

test('no text makes the reader throw, and every problem has a place in it', (t) => {
	const pieces = exampleText.split('\n');
	fc.assert(
		fc.property(
			fc.array(fc.tuple(fc.nat(pieces.length - 1), fc.string({ maxLength: 12, unit: 'binary' })), {
				maxLength: 4,
			}),
			(changes) => {
				const lines = [...pieces];
				for (const [index, text] of changes) lines[index] = text;
				const { config, problems } = readConfig(lines.join('\n'), 'alpha');
				t.is(config === null, problems.length > 0);
				for (const { line, column } of problems) t.true(line >= 1 && column >= 1);
			},
		),
		{ numRuns: 20 },
	);
});

test('a key that stands twice is named with the place of the first one', (t) => {
	const [fault] = readSource('pair: p\nhosts:\n  a: {}\n  b: {}\n  a: {}\n').faults;
	t.is(fault?.message, 'expected every key once, found "a" a second time; the first is in line 3');
	t.is(fault?.line, 5);
});
