"""`recsys cache`: what was computed and is kept."""

import click

from recsys.cli import options
from recsys.runs import Cache, default_cache


@click.group()
def cache() -> None:
    """Fitted models, maps, pools and slates, kept by the hash of what made them."""


@cache.command("list")
def list_() -> None:
    """Print each kept cell and its size."""
    cells = Cache(default_cache())
    total = 0
    for path in cells.entries():
        size = path.stat().st_size
        total += size
        options.say(f"{size / 1e6:10.2f} MB  {path.name}")
    options.say(f"{total / 1e6:10.2f} MB  in {cells.folder}")


@cache.command()
def clear() -> None:
    """Remove every cell; datasets stay."""
    options.say(f"removed {Cache(default_cache()).clear()} cells")
