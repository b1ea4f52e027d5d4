"""Tables of text as Markdown, as LaTeX (booktabs), and as a page of their own."""

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from recsys.escaping import escape_csv_frame, escape_hidden, escape_latex, escape_markdown
from recsys.html import Html, make_element
from recsys.reports.comparisons import TextTable, build_text_tables, list_notes
from recsys.reports.styles import build_style_sheet
from recsys.scores import Comparison
from recsys.support.atomic_files import write_text
from recsys.types import RecsysError
from recsys.types.notebooks import format_count

CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def to_markdown(comparison: Comparison) -> str:
    """Return the tables of a comparison as Markdown, with the notes below them."""
    tables = "\n\n".join(
        f"### {escape_markdown(grid.title)}\n\n{render_markdown_table(grid)}" for grid in build_text_tables(comparison)
    )
    return tables + "\n\n" + "\n".join(f"- {escape_markdown(line)}" for line in list_notes(comparison)) + "\n"


def to_latex(comparison: Comparison) -> str:
    """Return the tables of a comparison as LaTeX: each a `table` that needs the package booktabs."""
    comments = "\n".join(f"% {escape_hidden(line)}" for line in list_notes(comparison))
    return f"{comments}\n" + "\n".join(_render_latex(grid) for grid in build_text_tables(comparison))


COLUMN_TITLES = {  # for heads that are short where a terminal shows them
    "p": "p-value", "p adjusted": "p-value, adjusted", "d_z": "effect size (d_z)", "users": "users there",
    "detectable": "smallest detectable difference", "no loss": "no loss (p-value)", "in %": "in per cent",
    "equivalent": "equivalent (p-value)", "difference there": "difference in that segment",
}  # fmt: skip
TEXT_COLUMNS = {
    "run", "metric", "loss in", "gain in", "worst segment", "verdict", "folder", "what it is of", "runs", "figure",
    "rule", "until",
}  # fmt: skip


def render_comparison(comparison: Comparison, place: Path | None = None) -> str:
    """Return one HTML page that holds all it needs and loads nothing; it links to the folders as seen from `place`."""
    runs = list(dict.fromkeys(comparison.summary["run"]))
    lead = f"{format_count(len(runs) - 1, 'run')}: {', '.join(run for run in runs if run != comparison.against)}."
    made = build_text_tables(comparison)
    parts = {f"table-{i}": (grid.title, render_html_table(grid)) for i, grid in enumerate(made)}
    if comparison.sources:
        parts["sources"] = ("What was compared", _render_sources(comparison, place))
    parts["how"] = ("How to read this", render_sentences(list_notes(replace(comparison, sources=()))))
    hidden = {"sources"}  # of the links at the top
    return render_page(
        f"recsys: runs against {comparison.against}", f"Runs against {comparison.against}", lead, parts, hidden
    )


def render_page(
    title: str, heading: str, lead: str, parts: Mapping[str, tuple[str, Html]], unlinked: Collection[str] = ()
) -> str:
    """Return one HTML page that holds all it needs and loads nothing.

    `parts` are its sections by id, each a title and what is inside; links at the top lead to those not `unlinked`.
    """
    head = make_element(
        "head",
        make_element("meta", charset="utf-8"),
        make_element("meta", http_equiv="Content-Security-Policy", content=CONTENT_SECURITY_POLICY),
        make_element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        make_element("title", title),
        make_element("style", Html(build_style_sheet())),
    )
    links = (make_element("a", name, href=f"#{key}") for key, (name, _) in parts.items() if key not in unlinked)
    top = make_element(
        "header",
        make_element("h1", heading),
        make_element("p", lead, class_="lead"),
        make_element("nav", *links, aria_label="Contents"),
    )
    sections = (make_element("section", make_element("h2", name), part, id=key) for key, (name, part) in parts.items())
    body = make_element("body", top, make_element("main", *sections))
    return f"<!DOCTYPE html>\n{make_element('html', head, body, lang='en')}\n"


def render_sentences(lines: Iterable[str]) -> Html:
    """Return lines as a list."""
    return make_element("ul", *(make_element("li", line) for line in lines), class_="sentences")


def _render_sources(comparison: Comparison, place: Path | None) -> Html:
    """Return a table of the folders: each a link to its report, what it is of, and the runs of it."""
    rows = []
    for one in comparison.sources:
        href = None if place is None else build_relative_link(Path(one.folder) / "report.html", place)
        rows.append((make_element("a", one.folder, href=href), one.description, ", ".join(one.runs)))
    return _render_table(("folder", "what it is of", "runs"), rows)


def build_relative_link(path: Path, place: Path) -> str:
    """Return a link to `path` from a page in the folder `place`, relative where there is a way.

    >>> build_relative_link(Path("runs/a b/report.html"), Path("compared"))
    '../runs/a%20b/report.html'
    """
    try:
        return quote(Path(os.path.relpath(path, place)).as_posix())
    except ValueError:  # another drive
        return path.absolute().as_uri()


COMPARISON_FILES = (
    "summary.csv", "differences.csv", "joint.csv", "segments.csv", "report.html", "tables.md", "tables.tex",
)  # fmt: skip


def check_comparison_folder(folder: Path) -> None:
    """Refuse a folder that holds something else than a comparison, so that no files are lost.

    Raises:
        RecsysError: if it is a file, or a folder with other files than those of an earlier comparison.
    """
    other = [path.name for path in folder.iterdir() if path.name not in COMPARISON_FILES] if folder.is_dir() else []
    if other or (folder.exists() and not folder.is_dir()):
        found = f"has {other[0]}" if other else "is a file"
        raise RecsysError(f"{folder}: {found}, expected a new folder, or one of an earlier comparison")


def write_comparison(comparison: Comparison, folder: Path, place: Path | None = None) -> None:
    """Write report.html, tables.md, tables.tex and the long tables as CSV into `folder`; it will stand at `place`."""
    long = {"summary": comparison.summary, "differences": comparison.differences, "joint": comparison.joint}
    for name, table in {**long, "segments": comparison.segments}.items():
        escape_csv_frame(table).to_csv(folder / f"{name}.csv", index=False)
    texts = {
        "report.html": render_comparison(comparison, place or folder),
        "tables.md": to_markdown(comparison),
        "tables.tex": to_latex(comparison),
    }
    for name, text in texts.items():
        write_text(folder / name, text)


def render_markdown_table(grid: TextTable) -> str:
    """Return a table as Markdown."""
    rows = [
        [f"**{escape_markdown(text)}**" if (i, j) in grid.best else escape_markdown(text) for j, text in enumerate(row)]
        for i, row in enumerate(grid.rows)
    ]
    lines = [[escape_markdown(name) for name in grid.head], ["---"] * len(grid.head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _render_latex(grid: TextTable) -> str:
    rows = [
        " & ".join(
            rf"\textbf{{{escape_latex(t)}}}" if (i, j) in grid.best else escape_latex(t) for j, t in enumerate(row)
        )
        for i, row in enumerate(grid.rows)
    ]
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{escape_latex(grid.title)}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(grid.head) - 1)}}}",
            r"\toprule",
            " & ".join(map(escape_latex, grid.head)) + r" \\",
            r"\midrule",
            *(rf"{row} \\" for row in rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def render_html_table(grid: TextTable) -> Html:
    """Return a table as HTML."""
    rows = [
        [make_element("b", text) if (i, j) in grid.best else text for j, text in enumerate(row)]
        for i, row in enumerate(grid.rows)
    ]
    return _render_table(grid.head, rows)


def _render_table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Html:
    """Return a table whose rows are named by their first cell; numbers stand at the right."""
    sides = [None if name in TEXT_COLUMNS else "n" for name in names]
    heads = [
        make_element("th", COLUMN_TITLES.get(name, name), scope="col", class_=side)
        for name, side in zip(names, sides, strict=True)
    ]
    body = []
    for first, *rest in rows:
        cells = [make_element("td", cell, class_=side) for cell, side in zip(rest, sides[1:], strict=True)]
        body.append(make_element("tr", make_element("th", first, scope="row"), *cells))
    table = make_element(
        "table", make_element("thead", make_element("tr", *heads)), make_element("tbody", *body), class_="plain"
    )
    return make_element("div", table, class_="scroll", tabindex="0")
