import test from 'ava';
import { lines, says, short, start } from '#test/drbd/fake.ts';

/** A kernel whose options are the file "net"; a connection that is not there is the file "alone". */
const shows = `
printf 'resource vm1 {\\n\\toptions {\\n\\t}\\n\\tnet {\\n'
cat "$here/net" 2>/dev/null
printf '\\t}\\n\\t_remote_host {\\n\\t\\taddress\\t\\t\\tipv4 10.9.0.2:7001;\\n\\t}\\n'
printf '\\t_this_host {\\n\\t\\tvolume 0 {\\n\\t\\t\\tdevice\\t\\t\\tminor 0;\\n\\t\\t}\\n\\t}\\n}\\n'
`;
const obeys = `
case $2 in
--allow-two-primaries=yes) printf '\\t\\tallow-two-primaries\\tyes;\\n' >"$here/net" ;;
--allow-two-primaries=no) : >"$here/net" ;;
esac
`;

test('two Primaries are allowed and forbidden, read back, and left alone when they are as wanted', async (t) => {
	const { fake, driver } = await start(t);
	await fake.show(lines('vm1', { role: 'Primary' }));
	await fake.behave('drbdsetup.show', shows);
	await fake.behave('drbdadm.net-options', obeys);
	t.is(short(await driver.setTwoPrimaries('vm1', false)), 'succeeded');
	t.is(short(await driver.setTwoPrimaries('vm1', true)), 'succeeded');
	t.is(short(await driver.setTwoPrimaries('vm1', true)), 'succeeded');
	t.is(short(await driver.setTwoPrimaries('vm1', false)), 'succeeded');
	t.deepEqual(
		(await fake.calls()).filter((call) => call.startsWith('drbdadm')),
		[
			'drbdadm net-options --allow-two-primaries=yes vm1',
			'drbdadm net-options --allow-two-primaries=no vm1',
		],
	);
});

test('two Primaries that DRBD does not forbid while both are, or that have no effect, are a failure', async (t) => {
	const { fake, driver } = await start(t);
	const words =
		'??: Failure: (164) Can not clear allow_two_primaries as long as; there a primaries on both sides';
	await fake.show(lines('vm1', { role: 'Primary' }));
	await fake.behave('drbdsetup.show', shows);
	await fake.behave('net', '\t\tallow-two-primaries\tyes;\n');
	await fake.behave('drbdadm.net-options', says(words, 10));
	t.deepEqual(await driver.setTwoPrimaries('vm1', false), {
		result: 'failed',
		code: 'drbd-two-primaries',
		detail: words,
	});
	await fake.behave('drbdadm.net-options', 'exit 0');
	t.is(short(await driver.setTwoPrimaries('vm1', false)), 'failed drbd-two-primaries');
});

test('a resource that is down allows nobody to be Primary twice', async (t) => {
	const { fake, driver } = await start(t);
	await fake.behave('drbdadm.net-options', says('vm1: Failure: (158) Unknown resource', 10));
	t.is(short(await driver.setTwoPrimaries('vm1', false)), 'succeeded');
	t.is(short(await driver.setTwoPrimaries('vm1', true)), 'failed drbd-two-primaries');
});

test('options that DRBD does not show, or not in time, are unknown', async (t) => {
	const { fake, driver } = await start(t);
	await fake.show(lines('vm1'));
	t.is(short(await driver.setTwoPrimaries('vm1', false)), 'unknown');
	await fake.behave('drbdsetup.show', 'exec sleep 60');
	t.is(short(await driver.setTwoPrimaries('vm1', true, 300)), 'unknown');
});

test('a promote asks DRBD whatever the peer is, for both may be Primary during a migration', async (t) => {
	const { fake, driver } = await start(t);
	await fake.show(lines('vm1').map((line) => line.replace('role:Secondary', 'role:Primary')));
	t.is(short(await driver.promote('vm1')), 'succeeded');
});
