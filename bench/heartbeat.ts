import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { PeerChannel } from '#src/heartbeat/driver.ts';
import { createIdentity } from '#src/heartbeat/driver-identity.ts';
import type { HearingReport } from '#src/heartbeat/message.ts';

/**
 * Measures how regular beats are on an overloaded machine: two channels over two links on loopback,
 * with busy processes beside them. Prints one JSON object; `alarms` counts what would have looked
 * like trouble of the peer. Usage: `node bench/heartbeat.ts [--seconds 10] [--overload 4]`.
 */
const { values } = parseArgs({
	options: {
		seconds: { type: 'string', default: '10' },
		/** Busy processes per processor. */
		overload: { type: 'string', default: '4' },
	},
});
const seconds = Number(values.seconds);
const busy = Math.round(Number(values.overload) * availableParallelism());
const timing = { beatIntervalMs: 200, suspectMs: 600, detectionMs: 3000 };
const addresses = { alpha: ['127.77.1.1', '127.77.2.1'], beta: ['127.77.1.2', '127.77.2.2'] };
const port = 17_400;

const wait = async (ms: number): Promise<void> =>
	await new Promise((resolve) => setTimeout(resolve, ms));

const folder = await mkdtemp(path.join(tmpdir(), 'vmpair-bench-'));
const identities = {
	alpha: await createIdentity(path.join(folder, 'alpha'), 'alpha'),
	beta: await createIdentity(path.join(folder, 'beta'), 'beta'),
};
await rm(folder, { recursive: true });

const open = async (self: 'alpha' | 'beta') => {
	const peer = self === 'alpha' ? 'beta' : 'alpha';
	const hearings: HearingReport[] = [];
	const channel = new PeerChannel({
		self,
		peer,
		pairId: 'bench',
		bootId: randomUUID(),
		session: randomUUID(),
		links: [0, 1].map((index) => ({
			name: `link-${index + 1}`,
			device: null,
			listenAddress: addresses[self][index] ?? '',
			listenPort: port,
			peerAddress: addresses[peer][index] ?? '',
			peerPort: port,
		})),
		tls: {
			certificatePem: identities[self].certificatePem,
			keyPem: identities[self].keyPem,
			peerFingerprint256: identities[peer].fingerprint256,
		},
		timing,
		knownBootIds: [],
		voter: null,
	});
	channel.onHearing((hearing) => hearings.push(hearing));
	await channel.start();
	return { channel, hearings };
};

const hosts = await Promise.all([open('alpha'), open('beta')]);
while (!hosts.every(({ hearings }) => hearings.at(-1)?.echoed === true)) await wait(50);
const quiet = hosts.map(({ hearings }) => hearings.length);
const burners = Array.from({ length: busy }, () =>
	spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }),
);
const spentBefore = process.cpuUsage();
await wait(seconds * 1000);
const spent = process.cpuUsage(spentBefore);
for (const burner of burners) burner.kill('SIGKILL');

const counters = hosts.map(({ channel }) => channel.counters());
const worst = (of: (one: (typeof counters)[number]) => number): number =>
	Math.round(Math.max(...counters.map(of)));
console.log(
	JSON.stringify({
		seconds,
		processors: availableParallelism(),
		busyProcesses: busy,
		worstBeatGapMs: worst((one) => one.worstBeatGapMs),
		worstSendGapMs: worst((one) => one.worstSendGapMs),
		reconnects: counters.reduce((sum, one) => sum + one.disconnections, 0),
		beatsReceived: counters.reduce((sum, one) => sum + one.beatsReceived, 0),
		alarms: hosts.reduce(
			(sum, { hearings }, index) =>
				sum + hearings.slice(quiet[index]).filter(({ hearing }) => hearing !== 'online').length,
			0,
		),
		/** Of one processor, for one host. */
		cpuPercentPerHost: Number(((spent.user + spent.system) / 1e4 / seconds / 2).toFixed(2)),
	}),
);
await Promise.all(hosts.map(async ({ channel }) => await channel.stop()));
