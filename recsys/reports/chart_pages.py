"""Pages of a few charts and tables: one file, with everything that it needs."""

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from recsys.escaping import dump_json_for_script
from recsys.html import Html, make_element
from recsys.reports.encodings import Spec
from recsys.reports.pages import CONTENT_SECURITY_POLICY, bundle_libraries
from recsys.reports.search_charts import format_cell
from recsys.reports.styles import build_style_sheet

SCRIPT = """
(() => {
  const page = JSON.parse(document.getElementById("charts").textContent);
  for (const place of document.querySelectorAll("[data-chart]")) {
    const spec = structuredClone(page.charts[place.dataset.chart]);
    spec.width = place.clientWidth;
    spec.autosize = {type: "fit-x", contains: "padding"};
    vegaEmbed(place, spec, {mode: "vega-lite", renderer: "svg", actions: false, config: page.config});
  }
})();
"""


def render_chart_page(
    title: str,
    lead: Html,
    parts: Mapping[str, tuple[str, Html]],
    specs: Mapping[str, Spec],
    config: Mapping[str, Any],
) -> str:
    """Return the page: a title, a line, and the parts, by id: title and content, among them figures of `specs`."""
    data: dict[str, Any] = {
        "charts": {
            name: {k: v for k, v in spec.items() if k not in ("title", "usermeta")} for name, spec in specs.items()
        },
        "config": {**config, "background": "transparent"},
    }
    head = make_element(
        "head",
        make_element("meta", charset="utf-8"),
        make_element("meta", http_equiv="Content-Security-Policy", content=CONTENT_SECURITY_POLICY),
        make_element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        make_element("title", title),
        make_element("style", Html(build_style_sheet())),
    )
    links = (make_element("a", heading, href=f"#{name}") for name, (heading, _) in parts.items())
    sections = (
        make_element("section", make_element("h2", heading), part, id=name) for name, (heading, part) in parts.items()
    )
    body = make_element(
        "body",
        make_element(
            "header",
            make_element("h1", title),
            make_element("p", lead, class_="lead"),
            make_element("nav", *links, aria_label="Contents"),
        ),
        make_element("main", *sections),
        make_element("script", Html(dump_json_for_script(data)), type="application/json", id="charts"),
        make_element("script", Html(f"(() => {{{bundle_libraries()}}})();")),
        make_element("script", Html(SCRIPT)),
    )
    return f"<!DOCTYPE html>\n{make_element('html', head, body, lang='en')}\n"


def render_figure(spec: Spec, name: str) -> Html:
    """Return the place of a chart, with the notes of its specification above it."""
    title = spec["title"]
    caption = make_element("figcaption", *(make_element("p", line) for line in title["subtitle"]))
    return make_element("figure", caption, make_element("div", class_="chart", data_chart=name))


def render_frame(frame: pd.DataFrame, texts: Collection[str], titles: Mapping[str, str]) -> Html:
    """Return a table: columns that are none of `texts` at the right, names as `titles` say them."""
    names = [str(name) for name in frame.columns]
    sides = [None if name in texts else "n" for name in names]
    heads = (
        make_element("th", titles.get(n, n), scope="col", class_=side) for n, side in zip(names, sides, strict=True)
    )
    rows = [
        make_element(
            "tr", *(make_element("td", format_cell(value), class_=side) for value, side in zip(row, sides, strict=True))
        )
        for row in frame.itertuples(index=False)
    ]
    table = make_element(
        "table", make_element("thead", make_element("tr", *heads)), make_element("tbody", *rows), class_="plain"
    )
    return make_element("div", table, class_="scroll", tabindex="0")
