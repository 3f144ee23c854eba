import { hostConfig, type Config } from '#src/config/config.ts';
import { assert } from '#src/std/assert.ts';
import { lastWords, type ToolEnd } from '#src/std/tool.ts';

/**
 * The transport of a live migration inside ssh, for networks that let nothing else pass: ssh forwards one connection to
 * the port on which the other host waits for a VM, and its TLS with the pinned certificates runs inside
 * (docs/adr/0018-ssh-carries-the-transport.md).
 */

/** From where to where, and the port over there on which a VM is waited for. */
export interface MigrationEnds {
	readonly address: string;
	readonly peerAddress: string;
	readonly port: number;
}

/** And how ssh gets there. */
export interface SshRoute extends MigrationEnds {
	readonly ssh: NonNullable<Config['migration']['ssh']>;
}

/** Where the memory of a VM goes from this host. */
export const migrationEnds = (config: Config): MigrationEnds => {
	const { network, port } = config.migration;
	const here = hostConfig(config, config.host).links[network];
	const peer = hostConfig(config, config.peer).links[network];
	assert(here !== undefined && peer !== undefined, 'the check found both hosts on every link');
	return { address: here.address, peerAddress: peer.address, port };
};

/** The way through ssh; null when it is not used. */
export const sshRouteOf = (config: Config): SshRoute | null => {
	const { ssh } = config.migration;
	return ssh === null ? null : { ...migrationEnds(config), ssh };
};

/** For the connection of ssh itself, s. */
const connectSeconds = 10;
/** A host that is gone is noticed after twice this long, s, as without ssh. */
const aliveSeconds = 5;

const bracketed = (address: string): string => (address.includes(':') ? `[${address}]` : address);

/** Arguments of an `ssh` that connects its standard input and output with the migration port of the other host. */
export const sshArguments = ({ ssh, address, peerAddress, port }: SshRoute): readonly string[] => {
	const options = [
		// Nobody is there to type a password or to compare a key.
		'BatchMode=yes',
		'StrictHostKeyChecking=yes',
		`ConnectTimeout=${connectSeconds}`,
		`ServerAliveInterval=${aliveSeconds}`,
		'ServerAliveCountMax=2',
		// A connection that somebody else shares would not end with this one.
		'ControlPath=none',
		// Memory that is encrypted already does not get smaller.
		'Compression=no',
		...(ssh.knownHostsFile === null ? [] : [`UserKnownHostsFile=${ssh.knownHostsFile}`]),
		...(ssh.identityFile === null ? [] : ['IdentitiesOnly=yes']),
	];
	return [
		...options.flatMap((option) => ['-o', option]),
		...(ssh.identityFile === null ? [] : ['-i', ssh.identityFile]),
		// From the link's own address, so that a route over another link never carries the stream.
		'-b',
		address,
		'-l',
		ssh.user,
		'-p',
		String(ssh.port),
		'-W',
		`${bracketed(peerAddress)}:${port}`,
		peerAddress,
	];
};

/** What ssh says when everything works and nobody waits for a VM. */
const nobodyWaits = /open failed: connect failed: connection refused/i;

/** What to do about each of the words of ssh (OpenSSH 9.2); the first that fits. */
const remedies: readonly (readonly [RegExp, (route: SshRoute) => string])[] = [
	[
		/host key/i,
		({ ssh, peerAddress }) =>
			`Put the key of that host, as "ssh-keyscan -p ${ssh.port} ${peerAddress}" shows it on a network that is safe, into ${ssh.knownHostsFile ?? '/root/.ssh/known_hosts'}.`,
	],
	[
		/administratively prohibited/i,
		({ ssh, peerAddress, port }) =>
			`Allow it over there in the authorized_keys of ${ssh.user}: restrict,port-forwarding,permitopen="${bracketed(peerAddress)}:${port}".`,
	],
	[
		/permission denied/i,
		({ ssh }) =>
			`Put the public half of ${ssh.identityFile ?? "root's key"} into the authorized_keys of ${ssh.user} over there; the private one must be readable by root alone.`,
	],
	[/not found|ENOENT/i, () => 'Install openssh-client.'],
];

/**
 * What is wrong with the way through ssh, as a sentence with a remedy; null: it works as far as it can be told while no
 * VM is waited for over there.
 */
export const sshFinding = (route: SshRoute, ended: ToolEnd): string | null => {
	const words = ended.end === 'exited' ? lastWords('', ended.stderr) : ended.detail;
	if (ended.end === 'exited' && (ended.exitCode === 0 || nobodyWaits.test(ended.stderr)))
		return null;
	const target = `${route.ssh.user}@${route.peerAddress} port ${route.ssh.port}`;
	const [, remedy] = remedies.find(([pattern]) => pattern.test(words)) ?? [
		null,
		() => 'Look whether sshd answers over there, and at firewalls.',
	];
	return `ssh to ${target} does not work, so no VM can be migrated live from here: ${words}. ${remedy(route)}`;
};
