"""RecTools' metrics beside ours, on the same slates: the rows of `benchmarks/agreement.py` about them."""

import csv
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from agreement_worlds import Row, World

from recsys import metrics
from recsys.maths import embeddings
from recsys.metrics import list_comparison, presets
from recsys.types import Evaluation, GroundTruth, PerUser
from recsys.types.arrays import Csr, Doubles, Ints

LENGTHS = (1, 5, 10, 20)
SHOWN_K = 10  # the k of the values in the table
TOLERANCE = 1e-9  # of the value of any user
Ours = Callable[[World, Evaluation, int], Doubles]  # one value per user, or one

PEER_SIDE = Path(__file__).parent / "peers" / "metrics_of_rectools.py"


def wrap_metric(name: str) -> Ours:
    """Return a metric of ours: of `recsys.metrics`, or a preset."""
    metric = presets.rectools.get(name) or getattr(metrics, name)

    def values(world: World, evaluation: Evaluation, k: int) -> Doubles:
        answer = metric(evaluation, k)
        if isinstance(answer, PerUser):
            return answer.values
        shown = answer.picks[answer.picks >= 0]
        return np.array([float(answer.statistic(np.bincount(shown, minlength=answer.n_items).astype(float)))])

    return values


def wrap_single_item_zero(name: str) -> Ours:
    """Return an intra-list distance of ours that is 0 for a slate of one item."""

    def values(world: World, evaluation: Evaluation, k: int) -> Doubles:
        n = (evaluation.get_top_picks(k) >= 0).sum(axis=1)
        return np.where(n == 1, 0.0, wrap_metric(name)(world, evaluation, k))

    return values


def compute_kept_share(world: World, evaluation: Evaluation, k: int) -> Doubles:
    """Return the share of the base's slate that is shown, 0 where nothing is."""
    base = Evaluation(world.base, evaluation.truth)
    known, empty = (base.get_top_picks(k) >= 0).any(axis=1), (evaluation.get_top_picks(k) < 0).all(axis=1)
    return np.where(known & empty, 0.0, 1.0 - list_comparison.displaced_share(evaluation, base, k))


SAME: dict[str, tuple[str, Ours, str]] = {
    **{name: (f"presets.rectools[{name!r}]", wrap_metric(name), "") for name in presets.rectools},
    "IntraListDiversity, cosine of features": (
        "ild_features", wrap_single_item_zero("ild_features"), "a slate of one item counts 0 on both sides",
    ),
    "IntraListDiversity, cosine of cooccurrence": (
        "ild_cooccurrence", wrap_single_item_zero("ild_cooccurrence"), "a slate of one item counts 0 on both sides",
    ),
    "Intersection": ("1 - drifts.displaced", compute_kept_share, "of a base's slates; 0 where nothing is shown"),
}  # fmt: skip
DIFFERENT = [
    ("NDCG", "ndcg", "their ideal has k hits, ours min(k, positives)"),
    ("MAP", "average_precision", "they divide by all positives, ours by min(k, positives)"),
    ("MeanInvUserFreq", "self_information", "theirs is -log2(n_i / users), ours -log2(n_i / sum n): a constant apart"),
    ("IntraListDiversity", "ild_features", "theirs counts differing features, ours is 1 - cosine"),
    ("IntraListDiversity, cosine of features", "ild_features", "a slate of one item is 0 there, left out here"),
    ("Serendipity", "serendipity_popularity",
     "theirs is a mean over the items shown, also for users with no positives; ours a sum over k, of tested users"),
    ("Serendipity", "serendipity", "theirs is against popularity, ours against the history"),
]  # fmt: skip


def compare_metrics(python: Path, version: str, worlds: Sequence[World]) -> Iterator[Row]:
    """Yield a row for each metric that both sides define, alike or not."""
    theirs = [run_rectools(python, world) for world in worlds]
    evaluations = [Evaluation(world.slates, GroundTruth(world.split)) for world in worlds]
    told = [(name, *ours, True) for name, ours in SAME.items()]
    told += [(name, ours, wrap_metric(ours), note, False) for name, ours, note in DIFFERENT]
    for name, label, ours, note, same in told:
        pairs = {
            (n, k): (ours(world, evaluations[n], k), align_peer_values(theirs[n][name, k], len(world.slates)))
            for n, world in enumerate(worlds)
            for k in LENGTHS
        }
        yield build_row(version, f"{name} | {label}", pairs, note, same)


def run_rectools(python: Path, world: World) -> "pd.Series[float]":
    """Return what RecTools says, by metric, k and user."""
    with tempfile.TemporaryDirectory() as name:
        write_rectools_inputs(world, Path(name))
        subprocess.run([python, "-I", PEER_SIDE, name, *map(str, LENGTHS)], check=True)
        return pd.read_csv(Path(name) / "theirs.csv").set_index(["metric", "k", "user"]).sort_index()["value"]


def build_row(
    version: str, what: str, pairs: Mapping[tuple[int, int], tuple[Doubles, ...]], note: str, same: bool
) -> Row:
    """Return what the values of both sides, for each world and k, say."""
    ours, theirs = (np.concatenate(side) for side in zip(*pairs.values(), strict=True))
    both = ~np.isnan(ours) & ~np.isnan(theirs)
    either = ~np.isnan(ours) | ~np.isnan(theirs)
    apart = np.abs(ours - theirs)[both]
    identical = (apart <= TOLERANCE).sum() / either.sum()
    shown = [pair for (_, k), pair in pairs.items() if k == SHOWN_K]
    mine, their = (float(np.nanmean(side)) for side in shown[-1])
    n = sum(int((~np.isnan(pair[0]) & ~np.isnan(pair[1])).sum()) for pair in shown)
    return Row(
        "rectools", version, what, mine, their, float(apart.max()), float(identical), None, n,
        "same" if same else "different", ("yes" if identical == 1 else "no") if same else "", note,
    )  # fmt: skip


def align_peer_values(values: "pd.Series[float]", users: int) -> Doubles:
    """Return their values in the order of our users, NaN for whom they have none; one of the catalogue as it is."""
    if values.index[0] < 0:
        return values.to_numpy()
    return values.reindex(range(users)).to_numpy(dtype=np.float64)


def write_rectools_inputs(world: World, folder: Path) -> None:
    """Write what RecTools is given."""
    split = world.split
    for name, matrix in (("train", split.train), ("test", split.test)):
        _write_table(folder / f"{name}.csv", ["user_id", "item_id"], _list_pairs(matrix))
    for name, slates in (("slates", world.slates), ("base", world.base)):
        _write_table(folder / f"{name}.csv", ["user_id", "item_id", "rank"], _list_ranked_picks(slates))
    having = split.items.features.toarray().astype(int)
    header = ["item_id", *(f"f{f}" for f in range(having.shape[1]))]
    _write_table(folder / "features.csv", header, ([i, *row] for i, row in enumerate(having.tolist())))
    spaces = {
        "features": embeddings.feature_vectors(split.items),
        "cooccurrence": embeddings.cooccurrence_vectors(split.train),
    }
    np.savez(folder / "distances.npz", **spaces)


def _list_pairs(matrix: Csr) -> Iterator[list[object]]:
    cells = matrix.tocoo()
    yield from map(list, zip(cells.row.tolist(), cells.col.tolist(), strict=True))


def _list_ranked_picks(slates: Ints) -> Iterator[list[object]]:
    for user, slot in zip(*np.nonzero(slates >= 0), strict=True):
        yield [user, slates[user, slot], slot + 1]


def _write_table(path: Path, header: list[str], lines: Iterator[list[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(header)
        table.writerows(lines)
