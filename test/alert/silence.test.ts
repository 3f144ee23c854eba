import { readdirSync } from 'node:fs';
import test from 'ava';
import { condition, type Condition } from '#src/alert/condition.ts';
import { toldInPause, toldOf } from '#src/alert/silence.ts';

const make = (name: string): Condition =>
	condition({ name, subject: 'x', pairId: 'pair', severity: 'critical', summary: '', next: '' });

const names = (list: readonly Condition[]) => list.map(({ name }) => name);

test('in a pause a VM that is down is told, and what the work itself causes waits', (t) => {
	const list = ['paused', 'peer-out', 'vm-down', 'link-silent', 'split-brain'].map(make);
	t.deepEqual(names(toldOf(list, new Set())), ['paused', 'vm-down', 'split-brain']);
});

test('what was told before the pause is not called over while it stands', (t) => {
	const list = ['peer-out', 'link-silent'].map(make);
	t.deepEqual(names(toldOf(list, new Set(['link-silent/x']))), ['link-silent']);
});

test('every condition that is told in a pause is one that there is', (t) => {
	const pages = readdirSync('docs/runbook');
	for (const name of toldInPause) t.true(pages.includes(`${name}.md`), name);
});
