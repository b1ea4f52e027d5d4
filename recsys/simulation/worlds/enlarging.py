"""More people for a world that was fitted to a log: a smoothed bootstrap of its users, and what it is held against."""

from dataclasses import replace

import numpy as np

from recsys.models import ALS
from recsys.simulation.worlds.fitted_tastes import FittedTastes
from recsys.simulation.worlds.fitting import MAX_FACTOR, TasteFit, WorldCheck, compare_logs
from recsys.support import rng
from recsys.types import Split
from recsys.types.arrays import Anys, Csr, Doubles, Floats, Longs, make_empty_matrix
from recsys.types.numbers import check_int

# The kernel's deviation as a share of that of tastes: how far people are from the users whom they start from. Set after
# trials on MovieLens 100K, so that this log is no test of it.
SMOOTHING = 0.75
LEAST_USERS = 10
QUARTILES = {"lower quartile": 0.25, "median": 0.5, "upper quartile": 0.75}
_BLOCK = 1024  # people at once


def enlarge_fit(fit: TasteFit, users: int, *, factors: int = 32, seed: int = 0) -> TasteFit:
    """Return a fitted world of so many new people (`draw_people`), with checks of people like them.

    Those of the fit are left behind: as many people as the log has users are held against it as a fit is, with ALS of
    so many `factors`. Beside that, no person may be a copy: the distance to the nearest fitted user or to another
    person of the same start, whichever is less, is at each quartile at least that between a fitted user and the
    nearest other.

    Raises:
        RecsysError: for fewer than 10 users, or a seed that is no whole number from 0 on.
    """
    made = draw_people(fit.world, users, seed)
    return replace(fit, world=made, checks=tuple(compare_people(fit.world, made.shape[0], factors, seed)))


def draw_people(world: FittedTastes, users: int, seed: int = 0) -> FittedTastes:
    """Return a world of so many new people, drawn from the U users of a fitted one.

    Each person starts from one of them, drawn at random, whose activity and group it has. Log-rates and log-odds are
    mean + (own - mean + h e) / sqrt(1 + h^2), where e is normal with the covariance of the fitted users and h is
    `SMOOTHING`: a smoothed bootstrap that keeps mean and covariance (Silverman and Young 1987). Both arrays are moved
    by the same e, so that what is met and what is liked stay those of one person. People are drawn one by one: the
    first n of a larger world are a smaller one.

    Raises:
        RecsysError: for fewer than 10 users, or a seed that is no whole number from 0 on.
    """
    users, seed = check_int("world: users", users, LEAST_USERS), check_int("world: seed", seed, 0)
    return smooth_users(world, draw_starts(world.shape[0], users, seed), seed)


def compare_people(world: FittedTastes, users: int, factors: int, seed: int) -> list[WorldCheck]:
    """Return how logs of new people compare with the log that a world was fitted to, and how far they are apart."""
    n_fitted = world.shape[0]
    starts = draw_starts(n_fitted, max(users, n_fitted), seed)
    people = smooth_users(world, starts, seed)
    sample = select_users(people, np.arange(n_fitted))
    found = compare_logs(sample, ALS(factors=factors, seed=seed), seed, real=world.split)
    found += [compare_histories(world.split, sample, seed)]
    found += compare_distances(world.log_rates, people.log_rates, starts)
    return [replace(one, name=f"new people: {one.name}") for one in found]


def draw_starts(n_fitted: int, users: int, seed: int) -> Longs:
    """Return the fitted user whom each new person starts from, (users,)."""
    return np.asarray((rng.draw_uniforms(seed, "starts", np.arange(users)) * n_fitted).astype(np.int64))


def smooth_users(world: FittedTastes, starts: Longs, seed: int) -> FittedTastes:
    """Return the world of a person for each start: tastes are moved by sums of all fitted users with normal weights."""
    n_fitted = world.shape[0]
    made = select_users(world, starts)
    arrays = {name: getattr(world, name) for name in ("log_rates", "like_logits")}
    means = {name: of.mean(axis=0, dtype=np.float64).astype(np.float32) for name, of in arrays.items()}
    filled = {name: np.empty((len(starts), world.shape[1]), dtype=np.float32) for name in arrays}
    for first in range(0, len(starts), _BLOCK):
        people = np.arange(first, min(first + _BLOCK, len(starts)))
        drawn = rng.draw_normals(seed, "new people", people[:, None], np.arange(n_fitted)) / np.sqrt(n_fitted)
        weights = SMOOTHING * (drawn - drawn.mean(axis=1, keepdims=True))
        weights[np.arange(len(people)), starts[people]] += 1.0
        weights = (weights / np.sqrt(1.0 + SMOOTHING**2)).astype(np.float32)
        for name, of in arrays.items():
            filled[name][people] = means[name] + weights @ (of - means[name])
    ids = np.char.add("new-", np.arange(len(starts)).astype(str))
    return replace(
        made, split=replace(made.split, user_ids=ids), log_rates=filled["log_rates"], like_logits=filled["like_logits"]
    )


def select_users(world: FittedTastes, users: Anys) -> FittedTastes:
    """Return the world of these users, (B,) codes, alone."""
    of, none = world.split, make_empty_matrix((len(users), world.split.shape[1]))
    split = replace(
        of, user_ids=of.user_ids[users], train=of.train[users], train_negatives=of.train_negatives[users],
        validation=none, test=none, validation_negatives=none, validation_cold_positives=None, train_times=None,
        validation_times=None, purchases=None, one_offs=None, guest_runs=None, fingerprint="", counts={}, notes=(),
    )  # fmt: skip
    return replace(
        world, split=split, log_rates=world.log_rates[users], like_logits=world.like_logits[users],
        groups=world.groups[users],
    )  # fmt: skip


def compare_histories(real: Split, world: FittedTastes, seed: int) -> WorldCheck:
    """Return how close likes of users are to those of the nearest other, in the log and in one of a world."""
    held, found = (measure_nearest_history(log.train) for log in (real, world.generate_log(seed)))
    name = "users: mean cosine of likes with the nearest other's"
    return WorldCheck(name, held, found, held / MAX_FACTOR, held * MAX_FACTOR)


def measure_nearest_history(likes: Csr) -> float:
    """Return the mean over users of the largest cosine of their likes with another user's."""
    lengths = np.diff(likes.indptr)
    common = (likes @ likes.T).toarray() / np.sqrt(np.maximum(np.outer(lengths, lengths), 1))
    np.fill_diagonal(common, 0.0)
    return float(common.max(axis=1).mean())


def compare_distances(real: Floats, new: Floats, starts: Longs) -> list[WorldCheck]:
    """Return, at each quartile, how far people are from the nearest fitted user, or from another of the same start.

    One other is asked, not the nearest of all: whatever people are, the more there are the nearer is the nearest.
    """
    between = find_nearest(real, real, same=True)
    found = np.minimum(find_nearest(new, real), find_sibling_distance(new, starts))
    return [
        WorldCheck(
            f"distance of tastes to the nearest, {name}", float(np.quantile(between, q)), float(np.quantile(found, q)),
            float(np.quantile(between, q)), np.inf,
        )
        for name, q in QUARTILES.items()
    ]  # fmt: skip


def find_nearest(one: Floats, other: Floats, same: bool = False) -> Doubles:
    """Return the Euclidean distance of each row of `one` to the nearest of `other`; `same`: to another row."""
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1) - 2.0 * one @ other.T
    if same:
        np.fill_diagonal(squares, np.inf)
    return np.asarray(np.sqrt(np.maximum(squares.min(axis=1), 0.0)), dtype=np.float64)


def find_sibling_distance(new: Floats, starts: Longs) -> Doubles:
    """Return the distance of each person to the next of the same start, (users,), infinite where there is none."""
    found = np.full(len(new), np.inf)
    order = np.argsort(starts, kind="stable")
    for people in np.split(order, np.flatnonzero(np.diff(starts[order])) + 1):
        if len(people) > 1:
            found[people] = np.linalg.norm(new[people] - new[np.roll(people, -1)], axis=1)
    return found
