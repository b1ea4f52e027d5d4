"""Forgetting in fitted models on ML-100K: how near a refit, how fast, and what a membership attack still finds.

Users are dealt into two halves: the target's, and the shadow's, which the attacker knows. Of each user's likes a fifth
is never seen, a fifth is forgotten, and the rest stays; all three are drawn alike. The attack
(`recsys.testing.memberships`) learns on a shadow model what members look like, and is asked about the target: before it
forgot, after, and fitted anew without these rows. `adapted` is an attack that learned on a shadow model that forgot in
the same way. In `after` and `adapted` the two fifths change places in a second trial, with a model that was fitted to
the fifth that the first never saw and forgot that: each row is its own control. `one_trial` and `refit` are without it,
and say what the draw of the rows does to them. Intervals are of 95 %, over users.

The difference to a refit is the largest of any score of any user, in standard deviations of that user's scores, over
cases: one interaction, a person, and the fifth of everybody's likes. Seconds are processor time of one interaction, of
one person, and of a refit, in one run: their ratios stay on a machine that is busy. Models that are fitted anew say so.
ALS and iALS are fitted anew, and, in rows of their own, solved in warm rounds instead.
Written to results/unlearning.csv. With `--ease-sizes` the seconds of EASE by catalogue size are written to
results/unlearning-ease.csv instead; the larger logs are of separate groups of 1,000 items, so that the first inverse
can be made group by group, which does not matter to an update: it reads the whole matrix.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from result_rows import write_rows
from scipy import sparse

import recsys as rs
from recsys import models
from recsys.models.ease import FittedEASE
from recsys.models.forgetting import forget_rows
from recsys.support.rng import make_generator
from recsys.testing.memberships import Pairs, fit_membership_attack, measure_membership
from recsys.types import Scorer
from recsys.types.arrays import Csr

RESULTS = Path(__file__).parent / "results"
MODELS = {
    "ease": models.EASE(),
    "item_knn": models.ItemKNN(),
    "item_knn, bm25": models.ItemKNN(similarity="bm25"),
    "user_knn": models.UserKNN(),
    "p3alpha": models.P3alpha(),
    "rp3beta": models.RP3beta(),
    "most_popular": models.MostPopular(),
    "als": models.ALS(factors=64),
    "ials": models.IALS(factors=64),
    "pure_svd": models.PureSVD(),
    "bpr": models.BPR(factors=64),
}
WARM = {f"{name}, {n} warm rounds": (name, n) for name in ("als", "ials") for n in (2, 32)}
MODELS |= {row: MODELS[name] for row, (name, _) in WARM.items()}
CASES, SIZES, REPEATS = 5, (1_000, 4_000, 10_000, 20_000), 3


def deal_likes(likes: Csr, users: np.ndarray, name: str) -> tuple[Csr, Pairs, Pairs]:
    """Return what the rows of `users` are fitted to, of it what is to be forgotten, and what is never seen."""
    random = make_generator(0, "benchmark", "unlearning", name)
    fitted, gone, never = [], [], []
    for row, user in enumerate(users):
        items = random.permutation(likes[[user]].indices)
        n = len(items) // 5
        never += [(row, item) for item in items[:n]]
        gone += [(row, item) for item in items[n : 2 * n]]
        fitted += [(row, item) for item in items[n:]]
    at = np.array(fitted).T
    train = sparse.coo_array((np.ones(at.shape[1], np.float32), tuple(at)), shape=(len(users), likes.shape[1]))
    return Csr(train), *(Pairs(*np.array(pairs).T) for pairs in (gone, never))


def time_call(call: Callable[[], Any]) -> tuple[Any, float]:
    """Return what a call returns, and its processor seconds."""
    start = time.process_time()
    made = call()
    return made, time.process_time() - start


def compare_scores(one: Scorer, other: Scorer, n_users: int) -> float:
    """Return the largest difference of scores, in standard deviations of each user's."""
    users = np.arange(n_users, dtype=np.int32)
    ours, theirs = (model.score(users).astype(np.float64) for model in (one, other))
    return float((np.abs(ours - theirs).max(axis=1) / np.maximum(theirs.std(axis=1), 1e-12)).max())


def measure_bound(forgotten: Scorer, refit: Scorer, bound: float) -> bool:
    """Return whether the weights of EASE are those of the refit within a bound and the rounding of float32."""
    rounding = 2.0 * float(np.finfo(np.float32).eps)
    return bool(np.abs(forgotten.weights - refit.weights).max() <= bound + rounding)


def list_cases(train: Csr) -> list[tuple[str, Any, Any]]:
    """Return cases of one interaction and of one person, drawn alike for all models."""
    random = make_generator(0, "benchmark", "unlearning", "cases")
    users, items = train.nonzero()
    at = random.choice(len(users), CASES, replace=False)
    people = random.choice(np.unique(users), CASES, replace=False)
    rows = [("interaction", users[[n]], items[[n]]) for n in at]
    return rows + [("person", np.array([user]), None) for user in people]


def measure_model(name: str, target: tuple[Csr, Pairs, Pairs], shadow: tuple[Csr, Pairs, Pairs]) -> dict[str, Any]:
    """Return the row of a model."""
    model, (train, gone, never) = MODELS[name], target
    kept: Any = model.fill_defaults(train) if hasattr(model, "fill_defaults") else model
    forget = partial(forget_rows, settings=kept, warm_rounds=WARM[name][1] if name in WARM else 0)
    kept.fit(train)  # compiled code is loaded
    fitted, of_fit = time_call(lambda: kept.fit(train))
    took: dict[str, list[float]] = {"interaction": [], "person": []}
    differences, inside, states = {"interaction": 0.0, "person": 0.0}, [], set()
    for what, users, items in list_cases(train):
        (found, certificate), seconds = time_call(lambda u=users, i=items: forget(fitted, train, u, i))
        took[what].append(seconds)
        refit = kept.fit(drop_cells(train, users, items))
        differences[what] = max(differences[what], compare_scores(found, refit, train.shape[0]))
        states |= {f"{part.name} {part.state}" for part in certificate.parts}
        if name == "ease":
            inside.append(measure_bound(found, refit, float(certificate.parts[0].bound or 0)))
            bound = certificate.parts[0].bound
        elif name in WARM:
            bound = certificate.parts[1].bound
    (found, certificate), of_fifth = time_call(lambda: forget(fitted, train, *gone))
    refit = kept.fit(drop_cells(train, *gone))
    shadow_before = kept.fit(shadow[0])
    shadow_after = forget(shadow_before, shadow[0], *shadow[1])[0]
    counts = shadow[0].sum(axis=0)
    attack = fit_membership_attack(shadow_before, *shadow[1:], counts)
    adapted = fit_membership_attack(shadow_after, *shadow[1:], counts)
    row: dict[str, Any] = {
        "model": name,
        "parts": ", ".join(sorted(states)),
        "difference_interaction": f"{differences['interaction']:.2g}",
        "difference_person": f"{differences['person']:.2g}",
        "difference_fifth": f"{compare_scores(found, refit, train.shape[0]):.2g}",
        "bound": f"{bound:.2g}" if name == "ease" or name in WARM else "",
        "cases_inside_bound": f"{sum(inside)} of {len(inside)}" if inside else "",
        "interaction_s": round(float(np.median(took["interaction"])), 4),
        "person_s": round(float(np.median(took["person"])), 4),
        "fifth_s": round(of_fifth, 4),
        "refit_s": round(of_fit, 4),
        "person_ratio": round(float(np.median(took["person"])) / of_fit, 4),
    }
    swapped = swap_rows(train, gone, never)
    twin = forget(kept.fit(swapped), swapped, *never)[0]
    both = [(found, gone, never), (twin, never, gone)]
    asked = {"before": (attack, [(fitted, gone, never)]), "after": (attack, both), "adapted": (adapted, both)}
    asked |= {"one_trial": (attack, both[:1]), "refit": (attack, [(refit, gone, never)])}
    for what, (by, trials) in asked.items():
        told = measure_membership(by, trials)
        row |= {f"auc_{what}": round(told.value, 4)}
        row |= {f"auc_{what}_low": round(told.low, 4), f"auc_{what}_high": round(told.high, 4)}
    return row


def drop_cells(train: Csr, users: np.ndarray, items: np.ndarray | None) -> Csr:
    """Return the matrix without pairs, or without the rows of users."""
    dense = train.toarray()
    dense[(users, slice(None)) if items is None else (users, items)] = 0.0
    return Csr(dense)


def swap_rows(train: Csr, gone: Pairs, never: Pairs) -> Csr:
    """Return the matrix with the pairs that were never seen in place of those that are to be forgotten."""
    dense = train.toarray()
    dense[gone], dense[never] = 0.0, 1.0
    return Csr(dense)


def measure_attack(likes: Csr, chosen: list[str]) -> list[dict[str, Any]]:
    """Return a row for each model, printed as it is made."""
    order = make_generator(0, "benchmark", "unlearning", "halves").permutation(likes.shape[0])
    halves = np.sort(order[: len(order) // 2]), np.sort(order[len(order) // 2 :])
    target, shadow = (deal_likes(likes, half, name) for half, name in zip(halves, ("target", "shadow"), strict=True))
    rows = []
    for name in chosen:
        rows.append(measure_model(name, target, shadow))
        print(", ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
        write_rows(RESULTS / "unlearning.csv", rows)
    return rows


def make_groups(n_items: int) -> tuple[Csr, FittedEASE]:
    """Return likes of users who each know one group of 1,000 items, and EASE of them, made group by group."""
    random = make_generator(0, "benchmark", "unlearning", "groups")
    size, users = 1_000, 2_000
    chances = 0.5 / np.arange(1, size + 1) ** 0.7
    group = Csr((random.random((users, size)) < chances).astype(np.float32))
    train = Csr(sparse.block_diag([group] * (n_items // size), format="csr"))
    one = models.EASE().fit(group)
    weights = np.zeros((n_items, n_items), np.float32)
    for start in range(0, n_items, size):
        weights[start : start + size, start : start + size] = one.weights
    diagonal = np.tile(np.asarray(one.inverse_diagonal), n_items // size)
    return train, FittedEASE(train, weights, inverse_diagonal=diagonal, l2=one.l2)


def measure_sizes(sizes: list[int], most_refitted: int) -> None:
    """Write how long an interaction, a person and a refit take EASE, by the number of items."""
    rows = []
    forget_rows(*reversed(make_groups(1_000)), [5])  # compiled code is loaded
    for n_items in sizes:
        rows.append(measure_size(*make_groups(n_items), n_items <= most_refitted))
        print(rows[-1], flush=True)
        write_rows(RESULTS / "unlearning-ease.csv", rows)


def measure_size(train: Csr, fitted: FittedEASE, is_refitted: bool) -> dict[str, Any]:
    """Return how long an interaction, a person and the next one take, and the difference to a refit if one is made."""
    items, repeats = train[[5]].indices, REPEATS
    left = train.copy()
    left.data[left.indptr[5] : left.indptr[6]] = 0.0
    left.eliminate_zeros()
    row: dict[str, Any] = {"items": train.shape[1], "positives": train.nnz, "rows_of_person": len(items)}
    row |= time_forgetting("interaction", fitted, train, 5, items[:1], repeats)
    row |= time_forgetting("person", fitted, train, 5, None, repeats)
    without_person = forget_rows(fitted, train, [5])[0]
    row |= time_forgetting("next_person", without_person, left, 6, None, repeats)
    copies = [time_call(fitted.weights.copy)[1] for _ in range(repeats)]
    row |= {"copy_s": round(min(copies), 3), "refit_s": "", "difference": ""}
    if is_refitted:
        refit, seconds = time_call(lambda: models.EASE().fit(left))
        difference = np.abs(without_person.weights - refit.weights).max()
        row |= {"refit_s": round(seconds, 3), "difference": f"{difference:.2g}"}
    return row


def time_forgetting(
    what: str, fitted: FittedEASE, train: Csr, user: int, items: np.ndarray | None, repeats: int
) -> dict[str, Any]:
    """Return the least seconds of forgetting a user, or some items of one, and the bound."""
    asked = np.full(1 if items is None else len(items), user)
    found = [time_call(lambda: forget_rows(fitted, train, asked, items)[1].parts[0].bound) for _ in range(repeats)]
    return {f"{what}_s": round(min(seconds for _, seconds in found), 3), f"{what}_bound": f"{found[0][0]:.2g}"}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--ease-sizes", nargs="*", type=int, default=None, help=f"by default {SIZES}")
    parser.add_argument("--most-refitted", type=int, default=4_000, help="items up to which EASE is fitted anew")
    settings = parser.parse_args()
    if settings.ease_sizes is not None:
        measure_sizes(settings.ease_sizes or list(SIZES), settings.most_refitted)
        return
    data = rs.load_dataset("ml-100k", quiet=True)
    likes = rs.splits.no_holdout(data, positive="rating >= 4", min_user_interactions=10, min_item_interactions=5).train
    measure_attack(likes, settings.models)


if __name__ == "__main__":
    main()
