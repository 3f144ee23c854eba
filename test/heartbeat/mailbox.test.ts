import test from 'ava';
import { normalizeFingerprint } from '#src/heartbeat/fingerprint.ts';
import { createMailbox } from '#src/heartbeat/mailbox.ts';
import type { Report } from '#src/heartbeat/message.ts';
import { createReporter } from '#src/heartbeat/reporter.ts';
import { createTally } from '#src/heartbeat/tally.ts';

test('one message is under way at a time, and what waits is merged, the newest first', (t) => {
	const posted: object[] = [];
	const mailbox = createMailbox<{ a: number; b: number }>((content) => posted.push(content));
	for (let a = 1; a <= 5; a += 1) mailbox.update((waiting) => ({ ...waiting, a }));
	mailbox.update((waiting) => ({ ...waiting, b: 1 }));
	t.deepEqual(posted, [{ a: 1 }]);
	mailbox.taken();
	t.deepEqual(posted, [{ a: 1 }, { a: 5, b: 1 }]);
	mailbox.taken();
	t.is(posted.length, 2);
});

test('a mailbox that begins busy waits for the other side to be there', (t) => {
	const posted: object[] = [];
	const mailbox = createMailbox<{ a: number }>((content) => posted.push(content), 'busy');
	mailbox.update(() => ({ a: 1 }));
	t.deepEqual(posted, []);
	mailbox.taken();
	t.deepEqual(posted, [{ a: 1 }]);
});

/** A mailbox whose other side takes everything at once. */
const reports = () => {
	const posted: Partial<Report>[] = [];
	const mailbox = createMailbox<Report>((report) => {
		posted.push(report);
		queueMicrotask(() => mailbox.taken());
	});
	return { posted, mailbox };
};

test('hearing and links are told when they change, and a small lag is no change', async (t) => {
	const { posted, mailbox } = reports();
	const reporter = createReporter(mailbox);
	const link = { link: 'l', state: 'up', carrier: null, refused: false, rttMs: 1 } as const;
	const online = {
		hearing: 'online',
		echoed: true,
		echoedMs: 0,
		links: [link],
		nextMs: null,
	} as const;
	const tell = async (
		lagMs: number,
		nowMs: number,
		detection = online as typeof online | object,
	) => {
		const before = posted.length;
		reporter.detection({ ...online, ...detection }, { bootId: 'b', lagMs }, nowMs);
		await Promise.resolve();
		await Promise.resolve();
		return Object.assign({}, ...posted.slice(before)) as Partial<Report>;
	};
	t.deepEqual(Object.keys(await tell(0, 0)), ['hearing', 'links']);
	t.deepEqual(await tell(900, 1), {});
	t.deepEqual(Object.keys(await tell(1200, 2)), ['hearing']);
	t.deepEqual(Object.keys(await tell(1200, 3, { echoed: false })), ['hearing']);
	t.deepEqual(Object.keys(await tell(1200, 4, { links: [{ ...link, refused: true }] })), [
		'hearing',
		'links',
	]);
	t.deepEqual(Object.keys(await tell(1200, 20_000)), ['links'], 'round trips are refreshed');
});

test('an admin is told of a wrong certificate once a minute per link, of noise never', async (t) => {
	const { posted, mailbox } = reports();
	const tally = createTally(mailbox);
	for (let second = 0; second < 90; second += 1) {
		const drop = { link: 'management', detail: 'detail', fromPeer: second < 5 };
		tally.drop('wrong-certificate', drop, second * 1000);
		tally.drop('tls-failed', drop, second * 1000);
		await Promise.resolve();
		await Promise.resolve();
	}
	t.is(posted.flatMap((report) => report.notices ?? []).length, 2);
	tally.flush();
	t.is(posted.at(-1)?.counters?.dropped['tls-failed'], 90);
	t.is(posted.at(-1)?.counters?.droppedOfPeer['tls-failed'], 5);
});

test('a fingerprint is read in any spelling', (t) => {
	const digits = 'ab'.repeat(32);
	const wanted = Array.from({ length: 32 }, () => 'AB').join(':');
	t.is(normalizeFingerprint(digits), wanted);
	t.is(normalizeFingerprint(` ${wanted.toLowerCase()}\n`), wanted);
	t.is(normalizeFingerprint(digits.slice(1)), null);
	t.is(normalizeFingerprint(`${digits.slice(1)}g`), null);
});
