import { scenarioSchema, type ScenarioWorld } from '#src/sim/scenario.ts';

/**
 * The pair of the demo: the service VMs of a computing centre on two hosts. Told as a scenario, so that
 * it is the same world as in the simulation.
 */
const scenario = scenarioSchema.parse({
	format: 1,
	name: 'demo',
	story: 'A host with three of five VMs loses power.',
	world: {
		hosts: ['north', 'south'],
		memoryMib: 8192,
		vms: [
			{ name: 'ldap', host: 'north', priority: 500 },
			{ name: 'samba', host: 'north', priority: 400, after: ['ldap'] },
			{ name: 'batch', host: 'north', priority: 300, after: ['ldap'] },
			{ name: 'ui', host: 'south', priority: 200 },
			{ name: 'ce', host: 'south', priority: 100 },
		],
		fencing: { call: '3s', afterFence: 'on' },
		timing: {
			boot: '4s',
			agentStart: '500ms',
			resync: '3s',
			create: '600ms',
			guestShutdown: '1s',
		},
	},
	steps: [{ do: 'power-cut', host: 'north', at: '5s' }],
	expect: [{ finally: { ledger: 'intact' } }],
});

export const demoPair: ScenarioWorld = scenario.world;
