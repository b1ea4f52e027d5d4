"""`recsys ask`: questions to a user, by a saved ranker."""

import json
from pathlib import Path

import click

from recsys.cli import options


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("user", required=False)
@click.option("--n", type=int, default=5, show_default=True, help="How many questions.")
@click.option("--history", help="What somebody whom the ranker does not know likes: item ids, separated by commas.")
@click.option("--more", help="What the user likes by now: item ids, separated by commas.")
@click.option("--dislikes", help="What was answered with a dislike: item ids, separated by commas.")
@click.option("--unknown", help="What was answered with unknown: item ids, separated by commas.")
@click.option("--regions", is_flag=True, help="Ask about regions of own maps instead of items.")
@click.option("--region-answers", multiple=True, metavar="NAME=ANSWER", help="like, dislike or unknown, of a region.")
@click.option("--deficit-weight", type=float, help="How much more questions count in regions that the history lacks.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@options.allow_import
def ask(
    folder: Path,
    user: str | None,
    n: int,
    history: str | None,
    more: str | None,
    dislikes: str | None,
    unknown: str | None,
    regions: bool,
    region_answers: tuple[str, ...],
    deficit_weight: float | None,
    as_json: bool,
    imports: tuple[str, ...],
) -> None:
    """Print the items, or regions, that the ranker in FOLDER best asks USER about, or somebody new without USER."""
    from rich.table import Table

    from recsys.evidence.questions import DEFICIT_WEIGHT

    asked = options.load_ranker(folder, imports).ask(
        n,
        user=user,
        history=options.split_ids(history),
        more=options.split_ids(more),
        dislikes=options.split_ids(dislikes),
        unknown=options.split_ids(unknown) or (),
        regions=regions,
        region_answers=options.parse_region_answers(region_answers),
        deficit_weight=DEFICIT_WEIGHT if deficit_weight is None else deficit_weight,
    )
    if as_json:
        click.echo(json.dumps(asked.to_dict(), indent=2))
        return
    table = Table(box=None, pad_edge=False)
    kind, told = ("region", "known for") if regions else ("item", "title")
    for name in (kind, told, "gain", "answered by" if regions else "known by"):
        table.add_column(name, justify="left" if name in (kind, told) else "right", overflow="fold")
    for row in zip(asked.regions or asked.items, asked.titles, asked.gains, asked.familiarity, strict=True):
        table.add_row(*row[:2], f"{row[2]:.4f}", f"{row[3]:.1%}")
    options.make_console().print(table)
    for note in asked.notes:
        options.print_line(f"note: {note}")
