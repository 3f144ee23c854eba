import { execFileSync } from 'node:child_process';
import { gunzipSync } from 'node:zlib';
import test from 'ava';
import { topics } from '#src/cli/help.ts';
import { completions, completionScript } from '#src/cli/completion-text.ts';
import { generatedFiles, manual } from '../../deploy/generated.ts';

/** What bash offers for the last of the words, by the script itself; `vmpair` answers with names of its own. */
const offered = (...words: readonly string[]): string[] => {
	const line = words.map((word) => `'${word}'`).join(' ');
	const script = [
		completionScript('bash'),
		'vmpair() { case "$2" in vms) echo ldap samba;; hosts) echo north south;; esac; }',
		// The program is called below `timeout`, which knows no functions.
		'timeout() { shift; "$@"; }',
		`COMP_WORDS=(${line}); COMP_CWORD=${words.length - 1}; _vmpair; printf '%s\\n' "\${COMPREPLY[@]}"`,
	].join('\n');
	const text = execFileSync('bash', ['--norc', '-c', script], {
		encoding: 'utf8',
		timeout: 10_000,
	});
	return text.split('\n').filter((word) => word !== '');
};

test('bash completes verbs, options, words and the names of VMs and hosts', (t) => {
	t.deepEqual(offered('vmpair', 'ex'), ['explain']);
	t.deepEqual(offered('vmpair', 'migrate', ''), ['ldap', 'samba']);
	t.deepEqual(offered('vmpair', 'migrate', 'ldap', '--d'), ['--dry-run']);
	t.deepEqual(offered('vmpair', 'migrate', 'ldap', '--to', 'n'), ['north']);
	t.deepEqual(offered('vmpair', 'standby', 'o'), ['on', 'off']);
	t.deepEqual(offered('vmpair', 'explain', 's'), ['samba', 'south']);
	t.deepEqual(offered('vmpair', 'takeover', '--confirm-dead', 's'), ['south']);
	t.deepEqual(offered('vmpair', 'help', 'split'), ['split-brain']);
});

test('what systemd and the agent run is offered to nobody, everything else is', (t) => {
	const verbs = offered('vmpair', '');
	for (const verb of ['agent', 'feeder', 'migrate-send', 'migrate-receive'])
		t.false(verbs.includes(verb), verb);
	t.is(verbs.length, Object.keys(topics).length - 4);
});

test('every option that the help tells is completed, with what it takes', (t) => {
	const found = new Map(completions().map(({ verb, options }) => [verb, options]));
	t.deepEqual(found.get('split-brain'), [
		{ option: '--help', value: null },
		{ option: '--discard', value: 'hosts' },
		{ option: '--keep', value: 'hosts' },
		{ option: '--confirm', value: 'hosts' },
		{ option: '--no-wait', value: null },
		{ option: '--json', value: null },
	]);
	t.is(found.get('keygen')?.find(({ option }) => option === '--out')?.value, 'files');
});

test('the manual page tells every verb, and no line of text is a request to roff', (t) => {
	const page = manual();
	for (const { synopsis } of Object.values(topics))
		t.true(page.includes(`vmpair ${synopsis}`.replaceAll('-', '\\-')), synopsis);
	const requests = page.split('\n').filter((line) => /^[.']/.test(line));
	for (const line of requests) t.regex(line, /^\.(TH|SH|TP|B|I|BR|RI|br)( |$)/);
});

test('the package has the scripts of three shells and the page, compressed', (t) => {
	const files = generatedFiles();
	t.deepEqual(
		files.map(({ to }) => to),
		[
			'usr/share/bash-completion/completions/vmpair',
			'usr/share/zsh/vendor-completions/_vmpair',
			'usr/share/fish/vendor_completions.d/vmpair.fish',
			'usr/share/man/man8/vmpair.8.gz',
		],
	);
	const page = files.at(-1)?.content;
	t.true(Buffer.isBuffer(page));
	if (Buffer.isBuffer(page)) t.is(gunzipSync(page).toString('utf8'), manual());
	t.regex(String(files[1]?.content), /^#compdef vmpair\n/);
});
