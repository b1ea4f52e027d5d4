"""A check of data as tables of text: for the terminal, Markdown and a page of its own."""

import json
from pathlib import Path

from recsys.data import CheckFigure, DataCheck
from recsys.escaping import escape_markdown
from recsys.reports.comparisons import TextTable
from recsys.reports.export import render_html_table, render_markdown_table, render_page, render_sentences
from recsys.support.atomic_files import write_text
from recsys.types import RecsysError
from recsys.types.notebooks import format_count, format_day
from recsys.types.paths import check_path

PAGE_SUFFIXES = (".html", ".md", ".json")


def tabulate_check(check: DataCheck) -> list[TextTable]:
    """Return the tables of a check that have rows: figures, bursts, rows by source and purpose, rows left out."""
    moments = [
        (one.kind, one.id, f"{one.events:,}", f"{one.expected:,.1f}", _format_moment(one.until)) for one in check.bursts
    ]
    tables = [
        TextTable(
            "Figures",
            ("figure", "share", "count", "limit", "verdict", "rule"),
            tuple(map(_format_figure, check.figures)),
        ),
        TextTable("Bursts", ("figure", "id", "events", "expected", "until"), tuple(moments)),
        *(
            TextTable(title, (what, "rows"), tuple((name or "none", f"{n:,}") for name, n in counts))
            for title, what, counts in (
                ("Rows by source", "source", check.rows_by_source),
                ("Rows by purpose", "purpose", check.rows_by_purpose),
                ("Rows that are no interactions", "rule", check.left_out),
            )
        ),
    ]
    return [one for one in tables if one.rows]


def describe_check(check: DataCheck) -> str:
    """Return what was checked, and how it ended, in one line."""
    counts = [format_count(n, what) for n, what in ((check.rows, "row"), (check.users, "user"), (check.items, "item"))]
    span = (
        "" if check.first is None or check.last is None else f", {format_day(check.first)} to {format_day(check.last)}"
    )
    limits = [one for one in check.figures if one.limit is not None]
    verdict = f"{len(check.exceeded)} of {format_count(len(limits), 'limit')} exceeded" if limits else "no limits"
    return f"{', '.join(counts)}{span}; {verdict}."


def list_check_notes(check: DataCheck) -> list[str]:
    """Return how to read the figures, and the notes of the reader, a line each."""
    return [
        "Shares are of all interactions, exact duplicates included; ages are counted to "
        f"{_format_moment(check.as_of)} UTC.",
        "A figure that is not known is beyond its limit; a drift that chance alone gives is beyond none.",
        *check.notes,
    ]


def render_check_markdown(check: DataCheck) -> str:
    """Return a check as Markdown."""
    parts = [f"## {escape_markdown(one.title)}\n\n{render_markdown_table(one)}" for one in tabulate_check(check)]
    notes = "\n".join(f"- {escape_markdown(line)}" for line in list_check_notes(check))
    head = f"# Check of {escape_markdown(check.name)}\n\n{escape_markdown(describe_check(check))}"
    return "\n\n".join([head, *parts, notes]) + "\n"


def render_check_page(check: DataCheck) -> str:
    """Return a check as one HTML page that loads nothing."""
    parts = {f"table-{i}": (one.title, render_html_table(one)) for i, one in enumerate(tabulate_check(check))}
    parts["how"] = ("How to read this", render_sentences(list_check_notes(check)))
    return render_page(f"recsys: check of {check.name}", f"Check of {check.name}", describe_check(check), parts)


def check_page_path(given: str | Path) -> Path:
    """Return the path of a page, of HTML, Markdown or JSON.

    Raises:
        RecsysError: if it is no path, or of another kind, naming it.
    """
    path = check_path("out", given, "the path of a page")
    if path.suffix not in PAGE_SUFFIXES:
        raise RecsysError(f"{path}: unknown kind of file '{path.suffix}', expected {', '.join(PAGE_SUFFIXES)}")
    return path


def write_check(check: DataCheck, out: str | Path) -> None:
    """Write a check to `out`: a page (.html), Markdown (.md) or JSON (.json).

    Raises:
        RecsysError: for another kind of file, or one that cannot be written.
    """
    path = check_page_path(out)
    render = {".html": render_check_page, ".md": render_check_markdown, ".json": render_check_json}[path.suffix]
    write_text(path, render(check))


def render_check_json(check: DataCheck) -> str:
    """Return a check as JSON."""
    return json.dumps(check.to_dict(), indent=2, allow_nan=False) + "\n"


def _format_figure(one: CheckFigure) -> tuple[str, ...]:
    verdict = "" if one.limit is None else "beyond the limit" if one.is_exceeded else "within"
    return (
        one.title,
        "not known" if one.share is None else _format_share(one.share),
        "" if one.count is None else f"{one.count:,} of {one.total:,} {one.unit}",
        "" if one.limit is None else _format_share(one.limit),
        verdict,
        one.note.removeprefix("not known: "),
    )


def _format_share(share: float) -> str:
    """Return a share in per cent, with the digits that tell it from 0."""
    return f"{share:.1%}" if share == 0 or share >= 0.001 else f"{share:.2g}" if share < 1e-6 else f"{100 * share:.2g}%"


def _format_moment(seconds: int) -> str:
    day, second = format_day(seconds), seconds % 86_400
    return f"{day} {second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}" if day else f"{seconds:,} s"
