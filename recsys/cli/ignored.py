"""`recsys ignored`: regions that a segment of users is shown and does not take."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli import options

if TYPE_CHECKING:
    from recsys.evidence import IgnoredRegions
    from recsys.types import TasteMap


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("shown", metavar="EXPOSURES", type=click.Path(path_type=Path))
@click.option("--map", "map_name", help="A map of the ranker (default: the first).")
@click.option("--seed", type=int, default=0, help="Of the halves.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@options.allow_import
def ignored(
    folder: Path, shown: Path, map_name: str | None, seed: int, as_json: bool, imports: tuple[str, ...]
) -> None:
    """Find segments of users who ignore what they are shown of a region, by the maps of the ranker in FOLDER.

    EXPOSURES is a table of what was shown, with a column clicked.
    """
    from recsys.data import read_exposures
    from recsys.evidence import find_ignored_regions
    from recsys.rankers import Ranker

    context = Ranker.load(folder, allow_imports=imports).context
    chosen = _find_map({one.name: one for one in context.maps}, map_name, folder)
    found = find_ignored_regions(
        read_exposures(shown), chosen, context.user_ids, context.need_items("ignored"), seed=seed
    )
    if as_json:
        click.echo(json.dumps(found.to_dict(), ensure_ascii=False, indent=2))
    else:
        _print(found, chosen.name)


def _find_map(maps: "Mapping[str, TasteMap]", asked: str | None, folder: Path) -> "TasteMap":
    """Return the map of that name, the first where none is asked.

    Raises:
        RecsysError: if there is none, with the nearest name.
    """
    from recsys.types import RecsysError
    from recsys.types.errors import check_choice

    if not maps:
        raise RecsysError(f"{folder}: the ranker has no maps, expected one whose blend reads them")
    if asked is None:
        return next(iter(maps.values()))
    check_choice("map", asked, maps, where=str(folder))
    return maps[asked]


def _print(found: "IgnoredRegions", map_name: str) -> None:
    """Print the segments, the most ignored region first, and what was left out."""
    from rich.table import Table

    from recsys.evidence.ignored_regions import MIN_EXPECTED, MIN_USERS

    table = Table(box=None, pad_edge=False)
    for name in ("region", "shown most", "users", "shown", "taken", "expected", "ratio", "95 % limits", "p", ""):
        table.add_column(name, justify="left" if name in ("shown most", "") else "right", overflow="fold")
    for one in found.regions:
        limits = f"{one.ratio_low:.2f} to {one.ratio_high:.2f}"
        counts = (f"{one.users:,}", f"{one.shown:,}", f"{one.taken:,}", f"{one.expected:.1f}", f"{one.ratio:.2f}")
        said = "ignored" if one.is_ignored else ""
        table.add_row(str(one.region), "; ".join(one.items), *counts, limits, f"{one.p_value:.3f}", said)
    options.make_console().print(table)
    options.print_line(
        f"{found.pairs:,} pairs of a user and an item, {100 * found.taken_share:.1f} % taken; map {map_name}"
    )
    if found.n_small:
        least = f"fewer than {MIN_USERS} users or {MIN_EXPECTED:g} expected"
        options.print_line(f"note: {found.n_small:,} segments are too small to be judged: {least}")
    for note in found.notes:
        options.print_line(f"note: {note}")
