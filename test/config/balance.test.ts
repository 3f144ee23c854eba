import test from 'ava';
import { configOf, problemsOf, smallText } from '#test/config/example.ts';

const vms = (balance: string): string =>
	smallText(
		`vms:
  web: {resource: web, config: /etc/xen/web.cfg, balance: {near: [db]}}
  db: {resource: db, config: /etc/xen/db.cfg, balance: ${balance}}
`,
	);

const withSection = (section: string): string => `${smallText()}${section}\n`;

test('the settings of load are shares and times, and are sound when they are left out', (t) => {
	const { balance } = configOf(smallText());
	t.like(balance, { mode: 'advise', holdMs: 180_000, target: 0.6, gain: 0.1, spare: 'required' });
	const { balance: other } = configOf(withSection('balance: {mode: auto, limits: {cpu: 70}}'));
	t.like(other, { mode: 'auto', limits: { cpu: 0.7, disk: 0.95 } });
});

test('a target that is not below every limit is refused where it is written', (t) => {
	t.deepEqual(problemsOf(withSection('balance: {target: 85}')), [
		'f:13:19: balance.target: expected a target below every limit, found 85, and balance.limits.cpu is 85; a VM would be sent back as soon as it arrives',
	]);
	t.deepEqual(problemsOf(withSection('balance: {limits: {disk: 60}}')), [
		'f:13:26: balance.limits.disk: expected a limit above balance.target, which is 60, found 60',
	]);
	t.deepEqual(problemsOf(withSection('balance: {target: 84}')), []);
});

test('wishes name other VMs of the pair, and do not contradict each other', (t) => {
	t.deepEqual(problemsOf(vms('{near: [web]}')), []);
	const said = (balance: string) => problemsOf(vms(balance)).join('\n');
	t.regex(said('{near: [wbe]}'), /vms\.db\.balance\.near\[0\]: expected a VM of this pair .*"wbe"/);
	t.regex(
		said('{apart: [db]}'),
		/vms\.db\.balance\.apart\[0\]: expected another VM, found db itself/,
	);
	t.regex(said('{near: [web], apart: [web]}'), /apart\[0\]: .* not in "near" as well, found web/);
	t.regex(said('{apart: [web]}'), /apart\[0\]: .* found web, which has db in "near"/);
});

test('a health check runs on hosts of the pair', (t) => {
	const check = (hosts: string) => withSection(`health: {fan: {sensors: ipmi, hosts: [${hosts}]}}`);
	t.deepEqual(problemsOf(check('alpha')), []);
	t.deepEqual(configOf(check('')).healthChecks[0]?.hosts, ['alpha', 'beta']);
	t.regex(
		problemsOf(check('alhpa')).join('\n'),
		/health\.fan\.hosts\[0\]: expected one of the hosts \(alpha or beta\), found "alhpa"/,
	);
});
