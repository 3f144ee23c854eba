import { transportOf } from '#src/cli/migrate-transport.ts';
import { parseOptions, usageError } from '#src/cli/options.ts';
import { exit, type Surroundings } from '#src/cli/surroundings.ts';
import { dialSsh } from '#src/migrate/driver-ssh.ts';
import { carry, reachPeer } from '#src/migrate/driver.ts';
import { VmpairError } from '#src/std/error.ts';

/** The target was ready before xl was started here; this is for a slow processor. */
const reachMs = 10_000;
/** Ssh has a handshake of its own before. */
const reachBySshMs = 30_000;
/** How often it says how much has gone over, ms. */
const tellMs = 2000;

/**
 * `vmpair migrate-send --vm VM -- ...`: the transport that `xl migrate` starts in the place of ssh. xl appends the host
 * and the command for it: both are known already. Standard input goes to the peer's `migrate-receive`, what that says
 * goes to standard output. When it is ended in the middle, xl lets the VM go on here.
 */
export const send = async (argv: string[], _around: Surroundings): Promise<number> => {
	const at = argv.indexOf('--');
	const { values } = parseOptions('migrate-send', at === -1 ? argv : argv.slice(0, at), {
		config: { type: 'string', default: '/etc/vmpair/vmpair.yaml' },
		vm: { type: 'string' },
		// Seconds; what takes longer is given up, so that xl does not wait for ever.
		limit: { type: 'string', default: '14400' },
	});
	if (values.vm === undefined) throw usageError('"vmpair migrate-send" needs --vm', 'migrate-send');
	const { route, ssh, say, silence } = await transportOf('send', values.config, values.vm);
	say('waiting');
	try {
		const socket =
			ssh === null
				? await reachPeer(route, reachMs)
				: await reachPeer(route, reachBySshMs, () => dialSsh(ssh));
		say('connected');
		let overdue = false;
		const limit = setTimeout(
			() => {
				overdue = true;
				socket.destroy();
			},
			Number(values.limit) * 1000,
		);
		const telling = setInterval(() => say('connected', socket.bytesWritten), tellMs);
		const whole = await carry(socket, process.stdin, process.stdout).received;
		clearInterval(telling);
		clearTimeout(limit);
		socket.destroy();
		if (whole) return exit.done;
		const words = overdue
			? `${values.vm} was not sent within ${values.limit} s`
			: `the connection to ${route.peerAddress} broke while ${values.vm} was sent`;
		throw new VmpairError('migration-cut', words, {
			next: 'nothing: xl lets the VM go on here unless the peer has taken it over already',
		});
	} finally {
		silence();
		// xl learns by it that nobody reads any more.
		process.stdin.destroy();
	}
};
