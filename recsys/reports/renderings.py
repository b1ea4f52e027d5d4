"""Tables of text as Markdown, as LaTeX (booktabs), and as a page of their own."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from recsys.escaping import csv_frame, latex, markdown, visible
from recsys.files import write_text
from recsys.html import Html, element
from recsys.reports.comparisons import Grid, grids, notes
from recsys.reports.formats import plural
from recsys.reports.styles import style_sheet
from recsys.scores import Comparison
from recsys.types import RecsysError

POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def to_markdown(found: Comparison) -> str:
    """Return the tables of a comparison as Markdown, with the notes below them."""
    tables = "\n\n".join(f"### {markdown(grid.title)}\n\n{_markdown(grid)}" for grid in grids(found))
    return tables + "\n\n" + "\n".join(f"- {markdown(line)}" for line in notes(found)) + "\n"


def to_latex(found: Comparison) -> str:
    """Return the tables of a comparison as LaTeX: each a `table` that needs the package booktabs."""
    comments = "\n".join(f"% {visible(line)}" for line in notes(found))
    return f"{comments}\n" + "\n".join(_latex(grid) for grid in grids(found))


WORDS = {  # for heads that are short where a terminal shows them
    "p": "p-value", "p adjusted": "p-value, adjusted", "d_z": "effect size (d_z)", "users": "users there",
    "detectable": "smallest detectable difference", "no loss": "no loss (p-value)", "in %": "in per cent",
    "equivalent": "equivalent (p-value)", "difference there": "difference in that segment",
}  # fmt: skip
TEXTS = {"run", "metric", "loss in", "gain in", "worst segment", "verdict", "folder", "what it is of", "runs"}


def page(found: Comparison, place: Path | None = None) -> str:
    """Return one HTML page that holds all it needs and loads nothing; it links to the folders as seen from `place`."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"recsys: runs against {found.against}"),
        element("style", Html(style_sheet())),
    )
    runs = list(dict.fromkeys(found.summary["run"]))
    lead = f"{plural(len(runs) - 1, 'run')}: {', '.join(run for run in runs if run != found.against)}."
    made = grids(found)
    titles = {f"table-{i}": grid.title for i, grid in enumerate(made)} | {"how": "How to read this"}
    links = (element("a", title, href=f"#{name}") for name, title in titles.items())
    top = element(
        "header",
        element("h1", f"Runs against {found.against}"),
        element("p", lead, class_="lead"),
        element("nav", *links, aria_label="Contents"),
    )
    parts = {name: (titles[name], _html(grid)) for name, grid in zip(titles, made, strict=False)}
    if found.sources:
        parts["sources"] = ("What was compared", _sources(found, place))
    lines = notes(replace(found, sources=()))
    parts["how"] = (titles["how"], element("ul", *(element("li", line) for line in lines), class_="sentences"))
    sections = (element("section", element("h2", title), part, id=name) for name, (title, part) in parts.items())
    body = element("body", top, element("main", *sections))
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _sources(found: Comparison, place: Path | None) -> Html:
    """Return a table of the folders: each a link to its report, what it is of, and the runs of it."""
    rows = []
    for one in found.sources:
        href = None if place is None else link(Path(one.folder) / "report.html", place)
        rows.append((element("a", one.folder, href=href), one.about, ", ".join(one.runs)))
    return _table(("folder", "what it is of", "runs"), rows)


def link(path: Path, place: Path) -> str:
    """Return a link to `path` from a page in the folder `place`, relative where there is a way.

    >>> link(Path("runs/a b/report.html"), Path("compared"))
    '../runs/a%20b/report.html'
    """
    try:
        return quote(Path(os.path.relpath(path, place)).as_posix())
    except ValueError:  # another drive
        return path.absolute().as_uri()


FILES = (
    "summary.csv", "differences.csv", "joint.csv", "segments.csv", "report.html", "tables.md", "tables.tex",
)  # fmt: skip


def check_place(folder: Path) -> None:
    """Refuse a place for a comparison where something else is: nobody's files may be lost.

    Raises:
        RecsysError: if it is a file, or a folder with other files than those of an earlier comparison.
    """
    other = [path.name for path in folder.iterdir() if path.name not in FILES] if folder.is_dir() else []
    if other or (folder.exists() and not folder.is_dir()):
        found = f"has {other[0]}" if other else "is a file"
        raise RecsysError(f"{folder}: {found}, expected a new folder, or one of an earlier comparison")


def write_comparison(found: Comparison, folder: Path, place: Path | None = None) -> None:
    """Write report.html, tables.md, tables.tex and the long tables as CSV into `folder`; it will stand at `place`."""
    long = {"summary": found.summary, "differences": found.differences, "joint": found.joint}
    for name, table in {**long, "segments": found.segments}.items():
        csv_frame(table).to_csv(folder / f"{name}.csv", index=False)
    texts = {
        "report.html": page(found, place or folder),
        "tables.md": to_markdown(found),
        "tables.tex": to_latex(found),
    }
    for name, text in texts.items():
        write_text(folder / name, text)


def _markdown(grid: Grid) -> str:
    rows = [
        [f"**{markdown(text)}**" if (i, j) in grid.best else markdown(text) for j, text in enumerate(row)]
        for i, row in enumerate(grid.rows)
    ]
    lines = [[markdown(name) for name in grid.head], ["---"] * len(grid.head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _latex(grid: Grid) -> str:
    rows = [
        " & ".join(rf"\textbf{{{latex(t)}}}" if (i, j) in grid.best else latex(t) for j, t in enumerate(row))
        for i, row in enumerate(grid.rows)
    ]
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{latex(grid.title)}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(grid.head) - 1)}}}",
            r"\toprule",
            " & ".join(map(latex, grid.head)) + r" \\",
            r"\midrule",
            *(rf"{row} \\" for row in rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _html(grid: Grid) -> Html:
    rows = [
        [element("b", text) if (i, j) in grid.best else text for j, text in enumerate(row)]
        for i, row in enumerate(grid.rows)
    ]
    return _table(grid.head, rows)


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Html:
    """Return a table whose rows are named by their first cell; numbers stand at the right."""
    sides = [None if name in TEXTS else "n" for name in names]
    heads = [
        element("th", WORDS.get(name, name), scope="col", class_=side) for name, side in zip(names, sides, strict=True)
    ]
    body = []
    for first, *rest in rows:
        cells = [element("td", cell, class_=side) for cell, side in zip(rest, sides[1:], strict=True)]
        body.append(element("tr", element("th", first, scope="row"), *cells))
    table = element("table", element("thead", element("tr", *heads)), element("tbody", *body), class_="plain")
    return element("div", table, class_="scroll", tabindex="0")
