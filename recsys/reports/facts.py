"""The conventions of the metrics, and the facts of the run, as readable tables and lists."""

from collections.abc import Mapping, Sequence
from typing import Any

from recsys.html import Html, join_html, make_element
from recsys.reports.caveats import EXPOSURE_CAVEAT, add_dagger, is_discovery
from recsys.reports.formats import BETTER, MISSING, format_direction
from recsys.reports.tooltips import format_setting
from recsys.reports.view import ReportView

MAX_COLUMNS = 8  # mappings with more keys than this are lists, not rows of a table


def render_conventions(view: ReportView) -> Html:
    """Return a table of the conventions of the metrics, by family."""
    head = make_element("tr", *(make_element("th", name, scope="col") for name in ("metric", "better", "convention")))
    bodies = []
    for family, metrics in view.families.items():
        title = make_element("tr", make_element("th", family, colspan=3, scope="rowgroup", class_="family"))
        bodies.append(make_element("tbody", title, *(_render_convention(view, metric) for metric in metrics)))
    return make_element(
        "div",
        make_element("table", make_element("thead", head), *bodies, class_="plain texts"),
        class_="scroll",
        tabindex="0",
    )


def render_facts(found: Mapping[str, Any]) -> Html:
    """Return facts as they are: sections of mappings, tables where several mappings have the same keys."""
    return make_element("dl", *_render_entries(found), class_="facts")


def _render_convention(view: ReportView, metric: str) -> Html:
    rows = (view.values.get((run, metric), {}) for run in view.runs)
    texts = list(dict.fromkeys(row["convention"] for row in rows if row.get("convention")))
    texts += [EXPOSURE_CAVEAT] if is_discovery(metric) else []
    way = view.get_first(metric, "direction")
    better = MISSING if way is None else f"{format_direction(way)} {BETTER[int(way)]}"
    lines = [make_element("div", text) for text in texts]
    return make_element(
        "tr",
        make_element("th", add_dagger(metric, metric), scope="row"),
        make_element("td", better),
        make_element("td", *lines),
    )


def _render_entries(found: Mapping[str, Any]) -> list[Html]:
    return [
        part
        for name, value in found.items()
        for part in (make_element("dt", str(name)), make_element("dd", _render_value(value)))
    ]


def _render_value(value: Any) -> Html:
    if isinstance(value, Mapping):
        return _render_mapping(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _render_sequence(value)
    if isinstance(value, str) and "\n" in value.strip():
        return make_element("pre", value.strip())
    return join_html(_format_fact(value))


def _render_mapping(value: Mapping[str, Any]) -> Html:
    if not value:
        return join_html(MISSING)
    inner = list(value.values())
    if all(isinstance(row, Mapping) for row in inner):
        rows = inner if len(_collect_keys(inner)) <= MAX_COLUMNS else [{"settings": row} for row in inner]
        return _render_table([str(name) for name in value], rows)
    return make_element("dl", *_render_entries(value))


def _render_sequence(value: Sequence[Any]) -> Html:
    if value and all(isinstance(row, Mapping) for row in value) and len(_collect_keys(value)) <= MAX_COLUMNS:
        return _render_table(None, value)
    texts = [_format_fact(part) for part in value]
    if any(len(text) > 30 for text in texts):
        return make_element("ul", *(make_element("li", text) for text in texts))
    return join_html(", ".join(texts) or MISSING)


def _render_table(names: Sequence[str] | None, rows: Sequence[Mapping[str, Any]]) -> Html:
    keys = _collect_keys(rows)
    head = [make_element("th", key, scope="col") for key in ([""] if names else []) + keys]
    body = []
    for i, row in enumerate(rows):
        first = [make_element("th", names[i], scope="row")] if names else []
        body.append(
            make_element(
                "tr", *first, *(make_element("td", _format_fact(row[key]) if key in row else "") for key in keys)
            )
        )
    table = make_element(
        "table", make_element("thead", make_element("tr", *head)), make_element("tbody", *body), class_="plain"
    )
    return make_element("div", table, class_="scroll", tabindex="0")


def _collect_keys(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(str(key) for row in rows for key in row))


def _format_fact(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else format_setting(value)
