"""One-offs: which gifts are found, how much of their harm to slates is gone, and what it costs where there are none.

Each user with six positives or more gets one gift: a positive of somebody else, drawn at random among those that the
user has not. That somebody is anybody (`random`), or one of the tenth of users whose positives overlap least with the
user's own (`distant`: the aunt), both drawn without a look at any space of items. The repeats of the log stay, and a
gift is bought once.

`kind` "detection": the area under the curve of each score, the share of genuine positives of all users that a gift's
score is above (ties count half), a mean over gifts. `score` is influence times isolation, for repeats 0; `rarity` is
-log popularity, `profile_distance` 1 - the cosine to the mean of the others' vectors in `cooccurrence`. `kind`
"harm": gifts that are flagged (`found`), `gift_harm` of slates of 10 without detection and with it, and the share of it
that is gone; slates are of the factors that histories with and without the gift fold into. `kind` "price": NDCG@10 and
discovery@10 (audit maps) on held-out positives, nothing injected, with one-offs down-weighted and without. Intervals
are of 95 %, percentiles of 1,000 draws of users.

The number of nearest others and the share that is flagged are chosen on validation: the first by the area for distant
gifts, the second as that of the largest share of harm gone among those that cost less than 1 % of NDCG@10 and 5 % of
discovery@10, else the smallest. `chosen` marks its rows on test, where those of the other shares stand beside. Models
have 32 factors, other settings the defaults. Written to results/one_offs.csv. `python benchmarks/one_offs.py
[LOG/MODEL ...]` takes some minutes of one core.

With `--speed` the processor seconds of the scores of users with 100 positives each are written to
results/one_offs-speed.csv: factors and vectors of 64 numbers are at hand.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from result_rows import write_rows
from scipy import sparse

import recsys as rs
from recsys import configs, maps
from recsys.evidence.one_offs import MIN_HISTORY, N_NEAR, detect_one_offs
from recsys.maths.fold_in import solve_user_factors
from recsys.maths.one_offs import FoldWeights, measure_fold_influence, measure_isolation
from recsys.metrics import discovery, ndcg
from recsys.metrics.list_comparison import gift_harm
from recsys.retrieval.candidates import candidates
from recsys.support.rng import make_generator
from recsys.types import Evaluation, GroundTruth, Model, Scorer, Split
from recsys.types.arrays import Bools, Csr, Doubles, Floats, Ints
from recsys.types.purchases import Purchases

RESULTS = Path(__file__).parent / "results"
CASES = ("ml-100k/ials", "online-retail-ii/als")
DONORS, K, DRAWS = ("random", "distant"), 10, 1000
NEAREST, SHARES = (1, 3, 10), (0.01, 0.02, 0.05)
BUDGET, DISCOVERY_BUDGET = 0.01, 0.05  # that a share may cost on validation
MODELS = {"als": rs.models.ALS(factors=32), "ials": rs.models.IALS(factors=32)}


def draw_gifts(train: Csr, donors: str, name: str) -> Ints:
    """Return the gift of each user, (U,), -1 for those with fewer positives than `MIN_HISTORY`."""
    rng, sizes = make_generator(0, "gifts", name, donors), np.diff(train.indptr)
    liked = Csr((np.ones(train.nnz, np.float32), train.indices, train.indptr), shape=train.shape)
    able, gifts = np.flatnonzero(sizes >= MIN_HISTORY), np.full(train.shape[0], -1, np.int32)
    by_item = Csr(liked.T)
    for user in able.tolist():
        own = train.indices[train.indptr[user] : train.indptr[user + 1]]
        common = np.asarray((liked[[user]] @ by_item).toarray()).ravel()
        overlap = (common / (sizes + sizes[user] - common))[able]
        overlap[able == user] = np.inf
        n = len(able) - 1 if donors == "random" else max(1, len(able) // 10)
        donor = int(rng.choice(able[np.argsort(overlap, kind="stable")[:n]]))
        theirs = np.setdiff1d(train.indices[train.indptr[donor] : train.indptr[donor + 1]], own)
        if len(theirs):
            gifts[user] = rng.choice(theirs)
    return gifts


def inject_gifts(train: Csr, gifts: Ints) -> tuple[Csr, Bools]:
    """Return the positives with the gifts, and which entries are gifts."""
    users = np.flatnonzero(gifts >= 0)
    added = Csr((np.full(len(users), 2.0, np.float32), (users, gifts[users])), shape=train.shape)
    both = Csr(train + added)
    both.sort_indices()
    is_gift = both.data == 2.0
    return Csr((np.ones(both.nnz, np.float32), both.indices, both.indptr), shape=both.shape), is_gift


def measure_placements(scores: Doubles, is_gift: Bools, judged: Bools) -> Doubles:
    """Return of each gift the share of genuine positives with a lower score, ties half, (G,)."""
    genuine = np.sort(scores[judged & ~is_gift])
    low, high = (np.searchsorted(genuine, scores[judged & is_gift], side=side) for side in ("left", "right"))
    return np.asarray((low + high) / 2.0 / len(genuine))


def draw_interval(values: Doubles, seed: str) -> tuple[float, float, float]:
    """Return the mean over users, and its interval."""
    rng = make_generator(0, "one_offs", seed)
    means = [values[rng.integers(0, len(values), len(values))].mean() for _ in range(DRAWS)]
    return float(values.mean()), *map(float, np.percentile(means, [2.5, 97.5]))


def fit_world(
    model: Model, view: Split, plain: Scorer, purchases: Purchases | None, share: float, n_near: int
) -> tuple[Split, Scorer, Scorer]:
    """Return a split with one-offs, the fitted model that detects them, and the one fitted with their weights."""
    found = detect_one_offs(view, plain, purchases=purchases, share=share, n_near=n_near)
    return found, plain, model.fit(found.train, found.side_information)


def fold_slates(model: Scorer, histories: Csr, closed: Csr) -> Ints:
    """Return the K best items of histories, those of `closed` left out, (U, K)."""
    factors = model.factors
    assert factors is not None
    users, items = solve_user_factors(factors, histories), np.empty((histories.shape[0], K), np.int32)
    for start in range(0, len(users), 512):
        scores = users[start : start + 512] @ factors.item_factors.T
        rows = closed[start : start + 512]
        scores[np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr)), rows.indices] = -np.inf
        items[start : start + 512] = np.argsort(-scores, axis=1, kind="stable")[:, :K]
    return items


def measure_harm(found: Split, plain: Scorer, weighted: Scorer, is_gift: Bools) -> tuple[Doubles, Doubles]:
    """Return the `gift_harm` of each user with a gift, without detection and with it."""
    train, one_offs = found.train, found.one_offs
    assert one_offs is not None
    kept, rows = ~is_gift, np.repeat(np.arange(train.shape[0]), np.diff(train.indptr))
    lost = np.concatenate([[0], np.cumsum(is_gift)])[train.indptr]
    pointers = (train.indptr - lost).astype(np.int32)
    clean = Csr((train.data[kept], train.indices[kept], pointers), shape=train.shape)
    scores = score_histories(found, clean)
    again = one_offs.scores.data[kept] == 0.0  # bought more than once, or a short history
    light = np.where((scores > one_offs.threshold) & ~again, np.float32(one_offs.weight), np.float32(1.0))
    truth = GroundTruth(found, (), (), ())
    harms = []
    for model, with_gift, without in (
        (plain, train, clean),
        (weighted, found.weighted_train, Csr((light, clean.indices, clean.indptr), shape=clean.shape)),
    ):
        slates = [Evaluation(fold_slates(model, one, train), truth) for one in (with_gift, without)]
        harms.append(gift_harm(slates[0], slates[1], K)[np.unique(rows[is_gift])])
    return harms[0], harms[1]


def score_histories(found: Split, histories: Csr) -> Floats:
    """Return the scores of other histories as one-offs, repeats unknown, (E,)."""
    one_offs = found.one_offs
    assert one_offs is not None and one_offs.item_factors is not None and one_offs.fold_weights is not None
    influence = measure_fold_influence(one_offs.item_factors, FoldWeights(*one_offs.fold_weights.tolist()), histories)
    scores = influence * measure_isolation(one_offs.vectors, histories, one_offs.n_near)
    scores[np.repeat(np.diff(histories.indptr) < MIN_HISTORY, np.diff(histories.indptr))] = 0.0
    return scores.astype(np.float32)


def measure_price(
    model: Model, view: Split, purchases: Purchases | None, share: float, n_near: int, audit: tuple[Any, ...]
) -> Any:
    """Return NDCG and discovery of each user without detection and with it, nothing injected."""
    plain = model.fit(view.train, view.side_information)
    found, plain, weighted = fit_world(model, view, plain, purchases, share, n_near)
    told = []
    for split, fitted in ((view, plain), (found, weighted)):
        pool = candidates(fitted, split, n=K)
        items = np.full((view.shape[0], K), -1, np.int32)
        items[pool.users] = pool.items
        evaluation = Evaluation(items, GroundTruth(view, (), audit, ()))
        with np.errstate(invalid="ignore"):
            of_maps = np.asarray(discovery(evaluation, K).values)
        told.append((ndcg(evaluation, K).values, nan_mean(of_maps)))
    return told


def nan_mean(values: Doubles) -> Doubles:
    """Return the mean over maps of each user's values, (U,), NaN where no map has one."""
    there = ~np.isnan(values)
    counts = there.sum(axis=0)
    return np.where(counts > 0, np.where(there, values, 0.0).sum(axis=0) / np.maximum(counts, 1), np.nan)


def list_scores(found: Split) -> dict[str, Doubles]:
    """Return every score of the positives of an injected split."""
    train, one_offs = found.train, found.one_offs
    assert one_offs is not None and one_offs.item_factors is not None and one_offs.fold_weights is not None
    sizes = np.diff(train.indptr)
    rows = np.repeat(np.arange(len(sizes)), sizes)
    own = one_offs.vectors[train.indices].astype(np.float64)
    rest = np.asarray(train @ one_offs.vectors.astype(np.float64))[rows] - own
    lengths = np.linalg.norm(rest, axis=1)
    cosines = (rest * own).sum(axis=1) / np.where(lengths > 0, lengths, 1.0)
    weights = FoldWeights(*one_offs.fold_weights.tolist())
    return {
        "rarity": -np.log(np.bincount(train.indices, minlength=train.shape[1])[train.indices]),
        "profile_distance": 1.0 - cosines,
        "influence": measure_fold_influence(one_offs.item_factors, weights, train),
        "isolation": measure_isolation(one_offs.vectors, train, one_offs.n_near),
        "score": one_offs.scores.data.astype(np.float64),
    }


def choose_settings(case: str, view: Split, purchases: Purchases | None) -> tuple[int, float, list[dict[str, Any]]]:
    """Return the number of nearest others and the share that validation chooses, and what it says of each."""
    log, model = case.split("/")[0], MODELS[case.split("/")[1]]
    train, is_gift = inject_gifts(view.train, draw_gifts(view.train, "distant", log))
    injected, areas, rows = replace(view, train=train), {}, []
    plain = model.fit(train, injected.side_information)
    judged = np.repeat(np.diff(train.indptr) >= MIN_HISTORY, np.diff(train.indptr))
    for n_near in NEAREST:
        found = detect_one_offs(injected, plain, purchases=purchases, n_near=n_near)
        assert found.one_offs is not None
        areas[n_near] = float(measure_placements(found.one_offs.scores.data, is_gift, judged).mean())
        rows.append(make_row(case, "validation", "detection", "distant", f"score, {n_near} nearest", (areas[n_near],)))
    best, gone = max(areas, key=lambda n: areas[n]), {}
    audit = maps.audit_maps(view.train, seed=0)
    for share in SHARES:
        before, after = measure_harm(*fit_world(model, injected, plain, purchases, share, best), is_gift)
        price = measure_price(model, view, purchases, share, best, audit)
        losses = [1.0 - np.nanmean(price[1][n]) / np.nanmean(price[0][n]) for n in (0, 1)]
        told = 1.0 - after.mean() / before.mean()
        if losses[0] < BUDGET and losses[1] < DISCOVERY_BUDGET:
            gone[share] = told
        for kind, what, value in (
            ("harm", "share of harm gone", told),
            ("price", "loss of ndcg", losses[0]),
            ("price", "loss of discovery", losses[1]),
        ):
            donors = "distant" if kind == "harm" else "none"
            rows.append(make_row(case, "validation", kind, donors, what, (float(value),), share=share))
    share = max(gone, key=lambda one: gone[one]) if gone else min(SHARES)
    return best, share, rows


def make_row(
    case: str, part: str, kind: str, donors: str, what: str, told: tuple[float, ...], users: int = 0,
    share: float = 0.0, chosen: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Return a row of the results."""
    low, high = (f"{one:.5f}" for one in told[1:]) if len(told) == 3 else ("", "")
    return {
        "log": case.split("/")[0], "model": case.split("/")[1], "part": part, "kind": kind, "donors": donors,
        "share": f"{share:g}" if share else "", "chosen": int(chosen), "what": what, "value": f"{told[0]:.5f}",
        "low": low, "high": high, "users": users or "",
    }  # fmt: skip


def measure_case(case: str) -> Iterator[dict[str, Any]]:
    """Yield all rows of a log and a model."""
    log, model = case.split("/")[0], MODELS[case.split("/")[1]]
    config, dataset = configs.read_config(log), rs.load_dataset(log, quiet=True)
    whole = config.split.resolve_split(config.filter, config.seed)(dataset)
    views = {"validation": whole.validation_view(), "test": whole.test_view()}
    bought = {part: rs.splits.select_purchases(dataset, view) for part, view in views.items()}
    n_near, chosen, rows = choose_settings(case, views["validation"], bought["validation"])
    yield from rows
    yield make_row(case, "validation", "choice", "", "nearest others", (float(n_near),))
    yield make_row(case, "validation", "choice", "", "share flagged", (chosen,), share=chosen, chosen=True)
    view, purchases = views["test"], bought["test"]
    for donors in DONORS:
        train, is_gift = inject_gifts(view.train, draw_gifts(view.train, donors, log))
        injected = replace(view, train=train)
        plain = model.fit(train, injected.side_information)
        judged = np.repeat(np.diff(train.indptr) >= MIN_HISTORY, np.diff(train.indptr))
        for share in SHARES:
            found, plain, weighted = fit_world(model, injected, plain, purchases, share, n_near)
            assert found.one_offs is not None
            if share == SHARES[0]:
                yield from compare_scores(case, donors, found, is_gift, judged)
            hits = found.one_offs.flags[is_gift & judged].astype(np.float64)
            for what, told, users in compare_harms(case, *measure_harm(found, plain, weighted, is_gift), hits):
                yield make_row(case, "test", "harm", donors, what, told, users, share, share == chosen)
    audit = maps.audit_maps(view.train, seed=config.seed)
    for share in SHARES:
        price = measure_price(model, view, purchases, share, n_near, audit)
        for name, before, after in zip(("ndcg", "discovery"), *price, strict=True):
            there, settings = ~np.isnan(before), {"share": share, "chosen": share == chosen}
            for what, values in ((f"{name} without", before), (f"{name} with", after), (name, after - before)):
                what = what if what != name else f"{name} difference"
                told = draw_interval(values[there], case)
                yield make_row(case, "test", "price", "none", what, told, int(there.sum()), **settings)


def compare_scores(case: str, donors: str, found: Split, is_gift: Bools, judged: Bools) -> Iterator[dict[str, Any]]:
    """Yield the area under the curve of each score, and how far that of the product is above each of the others."""
    placed = {name: measure_placements(values, is_gift, judged) for name, values in list_scores(found).items()}
    for name, values in placed.items():
        yield make_row(case, "test", "detection", donors, name, draw_interval(values, case), len(values))
    for name in ("influence", "isolation", "profile_distance", "rarity"):
        apart = draw_interval(placed["score"] - placed[name], case)
        yield make_row(case, "test", "detection", donors, f"score less {name}", apart, len(placed[name]))


def compare_harms(
    case: str, before: Doubles, after: Doubles, hits: Doubles
) -> Iterator[tuple[str, tuple[float, float, float], int]]:
    """Yield the gifts found, the harm without detection and with it, and the share that is gone."""
    yield "found", draw_interval(hits, case), len(hits)
    yield "gift_harm without", draw_interval(before, case), len(before)
    yield "gift_harm with", draw_interval(after, case), len(after)
    for what, some in (("share of harm gone", hits >= 0), ("share of harm gone of gifts found", hits > 0)):
        if some.any():
            yield what, draw_reduction(before[some], after[some], case), int(some.sum())


def draw_reduction(before: Doubles, after: Doubles, seed: str) -> tuple[float, float, float]:
    """Return 1 - mean after / mean before, and its interval."""
    rng, found = make_generator(0, "one_offs", seed), []
    for _ in range(DRAWS):
        some = rng.integers(0, len(before), len(before))
        found.append(1.0 - after[some].mean() / max(before[some].mean(), 1e-12))
    low, high = np.percentile(found, [2.5, 97.5])
    return float(1.0 - after.mean() / max(before.mean(), 1e-12)), float(low), float(high)


def measure_speed(users: int, items: int = 20_000, history: int = 100, d: int = 64) -> dict[str, Any]:
    """Return the processor seconds of the scores of all positives."""
    rng = make_generator(0, "one_offs", "speed")
    columns = np.sort(rng.integers(0, items - history, (users, history)), axis=1) + np.arange(history)
    pointers = np.arange(users + 1, dtype=np.int32) * history
    train = sparse.csr_array(
        (np.ones(columns.size, np.float32), columns.ravel().astype(np.int32), pointers), shape=(users, items)
    )
    vectors = rng.standard_normal((items, d)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    start = time.process_time()
    measure_fold_influence(vectors, FoldWeights(0.05, 1.0, 1.0, 0.01, 1.0), train)
    middle = time.process_time()
    measure_isolation(vectors, train, N_NEAR)
    end = time.process_time()
    return {
        "users": users, "history": history, "items": items, "dimensions": d, "influence_s": f"{middle - start:.2f}",
        "isolation_s": f"{end - middle:.2f}", "s": f"{end - start:.2f}",
        "s_per_100k": f"{(end - start) * 1e5 / users:.1f}",
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", default=list(CASES), help=f"of {', '.join(CASES)}")
    parser.add_argument("--speed", type=int, metavar="USERS", help="measure seconds for so many users, nothing else")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    given = parser.parse_args()
    if given.speed:
        write_rows(given.out / "one_offs-speed.csv", [measure_speed(given.speed)])
        return
    rows = []
    for case in given.cases:
        for row in measure_case(case):
            rows.append(row)
            print(", ".join(f"{value}" for value in row.values()), flush=True)
        write_rows(given.out / "one_offs.csv", rows)


if __name__ == "__main__":
    main()
