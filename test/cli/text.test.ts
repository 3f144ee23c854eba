import test from 'ava';
import { withPages, wrap } from '#src/cli/text.ts';
import { ago, span } from '#src/std/span.ts';

test('an age has one unit that a person can read', (t) => {
	t.deepEqual([0, 240, 9940, 9960, 42_000, 119_000, 125_000, 7_300_000, 200_000_000].map(span), [
		'0.0 s',
		'0.2 s',
		'9.9 s',
		'10 s',
		'42 s',
		'119 s',
		'2 min',
		'2 h',
		'2 d',
	]);
	t.is(ago(null), 'never');
	t.is(ago(200), '0.2 s ago');
});

test('sentences break at spaces and keep every word', (t) => {
	const sentence = 'one two three four five six seven eight nine ten';
	const lines = wrap(sentence, 24, '  ');
	t.true(lines.every((line) => line.startsWith('  ') && line.length <= 24));
	t.is(lines.map((line) => line.trim()).join(' '), sentence);
});

test('a runbook page that is named becomes the file that holds it', (t) => {
	t.is(
		withPages('bring north back, or see the runbook vm-down', '/usr/share/doc/vmpair'),
		'bring north back, or see /usr/share/doc/vmpair/runbook/vm-down.md',
	);
	t.is(withPages('vmpair start ldap', '/docs'), 'vmpair start ldap');
});
