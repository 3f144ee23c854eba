/**
 * `npm run lab -- migrate-beside-xl`: the same guest goes there and back between the same two hosts, by bare `xl
 * migrate` over ssh while both agents are stopped, and by `vmpair migrate`. Agents that start again find the VM
 * where their record has it: so by hand it always goes there and back.
 */
import { parse } from 'yaml';
import { exit } from '#src/cli/surroundings.ts';
import { parseScenario } from '#src/sim/scenario.ts';
import { keepBundle, keepEvents } from './bundle.ts';
import { measureClock } from './clock.ts';
import { ssh } from './host.ts';
import {
	bothPrimary,
	compare,
	silenceSince,
	unitMs,
	type Comparison,
	type Span,
	type Turn,
} from './migration-times.ts';
import type { ProductVm } from './product.ts';
import { readScenario } from './run.ts';
import { armed, untilWriting, withSession, type Session, type SessionOptions } from './session.ts';
import { cablesOf, settingsOf } from './settings.ts';
import { progress, until } from './tool.ts';
import { judgeAll, untilSeen } from './verdict.ts';
import { HostWatch } from './watch.ts';
import { hosts, peerOf, type LabHost } from './world.ts';

export const besideXlName = 'migrate-beside-xl';

/** The longest that one command may take on an emulated host that is busy. */
const migrateMs = 900_000;
const settleMs = 300_000;
const eventsFile = '/run/lab-events2';

/** Root of each host may log in to the other one, as `xl migrate` wants it: by keys that die with the run. */
async function openSsh({ place }: Session): Promise<void> {
	for (const host of hosts) {
		const peer = peerOf(host);
		const own = `ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519 </dev/null && printf 'Host ${peer.replication}\\n StrictHostKeyChecking accept-new\\n BatchMode yes\\n' > /root/.ssh/config && cat /root/.ssh/id_ed25519.pub`;
		const { stdout } = await ssh(place, host, own);
		await ssh(place, peer, 'cat >> /root/.ssh/authorized_keys', { input: `${stdout}\n` });
	}
	for (const host of hosts) await ssh(place, host, `ssh ${peerOf(host).replication} true`);
}

/** From now on each host keeps what DRBD says of its resources. */
async function followDrbd({ place }: Session): Promise<void> {
	const follow = `systemd-run --quiet --unit=lab-events2 sh -c 'exec drbdsetup events2 --timestamps > ${eventsFile}'`;
	await Promise.all(hosts.map((host) => ssh(place, host, follow)));
}

/** When both were Primary so far, by each host. */
const spansNow = ({ place }: Session, vm: ProductVm): Promise<Span[][]> =>
	Promise.all(
		hosts.map(async (host) => {
			const { stdout } = await ssh(place, host, `cat ${eventsFile}`);
			return bothPrimary(stdout, vm.slot.name);
		}),
	);

type Timed = Pick<Turn, 'commandMs' | 'orderMs' | 'xlMs'>;

/**
 * Runs a command in dom0; its time is measured there. Throws with what it said unless its
 * exit code is one of `good`.
 */
async function timed(
	{ place }: Session,
	host: LabHost,
	command: string,
	good: readonly number[] = [exit.done],
): Promise<number> {
	const clock = `now() { echo $(($(date +%s%N) / 1000000)); }; began=$(now); ${command}; code=$?; echo "took $(($(now) - began))"; exit $code`;
	const told = await ssh(place, host, clock, { timeoutMs: migrateMs, anyCode: true });
	const { code, stdout, stderr } = told;
	if (!good.includes(code)) throw new Error(`${command}: exit ${code}: ${stdout} ${stderr}`);
	return Number(/^took (\d+)$/mu.exec(stdout)?.[1]);
}

/** As somebody without vmpair does it: only xl is timed. */
async function byXl(session: Session, vm: ProductVm, from: LabHost, to: LabHost): Promise<Timed> {
	const { place } = session;
	const resource = vm.slot.name;
	await ssh(place, from, `drbdadm net-options --allow-two-primaries=yes ${resource}`);
	await ssh(place, to, `drbdadm primary ${resource}`);
	const ms = await timed(session, from, `xl migrate -e ${vm.name} ${to.replication}`);
	const demoted = async (): Promise<true> => {
		await ssh(place, from, `drbdadm secondary ${resource}`);
		return true;
	};
	await until(demoted, { what: 'the source to be demoted', timeoutMs: 60_000 });
	await ssh(place, to, `drbdadm net-options --allow-two-primaries=no ${resource}`);
	return { commandMs: ms, orderMs: ms, xlMs: ms };
}

type Line = {
	readonly at: string;
	readonly message: string;
	readonly fields: Readonly<Record<string, unknown>>;
};

/** When an agent first said this since then, on the outer clock. */
async function saidMs(
	{ place }: Session,
	host: LabHost,
	sinceMs: number,
	test: (line: Line) => boolean,
): Promise<number | undefined> {
	const { addMs } = await measureClock(place, host, 3);
	const notes = `cat /var/lib/vmpair/events.jsonl | grep '"type":"note"' | tail -n 500`;
	const { stdout } = await ssh(place, host, notes);
	return stdout
		.split('\n')
		.filter((line) => line !== '')
		.map((line) => JSON.parse(line) as Line)
		.filter(test)
		.map(({ at }) => Date.parse(at) + addMs)
		.find((atMs) => atMs >= sinceMs);
}

async function byVmpair(
	session: Session,
	vm: ProductVm,
	from: LabHost,
	to: LabHost,
): Promise<Timed> {
	const { place } = session;
	const ready = async (): Promise<true | undefined> => {
		const { stdout } = await ssh(place, from, `vmpair migrate ${vm.name} --dry-run`);
		return stdout.includes('would go live') ? true : undefined;
	};
	const what = 'the pair to be ready for a live migration';
	await until(ready, { what, timeoutMs: settleMs, everyMs: 2000 });
	const beganMs = Date.now();
	const { stdout: since } = await ssh(place, from, 'date +%s');
	// The command waits for five minutes at most; what is still under way then goes on.
	const commandMs = await timed(session, from, `vmpair migrate ${vm.name}`, [
		exit.done,
		exit.inProgress,
	]);
	const orderedAt = await saidMs(
		session,
		from,
		beganMs - 1000,
		({ message, fields }) => message === 'request answered' && fields['verb'] === 'migrate',
	);
	const ended = (): Promise<number | undefined> =>
		saidMs(session, to, beganMs, ({ message }) => message === 'live migration ended');
	const endedAt = await until(ended, { what: 'the end of the migration', timeoutMs: migrateMs });
	const journal = `journalctl -q --no-pager -o short-unix _PID=1 --since @${since.trim()}`;
	const { stdout } = await ssh(place, from, journal, { timeoutMs: 120_000 });
	const xlMs = unitMs(stdout, `vmpair-send-${vm.name}-`);
	if (orderedAt === undefined || xlMs === undefined)
		throw new Error('the journals do not say when the migration began and how long xl ran');
	return { commandMs, orderMs: Math.round(endedAt - orderedAt), xlMs };
}

/** One migration, and what the recorder and DRBD have seen of it. */
async function turn(session: Session, vm: ProductVm, by: Turn['by'], from: LabHost): Promise<Turn> {
	const to = peerOf(from);
	const before = await spansNow(session, vm);
	const beganMs = Date.now();
	const times = await (by === 'xl' ? byXl : byVmpair)(session, vm, from, to);
	const endedMs = Date.now();
	const wrote = async (): Promise<true | undefined> => {
		const entries = await session.tape.entries();
		return entries.some(({ kind, atMs }) => kind === 'ack' && atMs > endedMs) ? true : undefined;
	};
	await until(wrote, { what: 'the guest to write again', timeoutMs: settleMs });
	const spans = await spansNow(session, vm);
	const fresh = spans.map((own, at) => own.slice(before[at]?.length ?? 0));
	if (fresh.some((own) => own.length !== 1))
		throw new Error(
			`both were Primary in ${fresh.map((own) => own.length).join('/')} spans, not one`,
		);
	const result: Turn = {
		by,
		from: from.name,
		to: to.name,
		...times,
		bothPrimaryMs: Math.max(...fresh.flat().map(({ fromMs, toMs }) => toMs - fromMs)),
		silenceMs: silenceSince(await session.tape.entries(), vm.name, beganMs),
	};
	progress(`${by} ${from.name} to ${to.name}: ${JSON.stringify(result)}`);
	return result;
}

const eachAgent = ({ place }: Session, verb: string): Promise<unknown> =>
	Promise.all(
		hosts.map((host) =>
			ssh(place, host, `systemctl ${verb} vmpair.service`, { timeoutMs: 120_000 }),
		),
	);

/** The pair is disarmed first, as for any work: agents that stop one after the other would be missed. */
async function withoutAgents<T>(session: Session, use: () => Promise<T>): Promise<T> {
	const [first] = hosts;
	if (first === undefined) throw new Error('the lab has no hosts');
	const disarm = async (): Promise<true> => {
		await ssh(session.place, first, 'vmpair disarm --reason work', { timeoutMs: 120_000 });
		return true;
	};
	await until(disarm, { what: 'the pair to be disarmed', timeoutMs: settleMs, everyMs: 2000 });
	await eachAgent(session, 'stop');
	progress('the agents are stopped');
	const result = await use();
	await eachAgent(session, 'start');
	await armed(session);
	return result;
}

async function measure(session: Session, vm: ProductVm, rounds: number): Promise<Turn[]> {
	const turns: Turn[] = [];
	const thereAndBack = async (by: Turn['by']): Promise<void> => {
		for (const host of hosts) turns.push(await turn(session, vm, by, host));
	};
	for (let round = 0; round < rounds; round += 1) {
		await withoutAgents(session, () => thereAndBack('xl'));
		await thereAndBack('vmpair');
	}
	return turns;
}

export type BesideOptions = SessionOptions & {
	/** How often it goes there and back by each of both. */
	readonly rounds: number;
};

/** Runs it all; the guest begins on the first host. */
export async function besideXl(options: BesideOptions): Promise<Comparison> {
	const scenario = parseScenario(parse(await readScenario(options.root, 'migrate')));
	const wanted = {
		name: besideXlName,
		settings: settingsOf(scenario),
		cables: cablesOf(scenario),
	};
	return withSession(options, wanted, async (session) => {
		const [vm] = session.settings.vms;
		if (vm === undefined || vm.host !== hosts[0]?.name)
			throw new Error('the guest must begin on the first host');
		await armed(session);
		await untilWriting(session);
		await openSsh(session);
		await followDrbd(session);
		// The lab's looks would cost both ways time on an emulated host.
		for (const watch of session.watches) watch.stop();
		const turns = await measure(session, vm, options.rounds);
		const watches = hosts.map((host) => new HostWatch(session.place, host, wanted.cables));
		const last = { ...session, watches };
		for (const watch of watches) watch.start();
		try {
			await untilSeen(last);
			const told = await keepEvents(last.place, watches, last.id);
			const comparison = compare(turns, await judgeAll(last), told);
			if (comparison.failures.length > 0) await keepBundle(last.place, watches, last.id);
			return comparison;
		} finally {
			for (const watch of watches) watch.stop();
		}
	});
}
