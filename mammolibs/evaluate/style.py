"""The look of the report's page, on screen and printed."""

CSS = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1d2733; --grey: #5d6b7a; --line: #dfe5ea; --soft: #f5f7f9; --accent: #0f6e84;
  --alarm: #9c1c1c; --alarm-paper: #fdeeee; --alarm-line: #cf3a3a;
  --warn: #8a4b00; --warn-paper: #fff6e9; --warn-line: #e79a2d;
  --part0: #0f6e84; --part1: #d9731a; --part2: #4c9a2a; --part3: #8a4fa3; --part4: #b59a1c; --part5: #8895a1; }
@media screen and (prefers-color-scheme: dark) {
  :root { --paper: #14191f; --ink: #dde4ea; --grey: #97a5b2; --line: #2c363f; --soft: #1b222a; --accent: #4db6cc;
    --alarm: #ffb0b0; --alarm-paper: #3a1717; --alarm-line: #c95151;
    --warn: #ffc98a; --warn-paper: #33260f; --warn-line: #b9772a;
    --part0: #3a9fb6; --part1: #e58a3c; --part2: #6bb84a; --part3: #b07cc6; --part4: #cdb54a; --part5: #8895a1; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 2rem 1.5rem 4rem; color: var(--ink); background: var(--paper);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif; }
header { border-bottom: 3px solid var(--accent); margin-bottom: 1rem; }
h1 { font-size: 1.9rem; margin: 0; line-height: 1.2; }
h2 { font-size: 1.25rem; margin: 2.4rem 0 .7rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line); }
.lead { color: var(--grey); margin: .4rem 0 1rem; }
nav { font-size: .88rem; display: flex; flex-wrap: wrap; gap: .6rem 2rem; }
nav ul { list-style: none; margin: 0; padding: 0; }
nav li { margin: .1rem 0; line-height: 1.3; }
nav p { margin: 0 0 .15rem; font-size: .78rem; font-weight: 600; color: var(--grey); }
nav a { color: var(--accent); text-decoration: none; }
nav a:hover { text-decoration: underline; }
section { scroll-margin-top: .5rem; }
@media screen and (min-width: 74rem) {
  body { max-width: 80rem; display: grid; grid-template-columns: 13rem minmax(0, 1fr); column-gap: 2.5rem; align-items: start; }
  header { grid-column: 1 / -1; }
  nav { position: sticky; top: 1rem; max-height: calc(100vh - 2rem); overflow-y: auto; display: block; }
  nav div { margin-bottom: .9rem; }
  main > section:first-child h2 { margin-top: 0; }
}
p { margin: .5rem 0; max-width: 50rem; }
.note { color: var(--grey); font-size: .88rem; }
.warning, .alarm { padding: .6rem .9rem; font-weight: 600; max-width: none; }
.warning { color: var(--warn); background: var(--warn-paper); border-left: 4px solid var(--warn-line); }
.alarm { color: var(--alarm); background: var(--alarm-paper); border-left: 4px solid var(--alarm-line); }
details { margin: .6rem 0 1.2rem; }
summary { cursor: pointer; color: var(--accent); font-size: .88rem; }
pre { background: var(--soft); border: 1px solid var(--line); padding: .7rem .9rem; font-size: .85rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .8rem; margin: 1rem 0; }
.card { border: 1px solid var(--line); border-top: 3px solid var(--accent); border-radius: 4px; padding: .8rem 1rem; background: var(--soft); }
.card .label { font-size: .85rem; color: var(--grey); }
.card .value { font-size: 1.9rem; font-weight: 650; line-height: 1.2; font-variant-numeric: tabular-nums; }
.card .interval { font-variant-numeric: tabular-nums; font-size: .95rem; }
.card .basis { font-size: .8rem; color: var(--grey); }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; margin: .6rem 0 1.2rem; min-width: 50%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); }
td.long { overflow-wrap: anywhere; min-width: 9rem; }
th { color: var(--grey); font-weight: 600; border-bottom: 2px solid var(--line); }
figure { margin: 1rem 0; }
figure img { max-width: 100%; height: auto; display: block; }
figcaption { color: var(--grey); font-size: .85rem; max-width: 46rem; margin-top: .3rem; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(22rem, 1fr)); gap: .4rem 1.2rem; }
.gallery.height { display: flex; flex-wrap: wrap; gap: .8rem; }
.gallery.height figure { margin: 0; }
.gallery.height img { max-height: 14rem; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; font-size: .88rem; max-width: none; }
.key i { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .4em; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(18rem, 1fr)); gap: .4rem 2rem; align-items: start; }
.chart h3 { font-size: .95rem; margin: 0 0 .2rem; }
.chart table { table-layout: fixed; width: 100%; min-width: 0; margin: 0; font-size: .82rem; line-height: 1.25; }
.chart th, .chart td { border: 0; padding: .1rem .5rem .1rem 0; vertical-align: middle; }
.chart th { width: 38%; font-weight: 400; color: var(--ink); overflow-wrap: anywhere; }
.chart td:last-child { width: 4.2rem; padding-right: 0; text-align: right; color: var(--grey); }
.chart div { display: flex; height: .85rem; }
.part0 { background: var(--part0); } .part1 { background: var(--part1); } .part2 { background: var(--part2); }
.part3 { background: var(--part3); } .part4 { background: var(--part4); } .part5 { background: var(--part5); }
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav { display: none; }
  h2 { break-after: avoid; margin-top: 1.4rem; }
  p { max-width: none; orphans: 3; widows: 3; }
  .note { font-size: .8rem; }
  figure, .card, tr, pre, .warning, .alarm, .short { break-inside: avoid; }
  p:has(+ .table), p:has(+ figure), p:has(+ details) { break-after: avoid; }
  figure img { max-height: 110mm; width: auto; }
  thead { display: table-header-group; }
  table { font-size: .8rem; min-width: 0; }
  th, td { padding-right: .7rem; }
  .wide table { font-size: .66rem; width: 100%; }
  .wide th, .wide td { padding-right: .4rem; }
  .table { overflow: visible; }
  details::details-content { content-visibility: visible; block-size: auto; }
  summary { color: var(--grey); list-style: none; break-after: avoid; }
  .chart i, .key i, .card, pre, .warning, .alarm { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .gallery.width, .charts { grid-template-columns: repeat(2, 1fr); }
  .gallery.height img { max-height: 9rem; }
  .cards { grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); }
  @page { margin: 16mm; }
}
"""
