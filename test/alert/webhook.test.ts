import test from 'ava';
import { condition } from '#src/alert/condition.ts';
import { conditionMessage, eventMessage } from '#src/alert/message.ts';
import { parseSecrets, webhookBody } from '#src/alert/webhook.ts';

const sender = { pairId: 'pair', host: 'alpha' };
const about = condition({
	name: 'replication-degraded',
	subject: 'ldap',
	pairId: 'pair',
	severity: 'critical',
	summary: 'Replication of ldap is interrupted.',
	next: 'vmpair status',
});
const told = {
	incident: { incident: 'abc', condition: about, since: '2026-03-01T03:00:00.000Z' },
	at: '2026-03-01T03:00:05.000Z',
	sequence: 7,
} as const;

test('a condition is told with a key that is the same on both hosts', (t) => {
	const message = conditionMessage(sender, { ...told, kind: 'fired' });
	t.deepEqual(JSON.parse(webhookBody(message)), {
		type: 'condition.fired',
		timestamp: '2026-03-01T03:00:05.000Z',
		data: {
			pair: 'pair',
			host: 'alpha',
			key: 'pair/replication-degraded/ldap',
			incident: 'abc',
			status: 'firing',
			condition: 'replication-degraded',
			subject: 'ldap',
			severity: 'critical',
			summary: 'Replication of ldap is interrupted.',
			next: 'vmpair status',
			since: '2026-03-01T03:00:00.000Z',
			sequence: 7,
		},
	});
	t.regex(message.type, /^[a-zA-Z0-9_.]+$/);
});

test('a resolved condition is told under the same incident and asks for nothing', (t) => {
	const { data, id } = conditionMessage(sender, { ...told, sequence: 8, kind: 'resolved' });
	t.like(data, { status: 'resolved', incident: 'abc', next: '', since: told.incident.since });
	t.not(id, conditionMessage(sender, { ...told, kind: 'fired' }).id);
});

test('a body stays small however long the text is', (t) => {
	const summary = 'ä'.repeat(50_000);
	const message = eventMessage(sender, {
		type: 'failover.completed',
		severity: 'info',
		summary,
		next: summary,
		id: 'x',
		at: told.at,
		sequence: 1,
	});
	t.true(Buffer.byteLength(webhookBody(message)) < 20_000);
});

const secret = Buffer.alloc(24, 7).toString('base64');

test('a secret file holds one secret, or two during a rotation', (t) => {
	t.deepEqual(parseSecrets(`whsec_${secret}\n`, 'f'), [secret]);
	t.deepEqual(parseSecrets(`whsec_${secret}\r\nwhsec_${secret}`, 'f'), [secret, secret]);
});

const wrongs: Readonly<Record<string, string>> = {
	'nothing in it': '',
	'a secret without its prefix': secret,
	'a prefix alone': 'whsec_',
	'a secret that is too short': 'whsec_c2hvcnQ=',
	'a secret that is not base64': `whsec_${secret}!`,
	'three secrets': `whsec_${secret}\n`.repeat(3),
};

for (const [what, wrong] of Object.entries(wrongs))
	test(`a secret file with ${what} is refused without showing it`, (t) => {
		const error = t.throws(() => parseSecrets(wrong, '/etc/secret'), {
			code: 'webhook-secret-invalid',
		});
		if (wrong.length > 6) t.false(error.message.includes(wrong.slice(6)));
	});
