import type { SightView, Status, VmView } from '#src/api/view.ts';
import { freshMs, stateTones, type WordTone } from '#src/api/words.ts';
import { ago, span } from '#src/std/span.ts';
import { element, type Element, type Maybe } from '#src/web/tree.ts';

/** A word with its meaning as a colour; the word says it as well. */
export const badge = (text: string, tone: WordTone): Element =>
	element('span', { class: `badge ${tone}` }, text);

/** The name of the column stands beside the value where there is no room for columns. */
const cell = (label: string, ...content: readonly Maybe[]): Element =>
	element('td', { 'data-label': label }, ...content);

/** What is seen too long ago is shown with its age, and as a question. */
const diskText = ({ disk, ageMs, frozen }: SightView): string => {
	const old = ageMs === null || ageMs > freshMs;
	const seen = disk === null ? 'unknown' : `${disk}${old ? '?' : ''}`;
	const facts = [...(old && ageMs !== null ? [ago(ageMs)] : []), ...(frozen ? ['frozen'] : [])];
	return facts.length === 0 ? seen : `${seen} (${facts.join(', ')})`;
};

const diskTone = ({ disk, ageMs, frozen }: SightView): WordTone => {
	if (frozen) return 'bad';
	return disk === 'UpToDate' && ageMs !== null && ageMs <= freshMs ? 'plain' : 'warn';
};

const resyncLine = ({ vm, resync }: VmView): Maybe => {
	if (resync === null) return null;
	const { donePercent, outOfSyncKib } = resync;
	const left =
		outOfSyncKib === null ? '' : `, ${Math.ceil(outOfSyncKib / 1024)} MiB still to be copied`;
	const text =
		donePercent === null ? `resync runs${left}` : `resync ${Math.floor(donePercent)}%${left}`;
	const name = `resync of ${vm}`;
	const bar =
		donePercent === null
			? element('progress', { 'aria-label': name, max: '100' })
			: element('progress', {
					'aria-label': name,
					max: '100',
					value: donePercent.toFixed(1),
				});
	return element('div', { class: 'resync' }, bar, element('span', { class: 'dim' }, text));
};

const failoverCell = ({ failover, wanted }: VmView): readonly Maybe[] => {
	if (failover.ready)
		return [badge('ready', 'good'), failover.to === null ? '' : ` on ${failover.to}`];
	if (wanted === 'stopped') return ['not wanted'];
	return [
		badge('NOT READY', 'bad'),
		// What to do about it stands among the troubles, once for all VMs that it is true of.
		element('div', {}, failover.blocker),
	];
};

const vmRow = (vm: VmView): Element =>
	element(
		'tr',
		{},
		element('th', { scope: 'row' }, vm.vm),
		cell('State', badge(vm.state, stateTones[vm.state])),
		cell('On', vm.runsOn ?? '-'),
		// What says nothing new is left out where there is no room for columns.
		element(
			'td',
			{ 'data-label': 'Wanted', class: vm.wanted === vm.state ? 'spare' : 'told' },
			vm.wanted,
		),
		cell(
			'Disks',
			element(
				'div',
				{ class: 'disks' },
				...vm.sights.map((sight) =>
					element(
						'div',
						{ class: diskTone(sight) },
						element('span', { class: 'dim' }, `${sight.host} `),
						diskText(sight),
					),
				),
				resyncLine(vm),
			),
		),
		cell('Failover', element('div', {}, ...failoverCell(vm))),
		element(
			'td',
			{ 'data-label': 'Since', class: vm.ageMs === null ? 'spare' : 'told' },
			vm.ageMs === null ? '-' : span(vm.ageMs),
		),
	);

const activities = (vms: readonly VmView[]): Maybe => {
	const busy = vms.filter(({ activity }) => activity !== '');
	if (busy.length === 0) return null;
	return element(
		'ul',
		{ class: 'activity' },
		...busy.map(({ vm, activity }) =>
			element('li', {}, element('strong', {}, vm), `: ${activity}`),
		),
	);
};

const columns = ['VM', 'State', 'On', 'Wanted', 'Disks', 'Failover', 'Since'];

/** Every VM: where it is, its disks on both hosts, and whether it would run again. */
export const vmSection = ({ vms }: Status): Element =>
	element(
		'section',
		{ 'aria-labelledby': 'vms' },
		element('h2', { id: 'vms' }, 'VMs'),
		activities(vms),
		vms.length === 0
			? element('p', {}, 'There are no VMs to protect.')
			: element(
					'table',
					{ class: 'vms' },
					element(
						'thead',
						{},
						element('tr', {}, ...columns.map((name) => element('th', { scope: 'col' }, name))),
					),
					element('tbody', {}, ...vms.map(vmRow)),
				),
	);
