"""`recsys receipts replay`: the slates of a log, made again."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli import options

if TYPE_CHECKING:
    from recsys.rankers.log_replays import ReplayReport

RANKER_HELP = "The folder of a ranker; several where the log has receipts of several."
MAX_SHOWN = 20  # receipts that are not equal and stand in the table


@click.group()
def receipts() -> None:
    """Receipts of slates."""


@receipts.command()
@click.argument("log", type=click.Path(path_type=Path))
@click.option("--ranker", "folders", type=click.Path(path_type=Path), multiple=True, required=True, help=RANKER_HELP)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@options.allow_import
def replay(log: Path, folders: tuple[Path, ...], as_json: bool, imports: tuple[str, ...]) -> None:
    """Make every slate of the receipts in LOG again with the ranker of its artefact, and compare each bit.

    The exit code is 0 if all are equal, but for those of forgotten inputs, and 1 if not.
    """
    from recsys.control.receipt_logs import ReceiptLog
    from recsys.rankers import Ranker
    from recsys.rankers.log_replays import replay_log

    rankers = [Ranker.load(folder, allow_imports=imports) for folder in folders]
    found = replay_log(ReceiptLog(log), rankers)
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=2))
    else:
        _print_report(found)
    if not found.is_proven:
        sys.exit(1)


def _print_report(found: "ReplayReport") -> None:
    """Print the counts, and the first receipts that are not equal."""
    from rich.table import Table

    console = options.make_console(100)
    counts = Table(box=None, pad_edge=False)
    counts.add_column("receipts")
    counts.add_column(f"{found.n_receipts:,}", justify="right")
    for verdict, count in found.counts.items():
        if count:
            counts.add_row(verdict, f"{count:,}")
    console.print(counts)
    if found.others:
        others = Table(box=None, pad_edge=False)
        others.add_column("line", justify="right")
        for name in ("receipt", "verdict", "what"):
            others.add_column(name, overflow="fold")
        for one in found.others[:MAX_SHOWN]:
            others.add_row(f"{one.line:,}", one.digest[:12], one.verdict, ", ".join(one.differences))
        console.print(others)
        if len(found.others) > MAX_SHOWN:
            options.print_line(f"note: the first {MAX_SHOWN} are shown, --json lists more")
    for note in found.notes:
        options.print_line(f"note: {note}")
