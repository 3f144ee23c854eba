import { X509Certificate } from 'node:crypto';
import test from 'ava';
import fc from 'fast-check';
import { demoIdentity } from '#src/demo/certificate.ts';
import { domainListText, resourceLines } from '#src/demo/tool-text.ts';
import { parseConfiguration } from '#src/drbd/configuration.ts';
import { resourceFileText } from '#src/demo/tool-text.ts';
import { parseSnapshot } from '#src/drbd/events2.ts';
import { observe } from '#src/drbd/observation.ts';
import type { ResourceObservation } from '#src/ports.ts';
import type { SimHost, Simulation } from '#src/sim/model.ts';
import { parseDomainList, presenceOf } from '#src/xen/domain.ts';

const observation: fc.Arbitrary<ResourceObservation> = fc.record({
	resource: fc.constant('ldap'),
	role: fc.constantFrom('Primary', 'Secondary'),
	suspended: fc.constantFrom([], ['fencing' as const]),
	connection: fc.constantFrom('Connected', 'Connecting'),
	peerRole: fc.constantFrom('Primary', 'Secondary', 'Unknown'),
	volumes: fc.tuple(
		fc.record({
			volume: fc.constant(0),
			disk: fc.constantFrom('UpToDate', 'Outdated', 'Consistent', 'Diskless'),
			peerDisk: fc.constantFrom('UpToDate', 'DUnknown', 'Inconsistent'),
			replication: fc.constantFrom('Established', 'Off', 'SyncSource'),
			outOfSyncKib: fc.nat(),
		}),
	),
});

test('what the simulated DRBD prints is read back as what it is', (t) => {
	fc.assert(
		fc.property(observation, (seen) => {
			const text = [...resourceLines('exists', seen, 3), 'exists -', ''].join('\n');
			const view = parseSnapshot(text);
			if (view === null) return false;
			const { resources, problems } = observe(view, new Map([['ldap', 'south']]));
			t.deepEqual(problems, []);
			t.deepEqual(resources, [seen]);
			return true;
		}),
	);
	t.pass();
});

test('the simulated configuration of DRBD can be read', (t) => {
	const text = resourceFileText('ldap', 2, ['north', 'south'], '/h/drbd-handler');
	t.deepEqual([...(parseConfiguration(text)?.keys() ?? [])], ['ldap']);
});

test('what the simulated xl lists is read back as what it is', (t) => {
	const presences = ['running', 'paused', 'stopped', 'dying'] as const;
	const host = {
		domains: new Map(
			presences.map((presence, index) => [
				presence,
				{ presence, reason: 'poweroff', instance: `x-${index + 1}`, shutdownDue: false },
			]),
		),
	} as unknown as SimHost;
	const simulation = {
		vms: presences.map((name) => ({ name, engine: { memoryMib: 512 } })),
	} as unknown as Simulation;
	const list = parseDomainList(domainListText(simulation, host));
	t.deepEqual(list?.unreadable, []);
	for (const domain of list?.domains.slice(1) ?? [])
		t.is(presenceOf(domain), domain.name as 'running');
	t.is(list?.domains.length, 5);
});

test('a certificate of the demo is one that OpenSSL accepts, signed by its own key', (t) => {
	const { certificatePem, fingerprint256 } = demoIdentity('north');
	const certificate = new X509Certificate(certificatePem);
	t.is(certificate.subject, 'CN=north');
	t.is(certificate.fingerprint256, fingerprint256);
	t.true(certificate.verify(certificate.publicKey));
	t.true(Date.parse(certificate.validTo) > Date.now());
});
