import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import test from 'ava';
import type { StageHost } from '#src/demo/stage.ts';
import { promisesHold, setStage, until, vmpair } from '#test/process/stage.ts';

const portsFree = async (count: number): Promise<readonly number[]> => {
	const servers = await Promise.all(
		Array.from({ length: count }, async () => {
			const server = createServer();
			await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
			return server;
		}),
	);
	const ports = servers.map((server) => {
		const address = server.address();
		return typeof address === 'object' ? (address?.port ?? 0) : 0;
	});
	for (const server of servers) await new Promise((resolve) => server.close(resolve));
	return ports;
};

/** Writes the section `web` of a host; null leaves it out. */
const setWeb = ({ files }: StageHost, web: unknown): void => {
	const config = JSON.parse(readFileSync(files.configFile, 'utf8')) as Record<string, unknown>;
	writeFileSync(
		files.configFile,
		JSON.stringify(web === null ? { ...config, web: undefined } : { ...config, web }),
	);
};

const textAt = async (port: number, path: string): Promise<string> => {
	try {
		return await (await fetch(`http://127.0.0.1:${port}${path}`)).text();
	} catch {
		return '';
	}
};

test('the page and the metrics of a real agent tell a failover, and a reload switches them off', async (t) => {
	const [north = 0, south = 0] = await portsFree(2);
	const stage = await setStage(t, {
		prepare: async (host) =>
			setWeb(host, {
				listen: [{ address: '127.0.0.1', port: host.sim.name === 'north' ? north : south }],
			}),
	});
	await until('both pages say protected', async () => {
		const pages = await Promise.all([north, south].map((port) => textAt(port, '/')));
		return pages.every((page) => page.includes('<h1>PROTECTED</h1>'));
	});
	const lines = [
		/^vmpair_verdict\{verdict="protected"\} 1$/m,
		/^vmpair_vm_failover_ready\{vm="ldap"\} 1$/m,
		/^vmpair_link_rtt_seconds\{link="management"\} \d\.?\d*(?:e-\d+)?$/m,
	];
	// A loaded machine may delay a beat: what is said a moment later counts as well.
	await until('the metrics say so too', async () => {
		const metrics = await textAt(north, '/metrics');
		return lines.every((line) => line.test(metrics));
	});
	stage.powerCut('north');
	await until('the failover is told to its end', async () => {
		const page = await textAt(south, '/');
		return page.includes('north went silent') && /s until every VM ran<\/li>/.test(page);
	});
	t.regex(await textAt(south, '/metrics'), /^vmpair_host_state\{host="north",state="out"\} 1$/m);
	setWeb(stage.host('south'), null);
	const { exitCode, stdout } = await vmpair(stage, 'south', 'reload');
	t.is(exitCode, 0);
	t.regex(stdout, /web/);
	await until('nobody answers', async () => (await textAt(south, '/metrics')) === '');
	promisesHold(t, stage);
});
