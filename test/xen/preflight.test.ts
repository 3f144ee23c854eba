import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { xenPreflight } from '#src/xen/driver-preflight.ts';
import { createFailure } from '#src/xen/outcome.ts';
import { captured } from '#test/xen/captured.ts';
import { fakeXen } from '#test/xen/fake.ts';

const vms = [
	{ vm: 'ldap', resource: 'r-ldap', configurationFile: '/etc/xen/ldap.cfg' },
	{ vm: 'web', resource: 'r-web', configurationFile: '/etc/xen/web.cfg' },
];

const good: Readonly<Record<string, string>> = {
	'/etc/xen/ldap.cfg':
		'name = "ldap"\nmemory = 512\nkernel = "/boot/guest"\ndisk = ["phy:/dev/drbd/by-res/r-ldap/0,xvda,w"]\non_reboot = "destroy"\n',
	'/etc/xen/web.cfg': 'name = "web"\nmemory = 512\ndisk = ["phy:/dev/drbd7,xvda,w"]\n',
	'/boot/guest': '',
	'/etc/xen/xl.conf': 'autoballoon="off"\n',
	'/etc/xen/auto/README': 'no configuration\n',
	'/dev/drbd7': '',
};

/** The findings on a host that is as it should be but for `files`, `links` and unit states. */
const findings = async (
	t: ExecutionContext,
	changed: {
		readonly files?: Readonly<Record<string, string | null>>;
		readonly links?: Readonly<Record<string, string>>;
		readonly units?: Readonly<Record<string, string>>;
		readonly configurations?: string;
	} = {},
): Promise<readonly string[]> => {
	const host = await fakeXen(t);
	const root = join(host.folder, 'root');
	const put = async (path: string): Promise<string> => {
		await mkdir(dirname(join(root, path)), { recursive: true });
		return join(root, path);
	};
	for (const [path, text] of Object.entries({ ...good, ...changed.files })) {
		if (text !== null) await writeFile(await put(path), text);
	}
	const links = { '/dev/drbd/by-res/r-web/0': '/dev/drbd7', ...changed.links };
	for (const [path, target] of Object.entries(links))
		await symlink(join(root, target), await put(path));
	await mkdir(join(host.folder, 'units'));
	const units = {
		'is-enabled.xendomains.service': 'disabled',
		'is-enabled.drbd.service': 'disabled',
		...changed.units,
	};
	for (const [unit, word] of Object.entries(units)) await host.write(`units/${unit}`, `${word}\n`);
	if (changed.configurations !== undefined) {
		await host.write('configurations', changed.configurations);
	}
	return xenPreflight({ tools: host.tools, root })(vms);
};

test('a host that is set up well has no findings', async (t) => {
	t.deepEqual(await findings(t), []);
});

test('xendomains and drbd that are enabled are refused with the command that disables them', async (t) => {
	const found = await findings(t, {
		units: { 'is-enabled.xendomains.service': 'enabled', 'is-enabled.drbd.service': 'enabled' },
	});
	t.is(found.length, 2);
	t.regex(
		found[0] ?? '',
		/^xendomains\.service is enabled .* Run "systemctl disable xendomains\.service"\.$/,
	);
	t.regex(found[1] ?? '', /^drbd\.service is enabled .* Run "systemctl disable drbd\.service"\.$/);
});

test('xendomains that is disabled but active would still act at shutdown', async (t) => {
	const found = await findings(t, { units: { 'is-active.xendomains.service': 'active' } });
	t.is(found.length, 1);
	t.regex(found[0] ?? '', /still active, so it would act on the VMs at the next shutdown/);
});

test('a managed VM that Xen starts at boot is refused, by link and by name', async (t) => {
	const byLink = await findings(t, { links: { '/etc/xen/auto/10-ldap': '/etc/xen/ldap.cfg' } });
	t.regex(byLink.join('\n'), /^\/etc\/xen\/auto\/10-ldap starts ldap at boot.* Remove it/);
	const byName = await findings(t, { files: { '/etc/xen/auto/copy': 'name = "web"\n' } });
	t.regex(byName.join('\n'), /^\/etc\/xen\/auto\/copy starts web at boot/);
});

test('saved memory of a managed VM is refused', async (t) => {
	const found = await findings(t, {
		files: { '/var/lib/xen/save/ldap': '', '/var/lib/xen/save/x': '' },
	});
	t.is(found.length, 1);
	t.regex(found[0] ?? '', /saved memory of ldap .* would not match its disk/);
});

test('a dom0 that shrinks for new VMs is refused unless its size is fixed', async (t) => {
	const on = await findings(t, { files: { '/etc/xen/xl.conf': 'autoballoon="on"\n' } });
	t.regex(on.join('\n'), /autoballoon="off".*dom0_mem=/);
	// "auto", the default, is off because the command line of Xen has dom0_mem.
	t.deepEqual(await findings(t, { files: { '/etc/xen/xl.conf': '#autoballoon="auto"\n' } }), []);
	t.deepEqual(await findings(t, { files: { '/etc/xen/xl.conf': null } }), []);
});

test('configurations are refused with file and line, and missing files are named', async (t) => {
	const found = await findings(t, {
		files: {
			'/etc/xen/ldap.cfg': 'name = "ldap"\nmemory = 1\ndisk = ["file:/srv/ldap.img,xvda,w"]\n',
			'/etc/xen/web.cfg': null,
		},
	});
	t.is(found.length, 2);
	t.regex(found[0] ?? '', /^\/etc\/xen\/ldap\.cfg:3: .* is not replicated by DRBD/);
	t.regex(found[1] ?? '', /^\/etc\/xen\/web\.cfg of web does not exist on this host/);
	const kernel = await findings(t, { files: { '/boot/guest': null } });
	t.regex(kernel.join('\n'), /^\/etc\/xen\/ldap\.cfg:3: \/boot\/guest does not exist on this host/);
});

test('a device of another resource is noticed by its minor number', async (t) => {
	const found = await findings(t, {
		files: { '/etc/xen/web.cfg': 'name="web"\nmemory=1\ndisk=["phy:/dev/drbd8,xvda,w"]\n' },
	});
	t.regex(found.join('\n'), /web\.cfg:3: .*drbd8.* is not a device of the resource r-web/);
});

test('a VM that runs from another configuration is noticed by its disk', async (t) => {
	const text = captured('xen/xl-list-l').stdout.replace('"ledger1"', '"web"');
	const found = await findings(t, { configurations: text });
	t.is(found.length, 1);
	t.regex(found[0] ?? '', /^web runs on this host with the disk \/dev\/drbd1, which is not/);
});

test('a toolstack that does not answer is a finding', async (t) => {
	const host = await fakeXen(t);
	await host.behave(
		'xl.list',
		'echo "xc: error: Could not obtain handle on privileged command interface" >&2; exit 1',
	);
	const found = await xenPreflight({ tools: host.tools, root: host.folder })([]);
	t.regex(found[0] ?? '', /^The Xen toolstack does not work: .*privileged command interface/);
});

for (const [file, code, detail] of [
	['xl-create-duplicate', 'domain-exists', /Domain with name "ledger1" already exists/],
	[
		'xl-create-memory-missing',
		'memory-short',
		/^can't allocate low memory for domain: Out of memory/,
	],
	['xl-create-bridge-missing', 'create-failed', /Could not find bridge device nobridge/],
	['xl-create-no-config', 'create-failed', /^Failed to read config file: .*No such file/],
] as const)
	test(`the reason of a real failed start is told: ${file}`, (t) => {
		const failure = createFailure(captured(`xen/${file}`).stderr);
		t.is(failure.code, code);
		t.regex(failure.detail, detail);
	});
