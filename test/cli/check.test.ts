import test from 'ava';
import type { Status } from '#src/api/view.ts';
import { check } from '#src/cli/check.ts';
import { noAnswer, pluginAnswer } from '#src/cli/check-text.ts';
import { createAround } from '#test/cli/around.ts';
import { exampleStatus, exampleVm } from '#test/cli/example.ts';

const condition = (severity: 'critical' | 'warning' | 'info'): Status['conditions'][number] => ({
	key: 'peer-out/south',
	name: 'peer-out',
	subject: 'south',
	severity,
	summary: 'south is out | nothing protects north',
	next: 'repair south',
	ageMs: 1000,
	acknowledged: null,
});

test('a protected pair is OK on one line, with figures that a graph can be drawn of', (t) => {
	const { code, lines } = pluginAnswer(exampleStatus([exampleVm('ldap'), exampleVm('samba')]));
	t.is(code, 0);
	t.is(lines.length, 1);
	const [text = '', data = ''] = lines[0]?.split(' | ') ?? [];
	t.regex(text, /^VMPAIR OK - pair1 is protected: Every VM runs/);
	t.regex(data, /^vms=2;;;0 vms_running=2;;;0 vms_failover_ready=2;;;0 /);
	t.regex(data, / 'rtt_management'=0\.3ms;;;0/);
	const form = /^('[^'=|]+'|[a-z_]+)=-?[0-9.]+(ms|s|KB)?(;[0-9]*){3}$/;
	for (const each of data.split(' ')) t.regex(each, form);
});

test('every verdict has its state, and what is wrong makes it worse, never better', (t) => {
	const codeOf = (changes: Partial<Status>): number =>
		pluginAnswer(exampleStatus([], changes)).code;
	t.is(codeOf({ verdict: 'degraded' }), 1);
	t.is(codeOf({ verdict: 'disarmed' }), 1);
	t.is(codeOf({ verdict: 'paused' }), 1);
	for (const verdict of ['unprotected', 'failing-over', 'holding'] as const)
		t.is(codeOf({ verdict }), 2);
	t.is(codeOf({ conditions: [condition('info')] }), 0);
	t.is(codeOf({ conditions: [condition('warning')] }), 1);
	t.is(codeOf({ conditions: [condition('warning'), condition('critical')] }), 2);
	t.is(codeOf({ verdict: 'holding', conditions: [condition('warning')] }), 2);
});

test('only what begins the performance data is a pipe, and each condition has its line', (t) => {
	const { lines } = pluginAnswer(exampleStatus([], { conditions: [condition('critical')] }));
	t.is(lines.length, 2);
	t.is(lines.join('\n').split('|').length, 2);
	t.is(lines[1], 'critical: south is out / nothing protects north Next: repair south');
});

test('a host without its agent is critical, an agent that is only slow is unknown', async (t) => {
	const { around, printed } = createAround();
	t.is(await check([], around), 2);
	t.regex(printed.join('\n'), /^VMPAIR CRITICAL - the agent on this host is not running Next: /);
	t.is(noAnswer({ message: 'the agent did not answer', next: '' }, false).code, 3);
});
