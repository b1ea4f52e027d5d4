"""The conventions of the metrics, and the facts of the run, as readable tables and lists."""

from collections.abc import Mapping, Sequence
from typing import Any

from recsys.html import Html, element, join
from recsys.reports.caveats import EXPOSURE, marked, of_discovery
from recsys.reports.formats import BETTER, MISSING, arrow
from recsys.reports.sheets import Sheet
from recsys.reports.tips import written

COLUMNS = 8  # mappings with more keys than this are lists, not rows of a table


def conventions(sheet: Sheet) -> Html:
    """Return a table of what each metric is, by family."""
    head = element("tr", *(element("th", name, scope="col") for name in ("metric", "better", "convention")))
    bodies = []
    for family, metrics in sheet.families.items():
        title = element("tr", element("th", family, colspan=3, scope="rowgroup", class_="family"))
        bodies.append(element("tbody", title, *(_convention(sheet, metric) for metric in metrics)))
    return element(
        "div", element("table", element("thead", head), *bodies, class_="plain texts"), class_="scroll", tabindex="0"
    )


def facts(found: Mapping[str, Any]) -> Html:
    """Return facts as they are: sections of mappings, tables where several mappings have the same keys."""
    return element("dl", *_entries(found), class_="facts")


def _convention(sheet: Sheet, metric: str) -> Html:
    rows = (sheet.values.get((run, metric), {}) for run in sheet.runs)
    texts = list(dict.fromkeys(row["convention"] for row in rows if row.get("convention")))
    texts += [EXPOSURE] if of_discovery(metric) else []
    way = sheet.first(metric, "direction")
    better = MISSING if way is None else f"{arrow(way)} {BETTER[int(way)]}"
    lines = [element("div", text) for text in texts]
    return element(
        "tr", element("th", marked(metric, metric), scope="row"), element("td", better), element("td", *lines)
    )


def _entries(found: Mapping[str, Any]) -> list[Html]:
    return [part for name, value in found.items() for part in (element("dt", str(name)), element("dd", _shown(value)))]


def _shown(value: Any) -> Html:
    if isinstance(value, Mapping):
        return _mapping(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _sequence(value)
    if isinstance(value, str) and "\n" in value.strip():
        return element("pre", value.strip())
    return join(_text(value))


def _mapping(value: Mapping[str, Any]) -> Html:
    if not value:
        return join(MISSING)
    inner = list(value.values())
    if all(isinstance(row, Mapping) for row in inner):
        rows = inner if len(_keys(inner)) <= COLUMNS else [{"settings": row} for row in inner]
        return _table([str(name) for name in value], rows)
    return element("dl", *_entries(value))


def _sequence(value: Sequence[Any]) -> Html:
    if value and all(isinstance(row, Mapping) for row in value) and len(_keys(value)) <= COLUMNS:
        return _table(None, value)
    texts = [_text(part) for part in value]
    if any(len(text) > 30 for text in texts):
        return element("ul", *(element("li", text) for text in texts))
    return join(", ".join(texts) or MISSING)


def _table(names: Sequence[str] | None, rows: Sequence[Mapping[str, Any]]) -> Html:
    keys = _keys(rows)
    head = [element("th", key, scope="col") for key in ([""] if names else []) + keys]
    body = []
    for i, row in enumerate(rows):
        first = [element("th", names[i], scope="row")] if names else []
        body.append(element("tr", *first, *(element("td", _text(row[key]) if key in row else "") for key in keys)))
    table = element("table", element("thead", element("tr", *head)), element("tbody", *body), class_="plain")
    return element("div", table, class_="scroll", tabindex="0")


def _keys(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(str(key) for row in rows for key in row))


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else written(value)
