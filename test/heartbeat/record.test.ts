import test from 'ava';
import {
	createCable,
	createIdentities,
	createLink,
	createOptions,
	freeEndpoint,
	listen,
	until,
} from '#test/heartbeat/peers.ts';

test('what one agent says in its log arrives at the other, each sentence once, also over a link that broke', async (t) => {
	const keys = await createIdentities();
	const ends = [freeEndpoint(), freeEndpoint()];
	const cables = await Promise.all(ends.map((end) => createCable(t, end)));
	const links = ends.map((beta, index) => {
		const via = cables[index];
		return createLink(`link-${index}`, { beta, ...(via === undefined ? {} : { via }) });
	});
	const [alpha, beta] = await Promise.all(
		(['alpha', 'beta'] as const).map((host) =>
			listen(
				t,
				createOptions(
					host,
					links.map((link) => link[host]),
					keys,
				),
			),
		),
	);
	if (alpha === undefined || beta === undefined) return;
	const together = async (): Promise<void> =>
		await until('both are online', () =>
			[alpha, beta].every((each) => each.hearing() === 'online'),
		);
	await together();
	const said = Array.from({ length: 60 }, (_none, index) => `sentence ${index + 1}`);
	const say = (message: string): void =>
		alpha.channel.record({
			at: '2026-01-01T00:00:00Z',
			level: 'info',
			message,
			fields: { index: 1 },
		});
	for (const sentence of said.slice(0, 20)) say(sentence);
	await until('the first arrive', () => beta.recorded.length > 0);
	cables[0]?.reset();
	for (const sentence of said.slice(20, 40)) say(sentence);
	await until('they arrive', () => beta.recorded.length >= 40);
	for (const cable of cables) cable.kill();
	await until('beta is silent', () => alpha.hearing() === 'silent');
	for (const sentence of said.slice(40)) say(sentence);
	for (const cable of cables) cable.heal();
	await together();
	await until('what was said while apart arrives', () => beta.recorded.length >= 60);
	t.deepEqual(beta.recorded, said);
	t.deepEqual(alpha.recorded, []);
	t.is(beta.channel.counters().dropped.malformed, 0);
});
