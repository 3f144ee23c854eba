import test from 'ava';
import { shadowPaging } from '#src/xen/driver-paging.ts';
import { parseShadowPaging } from '#src/xen/paging.ts';
import { captured } from '#test/xen/captured.ts';
import { fakeXen } from '#test/xen/fake.ts';

test('a Xen that names hap and not shadow has no shadow paging, one that names neither does not say', (t) => {
	const caps = captured('xen/xl-info')
		.stdout.split('\n')
		.find((line) => line.startsWith('virt_caps'));
	t.is(parseShadowPaging(caps ?? ''), false, 'the Xen of Debian');
	t.is(parseShadowPaging('pv hvm hvm_directio pv_directio hap shadow iommu_hap_pt_share\n'), true);
	t.is(parseShadowPaging('pv shadow\n'), true, 'without virtualization by the processor');
	t.is(parseShadowPaging('hvm hvm_directio\n'), null, 'before Xen 4.13');
	t.is(parseShadowPaging(''), null);
});

test('xl is asked for it, and an xl that fails says nothing', async (t) => {
	const host = await fakeXen(t);
	await host.behave('xl.info', '[ "$1" = virt_caps ] && { echo "pv hvm hap gnttab-v1"; exit 0; }');
	t.is(await shadowPaging(host.tools), false);
	await host.behave('xl.info', 'exit 1');
	t.is(await shadowPaging(host.tools), null);
});
