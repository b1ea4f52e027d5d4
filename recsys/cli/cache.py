"""`recsys cache`: list and remove kept results."""

import click

from recsys.cli import options
from recsys.support.cache import Cache, get_default_cache_folder


@click.group()
def cache() -> None:
    """Fitted models, maps, pools and slates, kept by the hash of what made them."""


@cache.command("list")
def list_() -> None:
    """Print each kept cell and its size."""
    cells = Cache(get_default_cache_folder())
    total = 0
    for path in cells.list_entry_files():
        size = path.stat().st_size
        total += size
        options.print_line(f"{size / 1e6:10.2f} MB  {path.name}")
    options.print_line(f"{total / 1e6:10.2f} MB  in {cells.folder}")


@cache.command()
def clear() -> None:
    """Remove every cell; datasets stay."""
    options.print_line(f"removed {Cache(get_default_cache_folder()).clear()} cells")
