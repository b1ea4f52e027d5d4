"""`recsys export`, `warmup`, `rank` and `profile`: a ranker for production, its slates, and what it holds of a user."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli import options

if TYPE_CHECKING:
    from recsys.rankers import Ranker, Recommendation
    from recsys.support.config_layers import Layer


@click.command()
@click.argument("config")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The folder to write.")
@options.blend
@options.overrides
@click.option("--index-recall", type=float, default=1.0, help="Below 1: retrieve by an index that finds this share.")
@options.data_dir
@options.quiet
def export(
    config: str,
    out: Path,
    blend: str | None,
    overrides: tuple["Layer", ...],
    index_recall: float,
    data_dir: Path | None,
    quiet: bool,
) -> None:
    """Write the ranker of CONFIG, such as the winner.toml of a sweep, fitted to all of the data."""
    from recsys.experiments import export as run

    settings = options.read_config(config, overrides)
    done = run(settings, out, blend=blend, index_recall=index_recall, quiet=quiet, data_dir=data_dir)
    options.print_line(f"{done.run}: {done.users:,} users, {done.items:,} items, policy {done.policy}")
    if done.index is not None:
        options.print_line(f"index: {done.index}")
    options.print_line(f"ranker: {done.folder}")


@click.command()
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), required=False)
@click.option("--batch", is_flag=True, help="Compile the code of batches too.")
@options.quiet
def warmup(folder: Path | None, batch: bool, quiet: bool) -> None:
    """Compile the code of requests for later processes, and check every file of the ranker in DIR."""
    from recsys.rankers import warmup as run
    from recsys.support.progress import show_progress

    with show_progress(quiet):
        done = run(folder, batch=batch)
    for line in done.describe(folder):
        options.print_line(line)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--user", help="Who asks, if the ranker knows the user.")
@click.option("--history", help="What somebody else likes: item ids, separated by commas.")
@click.option("--more", help="What the user likes by now: item ids, separated by commas.")
@click.option("--dislikes", help="What the user does not like: item ids, separated by commas.")
@click.option("--region-answers", multiple=True, metavar="NAME=ANSWER", help="like or dislike, of a region.")
@click.option("--k", type=int, help="How many items (default: the ranker's).")
@click.option("--widen-to", type=int, help="Let the slate grow up to so many items where the ranker is not sure.")
@click.option("--seed", type=int, help="Of the draws (default: the ranker's).")
@click.option("--weights", multiple=True, metavar="OBJECTIVE=FACTOR", help="A dial of this request.")
@click.option("--profile-free", is_flag=True, help="What everybody gets.")
@click.option("--shown", type=click.Path(path_type=Path), help="A table of what was shown to who asks.")
@click.option("--now", metavar="TIME", help="The moment: ISO 8601, or seconds since 1970 (default: the clock's).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--receipts", type=click.Path(path_type=Path), help="A log that the receipt is appended to.")
@options.allow_import
def rank(
    folder: Path,
    user: str | None,
    history: str | None,
    more: str | None,
    dislikes: str | None,
    region_answers: tuple[str, ...],
    k: int | None,
    widen_to: int | None,
    seed: int | None,
    weights: tuple[str, ...],
    profile_free: bool,
    shown: Path | None,
    now: str | None,
    as_json: bool,
    receipts: Path | None,
    imports: tuple[str, ...],
) -> None:
    """Print the slate of one request to the ranker in FOLDER."""
    from recsys.control.receipt_logs import ReceiptLog

    log = None if receipts is None else ReceiptLog(receipts)
    brought = None if shown is None else options.read_shown_rows(shown, user)
    ranker = options.load_ranker(folder, imports)
    answer = ranker.rank(
        user=user,
        history=options.split_ids(history),
        more=options.split_ids(more),
        dislikes=options.split_ids(dislikes),
        region_answers=options.parse_region_answers(region_answers),
        k=k,
        widen_to=widen_to,
        seed=seed,
        weights=options.parse_settings(weights, "--weights") or None,
        profile_free=profile_free,
        shown=brought,
        now=None if now is None else options.parse_moment_text(now),
    )
    if log is not None:
        log.append(answer.receipt(inputs=True))
    if as_json:
        click.echo(json.dumps(answer.to_dict(), indent=2))
    else:
        _print_slate(ranker, answer)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("user")
@click.option("--out", type=click.Path(path_type=Path), help="Write a .json file instead of printing.")
@options.allow_import
def profile(folder: Path, user: str, out: Path | None, imports: tuple[str, ...]) -> None:
    """Show all that the ranker in FOLDER holds about USER, as JSON."""
    from recsys.rankers.profiles import check_profile_path

    target = None if out is None else check_profile_path(out)
    held = options.load_ranker(folder, imports).profile(user)
    if target is None:
        click.echo(held.to_json(), nl=False)
    else:
        options.print_line(f"profile: {held.write(target)}")


def _print_slate(ranker: "Ranker", answer: "Recommendation") -> None:
    """Print the picks, the notes and what names the answer."""
    from rich.table import Table

    from recsys.types.moments import format_moment

    catalogue = ranker.context.items
    titles = {} if catalogue is None else dict(zip(catalogue.ids.tolist(), catalogue.titles.tolist(), strict=True))
    drawn, likely = answer.to_dict()["propensity"], answer.like_probabilities
    told = [name for name, found in (("P(like)", likely), ("propensity", drawn)) if found is not None]
    table = Table(box=None, pad_edge=False)
    for name in ("slot", "item", "title", "score", "relevance rank", *told):
        table.add_column(name, justify="left" if name in ("item", "title") else "right", overflow="fold")
    for place, item in enumerate(answer.items):
        figures = [f"{answer.scores[place]:.4f}", f"{answer.base_ranks[place]:,}"]
        chances = [f"{found[place]:.4f}" for found in (likely, drawn) if found is not None]
        table.add_row(str(place + 1), item, titles.get(item, ""), *figures, *chances)
    options.make_console().print(table)
    for note in answer.notes:
        options.print_line(f"note: {note}")
    options.print_line(f"policy: {answer.policy}, seed {answer.seed}, now {format_moment(answer.now)}")
