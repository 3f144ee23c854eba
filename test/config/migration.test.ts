import test from 'ava';
import { configOf, exampleText, problemsOf, smallText } from '#test/config/example.ts';

test('live migration takes the first direct cable, else the first link, unless the file says otherwise', (t) => {
	t.deepEqual(configOf(exampleText).migration, { network: 'replication', port: 7402 });
	t.deepEqual(configOf(smallText()).migration, { network: 'lan', port: 7402 });
	const chosen = `${exampleText}migration: {network: management, port: 7500}\n`;
	t.deepEqual(configOf(chosen).migration, { network: 'management', port: 7500 });
	const told = (more: string): string => problemsOf(`${smallText()}migration: ${more}\n`).join();
	t.regex(
		told('{network: lam}'),
		/migration\.network: expected one of the links \(lan\).*"lan" was/,
	);
	t.regex(told('{port: 7400}'), /hosts\.alpha\.links\.lan: expected another port for heartbeats/);
	t.regex(told('{port: 0}'), /migration\.port: expected a whole number from 1 to 65535/);
});
