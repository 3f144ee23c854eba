import { readdirSync, readFileSync } from 'node:fs';
import test from 'ava';
import { parse } from 'yaml';
import { runScenario } from '#src/sim/run.ts';
import { parseScenario } from '#src/sim/scenario.ts';
import { runSeed } from '#src/sim/swarm.ts';
import { swarmClasses } from '#src/sim/swarm-world.ts';

/**
 * The simulation spares the engine's rules what brings no news before the moment they have announced. Here they
 * look at everything, as in production: a rule that acts unannounced breaks a promise, and the run is the same.
 */

const seeds = 25;

for (const swarmClass of swarmClasses)
	test(`in class ${swarmClass} no rule acts unannounced, and sparing the rules changes nothing`, (t) => {
		for (let seed = 1; seed <= seeds; seed += 1) {
			const looked = runSeed(seed, { swarmClass, traced: true, rulesAlways: true });
			const spared = runSeed(seed, { swarmClass, traced: true });
			t.deepEqual(looked.violations, [], `seed ${seed}`);
			t.deepEqual(spared, looked, `seed ${seed}`);
		}
	});

const folder = 'test/scenario';

const load = (name: string) => {
	const document: unknown = parse(readFileSync(`${folder}/${name}/scenario.yaml`, 'utf8'));
	return parseScenario(document);
};

const simulated = readdirSync(folder, { withFileTypes: true }).filter(
	(entry) => entry.isDirectory() && load(entry.name).runsIn.includes('simulator'),
);

for (const { name } of simulated)
	test(`scenario ${name} takes the same course when the rules look at everything`, (t) => {
		const { violations, trace } = runScenario(load(name), { rulesAlways: true });
		t.deepEqual(violations, []);
		t.is(`${trace.join('\n')}\n`, readFileSync(`${folder}/${name}/trace.expect`, 'utf8'));
	});
