import test from 'ava';
import fc from 'fast-check';
import { checkConfiguration, findingText, readConfiguration } from '#src/xen/configuration.ts';
import { parseXlSettings } from '#src/xen/syntax.ts';

const expected = { vm: 'ldap', resource: 'r-ldap', minors: [3] };

const file = (disk: string): string =>
	[
		'# the directory service',
		'name = "ldap"',
		"type = 'pvh'",
		'kernel = "/boot/vmlinuz-guest"',
		'memory = 512',
		'maxmem = 1024 ; vcpus = 2',
		`disk = [ ${disk} ]`,
		'on_reboot = "destroy"',
		'',
	].join('\n');

const refusals = (text: string): readonly string[] =>
	checkConfiguration(readConfiguration(text), expected)
		.filter(({ severity }) => severity === 'refused')
		.map((finding) => findingText('ldap.cfg', finding));

test('a configuration with a replicated disk has no findings', (t) => {
	const configuration = readConfiguration(file("'phy:/dev/drbd/by-res/r-ldap/0,xvda,w'"));
	t.deepEqual(checkConfiguration(configuration, expected), []);
	t.is(configuration.memoryMib, 512);
	t.deepEqual(configuration.localFiles, [{ path: '/boot/vmlinuz-guest', line: 4 }]);
});

for (const disk of [
	"'phy:/dev/drbd3,xvda,w'",
	"'/dev/drbd3,raw,xvda,rw'",
	"'format=raw, vdev=xvda, access=rw, target=/dev/drbd3'",
	"'phy:/dev/drbd/by-res/r-ldap,xvda,w'",
	"'/dev/drbd3,,xvda', ',,hdc:cdrom'",
	"'backendtype=phy, vdev=xvda, target=/dev/drbd/by-res/r-ldap/0'",
])
	test(`the disk ${disk} is accepted`, (t) => t.deepEqual(refusals(file(disk)), []));

for (const [disk, reason] of [
	["'file:/srv/ldap.img,xvda,w'", /is not replicated by DRBD/],
	["'/dev/vg0/ldap,raw,xvda,rw'", /is not replicated by DRBD/],
	["'phy:/dev/drbd4,xvda,w'", /is not a device of the resource r-ldap/],
	["'phy:/dev/drbd/by-res/r-web/0,xvda,w'", /belongs to the resource r-web/],
	["'drbd:r-ldap,xvda,w'", /promote the resource by itself/],
	["'script=block-iscsi,vdev=xvda,target=/dev/drbd3'", /not used as a plain block device/],
	["'/dev/drbd3,qcow2,xvda,rw'", /not used as a plain block device/],
	["'/dev/drbd3,raw,xvda', '/iso/debian.iso,raw,hdc:cdrom,r'", /debian.iso.*is not replicated/],
	['', /has no disk that is replicated/],
	["',,hdc:cdrom'", /has no disk that is replicated/],
] as const)
	test(`the disk ${disk === '' ? '(none)' : disk} is refused with its line and a remedy`, (t) => {
		const [finding = '', ...others] = refusals(file(disk));
		t.deepEqual(others, []);
		t.regex(finding, /^ldap\.cfg:7: /);
		t.regex(finding, reason);
		t.regex(finding, /Name a device of the resource, such as/);
	});

test('every disk is judged at its own line, and all of them at once', (t) => {
	const text = `name="web"\nmemory=1\ndisk = [\n "phy:/dev/drbd3,xvda,w", # good\n "phy:/dev/sda,xvdb,w",\n "file:/x,xvdc,w" ]\n`;
	t.deepEqual(
		refusals(text).map((each) => each.split(' ')[0]),
		['ldap.cfg:1:', 'ldap.cfg:5:', 'ldap.cfg:6:'],
	);
});

test('without known minors a plain DRBD device is accepted', (t) => {
	const configuration = readConfiguration(file("'phy:/dev/drbd77,xvda,w'"));
	t.deepEqual(checkConfiguration(configuration, { ...expected, minors: null }), []);
});

test('a missing name, memory or disk is refused', (t) => {
	t.is(refusals('').length, 3);
	t.regex(
		refusals(file("'/dev/drbd3,,xvda'").replace('memory = 512', 'memory = "lots"'))[0] ?? '',
		/ldap.cfg:5: .*memory/,
	);
});

test('an xl that restarts the guest by itself is pointed out, not refused', (t) => {
	const text = file("'/dev/drbd3,,xvda'").replace('on_reboot = "destroy"', 'on_crash = "restart"');
	const findings = checkConfiguration(readConfiguration(text), expected);
	t.deepEqual(
		findings.map(({ severity, line }) => [severity, line]),
		[
			['advice', 1],
			['advice', 8],
		],
	);
});

test('lists, appending and the last assignment work as in xl', (t) => {
	const { settings, mistakes } = parseXlSettings(
		`a = "x"\na = 'y'\nb = [ 1, 0x2,\n\n [ "n" ], ]\nb += [ "z" ]\nc = "q" ; c += "r"\n`,
	);
	t.deepEqual(mistakes, []);
	t.deepEqual(Object.fromEntries(settings.map(({ key, value }) => [key, value])), {
		a: 'y',
		b: ['1', '0x2', ['n'], 'z'],
		c: 'qr',
	});
});

test('a line that cannot be read is refused and does not hide the others', (t) => {
	const text = `${file("'file:/x,xvda,w'")}vif = "bridge=xenbr0\n`;
	const found = refusals(text);
	t.is(found.length, 2);
	t.regex(found[1] ?? '', /ldap.cfg:9: This line cannot be read/);
});

test('random text never throws, and every line number is one of the file', (t) => {
	const pieces = fc.array(
		fc.oneof(
			fc.string(),
			fc.constantFrom('disk', '=', '+=', '[', ']', ',', '"', "'", '\n', ';', '#', ' '),
		),
	);
	fc.assert(
		fc.property(pieces, (parts) => {
			const text = parts.join('');
			const lines = text.split('\n').length;
			for (const finding of checkConfiguration(readConfiguration(text), expected)) {
				t.true(finding.line >= 1 && finding.line <= lines);
			}
		}),
	);
});
