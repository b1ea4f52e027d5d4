"""Households: whether scores by cluster of a history serve two people of one account better, and what they cost.

Accounts of two people are those of `shared_accounts.py`: "interleaved", all positives of a second person at their own
times, or a "burst" of ten. `pairs` are "random", or "distant": of all ways to pair the same people, that with the
smallest sum of cosines of their factors.

`way` says of what an account's scores are made, each part folded in as a user of its own: "clusters" of its positives,
by spherical k-means of two on item factors; "known", the positives of either person, which nobody knows outside of a
benchmark; "random", parts of the clusters' sizes; "one", the whole history. A setting has three parts. The positives
that a part does not hold count `others` in its fold-in (1 is the whole history). The account's slate of 10 has those
items whose score is the largest in any part (`how` "largest": Weston, Weiss and Yee 2013), or each part has slots in
proportion to its positives by Sainte-Lague ("slots"). Only a `share` of all accounts is cut, those with the largest
index of Calinski and Harabasz (1974), threshold and price from the log as it is.

`what`, means over both people where they are of one: "ndcg", NDCG@10 of the account's slate on each one's held-out
positives; "least served", recall@10 of whom it serves less; "purity", `account_purity` of the best ten of the part that
holds most of a person's positives, where an item is theirs that stands higher in their order than in the other's, by a
model of both apart; "borrowed", of those of these ten in regions of own maps that the person never touched, the share
in regions that the other did; "owed", the share of what `negative_space` expects for the part, at tau 1, that lies in
regions which only the other touched. "agreement" is the share of the positives of one person alone that lie in their
part, parts named as fits best; of a whole history it is the larger person's share. "told apart" is the area under the
curve of the index for merged accounts over those of the second people alone, who have 30 training positives or more
too; merged histories are longer, and `one` is the area of their length. "cut" is the share of merged accounts above the
threshold.

Settings are chosen on the first half of random, interleaved pairs, as those with the largest "ndcg" among those that
cost less than 1 % of NDCG@10 on the first half of up to 1,500 users of the log as it is; those of "known" by "ndcg"
alone. All of that stands in results/households-choice.csv. results/households.csv is of the other half: what whole
histories have (`one`), and the differences of each way to it, with intervals of 95 %, percentiles of 1,000 draws of
pairs, or of users; where nobody is merged (`pairs` none), the difference of "ndcg" is the price. Models are iALS.
`python benchmarks/households.py [LOG ...]` takes some six minutes of one core.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from result_rows import write_rows
from scipy.optimize import linear_sum_assignment
from shared_accounts import RESULTS, World, draw_interval, draw_pairs, find_owned, merge_accounts

import recsys as rs
from recsys.maths.communities import assign_communities, compute_nearby_mixes, fit_community_model
from recsys.maths.distributions import compute_map_mixes, encode_hard_regions
from recsys.maths.embeddings import normalize_rows
from recsys.maths.fold_in import gram, solve_user_factors
from recsys.support.rng import make_generator
from recsys.types import Factors, Scorer, Split
from recsys.types.arrays import Bools, Csr, Doubles, Floats, Ints, Longs

LOGS = {"ml-100k": (32, {"positive": "rating >= 4"}), "online-retail-ii": (64, {})}
K, PAIRS, USERS, LEAST, STARTS, ROUNDS, BUDGET = 10, 500, 1500, 10, 3, 30, 0.01
SHARES, OTHERS, HOWS = (0.1, 0.3, 1.0), (0.0, 0.3, 0.6), ("largest", "slots")
PARTED = ("clusters", "random", "known")
ONE = (1.0, "largest")  # others and how of a history that is not cut

Setting = tuple[float, str]
Measured = dict[tuple[str, Setting], dict[str, Doubles]]  # by way and setting: (P,) of each measure


class Model(NamedTuple):
    """Factors as what folds histories in."""

    factors: Factors  # values of histories count
    common: Doubles  # (d, d)
    directions: Floats  # (I, d) unit rows

    @classmethod
    def of(cls, fitted: Scorer) -> "Model":
        assert fitted.factors is not None
        factors = replace(fitted.factors, oldest_target_weight=0.0)
        return cls(factors, gram(factors), normalize_rows(factors.item_factors))

    def score_parts(self, items: Ints, parts: Bools, others: float) -> Floats:
        """Return the scores (C, I) of parts (C, n) of the positives `items` (n,)."""
        weights = np.where(parts, 1.0, others)
        kept = weights > 0
        pointers = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
        columns = np.broadcast_to(items, parts.shape)[kept]
        rows = Csr((weights[kept], columns, pointers), shape=(len(parts), len(self.factors.item_factors)))
        return np.asarray(solve_user_factors(self.factors, rows, common=self.common) @ self.factors.item_factors.T)


class Account(NamedTuple):
    """The history of two people, and of whom each positive is."""

    items: Ints  # (n,)
    people: Bools  # (2, n) some are of both
    clusters: Bools  # (2, n)
    index: float  # of Calinski and Harabasz
    closed: Ints  # items that are not shown
    held_out: tuple[Ints, Ints]  # of each person

    def get_parts(self, way: str, user: int) -> Bools:
        """Return the parts of a way, (C, n)."""
        if way == "random":
            order = make_generator(user, "households", "random").permutation(len(self.items))
            return self.clusters[:, order]
        whole = np.ones((1, len(self.items)), bool)
        return {"one": whole, "clusters": self.clusters, "known": self.people}[way]


def cut_history(vectors: Floats, user: int) -> tuple[Bools, float]:
    """Return two clusters of unit vectors (n, d) by spherical k-means, (2, n), and the index of Calinski and Harabasz.

    The index is n - 2 times the cosine that two centres gain over one, over what they leave of 1.
    """
    best, found = -np.inf, np.zeros(len(vectors), np.int64)
    for start in range(STARTS):
        rng = make_generator(start, "households", "k-means", user)
        first = vectors[rng.integers(len(vectors))]
        far = np.maximum(1.0 - vectors @ first, 0.0)
        second = vectors[rng.choice(len(vectors), p=far / far.sum())] if far.sum() > 0 else first
        centres = np.stack([first, second])
        label = (vectors @ centres.T).argmax(axis=1)
        for _ in range(ROUNDS):
            centres = normalize_rows(np.stack([vectors[label == c].sum(axis=0) for c in (0, 1)]))
            before, label = label, (vectors @ centres.T).argmax(axis=1)
            if (label == before).all():
                break
        cosine = float((vectors @ centres.T).max(axis=1).sum())
        if cosine > best + 1e-9:
            best, found = cosine, label
    gained, left = best - float(np.linalg.norm(vectors.sum(axis=0))), max(len(vectors) - best, 1e-9)
    return found == np.arange(2)[:, None], gained * (len(vectors) - 2) / left


def fill_slate(scores: Floats, sizes: Longs | Doubles, closed: Ints, how: str) -> Longs:
    """Return the ten items of an account from the scores (C, I) of parts of so many positives, (C,)."""
    scores = scores.copy()
    scores[:, closed] = -np.inf
    if how == "largest" or len(scores) == 1:
        return np.argsort(-scores.max(axis=0), kind="stable")[:K]
    orders, at, given = np.argsort(-scores, axis=1, kind="stable"), [0] * len(scores), np.zeros(len(scores))
    slate: list[int] = []
    while len(slate) < K:
        part = int(np.argmax(sizes / (2.0 * given + 1.0)))
        while orders[part, at[part]] in slate:
            at[part] += 1
        slate.append(int(orders[part, at[part]]))
        given[part] += 1
    return np.array(slate)


def measure_ndcg(slate: Longs, liked: Ints) -> float:
    gains = 1.0 / np.log2(np.arange(K) + 2.0)
    return float((np.isin(slate, liked) * gains).sum() / gains[: min(K, len(liked))].sum()) if len(liked) else np.nan


def measure_recall(slate: Longs, liked: Ints) -> float:
    return float(np.isin(slate, liked).sum() / min(K, len(liked))) if len(liked) else np.nan


def pair_distant(factors: Factors, owners: Longs, guests: Longs) -> tuple[Longs, Longs]:
    """Return the same people, paired so that the sum of the cosines of their factors is the smallest."""
    users = normalize_rows(factors.user_factors)
    rows, columns = linear_sum_assignment(users[owners] @ users[guests].T)
    return owners[rows], guests[columns]


def read_account(split: Split, world: World, model: Model, owner: int, guest: int) -> Account:
    train = world.split.train
    own = slice(*train.indptr[owner : owner + 2])
    items, is_guest = train.indices[own], world.is_guest[own]
    theirs = split.train[[guest]].indices
    burst = world.split.fingerprint.endswith("burst")
    people = np.stack([~is_guest, is_guest if burst else np.isin(items, theirs)])
    clusters, index = cut_history(model.directions[items], owner)
    closed = np.union1d(items, split.train_negatives[[owner]].indices)
    held_out = tuple(np.setdiff1d(split.test[[one]].indices, closed) for one in (owner, guest))
    return Account(items, people, clusters, index, closed, (held_out[0], held_out[1]))


def match_parts(parts: Bools, people: Bools) -> Longs:
    """Return the part that holds the largest share of each person's positives, (2,)."""
    return np.asarray((people[:, None] & parts[None]).sum(axis=2).argmax(axis=1))


def measure_agreement(account: Account, parts: Bools) -> float:
    """Return the share of positives of one person alone that lie in their part, parts named as fits best."""
    alone = account.people[0] != account.people[1]
    same = (parts[0] == account.people[0])[alone]
    return float(max(same.mean(), 1.0 - same.mean())) if len(same) else np.nan


class Judges(NamedTuple):
    """What tells whose an item is, and where."""

    owned: tuple[Bools, Bools]  # (P, I) of each person
    regions: Csr  # (I, Z)
    touched: tuple[Bools, Bools]  # (P, Z) by each person

    def measure_row(self, account: int, person: int, slate: Longs) -> tuple[float, float]:
        """Return the purity of a person's row, and the share of its items beyond the person that the other touched."""
        mine = self.touched[person][account]
        theirs = self.touched[1 - person][account]
        cells = self.regions[slate]
        columns = cells.indices
        new = ~mine[columns]
        borrowed = float(theirs[columns][new].mean()) if new.any() else np.nan
        return float(self.owned[person][account][slate].mean()), borrowed


def measure_owed(world: World, accounts: Sequence[Account], parts: Sequence[Bools], judges: Judges) -> Doubles:
    """Return the share of what is owed to each person's part in regions that only the other touched, a mean, (P,)."""
    train, sizes = world.split.train, np.array([one.assignment.shape[1] for one in world.maps])
    model, starts = fit_community_model(train, world.maps, 0), np.cumsum(sizes) - sizes
    shares = []
    for person in (0, 1):
        held = [cut[match_parts(cut, account.people)[person]] for account, cut in zip(accounts, parts, strict=True)]
        columns = [account.items[some] for account, some in zip(accounts, held, strict=True)]
        pointers = np.concatenate([[0], np.cumsum([len(some) for some in columns])])
        rows = Csr((np.ones(pointers[-1]), np.concatenate(columns), pointers), shape=(len(accounts), train.shape[1]))
        mixes = compute_map_mixes(rows, world.maps)
        owed = compute_nearby_mixes(model, mixes, assign_communities(model, rows, None), starts)
        others = judges.touched[1 - person] & ~judges.touched[person]
        shares.append((owed * others).sum(axis=1) / np.maximum(owed.sum(axis=1), 1e-12))
    return np.asarray(np.mean(shares, axis=0))


def measure_world(
    split: Split, world: World, model: Model, owners: Longs, guests: Longs, owned: tuple[Bools, Bools]
) -> tuple[Measured, Doubles]:
    """Return all measures of all ways and settings, and the index of each account, (P,)."""
    accounts = [read_account(split, world, model, *pair) for pair in zip(owners.tolist(), guests.tolist(), strict=True)]
    regions = Csr(np.concatenate([encode_hard_regions(one).toarray() for one in world.maps], axis=1))
    touched = []
    for person in (0, 1):
        rows = np.zeros((len(accounts), split.shape[1]), np.float32)
        for number, account in enumerate(accounts):
            rows[number, account.items[account.people[person]]] = 1.0
        touched.append(np.asarray(rows @ regions) > 0)
    judges, measured = Judges(owned, regions, (touched[0], touched[1])), {}
    for way in ("one", *PARTED):
        parts = [one.get_parts(way, user) for one, user in zip(accounts, owners.tolist(), strict=True)]
        owed = measure_owed(world, accounts, parts, judges)
        agreement = np.array([measure_agreement(one, cut) for one, cut in zip(accounts, parts, strict=True)])
        for others in (1.0,) if way == "one" else OTHERS:
            told = measure_parts(model, accounts, parts, others, judges)
            for how in ("largest",) if way == "one" else HOWS:
                measured[way, (others, how)] = told[how] | {"owed": owed, "agreement": agreement}
    return measured, np.array([one.index for one in accounts])


def measure_parts(
    model: Model, accounts: Sequence[Account], parts: Sequence[Bools], others: float, judges: Judges
) -> dict[str, dict[str, Doubles]]:
    """Return the measures of slates by `how`, (P,) each."""
    told: dict[str, list[tuple[float, ...]]] = {how: [] for how in HOWS}
    for number, (account, cut) in enumerate(zip(accounts, parts, strict=True)):
        scores = model.score_parts(account.items, cut, others)
        chosen = match_parts(cut, account.people)
        rows = [fill_slate(scores[[part]], np.ones(1), account.closed, "largest") for part in chosen]
        purity, borrowed = np.transpose([judges.measure_row(number, person, rows[person]) for person in (0, 1)])
        there = borrowed[~np.isnan(borrowed)]
        alike = float(purity.mean()), float(there.mean()) if len(there) else np.nan
        for how in HOWS:
            slate = fill_slate(scores, cut.sum(axis=1), account.closed, how)
            each = [measure_ndcg(slate, liked) for liked in account.held_out]
            least = min(measure_recall(slate, liked) for liked in account.held_out)
            told[how].append((float(np.mean(each)), least, *alike))
    names = ("ndcg", "least served", "purity", "borrowed")
    return {how: dict(zip(names, np.array(values).T, strict=True)) for how, values in told.items()}


def measure_price(split: Split, model: Model) -> tuple[dict[Setting, Doubles], Doubles, Doubles]:
    """Return the change of NDCG@10 of users as they are, cut, (U,), that of whole histories, and their indices."""
    able = np.flatnonzero((np.diff(split.train.indptr) >= LEAST) & (np.diff(split.test.indptr) > 0))
    users = make_generator(0, "households", "users").permutation(able)[:USERS]
    plain, indices, changed = [], [], {setting: [] for setting in product(OTHERS, HOWS)}
    for user in users.tolist():
        items = split.train[[user]].indices
        parts, index = cut_history(model.directions[items], user)
        closed = np.union1d(items, split.train_negatives[[user]].indices)
        liked, whole = np.setdiff1d(split.test[[user]].indices, closed), np.ones((1, len(items)), bool)
        base = measure_ndcg(fill_slate(model.score_parts(items, whole, 1.0), np.ones(1), closed, "largest"), liked)
        plain.append(base)
        indices.append(index)
        for others in OTHERS:
            scores = model.score_parts(items, parts, others)
            for how in HOWS:
                slate = fill_slate(scores, parts.sum(axis=1), closed, how)
                changed[others, how].append(measure_ndcg(slate, liked) - base)
    return {name: np.array(values) for name, values in changed.items()}, np.array(plain), np.array(indices)


def keep_uncut(measured: Measured, way: str, setting: Setting, is_cut: Bools) -> dict[str, Doubles]:
    """Return the measures of a way where only some accounts are cut, (P,) each."""
    one = measured["one", ONE]
    return {name: np.where(is_cut, values, one[name]) for name, values in measured[way, setting].items()}


def place_accounts(merged: Doubles, others: Doubles) -> Doubles:
    """Return the share of the other accounts whose number is smaller than that of each merged one, ties half, (P,)."""
    smaller, same = merged[:, None] > others, merged[:, None] == others
    return np.asarray((smaller + same / 2.0).mean(axis=1))


def make_row(
    log: str, pairs: str, world: str, what: str, one: Doubles, ways: Mapping[str, tuple[Doubles, Mapping[str, str]]]
) -> dict[str, Any]:
    """Return what the whole histories have, and the differences of the ways, with the settings of each."""
    row: dict[str, Any] = {"log": log, "pairs": pairs, "world": world, "what": what, "one": f"{np.nanmean(one):.5f}"}
    for way in PARTED:
        values, setting = ways.get(way, (None, {}))
        told = ("", "", "") if values is None else (f"{each:.5f}" for each in draw_interval(values, "households"))
        row |= dict(zip((way, f"{way}_low", f"{way}_high"), told, strict=True))
        row |= {f"{way}_{name}": setting.get(name, "") for name in ("share", "others", "how")}
    return row | {"n": int((~np.isnan(one)).sum())}


def describe_setting(setting: Setting, share: float) -> dict[str, str]:
    return {"share": f"{share:g}", "others": f"{setting[0]:g}", "how": setting[1]}


class Told(NamedTuple):
    """What is measured of a world of P merged accounts, and of the accounts of the second people alone."""

    measured: Measured
    indices: Doubles  # (P,)
    lengths: Doubles  # (P,) positives
    other_indices: Doubles
    other_lengths: Doubles


class Log(NamedTuple):
    """What is measured on a log: prices of users as they are, and each world of merged accounts."""

    name: str
    base: Doubles  # (U,) NDCG@10 of whole histories
    prices: dict[tuple[float, Setting], Doubles]  # (U,) by share and setting
    thresholds: dict[float, float]  # of the index, by share
    worlds: dict[tuple[str, str], "Told"]


def measure_log(name: str) -> Log:
    factors, given = LOGS[name]
    split = rs.splits.per_user_time(rs.load_dataset(name, quiet=True), test=0.2, **given)
    fit = rs.models.IALS(factors=factors).fit
    fitted = fit(split.train)
    plain, (owners, guests) = Model.of(fitted), (some[:PAIRS] for some in draw_pairs(split.train))
    pairs = {"random": (owners, guests), "distant": pair_distant(plain.factors, owners, guests)}
    changed, base, indices = measure_price(split, plain)
    thresholds = {share: float(np.quantile(indices, 1.0 - share)) if share < 1 else -np.inf for share in SHARES}
    prices = {
        (share, setting): np.where(indices >= thresholds[share], changed[setting], 0.0)
        for share, setting in product(SHARES, changed)
    }
    worlds = {}
    for kind, (first, second) in pairs.items():
        owned = (find_owned(fitted, first, second), find_owned(fitted, second, first))
        for when in ("interleaved", "burst"):
            world = merge_accounts(split, first, second, when)
            model = Model.of(fit(world.split.train))
            measured, indices = measure_world(split, world, model, first, second, owned)
            train, lengths = world.split.train, np.diff(world.split.train.indptr).astype(float)
            others = np.array([cut_history(model.directions[train[[user]].indices], user)[1] for user in second])
            worlds[kind, when] = Told(measured, indices, lengths[first], others, lengths[second])
    return Log(name, base, prices, thresholds, worlds)


class Choice(NamedTuple):
    """What the first half chooses."""

    share: float
    setting: Setting
    known: Setting
    rows: list[dict[str, Any]]  # of all that there was to choose from


def choose_settings(log: Log) -> Choice:
    measured, found = log.worlds["random", "interleaved"][:2]
    half, one, early = len(found) // 2, measured["one", ONE]["ndcg"], slice(len(log.base) // 2)
    gains, rows = {}, []
    for (share, setting), price in log.prices.items():
        gain = (keep_uncut(measured, "clusters", setting, found >= log.thresholds[share])["ndcg"] - one)[:half]
        is_cheap = bool(-np.nanmean(price[early]) < BUDGET * np.nanmean(log.base[early]))
        told = draw_interval(gain, "households"), draw_interval(price[early], "households")
        columns = ("gain", "gain_low", "gain_high"), ("price", "price_low", "price_high")
        row = {"log": log.name, **describe_setting(setting, share), "cheap": int(is_cheap)}
        for names, values in zip(columns, told, strict=True):
            row |= dict(zip(names, (f"{each:.5f}" for each in values), strict=True))
        rows.append(row)
        if is_cheap:
            gains[share, setting] = float(np.nanmean(gain))
    share, setting = max(gains, key=lambda one: gains[one]) if gains else (min(SHARES), (max(OTHERS), "largest"))
    whole = {setting: float(np.nanmean(measured["known", setting]["ndcg"][:half])) for setting in product(OTHERS, HOWS)}
    return Choice(share, setting, max(whole, key=lambda one: whole[one]), rows)


def tell_log(log: Log, choice: Choice) -> Iterator[dict[str, Any]]:
    """Yield what the other half says of the choice."""
    share, setting = choice.share, choice.setting
    late, told = slice(len(log.base) // 2, None), describe_setting(setting, share)
    price = log.prices[share, setting][late]
    yield make_row(log.name, "none", "as it is", "ndcg", log.base[late], {"clusters": (price, told)})
    for (kind, when), world in log.worlds.items():
        measured, found = world[:2]
        half, is_cut, everybody = len(found) // 2, found >= log.thresholds[share], np.ones(len(found), bool)
        ways = {
            "clusters": (setting, is_cut, told),
            "random": (setting, is_cut, told),
            "known": (choice.known, everybody, describe_setting(choice.known, 1.0)),
        }
        long = place_accounts(world.lengths[half:], world.other_lengths[half:])
        apart = place_accounts(found[half:], world.other_indices[half:]) - long
        yield make_row(log.name, kind, when, "told apart", long, {"clusters": (apart, told)})
        cut = is_cut[half:].astype(float)
        yield make_row(log.name, kind, when, "cut", np.zeros(len(cut)), {"clusters": (cut, told)})
        for what, values in measured["one", ONE].items():
            after = {
                way: (
                    (measured[way, of][what] if what == "agreement" else keep_uncut(measured, way, of, some)[what])
                    - values,
                    said,
                )
                for way, (of, some, said) in ways.items()
            }
            late_ways = {way: (values[half:], said) for way, (values, said) in after.items()}
            yield make_row(log.name, kind, when, what, values[half:], late_ways)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("logs", nargs="*", default=list(LOGS), help=f"of {', '.join(LOGS)}")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    given = parser.parse_args()
    rows, choices = [], []
    for name in given.logs:
        log = measure_log(name)
        choice = choose_settings(log)
        choices += choice.rows
        for row in tell_log(log, choice):
            rows.append(row)
            print(", ".join(f"{value}" for value in row.values()), flush=True)
    write_rows(given.out / "households.csv", rows)
    write_rows(given.out / "households-choice.csv", choices)


if __name__ == "__main__":
    main()
