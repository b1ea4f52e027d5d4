"""`recsys compare`: runs of finished benchmarks, tested against each other."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table
from rich.text import Text

from recsys.cli import options
from recsys.escaping import escape_hidden
from recsys.types.numbers import parse_share

if TYPE_CHECKING:
    from recsys.reports.comparisons import TextTable


def _parse_margin(context: click.Context, option: click.Parameter, text: str) -> float:
    return parse_share("--margin", text)


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option("--against", help="The run all others are held against (default: the first folder's base).")
@click.option(
    "--metrics",
    help="The declared metrics, separated by commas, such as ndcg@10,coverage@10; what may be lost comes first "
    "(default: ndcg, stratified_recall and discovery at the headline k).",
)
@click.option(
    "--margin", callback=_parse_margin, default="2%", help="The largest loss that counts as none (default: 2%)."
)
@click.option("--explore", is_flag=True, help="Look through all metrics: Benjamini-Hochberg instead of Holm.")
@click.option("--replicates", is_flag=True, help="The folders are one benchmark with several seeds.")
@click.option(
    "--format", "form", type=click.Choice(["terminal", "markdown", "latex"]), default="terminal", help="What to print."
)
@click.option("--out", type=click.Path(path_type=Path), help="Write the tables and report.html into this folder.")
def compare(
    runs: tuple[str, ...],
    against: str | None,
    metrics: str | None,
    margin: float,
    explore: bool,
    replicates: bool,
    form: str,
    out: Path | None,
) -> None:
    """Test runs against a base: differences, intervals, no loss, equivalence, segments.

    RUN is a folder that `recsys bench` or `recsys evaluate` wrote (all its runs), or FOLDER:RUN (one of them).
    """
    from recsys.experiments import compare_folders
    from recsys.reports.comparisons import build_text_tables, list_notes
    from recsys.reports.export import check_comparison_folder, to_latex, to_markdown, write_comparison
    from recsys.support.atomic_files import replace_folder

    if out is not None:
        check_comparison_folder(out)
    asked = None if metrics is None else [name.strip() for name in metrics.split(",")]
    found = compare_folders(runs, against=against, metrics=asked, margin=margin, explore=explore, replicates=replicates)
    if out is not None:
        with replace_folder(out) as folder:
            write_comparison(found, folder, out)
    if form == "terminal":
        screen = options.make_console(200)
        made = build_text_tables(found)
        for grid in made[1:2] if explore else made:  # every metric side by side is for a page, not for a screen
            screen.print(_make_table(grid))
        for line in list_notes(found):
            options.print_line(f"note: {line}")
        if explore:
            options.print_line("note: Values, joint limits and segments are in what --out and --format write.")
        if out is not None:
            options.print_line(f"report: {out / 'report.html'}")
    else:
        click.echo({"markdown": to_markdown, "latex": to_latex}[form](found), nl=False)


def _make_table(grid: "TextTable") -> Table:
    table = Table(title=grid.title, title_justify="left")
    for i, name in enumerate(grid.head):
        table.add_column(name, justify="left" if i == 0 else "right", overflow="fold")
    for i, row in enumerate(grid.rows):
        table.add_row(*(Text(escape_hidden(t), "bold") if (i, j) in grid.best else t for j, t in enumerate(row)))
    return table
