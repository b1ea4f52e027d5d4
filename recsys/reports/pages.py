"""The report: one page that holds all it needs and asks no network for anything."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import vl_convert

from recsys.escaping import json_script
from recsys.files import write_text
from recsys.html import Html, element
from recsys.reports import themes
from recsys.reports.differences import differences, lengths
from recsys.reports.drawings import GAINS, TRADEOFFS, accuracy, draw, save
from recsys.reports.effects import UNDEFINED, effects
from recsys.reports.encodings import Spec
from recsys.reports.examples import examples
from recsys.reports.facts import conventions, facts
from recsys.reports.findings import findings, shortlist
from recsys.reports.formats import plural
from recsys.reports.legends import legend
from recsys.reports.results import Results
from recsys.reports.scripts import SCRIPT
from recsys.reports.segments import segments
from recsys.reports.sheets import Sheet, read
from recsys.reports.styles import style_sheet
from recsys.reports.tradeoffs import about

# Nothing but the page itself may be loaded; Vega compiles its expressions, hence unsafe-eval.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval'; img-src data:"
CONTENTS = {
    "findings": "In short", "tradeoffs": "Trade-offs", "table": "Differences", "users": "Users", "parts": "Segments",
    "other": "Other lengths", "metrics": "Every metric", "effects": "Detectable effects", "conventions": "Conventions",
    "facts": "What was run",
}  # fmt: skip


def write_report(results: Results, folder: Path) -> list[Path]:
    """Write `folder`/report.html and the same charts as `folder`/charts/NAME.svg; return the paths.

    Raises:
        RecsysError: if no report can be made of the results, or the folder cannot be written.
    """
    sheet = read(results)
    specs = draw(sheet)
    text = page(results, sheet, specs)
    paths = save(specs, folder)
    write_text(folder / "report.html", text)
    return [folder / "report.html", *paths]


def shortlisted(results: Results) -> list[str]:
    """Return the runs that the page is short about: those that gain most of its first gain that is compared.

    Raises:
        RecsysError: if no report can be made of the results.
    """
    sheet = read(results)
    gained = [shortlist(sheet, accuracy(sheet), metric) for metric in GAINS]
    return next((runs for runs in gained if runs), [])


def page(results: Results, sheet: Sheet, specs: Mapping[str, Spec]) -> str:
    """Return the page."""
    name, sections = _title(sheet), _sections(results, sheet, specs)
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", name),
        element("style", Html(style_sheet())),
    )
    top = element("header", element("h1", name), element("p", _lead(sheet), class_="lead"), _contents(list(sections)))
    body = element(
        "body",
        top,
        element("div", legend(sheet), class_="bar"),
        element("main", *sections.values()),
        *_scripts(sheet, specs),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _sections(results: Results, sheet: Sheet, specs: Mapping[str, Spec]) -> dict[str, Html]:
    panels = [_figure(name, specs[name], fold=True) for name in specs if name not in TRADEOFFS]
    others = [read(replace(results, k=k)) for k in sorted({int(k) for k in results.summary["k"]})]
    table = results.segments
    made = {
        "findings": _section("findings", "In short", findings(sheet, accuracy(sheet), GAINS)),
        "tradeoffs": element("section", *_tradeoffs(sheet, specs), id="tradeoffs", aria_label="Trade-offs"),
        "table": _section("table", f"Differences against {sheet.base}, k = {sheet.k}", differences(sheet)),
        "users": _folded("users", "Users as they would see it", examples(results.examples)) if results.examples else "",
        "parts": "" if table is None or not len(table) else _folded("parts", "Segments of users", segments(table)),
        "other": _folded("other", "Other slate lengths", lengths(sheet, others)) if len(others) > 1 else "",
        "metrics": _section("metrics", f"Every metric at k = {sheet.k}", element("div", *panels, class_="panels")),
        "effects": _folded("effects", "How large an effect this data could have shown", effects(sheet)),
        "conventions": _folded("conventions", "What each metric is", conventions(sheet)),
        "facts": _folded("facts", "What was run", facts(sheet.facts)),
    }
    return {name: part for name, part in made.items() if isinstance(part, Html)}


def _contents(names: Sequence[str]) -> Html:
    return element("nav", *(element("a", CONTENTS[name], href=f"#{name}") for name in names), aria_label="Contents")


def _section(name: str, title: str, *inside: Html) -> Html:
    return element("section", element("h2", title), *inside, id=name)


def _folded(name: str, title: str, *inside: Html) -> Html:
    """Return a section that a narrow page shows as its title until it is asked for."""
    fold = element("details", element("summary", element("h2", title)), *inside, open=True, class_="fold")
    return element("section", fold, id=name)


def _tradeoffs(sheet: Sheet, specs: Mapping[str, Spec]) -> list[Html]:
    found = []
    for name, (metric, title) in TRADEOFFS.items():
        if name in specs:
            found.append(_figure(name, specs[name]))
        else:
            missing = [m for m in (accuracy(sheet), metric) if not sheet.defined(m)]
            text = f"{title}: {', '.join(f'{m}@{sheet.k}' for m in missing) or 'both together'} {UNDEFINED}."
            found.append(element("p", text, class_="note"))
    script = "The charts need a browser that runs scripts; the same charts are in charts/*.svg."
    return [*found, element("noscript", element("p", script, class_="note"))]


def _figure(name: str, spec: Spec, fold: bool = False) -> Html:
    title = element("h3", spec["title"]["text"])
    notes = [element("p", line) for line in spec["usermeta"]["notes"]]
    chart = element("div", class_="chart", data_chart=name)
    wide = f"span-{min(len(spec.get('concat', ())), 3)}"
    if not fold:
        return element("figure", element("figcaption", title, *notes), chart, class_=wide)
    figure = element("figure", element("figcaption", *notes), chart)
    return element("details", element("summary", title), figure, open=True, class_=f"fold {wide}")


def _scripts(sheet: Sheet, specs: Mapping[str, Spec]) -> list[Html]:
    theme = themes.by_reference()
    data: dict[str, Any] = {
        "charts": {name: _without(spec, "title", "usermeta", "config") for name, spec in specs.items()},
        "config": themes.config(theme, [series.colour(theme) for series in sheet.series], legend=False),
        "series": [series.name for series in sheet.series],
    }
    return [
        element("script", Html(json_script(data)), type="application/json", id="charts"),
        element("script", Html(f"(() => {{{libraries()}}})();")),
        element("script", Html(SCRIPT)),
    ]


@cache
def libraries() -> str:
    """Return Vega, Vega-Lite and vega-embed as one script; bundling takes seconds, so it is done once."""
    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")).replace("</script", "<\\/script")


def _without(spec: Spec, *names: str) -> Spec:
    return {name: part for name, part in spec.items() if name not in names}


def _title(sheet: Sheet) -> str:
    data = sheet.facts.get("data")
    name = data.get("name") if isinstance(data, Mapping) else None
    return f"recsys: {name}" if name else "recsys"


def _lead(sheet: Sheet) -> str:
    counts = {kind: [one for one in sheet.series if one.kind == kind] for kind in ("model", "control", "blend")}
    parts = [plural(len(found), kind) for kind, found in counts.items() if found and kind != "blend"]
    if counts["blend"]:
        weights = sorted({len(series.runs) for series in counts["blend"]})
        each = str(weights[0]) if len(weights) == 1 else f"{weights[0]} to {weights[-1]}"
        parts.append(f"{plural(len(counts['blend']), 'blend')} at {each} weight{'' if each == '1' else 's'} each")
    against = f": {', '.join(parts)}, and the base {sheet.base}" if parts else f": {sheet.base}"
    return f"{about(sheet)} {plural(len(sheet.runs), 'run')}{against}. k = {sheet.k}.".strip()
