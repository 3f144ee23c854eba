import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import { demoIdentity } from '#src/demo/certificate.ts';
import type { Stage } from '#src/demo/stage.ts';
import {
	encodeAnswer,
	encodeBeat,
	encodeDocument,
	encodeHello,
	type Hello,
} from '#src/heartbeat/beat.ts';
import { type DropReason } from '#src/heartbeat/drop.ts';
import { type PeerDocument, protocolVersion } from '#src/heartbeat/document.ts';
import { PeerChannel } from '#src/heartbeat/driver.ts';
import { dialAs, type Stranger } from '#test/heartbeat/peers.ts';
import {
	allProtected,
	places,
	promisesHold,
	setStage,
	statusOf,
	until,
	vmpair,
	writesGoOn,
} from '#test/process/stage.ts';

/** North dials, so whoever poses as north finds south listening. */
const bootId = 'north-boot-1';

const identityOf = (stage: Stage, host: string) => ({
	certificatePem: readFileSync(join(stage.host(host).files.folder, 'host.crt'), 'utf8'),
	keyPem: readFileSync(join(stage.host(host).files.folder, 'host.key'), 'utf8'),
});

interface ConfigText {
	readonly hosts: Record<
		string,
		{ certificate: string; links: Record<string, { address: string; port: number }> }
	>;
}

const configOf = (stage: Stage): ConfigText =>
	JSON.parse(readFileSync(stage.host('north').files.configFile, 'utf8')) as ConfigText;

const doorOf = (stage: Stage, host: string) => {
	const [first] = Object.values(configOf(stage).hosts[host]?.links ?? {});
	return { address: '127.0.0.1', port: first?.port ?? 0 };
};

const sessionOf = async (stage: Stage, host: string): Promise<string> =>
	(await statusOf(stage, host))?.agent.session ?? '';

const dropsAt = async (stage: Stage, host: string, reason: DropReason): Promise<number> =>
	(await statusOf(stage, host))?.heartbeat.dropped[reason] ?? 0;

/** What a connection with north's own key says, and that it is refused for `reason`. */
const refused = async (
	t: ExecutionContext,
	stage: Stage,
	reason: DropReason,
	speak: (stranger: Stranger) => void | Promise<void>,
): Promise<void> => {
	const before = await dropsAt(stage, 'south', reason);
	const stranger = await dialAs(t, doorOf(stage, 'south'), identityOf(stage, 'north'));
	await speak(stranger);
	await until(
		`it is refused: ${reason}`,
		async () => (await dropsAt(stage, 'south', reason)) > before,
	);
	await until('its connection is ended', stranger.closed);
};

const introduce = async (
	stranger: Stranger,
	session: string,
	changes: { readonly bootId?: string; readonly nonce?: string } = {},
): Promise<void> => {
	const who = { bootId: changes.bootId ?? bootId, session };
	const nonce = randomBytes(24).toString('base64url');
	stranger.send(encodeHello({ protocolVersion, pairId: 'pair', host: 'north', ...who, nonce }));
	await until('it is greeted', () => stranger.closed() || stranger.received.length > 0);
	const { nonce: asked } = JSON.parse((stranger.received[0] ?? '').slice(6)) as Hello;
	stranger.send(encodeAnswer({ ...who, nonce: changes.nonce ?? asked }));
};

const pids = (stage: Stage) => stage.hosts.map(({ agent }) => agent?.pid);

test('who holds the peer’s key and speaks garbage is refused, and the peer is heard on', async (t) => {
	const stage = await setStage(t);
	const before = { places: places(stage), pids: pids(stage) };
	const session = await sessionOf(stage, 'north');
	await refused(t, stage, 'malformed', ({ send }) => send('what is this'));
	await refused(t, stage, 'malformed', ({ send }) => send(randomBytes(4000)));
	await refused(t, stage, 'malformed', ({ send }) => send(`hello ${'['.repeat(4000)}`));
	await refused(t, stage, 'oversized', ({ send }) => send(`beat ${'1'.repeat(5000)}`));
	await refused(t, stage, 'oversized', ({ send }) => send(`document ${'1'.repeat(2_000_000)}`));
	const head = { host: 'north', bootId, session, seq: 1 };
	const beat = encodeBeat({ ...head, echo: null, promises: true, heldMs: 0, lagMs: 0 });
	const document = encodeDocument(JSON.stringify({ pairId: 'pair', ...head }));
	await refused(t, stage, 'unexpected-frame', ({ send }) => send(beat));
	await refused(t, stage, 'unexpected-frame', ({ send }) => send(document));
	await refused(t, stage, 'stale-nonce', async (stranger) => {
		await introduce(stranger, session, { nonce: randomBytes(24).toString('base64url') });
	});
	await allProtected(stage);
	t.deepEqual({ places: places(stage), pids: pids(stage) }, before);
	promisesHold(t, stage);
});

/** What a connection with north's key puts on the wire, as a listener in between would have recorded it. */
const recorded = async (stage: Stage, say: string): Promise<Buffer> => {
	const wire: Buffer[] = [];
	const line = connect(doorOf(stage, 'south').port, '127.0.0.1');
	const socket = new Duplex({
		read: () => {},
		write: (data: Buffer, _encoding, done) => {
			wire.push(Buffer.from(data));
			line.write(data, done);
		},
	});
	line.on('data', (data) => socket.push(data));
	line.on('error', () => {});
	line.on('close', () => socket.destroy());
	const { certificatePem: cert, keyPem: key } = identityOf(stage, 'north');
	const secure = connectTls({ socket, cert, key, rejectUnauthorized: false });
	secure.on('error', () => {});
	await new Promise((resolve) => secure.once('secureConnect', resolve));
	await new Promise((resolve) => secure.write(say, resolve));
	line.destroy();
	return Buffer.concat(wire);
};

const throwAt = async (port: number, bytes: Buffer): Promise<void> =>
	await new Promise((resolve) => {
		const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
		socket.setTimeout(500, () => socket.destroy());
		socket.on('error', () => {});
		socket.on('close', () => resolve());
	});

test('a connection that was recorded and is sent again is refused, and so are runs and boots that are over', async (t) => {
	const stage = await setStage(t);
	const before = places(stage);
	const tape = await recorded(stage, 'GET / HTTP/1.1\r\nupgrade: websocket\r\n\r\n');
	t.true(tape.length > 1000);
	const broken = await dropsAt(stage, 'south', 'tls-failed');
	await throwAt(doorOf(stage, 'south').port, tape);
	await until(
		'the tape is refused',
		async () => (await dropsAt(stage, 'south', 'tls-failed')) > broken,
	);
	const session = await sessionOf(stage, 'north');
	stage.killAgent('north', 500);
	await until('another run has begun', async () => {
		const now = await sessionOf(stage, 'north');
		return now !== '' && now !== session;
	});
	await allProtected(stage);
	await refused(t, stage, 'old-session', async (one) => await introduce(one, session));
	t.is(places(stage), before);
	stage.powerCut('north');
	stage.powerOn('north');
	await until('it has booted', () => stage.events.some(({ what }) => what === 'booted'));
	await allProtected(stage);
	await refused(t, stage, 'old-boot', async (one) => await introduce(one, session));
	t.regex(
		(await vmpair(stage, 'south', 'history')).stdout,
		/a boot id of the peer that was superseded was offered again and is refused/,
	);
	await allProtected(stage);
	promisesHold(t, stage);
});

/** A document of north, as south would get it; south's agent must be down. */
const documentOfNorth = async (stage: Stage): Promise<PeerDocument> => {
	const { hosts } = configOf(stage);
	const { certificatePem, keyPem } = identityOf(stage, 'south');
	const channel = new PeerChannel({
		self: 'south',
		peer: 'north',
		pairId: 'pair',
		bootId: 'south-boot-1',
		session: 'the-listener',
		links: Object.entries(hosts['south']?.links ?? {}).map(([name, { address, port }]) => ({
			name,
			device: null,
			listenAddress: address,
			listenPort: port,
			peerAddress: address,
			peerPort: hosts['north']?.links[name]?.port ?? 0,
		})),
		tls: { certificatePem, keyPem, peerFingerprint256: hosts['north']?.certificate ?? '' },
		timing: { beatIntervalMs: 200, suspectMs: 600, detectionMs: 3000 },
		knownBootIds: [],
		voter: null,
	});
	const heard: PeerDocument[] = [];
	channel.onHearing(() => {});
	channel.onDocument((document) => heard.push(document));
	await channel.start();
	try {
		await until('north sends its document', () => heard.length > 0);
	} finally {
		await channel.stop();
	}
	const [document] = heard;
	if (document === undefined) throw new Error('no document');
	return document;
};

test('an old document under a new number changes no record and no VM', async (t) => {
	const stage = await setStage(t);
	const generation = async (host: string): Promise<number> =>
		(await statusOf(stage, host))?.vms.find(({ vm }) => vm === 'batch')?.generation ?? 0;
	stage.killAgent('south', null);
	await until('the agent has ended', () => stage.host('south').agent === null);
	const old = await documentOfNorth(stage);
	stage.startAgent('south');
	await allProtected(stage);
	// The records go on: what the old document says is over.
	t.is((await vmpair(stage, 'north', 'stop', 'batch')).exitCode, 0);
	t.is((await vmpair(stage, 'north', 'start', 'batch')).exitCode, 0);
	await allProtected(stage);
	const now = await generation('south');
	t.true(now > (old.records['batch']?.generation ?? Infinity));
	const before = places(stage);
	const session = await sessionOf(stage, 'north');
	const impostor = await dialAs(t, doorOf(stage, 'south'), identityOf(stage, 'north'));
	await introduce(impostor, session);
	await until('it is let in', () => impostor.received.some((text) => text.startsWith('beat ')));
	const received = async (): Promise<number> =>
		(await statusOf(stage, 'south'))?.heartbeat.documentsReceived ?? 0;
	const count = await received();
	impostor.send(encodeDocument(JSON.stringify({ ...old, session, seq: old.seq + 1_000_000 })));
	await until('the document is taken', async () => (await received()) > count);
	await until('north is back in its place', impostor.closed);
	await writesGoOn(stage);
	t.is(await generation('south'), now);
	t.is(places(stage), before);
	// Until its next run, north sends no number as high as that: south knows that it is behind, and says so.
	stage.killAgent('north', 500);
	await until('another run has begun', async () => (await sessionOf(stage, 'north')) !== session);
	await allProtected(stage);
	t.is(await generation('south'), await generation('north'));
	t.is(places(stage), before);
	promisesHold(t, stage);
});

test('an agent with another certificate is refused and named, and nothing fails over', async (t) => {
	const stage = await setStage(t);
	const before = places(stage);
	const own = identityOf(stage, 'north');
	const { folder } = stage.host('north').files;
	const use = (identity: Pick<typeof own, 'certificatePem' | 'keyPem'>): void => {
		writeFileSync(join(folder, 'host.crt'), identity.certificatePem);
		writeFileSync(join(folder, 'host.key'), identity.keyPem);
	};
	const other = demoIdentity('north');
	use(other);
	stage.killAgent('north', 500);
	await until('south says that its peer is not there', async () => {
		const status = await statusOf(stage, 'south');
		return status?.conditions.some(({ name }) => name === 'peer-agent-down') === true;
	});
	await until('south tells which certificate it was shown', async () => {
		const { stdout } = await vmpair(stage, 'south', 'history');
		return stdout.includes(other.fingerprint256);
	});
	t.regex((await vmpair(stage, 'south', 'status')).stdout, /\d+ wrong-certificate/);
	await writesGoOn(stage);
	t.is(places(stage), before);
	t.false(stage.events.some(({ what }) => what === 'powered-off-by-fence'));
	use(own);
	stage.killAgent('north', 500);
	await allProtected(stage);
	t.is(places(stage), before);
	promisesHold(t, stage);
});

/** Bytes at a local socket, until the agent ends the connection or half a second has passed. */
const throwAtSocket = async (path: string, bytes: Buffer | string): Promise<void> =>
	await new Promise((resolve) => {
		const socket = connect(path, () => socket.write(bytes));
		socket.resume();
		socket.setTimeout(500, () => socket.destroy());
		socket.on('error', () => {});
		socket.on('close', () => resolve());
	});

test('garbage on the local sockets hurts nobody', async (t) => {
	const stage = await setStage(t);
	const before = pids(stage);
	const { runFolder } = stage.host('north').files;
	const noise = [
		randomBytes(70_000),
		'GET /status HTTP/1.1\r\n',
		'POST /request HTTP/1.1\r\ncontent-length: 900000\r\n\r\n{',
		'POST /request HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}',
		'fence-peer no-such-resource\n',
		'fence-peer',
		'fence-peer ldap\n'.repeat(500),
		'\0\n',
	];
	for (const socket of ['agent.sock', 'handler.sock'])
		await Promise.all(
			noise.map(async (each) => await throwAtSocket(join(runFolder, socket), each)),
		);
	t.is((await vmpair(stage, 'north', 'status')).exitCode, 0);
	await allProtected(stage);
	t.deepEqual(pids(stage), before);
	promisesHold(t, stage);
});
