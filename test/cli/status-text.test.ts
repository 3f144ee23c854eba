import test from 'ava';
import { statusSchema, type Status } from '#src/api/view.ts';
import { statusLines } from '#src/cli/status-text.ts';
import { exampleStatus, exampleVm } from '#test/cli/example.ts';

const names = ['ldap', 'samba', 'batch', 'ui', 'ce'];
const plain = { columns: 80, colour: false };

test('the example is a valid status', (t) => {
	t.notThrows(() => statusSchema.parse(exampleStatus(names.map((name) => exampleVm(name)))));
});

test('a healthy pair with five VMs fits into 15 lines of 80 columns, verdict first', (t) => {
	const lines = statusLines(exampleStatus(names.map((name) => exampleVm(name))), plain);
	t.true(lines.length <= 15, `${lines.length} lines:\n${lines.join('\n')}`);
	t.true(lines.every((line) => line.length <= 80));
	t.regex(lines[0] ?? '', /^PROTECTED {2}pair pair1, seen from north$/);
	t.is(
		lines.join('\n'),
		`PROTECTED  pair pair1, seen from north
  Every VM runs and would run again on the other host.

  north  online     3 d; this host
  south  online     3 d; heard 0.1 s ago
  links: management up 0.3 ms, replication up 0.3 ms
  fencing: south is on (asked 12 s ago); arbiter fencing, detection 3s

VM     STATE    ON     WANTED   DISK north/south   FAILOVER  SINCE
ldap   running  north  running  UpToDate/UpToDate  ready     12 d
samba  running  north  running  UpToDate/UpToDate  ready     12 d
batch  running  north  running  UpToDate/UpToDate  ready     12 d
ui     running  north  running  UpToDate/UpToDate  ready     12 d
ce     running  north  running  UpToDate/UpToDate  ready     12 d`,
	);
});

test('a witness is told with its votes, its claim and the watchdogs that count', (t) => {
	const witness: Status['witness'] = {
		grants: true,
		why: '',
		vote: 'held',
		voteAgeMs: 300,
		claimedBy: null,
		watchdogs: [
			{ host: 'north', timeoutMs: 5000 },
			{ host: 'south', timeoutMs: null },
		],
		leaseMs: 5000,
		takeMs: 12_200,
	};
	const told = (change: Partial<NonNullable<Status['witness']>>): string =>
		statusLines(exampleStatus([], { witness: { ...witness, ...change } }), plain)
			.join(' ')
			.replaceAll(/\s+/g, ' ');
	t.regex(
		told({}),
		/witness: grants, vote 0\.3 s old \(holds 5\.0 s\), watchdog armed on north \(out after 12 s of silence\), no armed watchdog on south/,
	);
	t.regex(
		told({ grants: false, why: 'it does not answer', vote: 'none', claimedBy: 'south' }),
		/witness: grants nothing: it does not answer, no vote, south claims to act alone/,
	);
});

test('columns are shed until the table fits, and nothing is wider than a phone', (t) => {
	const lines = statusLines(exampleStatus(names.map((name) => exampleVm(name))), {
		columns: 44,
		colour: false,
	});
	t.true(
		lines.every((line) => line.length <= 44),
		lines.join('\n'),
	);
	t.false(lines.some((line) => line.includes('WANTED')));
	t.true(lines.some((line) => line.includes('FAILOVER')));
});

test('VMs with the same blocker are one sentence with the next step', (t) => {
	const failover = {
		ready: false,
		to: null,
		blocker: 'the copy on south is not current.',
		next: 'wait for the resync',
	};
	const vms = names.map((name) => exampleVm(name, { failover }));
	const text = statusLines(exampleStatus(vms, { verdict: 'degraded' }), plain).join('\n');
	t.regex(text, /^! ldap, samba, batch, ui, ce: the copy on south is not current\.$/m);
	t.is(text.split('next: wait for the resync').length, 2);
	t.regex(text, /NOT READY/);
});

test('a condition, a resync and what is going on are told with their ages', (t) => {
	const vm = exampleVm('ldap', {
		state: 'starting',
		runsOn: null,
		activity: 'promoting its resource',
		resync: { outOfSyncKib: 100, donePercent: 71.9 },
		sights: exampleVm('ldap').sights.map((sight) =>
			sight.host === 'south' ? { ...sight, disk: 'Inconsistent' } : sight,
		),
	});
	const text = statusLines(
		exampleStatus([vm], {
			verdict: 'failing-over',
			conditions: [
				{
					key: 'vm-down/ldap',
					name: 'vm-down',
					subject: 'ldap',
					severity: 'critical',
					summary: 'ldap is down.',
					next: 'vmpair history',
					ageMs: 4200,
					acknowledged: { by: 'anna', at: '2026-01-01T00:00:00.000Z', reason: 'on the way' },
				},
			],
		}),
		plain,
	).join('\n');
	t.regex(text, /^FAILING OVER/);
	t.regex(text, /ldap is down\. \(4\.2 s\), acknowledged by anna: on the way/);
	t.regex(text, /UpToDate\/Inconsistent 71%/);
	t.regex(text, /^> ldap: promoting its resource$/m);
});

test('colour adds nothing but colour', (t) => {
	const status = exampleStatus(names.map((name) => exampleVm(name)));
	const coloured = statusLines(status, { columns: 80, colour: true }).join('\n');
	t.not(coloured, statusLines(status, plain).join('\n'));
	// eslint-disable-next-line no-control-regex
	t.is(coloured.replaceAll(/\u001b\[[0-9;]*m/g, ''), statusLines(status, plain).join('\n'));
});

test('what the peer showed too long ago is not told as the present', (t) => {
	const vm = exampleVm('ldap', {
		sights: exampleVm('ldap').sights.map((sight) =>
			sight.host === 'south' ? { ...sight, ageMs: 20_000 } : sight,
		),
	});
	t.regex(statusLines(exampleStatus([vm]), plain).join('\n'), /UpToDate\/UpToDate\? /);
});

test('a warning about a VM is not told twice, a page always is', (t) => {
	const failover = { ready: false, to: null, blocker: 'replication is down', next: '' };
	const about = (name: string, severity: 'critical' | 'warning') => ({
		key: `${name}/ldap`,
		name,
		subject: 'ldap',
		severity,
		summary: `ldap: ${name}`,
		next: '',
		ageMs: 1000,
		acknowledged: null,
	});
	const conditions = [about('vm-down', 'critical'), about('replication-degraded', 'warning')];
	const text = statusLines(
		exampleStatus([exampleVm('ldap', { failover })], { conditions }),
		plain,
	).join('\n');
	t.regex(text, /ldap: vm-down/);
	t.notRegex(text, /replication-degraded/);
	t.regex(text, /ldap: replication is down/);
});

type Drops = Partial<Status['heartbeat']['dropped']>;

const withDropped = (more: Drops, moreOfPeer: Drops = {}): string => {
	const status = exampleStatus([exampleVm('ldap')]);
	const heartbeat = {
		...status.heartbeat,
		dropped: { ...status.heartbeat.dropped, ...more },
		droppedOfPeer: { ...status.heartbeat.droppedOfPeer, ...moreOfPeer },
	};
	const lines = statusLines({ ...status, heartbeat }, plain);
	return lines.map((line) => line.trim()).join(' ');
};

test('what the heartbeat links dropped is told with what to do, and nothing when it is nothing', (t) => {
	t.notRegex(withDropped({}), /dropped/);
	t.notRegex(withDropped({ 'closed-early': 7 }), /dropped/, 'the peer asks so');
	t.regex(
		withDropped({ malformed: 12, 'tls-failed': 1 }),
		/dropped on the links in 3 d: 12 malformed, 1 tls-failed: from strangers; nobody but south needs these ports/,
	);
	t.regex(
		withDropped({ malformed: 12, 'wrong-certificate': 3 }),
		/: 3 wrong-certificate: "vmpair history" says what to put right; 12 malformed: from strangers;/,
	);
});

test('a slow handshake of the peer is not laid to strangers, nor promised an entry in the history', (t) => {
	const text = withDropped({ 'late-authentication': 5 }, { 'late-authentication': 4 });
	t.regex(text, /: 4 late-authentication: slow or broken handshakes of south,/);
	t.regex(text, /; 1 late-authentication: from strangers;/);
	t.notRegex(text, /vmpair history/);
});

test('a history that lost entries is told with the next step', (t) => {
	const status = exampleStatus([exampleVm('ldap')]);
	const text = statusLines({ ...status, agent: { ...status.agent, historyLost: 4 } }, plain);
	t.regex(
		text.join('\n'),
		/^! 4 entries of the history were never written\n {2}next: look at the disk/m,
	);
});

test('advice comes last, and much of it is cut short', (t) => {
	const advice = ['one', 'two', 'three', 'four'].map((each) => `Resource ${each} could be better.`);
	const lines = statusLines(exampleStatus([exampleVm('ldap')], { advice }), plain);
	t.deepEqual(lines.slice(-4), [
		'',
		'  advice: Resource one could be better.',
		'  advice: Resource two could be better.',
		'  and 2 more like this: vmpair status --json',
	]);
});

test('a receiver that takes no alerts is told with its reason and the next step', (t) => {
	const pager = {
		name: 'pager',
		pending: 2,
		oldest: '2026-01-01T00:00:00.000Z',
		failures: 5,
		lastError: 'HTTP status 503',
		lastDeliveredAt: null,
	};
	const well = { ...pager, name: 'chat', pending: 0, oldest: null, failures: 0, lastError: '' };
	const status = exampleStatus([exampleVm('ldap')], { receivers: [pager, well] });
	statusSchema.parse(status);
	const text = statusLines(status, plain).join('\n');
	t.regex(
		text,
		/^! alerts do not reach pager, 2 wait: HTTP status 503\n {2}next: check the receiver, and pager below alerts/m,
	);
	t.notRegex(text, /chat/);
});

test('a next step that is a runbook page is a file that can be opened', (t) => {
	const failover = {
		ready: false,
		to: null,
		blocker: 'DRBD gave the connection up',
		next: 'see the runbook split-brain-suspected',
	};
	const status = exampleStatus([exampleVm('ldap', { failover })]);
	t.true(statusLines(status, plain).includes('  next: see the runbook split-brain-suspected'));
	const look = { ...plain, documents: '/usr/share/doc/vmpair' };
	t.true(
		statusLines(status, look).includes(
			'  next: see /usr/share/doc/vmpair/runbook/split-brain-suspected.md',
		),
	);
});

const pause: NonNullable<Status['pause']> = {
	by: 'root',
	reason: 'new switch',
	at: '2026-01-01T13:00:00.000Z',
	until: '2026-01-01T14:00:00.000Z',
	forMs: 3_600_000,
	leftMs: 2_460_000,
};

test('a pause is told with its end and what ends it sooner, also while something worse is going on', (t) => {
	const reason = 'by root until 2026-01-01T14:00:00.000Z (41 min left): new switch';
	const paused = { verdict: 'paused', reason, next: 'vmpair resume', pause } as const;
	const vm = exampleVm('ldap', {
		failover: { ready: false, to: 'south', blocker: 'the pair is paused', next: 'vmpair resume' },
	});
	const [word, why, runs, next] = statusLines(exampleStatus([vm], paused), plain);
	t.is(word, 'PAUSED  pair pair1, seen from north');
	t.is(why, `  ${reason}`);
	t.is(runs, '  1 of 1 VMs run');
	t.is(next, '  next: vmpair resume');
	const worse = exampleStatus([], { ...paused, verdict: 'holding', reason: 'ldap is down' });
	t.true(statusLines(worse, plain).join(' ').includes('paused by root until'));
});
