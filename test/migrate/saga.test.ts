import test from 'ava';
import fc from 'fast-check';
import { goneMs, heldBackMs, migrationStep, prepareMs, sendMs } from '#src/migrate/saga.ts';
import type { MigrationSide, MigrationView } from '#src/migrate/saga.ts';
import { presences, twins } from '#src/ports.ts';

const side = (change: Partial<MigrationSide> = {}): MigrationSide => ({
	presence: 'absent',
	twin: null,
	underWay: false,
	role: 'Secondary',
	twoPrimaries: null,
	receiving: false,
	...change,
});

const running = { presence: 'running', role: 'Primary' } as const;

const source = (change: Partial<MigrationView> = {}): MigrationView => ({
	phase: 'forth',
	side: 'source',
	owner: true,
	contact: 'together',
	own: side(running),
	peer: side(),
	replicates: true,
	frozen: false,
	peerFrozen: false,
	inSync: true,
	targetInSync: true,
	sent: false,
	cancelled: false,
	goneForMs: 0,
	ageMs: 0,
	memoryMib: 1024,
	...change,
});

const target = (change: Partial<MigrationView> = {}): MigrationView =>
	source({ side: 'target', owner: false, own: side(), peer: side(running), ...change });

const said = (view: MigrationView): string => {
	const step = migrationStep(view);
	return step.do === 'act' ? step.act : step.do;
};

test('the hosts take the steps of a migration in their order', (t) => {
	t.is(said(source()), 'allow-two-primaries');
	t.is(said(target()), 'allow-two-primaries');
	const allowed = { twoPrimaries: true };
	t.is(said(target({ own: side(allowed) })), 'wait', 'the source has not read it back yet');
	t.is(said(target({ own: side(allowed), peer: side({ ...running, ...allowed }) })), 'promote');
	const primary = { ...allowed, role: 'Primary' } as const;
	t.is(said(target({ own: side(primary), peer: side({ ...running, ...allowed }) })), 'receive-vm');
	const ready = side({ ...primary, receiving: true });
	t.is(said(source({ own: side({ ...running, ...allowed }), peer: ready })), 'send-vm');
	const silent = { ...ready, presence: 'unknown' } as const;
	t.is(said(source({ own: side({ ...running, ...allowed }), peer: silent })), 'wait');
	const sending = side({ ...running, ...allowed, underWay: true });
	t.is(said(source({ own: sending, peer: side({ ...primary, twin: 'incoming' }) })), 'wait');
	const whole = side({ ...primary, presence: 'paused' });
	const left = { ...primary, presence: 'absent' } as const;
	t.is(said(source({ own: side(left), peer: whole, sent: true })), 'demote');
	t.is(said(source({ own: side({ ...left, role: 'Secondary' }), peer: whole })), 'give');
	t.is(said(target({ owner: true, own: whole })), 'forbid-two-primaries');
	t.is(said(target({ owner: true, own: { ...whole, twoPrimaries: false } })), 'wait');
});

test('what is found after xl has ended decides where the VM is', (t) => {
	const primary = { role: 'Primary', twoPrimaries: true } as const;
	const whole = side({ ...primary, presence: 'paused' });
	const incoming = side({ ...primary, twin: 'incoming' });
	const away = side({ ...primary, twin: 'away' });
	const late = { goneForMs: goneMs };
	t.is(said(source({ own: side({ ...running, ...primary }), sent: true })), 'turn-back');
	t.is(said(source({ own: side({ ...primary, presence: 'stopped' }) })), 'turn-back');
	t.is(said(source({ own: away, peer: whole })), 'destroy-twin');
	const becoming = { ...incoming, underWay: true };
	t.is(said(source({ own: away, peer: becoming, ...late })), 'wait', 'it may become the VM');
	const hung = { peer: becoming, peerFrozen: true };
	t.is(said(source({ own: away, ...hung })), 'wait', 'one look may be torn');
	t.is(said(source({ own: away, ...hung, goneForMs: heldBackMs })), 'turn-back');
	t.is(said(source({ own: away, peer: incoming })), 'wait', 'one look may be torn');
	t.is(said(source({ own: away, peer: incoming, goneForMs: heldBackMs })), 'turn-back');
	t.is(said(source({ own: away })), 'wait', 'the other host may not have looked yet');
	t.is(said(source({ own: away, ...late })), 'turn-back');
	t.is(said(source({ own: side(primary), ...late })), 'turn-back');
});

test('a migration that does not get on turns back, and xl is given up only by its transport', (t) => {
	const sending = side({ ...running, underWay: true });
	t.is(said(source({ ageMs: prepareMs + 1 })), 'turn-back');
	t.is(said(source({ replicates: false })), 'turn-back');
	t.is(said(source({ contact: 'lost' })), 'turn-back');
	t.is(said(source({ contact: 'unsettled' })), 'wait');
	t.is(said(source({ own: sending, contact: 'unsettled' })), 'wait');
	t.is(said(source({ own: sending, contact: 'lost' })), 'cut-migration');
	t.is(said(source({ own: sending, replicates: false })), 'cut-migration');
	const ageMs = prepareMs + sendMs(1024) + 1;
	t.is(said(source({ own: sending, ageMs })), 'cut-migration');
});

test('on the way back everything goes before the journal is closed', (t) => {
	const back = (change: Partial<MigrationView>) => said(source({ phase: 'back', ...change }));
	t.is(back({ own: side({ ...running, underWay: true }) }), 'cut-migration');
	t.is(back({ own: side({ ...running, twin: 'away' }) }), 'destroy-twin');
	t.is(back({ own: side({ presence: 'stopped', role: 'Primary' }) }), 'destroy-vm');
	t.is(back({ peer: side({ twin: 'incoming' }) }), 'wait');
	t.is(back({ peer: side({ presence: 'paused' }) }), 'wait');
	t.is(back({ peer: side({ role: 'Primary' }) }), 'wait');
	t.is(back({}), 'forbid-two-primaries');
	t.is(back({ own: side({ ...running, twoPrimaries: false }) }), 'close');
	t.is(back({ contact: 'lost', peer: side({ role: 'Primary' }) }), 'close');
	const hung = side({ role: 'Primary', twin: 'incoming', underWay: true });
	const failed = { own: side(), inSync: false, goneForMs: heldBackMs };
	t.is(back({ ...failed, peer: hung }), 'wait', 'it may become the VM');
	t.is(
		back({ ...failed, peer: hung, peerFrozen: true }),
		'give',
		'its xl waits for the frozen disk',
	);
	t.is(back({ own: side(), goneForMs: heldBackMs, peer: hung, peerFrozen: true }), 'wait');
	const retreat = (own: MigrationSide) => said(target({ phase: 'back', own }));
	t.is(retreat(side({ receiving: true })), 'cut-migration');
	t.is(retreat(side({ twin: 'incoming' })), 'destroy-twin');
	t.is(retreat(side({ presence: 'paused' })), 'destroy-vm');
	t.is(retreat(side({ role: 'Primary' })), 'demote');
	t.is(retreat(side({ twoPrimaries: true })), 'forbid-two-primaries');
	t.is(retreat(side({ twoPrimaries: false })), 'wait');
});

const sides = fc.record({
	presence: fc.constantFrom('absent' as const, 'unknown' as const, ...presences),
	twin: fc.constantFrom(null, ...twins),
	underWay: fc.boolean(),
	role: fc.constantFrom('Primary' as const, 'Secondary' as const, null),
	twoPrimaries: fc.constantFrom(true, false, null),
	receiving: fc.boolean(),
});

const views = fc.record({
	phase: fc.constantFrom('forth' as const, 'back' as const, null),
	side: fc.constantFrom('source' as const, 'target' as const),
	owner: fc.boolean(),
	contact: fc.constantFrom('together' as const, 'unsettled' as const, 'lost' as const),
	own: sides,
	peer: sides,
	replicates: fc.boolean(),
	frozen: fc.boolean(),
	peerFrozen: fc.boolean(),
	inSync: fc.boolean(),
	targetInSync: fc.boolean(),
	sent: fc.boolean(),
	cancelled: fc.boolean(),
	goneForMs: fc.constantFrom(0, goneMs),
	ageMs: fc.constantFrom(0, prepareMs + 1, prepareMs + sendMs(1024) + 1),
	memoryMib: fc.constant(1024),
});

/** In which the VM is given. */
const given: MigrationView = source({
	own: side(),
	peer: side({ presence: 'paused', role: 'Primary' }),
	sent: true,
});

/** Mostly as in `given`. */
const nearlyGiven = fc.tuple(views, fc.subarray(Object.keys(given))).map(([view, keys]) => {
	const other = Object.entries(view).filter(([key]) => keys.includes(key) && keys.length < 4);
	return { ...given, ...Object.fromEntries(other) } as MigrationView;
});

test('whatever is seen, the VM is given only whole, demoted and to a copy that counts', (t) => {
	t.is(said(given), 'give');
	fc.assert(
		fc.property(nearlyGiven, (view) => {
			if (migrationStep(view).do !== 'give') return;
			t.true(view.owner && view.side === 'source' && view.targetInSync);
			t.true(view.own.presence === 'absent' && view.own.twin === null && !view.own.underWay);
			t.is(view.contact, 'together');
			if (view.phase === 'forth') {
				t.is(view.own.role, 'Secondary');
				t.is(view.peer.presence, 'paused');
			} else {
				t.false(view.inSync);
				t.true(view.own.role !== 'Primary' || view.frozen);
				t.true(view.peer.presence === 'absent' && !(view.peer.underWay && !view.peerFrozen));
			}
		}),
		{ numRuns: 20_000 },
	);
});

test('whatever is seen, no running guest is destroyed, and nothing is destroyed under xl', (t) => {
	fc.assert(
		fc.property(views, (view) => {
			const step = said(view);
			if (step === 'destroy-vm')
				t.true(view.own.presence === 'stopped' || (view.side === 'target' && !view.owner));
			if (step === 'destroy-vm' || step === 'destroy-twin') t.false(view.own.underWay);
			if (step === 'send-vm') t.true(view.own.presence === 'running' && view.replicates);
			if (view.side === 'source') t.not(step, 'promote');
		}),
		{ numRuns: 20_000 },
	);
});
