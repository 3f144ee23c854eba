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

test('every scenario takes the same course when the rules look at everything', (t) => {
	for (const { name } of readdirSync(folder, { withFileTypes: true }).filter((entry) =>
		entry.isDirectory(),
	)) {
		const document: unknown = parse(readFileSync(`${folder}/${name}/scenario.yaml`, 'utf8'));
		const scenario = parseScenario(document);
		if (!scenario.runsIn.includes('simulator')) continue;
		const { violations, trace } = runScenario(scenario, { rulesAlways: true });
		t.deepEqual(violations, [], name);
		t.is(`${trace.join('\n')}\n`, readFileSync(`${folder}/${name}/trace.expect`, 'utf8'), name);
	}
});
