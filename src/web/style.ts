/** The look of the page: light or dark as the person's system is, columns where there is room for them. */
export const style = `
:root{color-scheme:light dark;--back:#f6f7f9;--card:#fff;--text:#1b1f24;--dim:#5a6470;--edge:#d6dbe1;--good:#11703a;--warn:#8a5300;--bad:#b3121d;--goodback:#dff3e6;--warnback:#fdeccb;--badback:#fbdcdd;--plainback:#e9edf1;--l0:#1f6feb;--l1:#b3590e;--l2:#7a3fc4;--l3:#0b7a75;--l4:#b0185f}
@media(prefers-color-scheme:dark){:root{--back:#12161b;--card:#1a2027;--text:#e4e8ec;--dim:#9aa5b1;--edge:#333c46;--good:#6fd693;--warn:#f1b75a;--bad:#ff8a8a;--goodback:#143322;--warnback:#3b2c10;--badback:#451a1d;--plainback:#28303a;--l0:#6cb0ff;--l1:#f0a35e;--l2:#c39bff;--l3:#5cd0c9;--l4:#ff8fc0}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--text);font:16px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;overflow-wrap:anywhere}
main,#status{max-width:72rem;margin:0 auto;padding:0 1rem}
#status{display:flex;flex-wrap:wrap;gap:0 .75rem;padding-top:.6rem;padding-bottom:.6rem;font-size:.9rem;color:var(--dim);position:sticky;top:0;background:var(--back);z-index:1}
#status p{margin:0}
.live #news::before{content:"";display:inline-block;width:.6em;height:.6em;border-radius:50%;background:var(--good);margin-right:.4em}
.stale #status{max-width:none;background:var(--badback);color:var(--bad)}
.stale #news{font-weight:700}
.stale main{opacity:.6;filter:grayscale(.7)}
h1{font-size:1.9rem;line-height:1.15;margin:0 0 .15rem;letter-spacing:.01em}
h2{font-size:1.05rem;margin:0 0 .5rem}
h3{font-size:1rem;margin:0}
p{margin:.25rem 0}
section,header.verdict{background:var(--card);border:1px solid var(--edge);border-radius:.5rem;padding:.9rem 1rem;margin:0 0 .8rem}
header.verdict{border-left-width:.6rem}
header.good{border-left-color:var(--good)}header.warn{border-left-color:var(--warn)}header.bad{border-left-color:var(--bad)}
header.good h1{color:var(--good)}header.warn h1{color:var(--warn)}header.bad h1{color:var(--bad)}
.where,.dim{color:var(--dim)}.dim{font-size:.88rem}
.reason{font-size:1.08rem}
.next{margin-top:.15rem}
header .next{background:var(--plainback);border-radius:.35rem;padding:.4rem .6rem;margin-top:.5rem}
.badge{display:inline-block;overflow-wrap:normal;border-radius:.3rem;padding:.02rem .42rem;font-weight:600;font-size:.88rem}
.badge.good{color:var(--good);background:var(--goodback)}.badge.warn{color:var(--warn);background:var(--warnback)}.badge.bad{color:var(--bad);background:var(--badback)}.badge.plain{color:var(--text);background:var(--plainback)}
ul,ol{margin:0;padding:0;list-style:none}
.troubles li{border-left:.25rem solid var(--warn);padding:.1rem 0 .1rem .7rem;margin:0 0 .6rem}.troubles li.bad{border-left-color:var(--bad)}
.advice{color:var(--dim);font-size:.92rem}
.activity{margin-bottom:.6rem}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(15rem,1fr));gap:.8rem}
.card{border:1px solid var(--edge);border-radius:.4rem;padding:.6rem .8rem}
dl{margin:.8rem 0 0}dl div{display:grid;grid-template-columns:6.5rem 1fr;gap:.5rem;padding:.2rem 0}dt{color:var(--dim)}dd{margin:0}
table{width:100%;border-collapse:collapse}
th,td{overflow-wrap:break-word;text-align:left;vertical-align:top;padding:.4rem .6rem .4rem 0;border-top:1px solid var(--edge)}
thead th{border-top:0;color:var(--dim);font-weight:600;font-size:.85rem}
.disks .warn{color:var(--warn)}.disks .bad{color:var(--bad)}
.resync{margin-top:.2rem}
progress{width:100%;max-width:14rem;height:.6rem;accent-color:var(--l0);display:block}
svg{display:block;width:100%;height:auto;margin:.2rem 0 .5rem}
svg text{fill:var(--dim);font-size:11px}
.grid{stroke:var(--edge)}.line{fill:none;stroke-width:1.6}
.link0{stroke:var(--l0)}.link1{stroke:var(--l1)}.link2{stroke:var(--l2)}.link3{stroke:var(--l3)}.link4{stroke:var(--l4)}
.band{stroke:none;opacity:.45}.band.link0{fill:var(--l0)}.band.link1{fill:var(--l1)}.band.link2{fill:var(--l2)}.band.link3{fill:var(--l3)}
.silent{fill:var(--bad)}
figure{margin:0}figcaption{font-weight:600}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,22rem),1fr));gap:.4rem 1.2rem}.charts svg text{font-size:16px}
.legend .dim{white-space:nowrap}
.limit{stroke:var(--bad);stroke-dasharray:6 4}
.checks li{margin:.25rem 0}
h3.apart{margin-top:.7rem}
.legend li{margin:.1rem 0}
.key{display:inline-block;width:.8em;height:.8em;border-radius:.15em;margin-right:.45em}
.key.link0{background:var(--l0)}.key.link1{background:var(--l1)}.key.link2{background:var(--l2)}.key.link3{background:var(--l3)}.key.link4{background:var(--l4)}
.phase.proof{fill:var(--l1)}.phase.promote{fill:var(--l2)}.phase.start{fill:var(--l0)}
.key.proof{background:var(--l1)}.key.promote{background:var(--l2)}.key.start{background:var(--l0)}
.story{margin-bottom:.6rem}
.history li{padding:.15rem 0;border-top:1px solid var(--edge);font-size:.92rem}.history li:first-child{border-top:0}
.history .warn{color:var(--warn)}.history .bad{color:var(--bad)}
form{margin:1rem 0}input,button{font:inherit;padding:.4rem .6rem;border:1px solid var(--edge);border-radius:.3rem;background:var(--card);color:var(--text);max-width:100%}
:focus-visible{outline:3px solid var(--l0);outline-offset:2px}
@media(max-width:44rem){main,#status{padding-left:.6rem;padding-right:.6rem}h1{font-size:1.55rem}section,header.verdict{padding:.7rem .75rem}thead{position:absolute;clip-path:inset(50%);width:1px;height:1px;overflow:hidden}
table,tbody,tr,th[scope=row],td{display:block}tr{border-top:1px solid var(--edge);padding:.4rem 0}tr:first-child{border-top:0}th[scope=row]{border:0;padding:0;font-size:1.05rem}td{border:0;padding:.12rem 0;display:grid;grid-template-columns:6.5rem 1fr;justify-items:start;gap:.5rem}td.spare{display:none}td::before{content:attr(data-label);color:var(--dim);font-size:.88rem}dl div{grid-template-columns:5rem 1fr}svg text,.charts svg text{font-size:18px}}
@media print{#status{position:static}}
`;
