"""`recsys why` and `recsys why-not`: why an item is in the slate of a request to a saved ranker, or why it is not."""

import json
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from recsys.cli import options

_REQUEST_OPTIONS = (
    click.option("--item", required=True, help="The item's id."),
    click.option("--user", help="Who asks: a user whom the ranker was fitted to,"),
    click.option("--history", help="or somebody who liked these items: ids, separated by commas."),
    click.option("--more", help="What the user likes by now: item ids, separated by commas."),
    click.option("--shown", type=click.Path(path_type=Path), help="A table of what was shown to who asks."),
    click.option("--k", type=int, help="How many items the slate has (default: the ranker's)."),
    click.option("--seed", type=int, help="Of the draws (default: the ranker's)."),
    click.option("--weights", multiple=True, metavar="OBJECTIVE=FACTOR", help="A dial of this request."),
    click.option("--profile-free", is_flag=True, help="What everybody gets."),
    click.option("--now", metavar="TIME", help="The moment: ISO 8601, or seconds since 1970 (default: the clock's)."),
    click.option("--allow-import", "imports", multiple=True, metavar="NAME", help="An objective or guard of your own."),
    click.option("--json", "as_json", is_flag=True, help="Print all that is known, as JSON."),
)


def _add_request_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the arguments of a request, as keywords of `Ranker.rank`."""

    @wraps(command)
    def run(**values: Any) -> None:
        kept = {name: values.pop(name) for name in ("folder", "item", "imports", "as_json")}
        command(**kept, request=_parse_request(**values))

    for option in reversed(_REQUEST_OPTIONS):
        run = option(run)
    return run


def _parse_request(
    history: str | None, more: str | None, shown: Path | None, weights: tuple[str, ...], now: str | None, **plain: Any
) -> dict[str, Any]:
    """Return the keywords of the request; what is not given is left out."""
    asked = {**plain, "now": None if now is None else options.parse_moment_text(now)}
    asked |= {"history": options.split_ids(history), "more": options.split_ids(more)}
    if shown is not None:
        asked["shown"] = options.read_shown_rows(shown, plain["user"])
    if weights:
        asked["weights"] = options.parse_settings(weights, "--weights")
    return {name: value for name, value in asked.items() if value is not None}


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@_add_request_options
def why(folder: Path, item: str, imports: tuple[str, ...], as_json: bool, request: dict[str, Any]) -> None:
    """Say why an item is in the slate of a request to the ranker in FOLDER."""
    told = options.load_ranker(folder, imports).rank(**request).why(item)
    if as_json:
        click.echo(json.dumps(told.to_dict(), indent=2, allow_nan=False))
        return
    options.print_line(f"{told.item} {told.title}".rstrip() + f": slot {told.slot}")
    for sentence in told.sentences:
        options.print_line(sentence)


@click.command("why-not")
@click.argument("folder", type=click.Path(path_type=Path))
@_add_request_options
def why_not(folder: Path, item: str, imports: tuple[str, ...], as_json: bool, request: dict[str, Any]) -> None:
    """Say why an item is not in the slate of a request to the ranker in FOLDER, and what would let it in."""
    told = options.load_ranker(folder, imports).why_not(item, **request)
    if as_json:
        click.echo(json.dumps(told.to_dict(), indent=2, allow_nan=False))
        return
    for line in (f"{told.item} {told.title}".rstrip(), *told.sentences, *(f"tried: {one}" for one in told.tried)):
        options.print_line(line)
