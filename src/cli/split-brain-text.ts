import type { SideView, VmView } from '#src/api/view.ts';
import { cell, table, wrap } from '#src/cli/text.ts';

/** What both hosts hold of a VM whose copies stand apart, side by side. Pure. */

const kinds: Readonly<Record<NonNullable<VmView['apart']>['kind'], string>> = {
	records: 'the records of the hosts conflict',
	'split-brain': 'both copies were written on their own',
	suspected: 'DRBD gave the connection up, it is not known why',
};

const joinVolumes = (
	side: SideView,
	text: (volume: NonNullable<SideView['volumes']>[number]) => string,
): string => {
	if (side.volumes === null) return 'not read';
	if (side.volumes.length === 1) return side.volumes.map(text).join('');
	return side.volumes.map((volume) => `${volume.volume}: ${text(volume)}`).join(', ');
};

const lastRun = ({ lastRun: run, presence }: SideView): string => {
	if (presence === 'running') return `runs now${run === null ? '' : `, since ${run.from}`}`;
	if (run === null) return 'not known';
	return run.to === null ? `since ${run.from}, end not seen` : `until ${run.to}`;
};

const rows: readonly (readonly [string, (side: SideView) => string])[] = [
	['record', ({ record }) => (record === null ? 'none' : `number ${record.generation}`)],
	['owner', ({ record }) => record?.owner ?? 'nobody'],
	['current', ({ record }) => record?.inSync.join(' and ') ?? 'nobody'],
	['VM', ({ presence }) => presence],
	['last ran', lastRun],
	['DRBD', ({ role, connection }) => `${role ?? 'unknown'}, ${connection ?? 'unknown'}`],
	['disk', ({ disk }) => disk ?? 'unknown'],
	['generation', (side) => joinVolumes(side, ({ current }) => current)],
	['begun from', (side) => joinVolumes(side, ({ bitmap }) => bitmap ?? 'none')],
	['before', (side) => joinVolumes(side, ({ history }) => history[0] ?? 'none')],
	[
		'out of sync',
		(side) =>
			joinVolumes(side, ({ outOfSyncKib: kib }) => (kib === null ? 'not known' : `${kib} KiB`)),
	],
];

/** The evidence of one VM as lines; one line when its copies belong together. */
export const apartLines = (
	{ vm, apart }: VmView,
	{ columns, colour }: { readonly columns: number; readonly colour: boolean },
): string[] => {
	if (apart === null) return [`${vm}: its copies and records belong together`];
	const { sides } = apart;
	return [
		`${vm}: ${kinds[apart.kind]}`,
		...table(
			['', ...sides.map(({ host }) => host)].map((title) => ({ title, shed: 0 })),
			rows.map(([label, text]) => [cell(label, 'dim'), ...sides.map((side) => cell(text(side)))]),
			columns,
			colour,
		),
		...sides.flatMap(({ host, loses }) =>
			wrap(`If ${host} gives its copy up, this is lost: ${loses}.`, columns),
		),
		...(apart.resolving === '' ? [] : [`Under way: ${apart.resolving}.`]),
	];
};
