"""The look of the report's page, on screen and printed."""

CSS = """
:root { --ink: #1d2733; --grey: #5d6b7a; --line: #dfe5ea; --soft: #f5f7f9; --accent: #0f6e84; --warn: #8a4b00; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 2rem 1.5rem 4rem; color: var(--ink); background: #fff;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif; }
header { border-bottom: 3px solid var(--accent); margin-bottom: 1rem; }
h1 { font-size: 1.9rem; margin: 0; line-height: 1.2; }
h2 { font-size: 1.25rem; margin: 2.4rem 0 .7rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line); }
.lead { color: var(--grey); margin: .4rem 0 1rem; }
nav ul { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: .2rem 1rem; font-size: .88rem; }
nav a { color: var(--accent); text-decoration: none; }
p { margin: .5rem 0; max-width: 50rem; }
.note { color: var(--grey); font-size: .88rem; }
.warning { color: var(--warn); background: #fff6e9; border-left: 4px solid #e79a2d; padding: .6rem .9rem; font-weight: 600; max-width: none; }
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
th { color: var(--grey); font-weight: 600; border-bottom: 2px solid var(--line); }
figure { margin: 1rem 0; }
figure img { max-width: 100%; height: auto; display: block; }
figcaption { color: var(--grey); font-size: .85rem; max-width: 46rem; margin-top: .3rem; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(22rem, 1fr)); gap: .4rem 1.2rem; }
@media print {
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  nav { display: none; }
  h2 { break-after: avoid; }
  figure, .card, tr, pre { break-inside: avoid; }
  .card, pre, .warning { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .table { overflow: visible; }
  .gallery { grid-template-columns: repeat(2, 1fr); }
  @page { margin: 16mm; }
}
"""
