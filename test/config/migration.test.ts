import test from 'ava';
import { configOf, exampleText, problemsOf, smallText } from '#test/config/example.ts';

test('live migration takes the first direct cable, else the first link, unless the file says otherwise', (t) => {
	t.deepEqual(configOf(exampleText).migration, { network: 'replication', port: 7402, ssh: null });
	t.deepEqual(configOf(smallText()).migration, { network: 'lan', port: 7402, ssh: null });
	const chosen = `${exampleText}migration: {network: management, port: 7500}\n`;
	t.deepEqual(configOf(chosen).migration, { network: 'management', port: 7500, ssh: null });
	const told = (more: string): string => problemsOf(`${smallText()}migration: ${more}\n`).join();
	t.regex(
		told('{network: lam}'),
		/migration\.network: expected one of the links \(lan\).*"lan" was/,
	);
	t.regex(told('{port: 7400}'), /hosts\.alpha\.links\.lan: expected another port for heartbeats/);
	t.regex(told('{port: 0}'), /migration\.port: expected a whole number from 1 to 65535/);
});

test('ssh needs a user; the rest of it is what ssh takes by itself', (t) => {
	const small = `${smallText()}migration: {ssh: {user: mover}}\n`;
	t.deepEqual(configOf(small).migration.ssh, {
		user: 'mover',
		port: 22,
		identityFile: null,
		knownHostsFile: null,
	});
	const whole =
		'{user: mover, port: 2222, identity: /etc/vmpair/ssh, knownHosts: /etc/vmpair/known}';
	t.deepEqual(configOf(`${smallText()}migration: {ssh: ${whole}}\n`).migration.ssh, {
		user: 'mover',
		port: 2222,
		identityFile: '/etc/vmpair/ssh',
		knownHostsFile: '/etc/vmpair/known',
	});
	const told = (ssh: string): string =>
		problemsOf(`${smallText()}migration: {ssh: ${ssh}}\n`).join();
	t.regex(told('{port: 22}'), /migration\.ssh\.user: expected the name of a user/);
	t.regex(told('{user: -oProxyCommand=x}'), /migration\.ssh\.user: expected the name of a user/);
});
