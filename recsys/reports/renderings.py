"""Tables of text as Markdown, as LaTeX (booktabs), and as a page of their own."""

from pathlib import Path

from recsys.escaping import csv_frame, latex, markdown, visible
from recsys.files import write_text
from recsys.html import Html, element
from recsys.reports.comparisons import Grid, grids, notes
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


def page(found: Comparison) -> str:
    """Return one HTML page that holds all it needs and loads nothing."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"recsys: runs against {found.against}"),
        element("style", Html(style_sheet())),
    )
    top = element("header", element("h1", f"Runs against {found.against}"))
    lines = element("ul", *(element("li", line) for line in notes(found)), class_="sentences")
    sections = [element("section", element("h2", grid.title), _html(grid)) for grid in grids(found)]
    said = element("section", element("h2", "How to read this"), lines)
    body = element("body", top, element("main", *sections, said))
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


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


def write_comparison(found: Comparison, folder: Path) -> None:
    """Write report.html, tables.md, tables.tex and the long tables as CSV into `folder`."""
    long = {"summary": found.summary, "differences": found.differences, "joint": found.joint}
    for name, table in {**long, "segments": found.segments}.items():
        csv_frame(table).to_csv(folder / f"{name}.csv", index=False)
    texts = {"report.html": page(found), "tables.md": to_markdown(found), "tables.tex": to_latex(found)}
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
    head = element("tr", *(element("th", name, scope="col") for name in grid.head))
    rows = [
        element("tr", *(element("td", element("b", t) if (i, j) in grid.best else t) for j, t in enumerate(row)))
        for i, row in enumerate(grid.rows)
    ]
    table = element("table", element("thead", head), element("tbody", *rows), class_="plain")
    return element("div", table, class_="scroll", tabindex="0")
