"""The report: one page that holds all it needs and asks no network for anything."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import vl_convert

from recsys.escaping import dump_json_for_script
from recsys.html import Html, make_element
from recsys.reports import themes
from recsys.reports.charts import GAINS, TRADEOFFS, choose_accuracy_metric, draw_charts, save_charts
from recsys.reports.differences import render_differences, render_lengths
from recsys.reports.encodings import Spec
from recsys.reports.examples import render_examples
from recsys.reports.facts import render_conventions, render_facts
from recsys.reports.findings import render_findings, shortlist_runs
from recsys.reports.legends import render_legend
from recsys.reports.power import UNDEFINED, render_detectable_effects
from recsys.reports.results import Results
from recsys.reports.rules import render_rules
from recsys.reports.scripts import SCRIPT
from recsys.reports.segments import render_segments
from recsys.reports.styles import build_style_sheet
from recsys.reports.tradeoffs import describe_evaluation
from recsys.reports.view import ReportView, build_report_view
from recsys.support.atomic_files import write_text
from recsys.types.notebooks import format_count

# Nothing but the page itself may be loaded; Vega compiles its expressions, hence unsafe-eval.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval'; img-src data:"
)
_BUNDLING = Lock()
CONTENTS = {
    "findings": "In short", "tradeoffs": "Trade-offs", "table": "Differences", "rules": "Rules",
    "users": "Users", "parts": "Segments",
    "other": "Other lengths", "metrics": "Every metric", "effects": "Detectable effects", "conventions": "Conventions",
    "facts": "What was run",
}  # fmt: skip


def write_report(results: Results, folder: Path) -> list[Path]:
    """Write `folder`/report.html and the same charts as `folder`/charts/NAME.svg; return the paths.

    Raises:
        RecsysError: if no report can be made of the results, or the folder cannot be written.
    """
    sheet = build_report_view(results)
    specs = draw_charts(sheet)
    text = render_report(results, sheet, specs)
    paths = save_charts(specs, folder)
    write_text(folder / "report.html", text)
    return [folder / "report.html", *paths]


def shortlist_results(results: Results) -> list[str]:
    """Return the runs that the page is short about: those that gain most of its first gain that is compared.

    Raises:
        RecsysError: if no report can be made of the results.
    """
    sheet = build_report_view(results)
    gained = [shortlist_runs(sheet, metric) for metric in GAINS]
    return next((runs for runs in gained if runs), [])


def render_report(results: Results, view: ReportView, specs: Mapping[str, Spec]) -> str:
    """Return the page."""
    name, sections = _build_title(view), _render_sections(results, view, specs)
    head = make_element(
        "head",
        make_element("meta", charset="utf-8"),
        make_element("meta", http_equiv="Content-Security-Policy", content=CONTENT_SECURITY_POLICY),
        make_element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        make_element("title", name),
        make_element("style", Html(build_style_sheet())),
    )
    top = make_element(
        "header",
        make_element("h1", name),
        make_element("p", _describe_benchmark(view), class_="lead"),
        _render_contents(list(sections)),
    )
    body = make_element(
        "body",
        top,
        make_element("div", render_legend(view), class_="bar"),
        make_element("main", *sections.values()),
        *_render_scripts(view, specs),
    )
    return f"<!DOCTYPE html>\n{make_element('html', head, body, lang='en')}\n"


def _render_sections(results: Results, view: ReportView, specs: Mapping[str, Spec]) -> dict[str, Html]:
    panels = [_render_figure(name, specs[name], fold=True) for name in specs if name not in TRADEOFFS]
    others = [build_report_view(replace(results, k=k)) for k in sorted({int(k) for k in results.summary["k"]})]
    table = results.segments
    made = {
        "findings": _render_section("findings", "In short", render_findings(view, GAINS)),
        "tradeoffs": make_element("section", *_render_tradeoffs(view, specs), id="tradeoffs", aria_label="Trade-offs"),
        "table": _render_section("table", f"Differences against {view.base}, k = {view.k}", render_differences(view)),
        "rules": ""
        if results.rules is None
        else _render_folded_section("rules", "What each rule cost and prevented", render_rules(results.rules, view.k)),
        "users": _render_folded_section("users", "Users as they would see it", render_examples(results.examples))
        if results.examples
        else "",
        "parts": ""
        if table is None or not len(table)
        else _render_folded_section("parts", "Segments of users", render_segments(table)),
        "other": _render_folded_section("other", "Other slate lengths", render_lengths(view, others))
        if len(others) > 1
        else "",
        "metrics": _render_section(
            "metrics", f"Every metric at k = {view.k}", make_element("div", *panels, class_="panels")
        ),
        "effects": _render_folded_section(
            "effects", "How large an effect this data could have shown", render_detectable_effects(view)
        ),
        "conventions": _render_folded_section("conventions", "What each metric is", render_conventions(view)),
        "facts": _render_folded_section("facts", "What was run", render_facts(view.facts)),
    }
    return {name: part for name, part in made.items() if isinstance(part, Html)}


def _render_contents(names: Sequence[str]) -> Html:
    return make_element(
        "nav", *(make_element("a", CONTENTS[name], href=f"#{name}") for name in names), aria_label="Contents"
    )


def _render_section(name: str, title: str, *inside: Html) -> Html:
    return make_element("section", make_element("h2", title), *inside, id=name)


def _render_folded_section(name: str, title: str, *inside: Html) -> Html:
    """Return a section that a narrow page shows as its title until it is asked for."""
    fold = make_element(
        "details", make_element("summary", make_element("h2", title)), *inside, open=True, class_="fold"
    )
    return make_element("section", fold, id=name)


def _render_tradeoffs(view: ReportView, specs: Mapping[str, Spec]) -> list[Html]:
    found = []
    for name, (metric, title) in TRADEOFFS.items():
        if name in specs:
            found.append(_render_figure(name, specs[name]))
        else:
            missing = [m for m in (choose_accuracy_metric(view), metric) if not view.is_defined(m)]
            text = f"{title}: {', '.join(f'{m}@{view.k}' for m in missing) or 'both together'} {UNDEFINED}."
            found.append(make_element("p", text, class_="note"))
    script = "The charts need a browser that runs scripts; the same charts are in charts/*.svg."
    return [*found, make_element("noscript", make_element("p", script, class_="note"))]


def _render_figure(name: str, spec: Spec, fold: bool = False) -> Html:
    title = make_element("h3", spec["title"]["text"])
    notes = [make_element("p", line) for line in spec["usermeta"]["notes"]]
    chart = make_element("div", class_="chart", data_chart=name)
    wide = f"span-{min(len(spec.get('concat', ())), 3)}"
    if not fold:
        return make_element("figure", make_element("figcaption", title, *notes), chart, class_=wide)
    figure = make_element("figure", make_element("figcaption", *notes), chart)
    return make_element("details", make_element("summary", title), figure, open=True, class_=f"fold {wide}")


def _render_scripts(view: ReportView, specs: Mapping[str, Spec]) -> list[Html]:
    theme = themes.build_css_theme()
    data: dict[str, Any] = {
        "charts": {name: _drop_keys(spec, "title", "usermeta", "config") for name, spec in specs.items()},
        "config": themes.build_vega_config(theme, [series.get_colour(theme) for series in view.series], legend=False),
        "series": [series.name for series in view.series],
    }
    return [
        make_element("script", Html(dump_json_for_script(data)), type="application/json", id="charts"),
        make_element("script", Html(f"(() => {{{bundle_libraries()}}})();")),
        make_element("script", Html(SCRIPT)),
    ]


def bundle_libraries() -> str:
    """Return Vega, Vega-Lite and vega-embed as one script; bundling takes seconds, so it is done once."""
    with _BUNDLING:
        return _bundle_libraries()


@cache
def _bundle_libraries() -> str:
    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")).replace("</script", "<\\/script")


def _drop_keys(spec: Spec, *names: str) -> Spec:
    return {name: part for name, part in spec.items() if name not in names}


def _build_title(view: ReportView) -> str:
    about = (view.facts.get(part) for part in ("run", "data"))
    run, data = (one.get("name") if isinstance(one, Mapping) else None for one in about)
    said = f"{run} ({data})" if run and data and run != data else run or data
    return f"recsys: {said}" if said else "recsys"


def _describe_benchmark(view: ReportView) -> str:
    counts = {kind: [one for one in view.series if one.kind == kind] for kind in ("model", "control", "blend")}
    parts = [format_count(len(found), kind) for kind, found in counts.items() if found and kind != "blend"]
    if counts["blend"]:
        weights = sorted({len(series.runs) for series in counts["blend"]})
        each = str(weights[0]) if len(weights) == 1 else f"{weights[0]} to {weights[-1]}"
        parts.append(f"{format_count(len(counts['blend']), 'blend')} at {each} weight{'' if each == '1' else 's'} each")
    against = f": {', '.join(parts)}, and the base {view.base}" if parts else f": {view.base}"
    return f"{describe_evaluation(view)} {format_count(len(view.runs), 'run')}{against}. k = {view.k}.".strip()
