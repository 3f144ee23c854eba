import { readFileSync } from 'node:fs';
import test from 'ava';
import { parse } from 'yaml';
import { fullStatus, metricsOf, namesOf } from '#test/web/example.ts';

const read = (name: string): string =>
	readFileSync(new URL(`../../deploy/${name}`, import.meta.url), 'utf8');

/** What Prometheus itself adds to everything that it asks. */
const ofPrometheus = ['up'];
const known = new Set([...namesOf(metricsOf(fullStatus())), ...ofPrometheus]);

/** The metrics that an expression names. */
const named = (expression: string): readonly string[] =>
	[
		...expression
			.replaceAll(/"(?:[^"\\]|\\.)*"/g, '""')
			.matchAll(/\b((?:vmpair|process|nodejs)_[a-z_]+|up)\b(?=[\s{[)}]|$)/g),
	].map(([name]) => name);

interface Rules {
	readonly groups: readonly {
		readonly rules: readonly {
			readonly alert: string;
			readonly expr: string;
			readonly labels: { readonly severity: string };
			readonly annotations: { readonly summary: string; readonly next: string };
		}[];
	}[];
}

const rules = (parse(read('prometheus/vmpair.rules.yml')) as Rules).groups.flatMap(
	({ rules: list }) => list,
);

interface Panel {
	readonly id: number;
	readonly title: string;
	readonly type: string;
	readonly gridPos: {
		readonly x: number;
		readonly y: number;
		readonly w: number;
		readonly h: number;
	};
	readonly targets: readonly {
		readonly expr: string;
		readonly datasource: { readonly uid: string };
	}[];
}

interface Dashboard {
	readonly id: null;
	readonly uid: string;
	readonly __requires: readonly { readonly type: string; readonly id: string }[];
	readonly templating: { readonly list: readonly { readonly name: string }[] };
	readonly panels: readonly Panel[];
}

const dashboard = JSON.parse(read('grafana/vmpair.json')) as Dashboard;

test('every alert rule asks for metrics that are printed, and says what is wrong and what to do', (t) => {
	t.true(rules.length >= 15);
	t.is(new Set(rules.map(({ alert }) => alert)).size, rules.length);
	for (const { alert, expr, labels, annotations } of rules) {
		const names = named(expr);
		t.true(names.length > 0, alert);
		for (const name of names) t.true(known.has(name), `${alert}: ${name}`);
		t.regex(alert, /^Vmpair[A-Z]/);
		t.regex(labels.severity, /^(critical|warning)$/);
		t.true(annotations.summary.length > 20 && annotations.next.length > 5, alert);
	}
});

test('every state that a rule looks for is one that is printed', (t) => {
	const text = metricsOf(fullStatus());
	let looked = 0;
	for (const { alert, expr } of rules)
		for (const [, key = '', value = ''] of expr.matchAll(/\b(verdict|state)=~?"([^"]*)"/g))
			for (const each of value.split('|')) {
				looked += 1;
				t.true(text.includes(`${key}="${each}"`), `${alert}: ${key}="${each}"`);
			}
	t.true(looked >= 6);
});

test('every alert rule has a test for promtool', (t) => {
	const tests = read('prometheus/vmpair.test.yml');
	for (const { alert } of rules) t.true(tests.includes(alert), `vmpair.test.yml lacks ${alert}`);
});

test('every panel of the dashboard asks for metrics that are printed', (t) => {
	const { panels } = dashboard;
	t.true(panels.length >= 15);
	for (const { title, targets } of panels) {
		t.true(targets.length > 0, title);
		for (const { expr, datasource } of targets) {
			t.is(datasource.uid, '${DS_PROMETHEUS}');
			t.regex(expr, /job=~"\$job",instance=~"\$instance"/);
			const names = named(expr);
			t.true(names.length > 0, `${title}: ${expr}`);
			for (const name of names) t.true(known.has(name), `${title}: ${name}`);
		}
	}
});

test('the dashboard can be imported anywhere: it names what it needs, and no panel lies over another', (t) => {
	const { panels, templating, id, uid } = dashboard;
	t.is(id, null);
	t.is(uid, 'vmpair');
	t.deepEqual(
		templating.list.map(({ name }) => name),
		['job', 'instance'],
	);
	const types = dashboard.__requires.flatMap(({ type, id: name }) =>
		type === 'panel' ? [name] : [],
	);
	t.deepEqual([...new Set(panels.map(({ type }) => type))].sort(), types.toSorted());
	t.is(new Set(panels.map((panel) => panel.id)).size, panels.length);
	for (const [index, { gridPos: one, title }] of panels.entries()) {
		t.true(one.x + one.w <= 24, title);
		for (const { gridPos: other } of panels.slice(index + 1)) {
			const apart =
				one.x + one.w <= other.x ||
				other.x + other.w <= one.x ||
				one.y + one.h <= other.y ||
				other.y + other.h <= one.y;
			t.true(apart, title);
		}
	}
});

test('a metric that is not printed would be found in an expression', (t) => {
	t.deepEqual(named('rate(vmpair_gone_total{a="vmpair_text"}[5m]) > on (vmpair) up == 1'), [
		'vmpair_gone_total',
		'up',
	]);
});
