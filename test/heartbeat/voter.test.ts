import test from 'ava';
import {
	createDocument,
	createIdentities,
	createLink,
	createOptions,
	listen,
	timing,
	until,
} from '#test/heartbeat/peers.ts';
import type { VoterOptions } from '#src/heartbeat/message.ts';
import { initialOrders } from '#src/witness/lease.ts';

const voterOf = (host: string): VoterOptions => ({
	host,
	bootId: `boot-of-${host}`,
	timing: { leaseMs: timing.detectionMs + 2000, pauseLeadMs: 2000 },
	echoing: true,
	released: false,
	module: new URL('voter-fake.ts', import.meta.url).href,
	settings: { runId: 'run-1' },
});

test('echoes are votes, end when the peer claims, and come back when it has withdrawn', async (t) => {
	const identities = await createIdentities();
	const link = createLink('management');
	const alpha = await listen(
		t,
		createOptions('alpha', [link.alpha], identities, { voter: voterOf('alpha') }),
	);
	const beta = await listen(
		t,
		createOptions('beta', [link.beta], identities, { voter: voterOf('beta') }),
	);
	const votes: string[] = [];
	const echoes: { echoing: boolean; heardMs: number | null }[] = [];
	let runId: string | null = null;
	alpha.channel.onVotes({
		witness: (answer) => {
			runId = answer?.runId ?? null;
		},
		vote: ({ vote }) => votes.push(vote),
		echo: () => {},
		watchdog: () => {},
	});
	beta.channel.onVotes({
		witness: () => {},
		vote: () => {},
		echo: (echo) => echoes.push(echo),
		watchdog: () => {},
	});
	alpha.channel.publish(createDocument(alpha.options, 1));
	await until('alpha has a vote', () => votes.at(-1) === 'held');
	await until('the witness answers', () => runId === 'run-1');

	beta.channel.orderLease({ ...initialOrders(false) });
	await until('beta confirms that it echoes no more', () => echoes.at(-1)?.echoing === false);
	t.true((echoes.at(-1)?.heardMs ?? 0) > 0);
	await until('the vote of alpha ends', () => votes.at(-1) === 'none');
	// The beats themselves go on: only the promise is gone.
	t.is(alpha.hearing(), 'online');

	beta.channel.orderLease({ ...initialOrders(true) });
	await until('alpha has a vote again', () => votes.at(-1) === 'held');
});

test('a renewal of the confirmed run is a vote without any peer', async (t) => {
	const identities = await createIdentities();
	const link = createLink('management');
	const alpha = await listen(
		t,
		createOptions('alpha', [link.alpha], identities, { voter: voterOf('alpha') }),
	);
	const votes: string[] = [];
	alpha.channel.onVotes({
		witness: () => {},
		vote: ({ vote }) => votes.push(vote),
		echo: () => {},
		watchdog: () => {},
	});
	alpha.channel.orderLease({ ...initialOrders(true), renewal: { watchdogMs: null } });
	await until('it has said something', () => votes.length > 1);
	t.is(votes.at(-1), 'none');
	alpha.channel.orderLease({
		...initialOrders(true),
		renewal: { watchdogMs: null },
		confirmedRunId: 'run-1',
	});
	await until('alpha has a vote', () => votes.at(-1) === 'held');
});

test('the watchdog is fed while there is a vote, and stopped when the lease is released', async (t) => {
	const identities = await createIdentities();
	const link = createLink('management');
	const alpha = await listen(
		t,
		createOptions('alpha', [link.alpha], identities, { voter: voterOf('alpha') }),
	);
	const armed: (boolean | undefined)[] = [];
	alpha.channel.onVotes({
		witness: () => {},
		vote: () => {},
		echo: () => {},
		watchdog: (watchdog) => armed.push(watchdog?.armed),
	});
	const votes = { ...initialOrders(true), renewal: { watchdogMs: null }, confirmedRunId: 'run-1' };
	alpha.channel.orderLease(votes);
	await until('it is fed', () => armed.at(-1) === true);
	alpha.channel.orderLease({ ...votes, released: true });
	await until('it is stopped, although there is a vote', () => armed.at(-1) === false);
	alpha.channel.orderLease(votes);
	await until('it is fed again', () => armed.at(-1) === true);
	t.pass();
});
