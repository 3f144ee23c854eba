import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { parseConfiguration } from '#src/drbd/configuration.ts';
import { drbdPreflight } from '#src/drbd/driver-preflight.ts';
import { type DrbdExpectations, type DrbdFacts, drbdFindings } from '#src/drbd/preflight.ts';
import { parseStatements } from '#src/drbd/syntax.ts';
import { createFake } from '#test/drbd/fake.ts';

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8');
const dump = read('../fixture/drbd/dump-84.txt');
const dumpNine = read('../fixture/drbd/dump-9.txt');
const dumpCommon = read('../fixture/drbd/dump-84-common.txt');

const show = `resource vm1 {
    options {
    }
    net {
        cram-hmac-alg   	"sha256";
        shared-secret   	"it's a \\"secret\\"";
        after-sb-0pri   	discard-zero-changes;
        timeout         	9; # 1/10 seconds
        ping-int        	1; # seconds
        ping-timeout    	10; # 1/10 seconds
    }
    _remote_host {
        address			ipv4 10.9.0.2:7001;
    }
    _this_host {
        address			ipv4 10.9.0.1:7001;
        volume 0 {
            device			minor 0;
            disk			"/dev/vda";
            meta-disk			internal;
            disk {
                fencing         	resource-and-stonith;
            }
        }
        volume 1 {
            device			minor 1;
        }
    }
}

`;

const expected: DrbdExpectations = {
	resources: [{ resource: 'vm1', peer: 'host2' }],
	handlerFile: '/usr/lib/vmpair/drbd-handler',
	detectionMs: 3000,
	unverified: false,
	migrating: new Set(),
};

const parsed = (text: string) => {
	const configuration = parseConfiguration(text);
	if (configuration === null) throw new Error('not parsed');
	return configuration;
};

const judge = (
	text: string,
	change: Partial<DrbdFacts> = {},
	wish: Partial<DrbdExpectations> = {},
) =>
	drbdFindings(
		{
			kernelVersion: 0x08_04_0b,
			configured: parsed(text),
			running: null,
			helper: '/sbin/drbdadm',
			notExecutable: [],
			...change,
		},
		{ ...expected, ...wish },
	);

test('a dump of 8.4 is read with its volumes, handlers and files', (t) => {
	const vm1 = parsed(dump).get('vm1');
	t.is(vm1?.file, '/etc/drbd.d/vm1.res:1');
	t.false(vm1?.isIgnored);
	t.deepEqual(
		vm1?.hosts.map(({ name, volumes }) => [
			name,
			volumes.map(({ device, minor }) => [device, minor]),
		]),
		['host1', 'host2'].map((host) => [
			host,
			[
				['/dev/drbd0', 0],
				['/dev/drbd1', 1],
			],
		]),
	);
	t.is(vm1?.handlers.get('fence-peer'), '/usr/lib/vmpair/drbd-handler fence-peer');
	t.is(vm1?.connections[0]?.get('shared-secret'), 'it\'s a "secret"');
	t.is(vm1?.hosts[0]?.volumes[1]?.options.get('resync-rate'), '10M');
	t.is(vm1?.hosts[0]?.volumes[1]?.options.get('fencing'), 'resource-and-stonith');
});

test('what stands in common counts for every resource', (t) => {
	const found = parsed(dumpCommon).get('vm-1.a');
	t.is(found?.connections[0]?.get('ping-int'), '2');
	t.is(found?.connections[0]?.get('ping-timeout'), '10');
	t.is(found?.hosts[0]?.volumes[0]?.options.get('fencing'), 'resource-and-stonith');
	t.is(found?.handlers.get('fence-peer'), '/usr/lib/vmpair/drbd-handler fence-peer');
});

test('the recommended file has nothing to find', (t) => {
	const { blockers, advice } = judge(dump, { running: parsed(show) });
	t.deepEqual([blockers, advice], [[], []]);
	const example = parsed(read('../../deploy/drbd/vmpair.res.example').replaceAll('NAME', 'vm1'));
	t.deepEqual(judge(dump, { configured: example }).blockers, []);
	t.deepEqual(judge(dump, { configured: example }).advice, []);
});

test('each mistake is named with its file and the line to write', (t) => {
	const cases: readonly [RegExp | string, string, RegExp][] = [
		[
			/fencing .*;/,
			'fencing dont-care;',
			/"fencing dont-care".*Write "fencing resource-and-stonith;" into its disk section/,
		],
		[/fencing .*;/, '', /"fencing dont-care"/],
		['resync-rate 10M;', 'fencing resource-only;', /"fencing resource-only"/],
		[
			/allow-two-primaries .*;/,
			'allow-two-primaries;',
			/"allow-two-primaries".*both hosts could write/,
		],
		[/protocol +C;\n +cram/, 'protocol A; cram', /"protocol A"/],
		[
			/after-sb-0pri .*;/,
			'after-sb-0pri discard-younger-primary;',
			/"after-sb-0pri discard-younger-primary".*throw data away/,
		],
		[/after-sb-2pri .*;/, 'after-sb-2pri violently-as0p;', /after-sb-2pri disconnect;/],
		[/ping-int .*;/, 'ping-int 10;', /"ping-int 10".*Write "ping-int 1;" into its net section/],
		[/ping-int .*;/, '', /"ping-int 10"/],
		[/ping-timeout .*;/, 'ping-timeout 50;', /"ping-timeout 50"/],
		[
			/fence-peer .*;/,
			'',
			/no fence-peer handler.*Write "fence-peer "\/usr\/lib\/vmpair\/drbd-handler fence-peer";"/,
		],
		[
			/fence-peer .*;/,
			'fence-peer "/usr/lib/drbd/crm-fence-peer.sh";',
			/the fence-peer handler "\/usr\/lib\/drbd\/crm-fence-peer.sh"/,
		],
		[/before-resync-target .*;/, '', /no before-resync-target handler/],
		[
			'handlers {',
			'startup { become-primary-on host1; } handlers {',
			/vm1.res:1\) has "become-primary-on/,
		],
		['not ignored', 'ignored', /is not for this host/],
	];
	for (const [from, to, sentence] of cases) {
		const { blockers } = judge(dump.replace(from, to));
		t.is(blockers.length, 1, to);
		t.regex(blockers[0] ?? '', sentence);
		t.regex(blockers[0] ?? '', /vm1/);
	}
});

test('times that are allowed but bad are advice', (t) => {
	t.regex(judge(dump.replace(/ping-timeout .*;/, 'ping-timeout 5;')).advice.join(), /lost packets/);
	t.regex(
		judge(dump.replace(/timeout {12}9;/, 'timeout 25;')).advice.join(),
		/shorter than ping-int/,
	);
	const slow = judge(dump.replace(/ping-int .*;/, 'ping-int 2;'));
	t.deepEqual(slow.blockers, []);
	t.regex(slow.advice.join(), /detection time of 5 s .*vmpair's own is 3 s/);
	t.deepEqual(
		judge(dump.replace(/ping-int .*;/, 'ping-int 2;'), {}, { detectionMs: 5000 }).advice,
		[],
	);
});

test('a third host, a missing volume and a missing resource are refused', (t) => {
	const third = dump.replace(
		'    on host2 {',
		'    on host3 { device /dev/drbd0; }\n    on host2 {',
	);
	t.regex(judge(third).blockers.join(), /configured for 3 hosts/);
	const uneven = dump.replace(/ {8}volume 1 \{\n {12}device[^}]*\}\n/, '');
	t.regex(judge(uneven).blockers.join(), /the volumes 0, 1 on one host and 0 on the other/);
	t.regex(judge(dump.replaceAll('/dev/vdb', 'none')).blockers.join(), /it is not mirrored/);
	const missing = judge(dump, {}, { resources: [{ resource: 'vm2', peer: 'host2' }] });
	t.regex(missing.blockers.join(), /Resource vm2 is not in DRBD's configuration/);
});

test('what the kernel runs counts, too', (t) => {
	const running = parsed(show.replace('resource-and-stonith', 'dont-care'));
	const { blockers } = judge(dump, { running });
	t.is(blockers.length, 1);
	t.regex(
		blockers[0] ?? '',
		/The kernel runs resource vm1 with "fencing dont-care".*drbdadm adjust vm1/,
	);
	const two = parsed(show.replace('ping-int ', 'allow-two-primaries yes; ping-int '));
	t.regex(judge(dump, { running: two }).blockers.join(), /The kernel runs .*"allow-two-primaries"/);
	const migrating = judge(dump, { running: two }, { migrating: new Set(['vm1']) });
	t.deepEqual(migrating.blockers, [], 'while a live migration needs it');
	// While StandAlone the kernel shows no net options; their defaults are not in force.
	const alone = show.replace(/ {4}net \{[^}]*\}\n/, '').replace(/ {4}_remote_host \{[^}]*\}\n/, '');
	t.deepEqual(judge(dump, { running: parsed(alone) }).blockers, []);
});

test('DRBD 9 needs the explicit switch and its own sections', (t) => {
	const nine = { kernelVersion: 0x09_01_14 };
	const refused = judge(dumpNine, nine).blockers;
	t.is(refused.length, 1);
	t.regex(refused[0] ?? '', /DRBD 9\.1\.20.*"unverified: true"/);
	const allowed = { unverified: true };
	t.deepEqual(judge(dumpNine, nine, allowed).blockers, []);
	const promotes = dumpNine.replace(/auto-promote .*;/, '');
	t.regex(judge(promotes, nine, allowed).blockers.join(), /"auto-promote yes"/);
	const unfenced = dumpNine.replace(/fencing .*;/, '');
	t.regex(judge(unfenced, nine, allowed).blockers.join(), /into its net section/);
});

test('a kernel or handler that cannot work is refused', (t) => {
	t.regex(judge(dump, { kernelVersion: 0 }).blockers.join(), /module is not loaded.*modprobe drbd/);
	t.regex(judge(dump, { kernelVersion: null }).blockers.join(), /could not be read/);
	t.regex(judge(dump, { kernelVersion: 0x08_03_0d }).blockers.join(), /older than 8\.4/);
	t.regex(judge(dump, { helper: 'disabled' }).blockers.join(), /usermode_helper is off/);
	t.regex(
		judge(dump, { notExecutable: ['/sbin/drbdadm'] }).blockers.join(),
		/\/sbin\/drbdadm cannot be/,
	);
	const error = { configured: { error: 'it did not answer' } };
	t.regex(judge(dump, error).blockers.join(), /cannot be read: it did not answer/);
});

test('text that is not in the syntax is not read as something', (t) => {
	for (const text of ['resource vm1 {', '}', 'a b', 'a "b;', '{ }', 'a { b }', 'a{'.repeat(40)]) {
		t.is(parseStatements(text), null, text);
	}
	t.deepEqual(parseStatements('a "b c\\"d" { e; } # f {\n;'), [
		{ words: ['a', 'b c"d'], block: [{ words: ['e'], block: null }] },
	]);
	fc.assert(
		fc.property(
			fc.string({ unit: fc.constantFrom('a', '{', '}', ';', '"', '\\', '#', '\n', ' ') }),
			(text) => {
				parseConfiguration(text);
			},
		),
		{ numRuns: 300 },
	);
});

test('the preflight asks the tools and never fails itself', async (t) => {
	const folder = await mkdtemp(join(tmpdir(), 'vmpair-preflight-'));
	t.teardown(() => rm(folder, { recursive: true }));
	const fake = await createFake(t);
	const handlerFile = join(folder, 'drbd-handler');
	const helperFile = join(folder, 'usermode_helper');
	const options = { ...expected, ...fake, handlerFile, helperFile };
	const nothing = (await drbdPreflight({ ...options, drbdadm: '/nowhere/drbdadm' })).blockers;
	t.regex(nothing.join(), /could not be read.*cannot be executed.*configuration cannot be read/s);

	await writeFile(handlerFile, '');
	await chmod(handlerFile, 0o755);
	await writeFile(helperFile, `${handlerFile}\n`);
	const text = dump.replaceAll('/usr/lib/vmpair/drbd-handler', handlerFile);
	await fake.behave('drbdadm.--version', 'echo DRBD_KERNEL_VERSION_CODE=0x08040b');
	await fake.behave('drbdadm.dump', `cat <<'END'\n${text}\nEND`);
	await fake.behave('drbdsetup.show', `cat <<'END'\n${show}\nEND`);
	t.deepEqual((await drbdPreflight(options)).blockers, []);

	await writeFile(helperFile, '/nowhere/drbdadm\n');
	t.regex((await drbdPreflight(options)).blockers.join(), /\/nowhere\/drbdadm cannot be executed/);
	await fake.behave('drbdadm.dump', 'sleep 30');
	t.regex((await drbdPreflight({ ...options, limitMs: 300 })).blockers.join(), /did not answer/);
});
