"""A saved ranker takes in rows that came since it was fitted, and is written as a new one."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from recsys.configs import Config
from recsys.experiments.forget_jobs import find_run
from recsys.rankers import AddedItems, Ranker, UpdateReport
from recsys.splits import no_holdout
from recsys.support.progress import show_progress, track_rounds
from recsys.types import Dataset, RecsysError
from recsys.types.paths import check_outside, check_path


class AddedItemsResult(NamedTuple):
    """Where the new ranker is, the name of its policy, and which items it has."""

    folder: Path
    policy: str
    report: AddedItems


class UpdateResult(NamedTuple):
    """Where the new ranker is, the name of its policy, and what was taken in."""

    folder: Path
    policy: str
    report: UpdateReport


def update_ranker(
    folder: str | Path,
    rows: Dataset,
    out: str | Path,
    *,
    positive: str | None = None,
    config: Config | Mapping[str, Any] | str | Path | None = None,
    blend: str | None = None,
    allow_imports: Collection[str] = (),
) -> UpdateResult:
    """Write the ranker in `folder` with new rows to `out`, whole or not at all: `Ranker.update`.

    A ranker that `recsys export` wrote has its config, unless `config` and `blend` name another: its rule of positives
    (unless `positive` is given), its sources and purposes choose the rows, and it has the settings of links.

    Raises:
        RecsysError: for an `out` that is `folder`, or as `Ranker.load`, `Ranker.update` and `Ranker.save` do.
    """
    source, target = _check_folders("update", folder, out)
    ranker = Ranker.load(source, allow_imports=allow_imports)
    run = find_run(ranker, config, blend, None, quiet=True)
    chosen: dict[str, Any] = {"positive": positive}
    if run is not None:
        told = run.config.filter
        chosen = {"positive": positive or told.positive, "sources": told.sources, "purposes": told.purposes}
    settings = None if run is None or ranker.model is None else run.build_settings()
    made = ranker.update(no_holdout(rows, **chosen), settings=settings)
    report = made.last_update
    assert report is not None
    return UpdateResult(made.save(target), made.name, report)


def add_items_to_ranker(
    folder: str | Path,
    items: Any,
    out: str | Path,
    *,
    known: Any = None,
    columns: Mapping[str, object] | None = None,
    allow_imports: Collection[str] = (),
    quiet: bool = False,
) -> AddedItemsResult:
    """Write the ranker in `folder` with new items to `out`, whole or not at all: `Ranker.add_items`.

    Raises:
        RecsysError: for an `out` that is `folder`, or as `Ranker.load`, `Ranker.add_items` and `Ranker.save` do.
    """
    source, target = _check_folders("add-items", folder, out)
    with show_progress(quiet), track_rounds("add-items", 3) as advance:
        ranker = Ranker.load(source, allow_imports=allow_imports)
        advance()
        made = ranker.add_items(items, known=known, columns=columns)
        advance()
        made.save(target)
        advance()
    report = made.added_items
    assert report is not None
    return AddedItemsResult(target, made.name, report)


def _check_folders(command: str, folder: str | Path, out: str | Path) -> tuple[Path, Path]:
    source, target = check_path("folder", folder), check_path("out", out)
    if source.resolve() == target.resolve():
        raise RecsysError(f"{command}: {target}: is the ranker itself, expected another folder: this is a new version")
    return source, check_outside(target, source, "the ranker")
