import test from 'ava';
import { lastWords } from '#src/std/tool.ts';

/** As drbdadm 9.22 prints it when the connection of a resource that is down is asked for. */
const connectRefused = [
	'vm1: Failure: (158) Unknown resource',
	"Command 'drbdsetup connect vm1 ipv4:10.0.0.1:7788 ipv4:10.0.0.2:7788 --protocol=C --cram-hmac-alg=sha256 --shared-secret=planted-1 --ping-int=1' terminated with exit code 10",
].join('\n');

test('the reason stands at the end, on one line', (t) => {
	t.is(lastWords('', 'first\n  second \n'), 'first; second');
	t.is(lastWords('only this', ' '), 'only this');
	t.is(lastWords('', 'abcdef', 3), '…def');
});

test('what is given to an option with a secret is left out, also where only its end is shown', (t) => {
	for (const length of [60, 80, 300]) {
		const shown = lastWords('', connectRefused, length);
		t.notRegex(shown, /planted|anted-1/);
		t.regex(shown, /terminated with exit code 10$/);
	}
	t.regex(lastWords('', connectRefused), /--shared-secret=\*\*\* --ping-int=1/);
	for (const words of [
		"--password 'planted 1' x",
		'--password "planted 1" x',
		'--passwd planted1 x',
	])
		t.notRegex(lastWords('', words), /planted/);
});

test('a sentence about a secret is no secret', (t) => {
	t.is(lastWords('', 'no secret in /etc/vmpair/secrets'), 'no secret in /etc/vmpair/secrets');
});
