"""The style sheet of a page; its colours are those of `themes`."""

from recsys.reports import themes

CSS_RULES = """
* { box-sizing: border-box }
html { color-scheme: light dark; -webkit-text-size-adjust: 100%; scroll-padding-top: 5.5rem }
body {
  margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.55 FONT;
  font-variant-numeric: tabular-nums;
}
main, header { max-width: 1240px; margin: 0 auto; padding: 0 24px }
header { padding-top: 40px; padding-bottom: 16px }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 8px; letter-spacing: -.015em; overflow-wrap: anywhere }
h2 { font-size: 20px; line-height: 1.3; margin: 0 0 6px; letter-spacing: -.01em }
h3 { font-size: 15px; line-height: 1.4; margin: 0 0 2px; color: var(--ink) }
h3::first-letter { text-transform: uppercase }
section { padding: 28px 0 20px; border-top: 1px solid var(--line) }
section:first-of-type { border-top: 0; padding-top: 12px }
p { margin: 0 0 12px; max-width: 78ch }
nav { display: flex; flex-wrap: wrap; gap: 2px 18px; margin-top: 12px; font-size: 14px }
a { color: var(--series-0); text-decoration: none }
a:hover { text-decoration: underline }
.lead { color: var(--soft); font-size: 16px; max-width: 92ch; margin: 0; overflow-wrap: anywhere }
.note, figcaption { color: var(--soft); font-size: 13px; line-height: 1.5; overflow-wrap: anywhere }
.note { margin-top: 10px; max-width: 110ch }
figcaption p { margin: 0; max-width: 120ch }
figure { margin: 20px 0 0; min-width: 0 }
figure .chart { width: 100%; margin-top: 10px; overflow-x: auto }
figure .chart svg { display: block; max-width: 100%; height: auto }
.panels { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); grid-auto-flow: dense; gap: 28px 32px }
.panels > * { grid-column: span 3 }
.panels figure { margin-top: 4px }
.panels .span-1 { grid-column: span 1 }
.panels .span-2 { grid-column: span 2 }
.bar { position: sticky; top: 0; z-index: 5; background: var(--ground); border-bottom: 1px solid var(--line) }
.legend { display: flex; flex-wrap: wrap; gap: 4px; max-width: 1240px; margin: 0 auto; padding: 8px 18px }
button {
  font: inherit; color: inherit; background: none; border: 1px solid transparent; border-radius: 6px;
  cursor: pointer;
}
button:focus-visible, .scroll:focus-visible, summary:focus-visible {
  outline: 2px solid var(--series-0); outline-offset: 1px;
}
.legend button {
  display: inline-flex; align-items: center; gap: 5px; padding: 2px 8px 2px 6px; font-size: 13px;
  white-space: nowrap; max-width: 260px;
}
.legend button:hover, .choices button:hover { background: var(--panel) }
.legend button[aria-pressed=true], .choices button[aria-pressed=true] {
  background: var(--panel); border-color: var(--soft);
}
.legend span { overflow: hidden; text-overflow: ellipsis }
.legend .everything { color: var(--soft); margin-left: auto }
.legend .everything:disabled { visibility: hidden }
.swatch { width: 14px; height: 14px; flex: none; vertical-align: -2px }
.choices { display: flex; flex-wrap: wrap; gap: 4px; margin: 12px 0 }
.choices button { padding: 2px 10px; font-size: 13px; border-color: var(--line) }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; margin: 12px 0 }
.tall { overflow-y: auto; max-height: min(80vh, 900px) }
table { border-collapse: separate; border-spacing: 0; width: 100%; font-size: 13px; line-height: 18px }
th, td { padding: 6px 9px; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line) }
tbody:last-child tr:last-child > * { border-bottom: 0 }
.n { text-align: right; white-space: nowrap }
th { font-weight: 600 }
tbody th { font-weight: 500 }
thead th { background: var(--panel); vertical-align: bottom }
thead th button { font-weight: 600; padding: 0; border-radius: 3px; text-align: inherit; white-space: nowrap }
thead th button:hover { text-decoration: underline }
th[aria-sort=ascending] button::after { content: " \\25B4" }
th[aria-sort=descending] button::after { content: " \\25BE" }
.tall thead th { position: sticky; top: 0; z-index: 2 }
.differences th:first-child {
  position: sticky; left: 0; background: var(--ground); z-index: 1; white-space: nowrap;
}
.differences thead th:first-child { z-index: 3; background: var(--panel) }
.differences .base > tr > * { background: var(--panel); font-weight: 600 }
.differences .run {
  display: inline-block; max-width: 190px; margin-left: 6px; overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; vertical-align: bottom;
}
.differences tr.picked > * { background: var(--panel) }
.differences small { display: block; color: var(--soft); font-size: 11.5px; line-height: 16px; font-weight: 400 }
abbr { text-decoration: none; border-bottom: 1px dotted var(--soft); cursor: help }
.plain td, .plain th { overflow-wrap: break-word }
.plain thead .n { white-space: normal; min-width: 84px }
.plain .n { overflow-wrap: normal }
.plain .family { background: none; color: var(--soft); padding-top: 14px; font-weight: 600 }
.texts td:nth-child(2) { white-space: nowrap }
.sentences { margin: 8px 0 16px; padding-left: 20px; max-width: 110ch }
.sentences li { margin: 4px 0; overflow-wrap: anywhere }
details { margin: 12px 0 }
summary { cursor: pointer; font-weight: 600; font-size: 14px }
.fold { margin: 0 }
.fold > summary > * { display: inline-block; margin-bottom: 0 }
s { color: var(--soft) }
.panels > details { margin-top: 12px }
article { margin: 20px 0 }
.slates td:nth-child(2), .slates td:nth-child(3), .slates td:nth-child(4) { width: 28%; min-width: 120px }
.short td:last-child { min-width: 210px }
.short th { white-space: nowrap }
.short thead .n { white-space: normal; min-width: 90px }
.short .n, .segments .n { white-space: nowrap; min-width: 0 }
.segments thead th { position: static; white-space: nowrap }
.segments thead small { font-weight: 400 }
dl {
  display: grid; grid-template-columns: minmax(110px, max-content) minmax(0, 1fr); gap: 4px 20px; margin: 0;
  font-size: 13.5px;
}
dt { color: var(--soft); overflow-wrap: anywhere; max-width: 220px }
dd { margin: 0; overflow-wrap: anywhere }
dd ul { margin: 0; padding-left: 18px }
dd .scroll { margin: 2px 0 8px }
.facts > dt, .facts > dd { padding-top: 12px; border-top: 1px solid var(--line) }
.facts > dt { font-weight: 600; color: var(--ink) }
.facts { row-gap: 12px }
pre { margin: 0; white-space: pre-wrap; font: 12.5px/1.5 ui-monospace, Menlo, Consolas,monospace }
#vg-tooltip-element {
  position: fixed; z-index: 1000; pointer-events: none; visibility: hidden; max-width: min(460px, 92vw);
  padding: 10px 12px; background: var(--ground); color: var(--ink); border: 1px solid var(--line);
  border-radius: 8px; box-shadow: 0 4px 18px rgb(0 0 0/.18); font: 12.5px/1.45 FONT;
  font-variant-numeric: tabular-nums;
}
#vg-tooltip-element.visible { visibility: visible }
#vg-tooltip-element h2 { font-size: 13.5px; margin: 0 0 4px }
#vg-tooltip-element td { padding: 1px 0; border: 0; overflow-wrap: anywhere }
#vg-tooltip-element table tr td.key { color: var(--soft); padding-right: 12px; text-align: left; max-width: 190px }
@media screen and (max-width:1000px) {
  .panels { display: block }
  .panels > * { margin-top: 20px }
}
@media screen and (max-width:600px) {
  main, header { padding-left: 16px; padding-right: 16px }
  header { padding-top: 24px }
  h1 { font-size: 23px }
  .bar .legend { flex-wrap: nowrap; overflow-x: auto; padding: 6px 12px }
  .legend span { overflow: hidden; text-overflow: ellipsis }
.legend .everything { margin-left: 0; order: -1 }
  .legend .everything:disabled { display: none }
  th, td { padding: 6px 9px }
  .differences .run { max-width: 104px }
  .texts, .texts tbody, .texts tr, .texts th, .texts td { display: block; border-bottom: 0 }
  .texts thead { display: none }
  .texts th, .texts td { padding: 2px 9px }
  .texts tr { padding: 6px 0; border-bottom: 1px solid var(--line) }
  .facts { display: block }
  .facts > dd { padding: 0 0 8px; border: 0 }
  dl { grid-template-columns: minmax(80px, 38%) minmax(0, 1fr); gap: 4px 12px }
}
@media print {
  body { font-size: 11px }
  .bar { position: static; border: 0 }
  .legend .everything, .choices { display: none }
  main, header { max-width: none; padding: 0 }
  .tall { max-height: none; overflow: visible }
  .scroll { overflow: visible; border: 0 }
  .tall thead th, .differences th:first-child { position: static }
  table { font-size: 9.5px; line-height: 13px }
  th, td { padding: 3px 5px }
  figure, tr, li, dd { break-inside: avoid }
  h2, h3 { break-after: avoid }
  section { padding: 14px 0 }
  thead th button::after { content: none }
  .panels { display: block }
  figure .chart { overflow: visible }
  figure .chart svg { width: auto; max-height: 225mm }
  nav { display: none }
}
@page { margin: 14mm }
"""


def build_style_sheet() -> str:
    """Return the style sheet: dark where the reader's system is, light on paper."""
    light, dark = themes.format_css_variables(themes.LIGHT), themes.format_css_variables(themes.DARK)
    colours = f":root{{{light}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}"
    return colours + CSS_RULES.replace("FONT", themes.FONT)
