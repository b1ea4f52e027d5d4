"""Shared accounts: which positives of a guest are found, what holding them back is worth, and what it costs.

Pairs of users of MovieLens 100K with 30 training positives or more are drawn, no user in two of them: the owner of an
account, and a guest. `world` "burst": some 10 consecutive positives of the guest come into the owner's history in
successive seconds, at a place that is drawn. "interleaved": all of the guest's, at their own times. Of the guest's
positives those are left out that the owner has met or has in test. The guest keeps an own account.

`kind` "detection": the area under the curve of each score, how often a guest's positive has a larger one than an
owner's of the same account, ties half; a mean over pairs. `runs` is the largest score of all runs that hold the
positive; `one_off` and `isolation` are those of `recsys.detect_one_offs`, `profile_distance` is 1 - the cosine to the
mean of the others in `cooccurrence`, `random` is a draw. "slates": `account_purity` of slates of 10, and NDCG@10 on the
owner's held-out positives, without the rule, with it, and where all positives of guests are known and count as
little (`if known`). An item belongs to the owner where it stands higher in the
owner's order of all items than in the guest's, by the model that is fitted to both apart. "found": the share of guests'
positives that are held back, and the share of what is held back that is a guest's, in the accounts of the pairs.
"price": NDCG@10 where nothing was merged. "exchangeable": the share of histories as they are whose run has a
larger score than under each of 19 permutations of their times: 0.05 where the order of a history says nothing.

Lengths of runs and the share of histories that are flagged are chosen on the first half of the pairs and of the users,
the first by the area for bursts, the second as that with the largest purity there among those that cost less than 1 %
of NDCG@10; all rows with `half` 2 are of the other half. Intervals are of 95 %, percentiles of 1,000 draws of pairs, or
of users. The model is iALS of 32 factors. Written to results/shared_accounts.csv. `python
benchmarks/shared_accounts.py` takes some two minutes of one core.

With `--speed` the processor seconds of `recsys.detect_guest_runs` for 100,000 users of 100 positives are written to
results/shared_accounts-speed.csv: 20 maps of 24 regions are at hand, and times are spread over a year, so that few runs
span at most a day, or over one day, so that all do.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from result_rows import write_rows

import recsys as rs
from recsys import maps
from recsys.evidence.guest_runs import WEIGHT, find_runs, fit_region_priors
from recsys.maths.embeddings import cooccurrence_vectors
from recsys.maths.one_offs import measure_isolation
from recsys.metrics import ndcg
from recsys.metrics.list_comparison import account_purity
from recsys.retrieval.candidates import candidates
from recsys.support.rng import make_generator
from recsys.types import Evaluation, GroundTruth, Scorer, Split, TasteMap
from recsys.types.arrays import Bools, Csr, Doubles, Ints, Longs
from recsys.types.guest_runs import GuestRuns

RESULTS = Path(__file__).parent / "results"
LOG, SEED, K, DRAWS, LEAST, BURST, PERMUTATIONS = "ml-100k", 0, 10, 1000, 30, 10, 19
LENGTHS, SHARES, BUDGET = ((5, 8), (8, 12), (12, 20)), (0.02, 0.05, 0.1, 0.2), 0.01
MODEL = rs.models.IALS(factors=32)


class World(NamedTuple):
    """A split in which accounts of some users have positives of guests."""

    split: Split
    owners: Longs  # (P,)
    is_guest: Bools  # (E,) which positives are a guest's
    maps: tuple[TasteMap, ...]


def draw_pairs(train: Csr) -> tuple[Longs, Longs]:
    """Return owners and guests, (P,) each, no user twice."""
    able = make_generator(SEED, "shared_accounts", "pairs").permutation(np.flatnonzero(np.diff(train.indptr) >= LEAST))
    half = len(able) // 2
    return able[:half], able[half : 2 * half]


def merge_accounts(split: Split, owners: Longs, guests: Longs, world: str) -> World:
    """Return the split in which each owner's account has positives of the guest."""
    rng, train, times = make_generator(SEED, "shared_accounts", world), split.train, split.train_times
    assert times is not None
    rows, columns, moments = [], [], []
    met = split.train + split.train_negatives + split.test
    for owner, guest in zip(owners.tolist(), guests.tolist(), strict=True):
        theirs, when = train.indices[slice(*train.indptr[guest : guest + 2])], times[[guest]].data
        new = ~np.isin(theirs, met[[owner]].indices)
        order = np.argsort(when[new], kind="stable")
        theirs, when = theirs[new][order], when[new][order]
        if world == "burst":
            first = int(rng.integers(0, max(1, len(theirs) - BURST + 1)))
            theirs = theirs[first : first + BURST]
            when = rng.choice(times[[owner]].data) + np.arange(1.0, len(theirs) + 1.0)
        rows += [owner] * len(theirs)
        columns += theirs.tolist()
        moments += when.tolist()
    added = Csr((np.full(len(rows), 2.0, np.float32), (rows, columns)), shape=train.shape)
    both, dated = Csr(train + added), Csr(times + Csr((moments, (rows, columns)), shape=train.shape))
    both.sort_indices()
    dated.sort_indices()
    is_guest = both.data == 2.0
    merged = replace(
        split,
        train=Csr((np.ones(both.nnz, np.float32), both.indices, both.indptr), shape=both.shape),
        train_times=dated,
        fingerprint=f"{split.fingerprint}-{world}",
    )
    return World(merged, owners, is_guest, tuple(maps.objective_maps(merged.train)))


def score_rows(
    world: World, user: int, order: Longs, priors: Doubles, regions: Ints, lengths: Sequence[int]
) -> Doubles:
    """Return the largest score of all runs that hold each positive of a user, in the order of `order` (n,)."""
    n, best = len(order), np.full(len(order), -np.inf)
    z = regions[world.split.train.indices[order]]
    for w in range(lengths[0], min(lengths[1], n // 2) + 1):
        scores = np.zeros(n - w + 1)
        for m, prior in enumerate(priors):
            hot = np.zeros((n + 1, len(prior)))
            hot[np.arange(1, n + 1), z[:, m]] = 1.0
            counts = np.cumsum(hot, axis=0)
            run = counts[w:] - counts[:-w]
            mix = (counts[-1] - run + prior) / (n - w + prior.sum())
            scores += (run * (np.log(prior / prior.sum()) - np.log(mix))).sum(axis=1) / len(priors)
        for at in range(w):
            best[at : n - w + 1 + at] = np.maximum(best[at : n - w + 1 + at], scores)
    return best


def measure_areas(world: World, plain: Scorer, lengths: Sequence[int], every: bool) -> dict[str, Doubles]:
    """Return the area under the curve of each score in each account, (P,)."""
    split, train = world.split, world.split.train
    order = find_runs(split, maps=world.maps, shortest=lengths[0], longest=lengths[1]).order
    regions = np.stack([one.hard_regions for one in world.maps], axis=1)
    priors, vectors = fit_region_priors(train, regions), cooccurrence_vectors(train)
    of_all: dict[str, Doubles] = {}
    if every:
        found = rs.detect_one_offs(split, plain).one_offs
        assert found is not None
        of_all = {"one_off": found.scores.data, "isolation": measure_isolation(vectors, train, found.n_near)}
        of_all["random"] = make_generator(SEED, "shared_accounts", "random").random(train.nnz)
    areas: dict[str, list[float]] = {}
    for user in world.owners.tolist():
        own = order[slice(*train.indptr[user : user + 2])]
        told = {"runs": score_rows(world, user, own, priors, regions, lengths)}
        told |= {name: values[own] for name, values in of_all.items()}
        if every:
            mine = vectors[train.indices[own]].astype(np.float64)
            rest = mine.sum(axis=0) - mine
            told["profile_distance"] = 1.0 - (rest * mine).sum(axis=1) / np.maximum(np.linalg.norm(rest, axis=1), 1e-12)
        for name, values in told.items():
            theirs, ours = values[world.is_guest[own]], values[~world.is_guest[own]]
            above = (theirs[:, None] > ours).mean() + (theirs[:, None] == ours).mean() / 2.0 if len(theirs) else np.nan
            areas.setdefault(name, []).append(float(above))
    return {name: np.array(values) for name, values in areas.items()}


def show_slates(split: Split, model: Scorer) -> Evaluation:
    """Return the slates of all users."""
    pool = candidates(model, split, n=K)
    items = np.full((split.shape[0], K), -1, np.int32)
    items[pool.users] = pool.items
    return Evaluation(items, GroundTruth(split, (), (), ()))


def find_owned(model: Scorer, users: Longs, guests: Longs) -> Bools:
    """Return which items stand higher in the owner's order than in the guest's, (P, I)."""
    ranks = [
        np.argsort(np.argsort(-model.score(of.astype(np.int32)), axis=1, kind="stable"), axis=1)
        for of in (users, guests)
    ]
    return np.asarray(ranks[0] < ranks[1])


def draw_interval(values: Doubles, seed: str) -> tuple[float, float, float]:
    """Return the mean, and its interval over draws of pairs or users."""
    there, rng = values[~np.isnan(values)], make_generator(0, "shared_accounts", seed)
    means = [there[rng.integers(0, len(there), len(there))].mean() for _ in range(DRAWS)]
    return float(there.mean()), *map(float, np.percentile(means, [2.5, 97.5]))


def detect(world: World, lengths: Sequence[int], share: float) -> Split:
    return rs.detect_guest_runs(world.split, maps=world.maps, shortest=lengths[0], longest=lengths[1], share=share)


def judge_slates(world: World, owned: Bools, before: Evaluation, after: Evaluation) -> dict[str, Doubles]:
    """Return purity and NDCG of each pair, without the rule and with it, (P,) each."""
    everybody = np.zeros(world.split.shape, bool)
    everybody[world.owners] = owned
    told: dict[str, Doubles] = {}
    for name, one in (("without", before), ("with", after)):
        told[f"purity {name}"] = account_purity(one, everybody, K)[world.owners]
        told[f"ndcg {name}"] = ndcg(one, K).values[world.owners]
    return told


def compare_slates(
    world: World, lengths: Sequence[int], share: float, owned: Bools, before: Evaluation
) -> dict[str, Doubles]:
    """Return purity and NDCG of each pair, without the rule and with it, and what is found, (P,) each."""
    found = detect(world, lengths, share)
    assert found.guest_runs is not None
    after = show_slates(found, MODEL.fit(found.train, found.side_information))
    told = judge_slates(world, owned, before, after)
    flags, pointers = found.guest_runs.flags, world.split.train.indptr
    for name, of in (("recall", world.is_guest), ("precision", flags)):
        both, whole = ([of[slice(*pointers[u : u + 2])] for u in world.owners] for of in (flags & world.is_guest, of))
        told[name] = np.array([a.sum() / b.sum() if b.sum() else np.nan for a, b in zip(both, whole, strict=True)])
    return told


def compare_known(world: World, owned: Bools, before: Evaluation) -> dict[str, Doubles]:
    """Return purity and NDCG of each pair, without any rule and where all positives of guests count less, (P,) each."""
    train = world.split.train
    marked = Csr((world.is_guest.astype(np.float32), train.indices, train.indptr), shape=train.shape)
    known = replace(world.split, guest_runs=GuestRuns(marked, 0.5, WEIGHT))
    return judge_slates(world, owned, before, show_slates(known, MODEL.fit(train, known.side_information)))


def measure_price(
    split: Split, own: tuple[TasteMap, ...], lengths: Sequence[int], share: float, plain: Doubles
) -> Doubles:
    """Return the change of each user's NDCG where nothing was merged, (U,)."""
    found = detect(World(split, np.zeros(0, np.int64), np.zeros(0, bool), own), lengths, share)
    return np.asarray(ndcg(show_slates(found, MODEL.fit(found.train, found.side_information)), K).values - plain)


def count_beyond_permutations(split: Split, own: tuple[TasteMap, ...], lengths: Sequence[int]) -> Doubles:
    """Return whether the run of each history that has one is above those of all its permutations, (U,), NaN else."""
    rng, train, times = make_generator(SEED, "shared_accounts", "permuted"), split.train, split.train_times
    assert times is not None
    settings: dict[str, Any] = {"maps": own, "shortest": lengths[0], "longest": lengths[1]}
    true, users = find_runs(split, **settings).scores, np.repeat(np.arange(train.shape[0]), np.diff(train.indptr))
    is_above = np.ones(train.shape[0])
    for _ in range(PERMUTATIONS):
        drawn = times.data[np.lexsort((rng.random(train.nnz), users))]
        permuted = replace(split, train_times=Csr((drawn, times.indices, times.indptr), shape=times.shape))
        is_above *= true > find_runs(permuted, **settings).scores
    return np.where(np.isfinite(true), is_above, np.nan)


def make_row(half: int, kind: str, world: str, what: str, told: Sequence[float], n: int, lengths: Sequence[int],
             share: float = 0.0, chosen: bool = False) -> dict[str, Any]:  # fmt: skip
    low, high = (f"{one:.5f}" for one in told[1:]) if len(told) == 3 else ("", "")
    return {
        "log": LOG, "half": half, "kind": kind, "world": world, "shortest": lengths[0], "longest": lengths[1],
        "share": f"{share:g}" if share else "", "chosen": int(chosen), "what": what, "value": f"{told[0]:.5f}",
        "low": low, "high": high, "n": n,
    }  # fmt: skip


def measure_log() -> Iterator[dict[str, Any]]:
    """Yield all rows."""
    split = rs.splits.per_user_time(rs.load_dataset(LOG, quiet=True), positive="rating >= 4", test=0.2)
    owners, guests = draw_pairs(split.train)
    first = np.arange(len(owners)) < len(owners) // 2
    users_first = make_generator(SEED, "shared_accounts", "users").random(split.shape[0]) < 0.5
    plain, own = MODEL.fit(split.train), tuple(maps.objective_maps(split.train))
    owned, ndcg_plain = find_owned(plain, owners, guests), ndcg(show_slates(split, plain), K).values
    worlds = {name: merge_accounts(split, owners, guests, name) for name in ("burst", "interleaved")}
    fits = {name: MODEL.fit(world.split.train) for name, world in worlds.items()}
    areas = {each: measure_areas(worlds["burst"], fits["burst"], each, False)["runs"] for each in LENGTHS}
    for each, values in areas.items():
        yield make_row(1, "detection", "burst", "runs", draw_interval(values[first], "area"), int(first.sum()), each)
    lengths = max(areas, key=lambda each: float(np.nanmean(areas[each][first])))
    before = {name: show_slates(world.split, fits[name]) for name, world in worlds.items()}
    told = {
        (name, share): compare_slates(world, lengths, share, owned, before[name])
        for name, world in worlds.items()
        for share in SHARES
    }
    prices = {share: measure_price(split, own, lengths, share, ndcg_plain) for share in SHARES}
    gains, base = {}, np.nanmean(ndcg_plain[users_first])
    for share in SHARES:
        if -np.nanmean(prices[share][users_first]) < BUDGET * base:
            found = told["burst", share]
            gains[share] = float(np.nanmean((found["purity with"] - found["purity without"])[first]))
    chosen = max(gains, key=lambda share: gains[share]) if gains else min(SHARES)
    beyond = count_beyond_permutations(split, own, lengths)[~users_first]
    yield make_row(
        2,
        "exchangeable",
        "none",
        "flagged at 0.05",
        draw_interval(beyond, "beyond"),
        int((~np.isnan(beyond)).sum()),
        lengths,
    )
    for half, pairs, users in ((1, first, users_first), (2, ~first, ~users_first)):
        for share in SHARES:
            settings: dict[str, Any] = {"lengths": lengths, "share": share, "chosen": share == chosen}
            values = prices[share][users]
            n = int((~np.isnan(values)).sum())
            yield make_row(half, "price", "none", "ndcg difference", draw_interval(values, "price"), n, **settings)
            for name in worlds:
                yield from tell_slates(
                    half, name, {key: one[pairs] for key, one in told[name, share].items()}, settings
                )
    for name, world in worlds.items():
        found = compare_known(world, owned, before[name])
        for what in ("purity", "ndcg"):
            change = (found[f"{what} with"] - found[f"{what} without"])[~first]
            n = int((~np.isnan(change)).sum())
            yield make_row(
                2, "slates", name, f"{what} difference if known", draw_interval(change, "slates"), n, lengths
            )
        of = {key: one[~first] for key, one in measure_areas(world, fits[name], lengths, True).items()}
        for key, values in of.items():
            yield make_row(2, "detection", name, key, draw_interval(values, "area"), len(values), lengths)
            if key != "runs":
                apart = draw_interval(of["runs"] - values, "area")
                yield make_row(2, "detection", name, f"runs less {key}", apart, len(values), lengths)


def tell_slates(half: int, world: str, told: dict[str, Doubles], settings: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what is found, and slates without the rule, with it, and their differences."""
    for what in ("recall", "precision"):
        n = int((~np.isnan(told[what])).sum())
        if n:
            yield make_row(half, "found", world, what, draw_interval(told[what], "found"), n, **settings)
    for what in ("purity", "ndcg"):
        ours, theirs = told[f"{what} with"], told[f"{what} without"]
        for name, values in (("without", theirs), ("with", ours), ("difference", ours - theirs)):
            n = int((~np.isnan(values)).sum())
            yield make_row(half, "slates", world, f"{what} {name}", draw_interval(values, "slates"), n, **settings)


def measure_speed(users: int = 100_000, items: int = 20_000, history: int = 100) -> list[tuple[object, ...]]:
    """Return the processor time of the detection, by how long histories take."""
    from speeds import draw_maps, draw_split

    own, rows = draw_maps(items, 20, 24), list[tuple[object, ...]]()
    few, many = (draw_split(n, items, history, 1) for n in (50, users))
    rng = make_generator(SEED, "shared_accounts", "speed")
    for split, days in ((few, 1), (many, 365), (many, 1)):  # the few load compiled code
        train = split.train
        when = np.rint(86_400.0 * days * rng.random(train.nnz))
        dated = replace(split, train_times=Csr((when, train.indices, train.indptr), shape=train.shape))
        begin = time.process_time()
        rs.detect_guest_runs(dated, maps=own)
        took = time.process_time() - begin
        said = f"{users:,} users of {history} positives in {days} days, 20 maps"
        rows.append((said, f"{took:.3g}", "s of one core", 60.0, "max"))
    return rows[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--speed", action="store_true", help="measure the time of the detection alone")
    given = parser.parse_args()
    if given.speed:
        from speeds import write_figures

        write_figures(measure_speed(), given.out / "shared_accounts-speed.csv")
        return
    rows = []
    for row in measure_log():
        rows.append(row)
        print(", ".join(f"{value}" for value in row.values()), flush=True)
    write_rows(given.out / "shared_accounts.csv", rows)


if __name__ == "__main__":
    main()
