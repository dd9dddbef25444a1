"""The look of every page of the evaluation room: colours for light and dark, tables, pictures, charts."""

from __future__ import annotations

_COLOURS = """
:root { color-scheme: light dark; --paper: #fbfaf8; --card: #fff; --ink: #22201d; --soft: #6f6862;
  --line: #e5e0d9; --accent: #b4412c; --good: #2f8f4e;
  --c0: #0072b2; --c1: #d55e00; --c2: #00835f; --c3: #b0578f; --c4: #a87400; --c5: #2f91c4; --c6: #7a6fc4; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #191817; --card: #232120; --ink: #ece8e2; --soft: #a9a198; --line: #3a3633;
    --accent: #ef8a70; --good: #6ccb8a;
    --c0: #5db4ec; --c1: #f58a3c; --c2: #35c79a; --c3: #e39cc8; --c4: #e6b73c; --c5: #9ad4f5;
    --c6: #b3a8f0; } }
@media print {
  :root { color-scheme: light; --paper: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #bbb;
    --accent: #8f2f1d; --good: #1f6f39;
    --c0: #0072b2; --c1: #d55e00; --c2: #00835f; --c3: #b0578f; --c4: #a87400; --c5: #2f91c4;
    --c6: #7a6fc4; } }
"""

_TEXT = """
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem clamp(1rem, 4vw, 3rem) 4rem; max-width: 76rem; background: var(--paper);
  color: var(--ink); line-height: 1.6;
  font-family: system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; }
h1 { margin: 0 0 .25rem; font-size: 1.7rem; line-height: 1.3; }
h2 { margin: 2.5rem 0 .5rem; padding-left: .6rem; border-left: .3rem solid var(--accent);
  font-size: 1.25rem; }
h3 { margin: 0 0 .6rem; font-size: 1.05rem; overflow-wrap: anywhere; }
h4 { margin: .4rem 0; font-size: .85rem; font-weight: 600; color: var(--soft); }
p { margin: .2rem 0; color: var(--soft); overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: .6rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .9rem; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap; }
th { color: var(--soft); font-size: .85rem; font-weight: 600; }
.number { text-align: right; }
article { margin: 1rem 0; padding: 1rem 1.2rem; border: 1px solid var(--line); border-radius: .8rem;
  background: var(--card); }
"""

_PICTURES = """
.models { display: grid; gap: 1rem 2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); }
.pictures { display: grid; gap: .7rem; grid-template-columns: repeat(auto-fill, minmax(6rem, 1fr)); }
.models > section:only-child .pictures { grid-template-columns: repeat(auto-fill, minmax(7.5rem, 1fr)); }
figure { margin: 0; min-width: 0; }
figure img, .picture { display: block; width: 100%; aspect-ratio: 1; object-fit: contain;
  border: 2px solid var(--line); border-radius: .5rem; background: #fff; }
figure.correct img, figure.correct .picture { border-color: var(--good); box-shadow: 0 0 0 2px var(--good); }
figcaption { margin-top: .3rem; font-size: .8rem; line-height: 1.35; overflow-wrap: anywhere; }
figcaption span.score { display: block; color: var(--soft); font-variant-numeric: tabular-nums; }
figure.correct figcaption span.score { color: var(--good); font-weight: 600; }
"""

BARS = """
svg.bars { max-width: 100%; height: auto; font-size: 13px; } svg.bars text { fill: var(--ink); }
svg.bars text.soft { fill: var(--soft); font-size: 12px; }
svg.bars .worse { fill: var(--accent); } svg.bars .better { fill: var(--good); }
svg.bars .unsure { fill: var(--soft); opacity: .55; } svg.bars line { stroke: var(--line); }
svg.bars line.origin { stroke: var(--ink); } svg.bars line.span { stroke: var(--ink); stroke-width: 2; }
svg.bars path { fill: none; stroke: var(--ink); stroke-width: 2; }
"""

PAGE = _COLOURS + _TEXT + _PICTURES

_CHARTS = """
.charts { display: grid; gap: 0 2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); align-items: start; }
.charts > article, .cards > article { margin: .6rem 0; min-width: 0; max-width: 44rem; }
svg.chart { display: block; width: 100%; height: auto; font-size: 14px; }
svg.chart text { fill: var(--soft); } svg.chart .rule { stroke: var(--line); fill: none; }
svg .base.line, svg.base .line { --series: var(--soft); stroke-dasharray: 3 4; }
svg .line { fill: none; stroke: var(--series); stroke-width: 2; stroke-linejoin: round; }
svg .dot { fill: var(--series); }
svg .outline { fill: var(--series); fill-opacity: .13; stroke: var(--series); stroke-width: 1.6; }
svg.swatch.outline rect { fill: var(--series); fill-opacity: .2; stroke: var(--series); stroke-width: 1.6; }
svg .again .line, svg .again.outline, svg.again .line { stroke-dasharray: 5 4; }
svg .mark path { stroke: var(--ink); stroke-width: 1.5; stroke-dasharray: 4 3; }
svg .mark circle { fill: var(--ink); } svg.chart .mark text { fill: var(--paper); font-weight: 600; }
.s0 { --series: var(--c0); } .s1 { --series: var(--c1); } .s2 { --series: var(--c2); }
.s3 { --series: var(--c3); } .s4 { --series: var(--c4); } .s5 { --series: var(--c5); }
.s6 { --series: var(--c6); }
.axis { font-size: .8rem; } .axis.x { text-align: center; }
ul.legend { display: flex; flex-wrap: wrap; gap: .1rem 1.2rem; margin: .4rem 0 0; padding: 0;
  list-style: none; font-size: .85rem; }
ul.legend li { overflow-wrap: anywhere; } .swatch { width: 1.75rem; height: .875rem; margin-right: .4rem; }
ul.legend b { display: inline-block; min-width: 1.2rem; margin-right: .3rem; border-radius: .6rem;
  background: var(--ink); color: var(--paper); font-size: .75rem; line-height: 1.2rem; text-align: center; }
details { margin-top: .5rem; font-size: .85rem; } summary { color: var(--soft); cursor: pointer; }
"""

_LANGUAGES = """
#language-zh:checked ~ * .en, #language-en:checked ~ * .zh { display: none; }
.language { position: fixed; top: 0; left: 0; opacity: 0; }
.languages label { padding: .2rem .7rem; border: 1px solid var(--line); cursor: pointer; font-size: .85rem; }
.languages label:first-child { border-radius: 1rem 0 0 1rem; }
.languages label:last-child { border-radius: 0 1rem 1rem 0; }
.languages label + label { border-left: 0; }
#language-zh:checked ~ header label[for=language-zh], #language-en:checked ~ header label[for=language-en],
#language-both:checked ~ header label[for=language-both] { background: var(--accent); color: var(--paper);
  border-color: var(--accent); }
#language-zh:focus-visible ~ header label[for=language-zh],
#language-en:focus-visible ~ header label[for=language-en],
#language-both:focus-visible ~ header label[for=language-both] { outline: 3px solid var(--c0);
  outline-offset: 2px; }
#language-both:checked ~ * :is(p, th, td, dt, dd, figcaption, small, nav a) > .en,
#language-both:checked ~ * .gallery article > h3 > .en { display: block; }
#language-both:checked ~ * .gallery article > h3 > .en { color: var(--soft); font-size: .85em; }
#language-both:checked ~ * nav .en { color: var(--soft); font-size: .85em; line-height: 1.2; }
#language-both:checked ~ * svg .zh.two { transform: translateY(-6px); font-size: 11.5px; }
#language-both:checked ~ * svg .en.two { transform: translateY(6px); font-size: 11.5px; fill: var(--soft); }
"""

_REPORT = """
html { scroll-padding-top: 4rem; }
header { position: sticky; top: 0; z-index: 1; display: flex; align-items: center; gap: 1rem;
  justify-content: space-between; padding: .6rem 0; background: var(--paper);
  border-bottom: 1px solid var(--line); }
header a { color: var(--soft); font-size: .85rem; text-decoration: none; overflow-wrap: anywhere; }
.languages { display: flex; white-space: nowrap; }
h1 { margin-top: 1.5rem; overflow-wrap: anywhere; }
nav { margin: 1rem 0; } nav ol { margin: 0; padding: 0; list-style: none; display: flex; flex-wrap: wrap;
  gap: .2rem 1.2rem; } nav a, .lead { color: var(--ink); }
nav a { display: block; padding: .15rem 0; text-decoration-color: var(--line); text-underline-offset: .25em; }
main > section { padding-bottom: .5rem; } section > h2 { margin-top: 2.2rem; }
th, td { padding: .35rem .6rem; white-space: normal; vertical-align: top; font-size: .93rem; }
th { vertical-align: bottom; font-size: .83rem; } td.number, td.short { white-space: nowrap; }
td.text { min-width: 9rem; overflow-wrap: anywhere; }
td small { display: block; color: var(--soft); font-size: .78rem; }
tbody tr.part > * { border-top: 2px solid var(--line); }
.table { margin: 1rem 0; } .table h3, article > h3 { margin: 0 0 .2rem; }
.gallery.pairs, .gallery.few { display: grid; gap: .8rem 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 13.5rem), 1fr)); }
.gallery.few { grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); }
.gallery > h3, .gallery > p { grid-column: 1 / -1; margin: 0; } .gallery { margin: 1rem 0; }
.gallery.pairs > article, .gallery.few > article { margin: 0; padding: .8rem 1rem; }
.gallery.pairs .models > section:only-child .pictures { grid-template-columns: 1fr 1fr; }
.gallery.few .models > section:only-child .pictures { grid-template-columns: repeat(4, 1fr); }
.album { position: absolute; width: 0; height: 0; }
.picture.empty { background: repeating-linear-gradient(45deg, var(--line) 0 6px, var(--card) 6px 12px); }
.cards { display: grid; gap: 0 2rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr));
  align-items: start; }
dl { display: grid; grid-template-columns: minmax(6rem, max-content) 1fr; gap: .25rem 1rem; margin: 0;
  font-size: .9rem; } dt { color: var(--soft); max-width: 12rem; } dd { margin: 0; overflow-wrap: anywhere; }
pre { margin: .6rem 0; padding: .8rem 1rem; border: 1px solid var(--line); border-radius: .6rem;
  background: var(--card); white-space: pre-wrap; overflow-wrap: anywhere; font-size: .85rem; }
@media (min-width: 68rem) {
  body { max-width: 92rem; }
  main { display: grid; grid-template-columns: 10rem minmax(0, 1fr); gap: 0 2rem; }
  main > * { grid-column: 2; }
  nav { grid-column: 1; grid-row: 1 / span 60; position: sticky; top: 4rem; align-self: start;
    max-height: calc(100vh - 5rem); margin-top: 1.9rem; overflow-y: auto; font-size: .9rem; }
  nav ol { display: block; } }
@media (max-width: 40rem) { th, td { padding: .3rem .5rem; } svg.bars { min-width: 38rem; }
  article { padding: .8rem .8rem; } svg.chart { font-size: 19px; }
  .pictures { grid-template-columns: repeat(auto-fill, minmax(5rem, 1fr)); } }
@media print { body { max-width: none; padding: 0; font-size: 10pt; } header, nav, details { display: none; }
  main { display: block; } article, figure, tr, pre { break-inside: avoid; } h2, h3 { break-after: avoid; } }
"""

REPORT = PAGE + BARS + _CHARTS + _REPORT + _LANGUAGES
