"""Membership inference: whether the scores of a fitted model tell what it was fitted to from what it never saw.

The attack learns on a shadow model (Shokri et al. 2017): one of the same settings, fitted to other users, of which the
attacker knows what was in and what was out. It is made after the test of completeness of CURE4Rec (Chen et al. 2024,
arXiv:2408.14393): if the rows that a model forgot look to it like rows that the model never saw, it has forgotten them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from recsys.maths.blocks import iter_blocks
from recsys.support import rng
from recsys.types import RecsysError, Scorer
from recsys.types.arrays import Bools, Doubles, Longs
from recsys.types.checks import check_array, check_codes
from recsys.types.numbers import check_int

_USERS, _DRAWS, _RIDGE, _STEPS = 256, 100, 1e-2, 30
_PLACE = "membership attack"


class Pairs(NamedTuple):
    """Interactions: codes of users and items, (n,) each."""

    users: Any
    items: Any


class MembershipAuc(NamedTuple):
    """How well an attack tells members from others: 0.5 is not at all, 1 always."""

    value: float
    low: float  # of the 95 % interval over users
    high: float
    n_members: int
    n_others: int


@dataclass(frozen=True, eq=False)
class MembershipAttack:
    """A logistic regression on what the scores of a model say of a pair.

    For a user and an item it reads the score, standardised over all items of the user; the logarithm of its rank among
    them; the logarithm of 1 + the users of the item, of those that the attacker knows; and the product of the first and
    the last, so that a high score of a rare item can say more.
    """

    item_counts: Doubles  # (I,) that the attacker knows
    means: Doubles  # (4,) of the features of the shadow model
    scales: Doubles  # (4,)
    weights: Doubles  # (5,) the last is the offset

    def score_pairs(self, model: Scorer, pairs: Pairs) -> Doubles:
        """Return the log odds that each pair is a member, (n,)."""
        features = (_compute_features(model, pairs, self.item_counts) - self.means) / self.scales
        return np.asarray(features @ self.weights[:-1] + self.weights[-1])


def fit_membership_attack(shadow: Scorer, members: Pairs, others: Pairs, item_counts: Any) -> MembershipAttack:
    """Return the attack that tells `members` of a shadow model from `others`, which it was not fitted to.

    `item_counts` (I,) are the users of each item that the attacker knows, such as those of the shadow model's rows.

    Raises:
        RecsysError: for pairs that are none.
    """
    counts = np.asarray(item_counts, dtype=np.float64)
    check_array(f"{_PLACE}: item_counts", counts, (None,))
    parts = [_compute_features(shadow, _check_pairs(pairs), counts) for pairs in (members, others)]
    features, inside = np.concatenate(parts), np.repeat([True, False], [len(part) for part in parts])
    means, scales = features.mean(axis=0), features.std(axis=0)
    scales[scales == 0] = 1.0
    return MembershipAttack(counts, means, scales, _fit_logistic((features - means) / scales, inside))


def measure_membership(
    attack: MembershipAttack, trials: Sequence[tuple[Scorer, Pairs, Pairs]], *, n_bootstrap: int = 1000, seed: int = 0
) -> MembershipAuc:
    """Return the chance that a member has higher odds than one of the others, ties count half, with a 95 % interval.

    A trial is a model, its members and the others. For rows that were forgotten pass them as members: 0.5 says that
    they look like rows that the model never saw. Draw both alike from real interactions: a model without either scores
    what people like above what they do not. With a second trial, in which another model forgot the others and never saw
    the members, each row is its own control, and the draw of the rows says nothing. Pairs of all trials are compared
    with each other. The interval is the percentile one over draws of users, whose pairs stay together.

    Raises:
        RecsysError: for pairs that are none, or no trial.
    """
    check_int(f"{_PLACE}: n_bootstrap", n_bootstrap, 2)
    if not trials:
        raise RecsysError(f"{_PLACE}: found no trial, expected a model, its members and others")
    sets = [(model, _check_pairs(pairs), n == 0) for model, *both in trials for n, pairs in enumerate(both)]
    odds = np.concatenate([attack.score_pairs(model, pairs) for model, pairs, _ in sets])
    inside = np.concatenate([np.full(len(pairs.users), own) for _, pairs, own in sets])
    users, of_pair = np.unique(np.concatenate([pairs.users for _, pairs, _ in sets]), return_inverse=True)
    value = float(_compute_auc(odds, inside, np.ones((1, len(odds))))[0])
    generator, drawn = rng.make_generator(seed, "membership"), []
    for part in iter_blocks(n_bootstrap, _DRAWS):
        counts = generator.multinomial(len(users), np.full(len(users), 1.0 / len(users)), part.stop - part.start)
        drawn.append(_compute_auc(odds, inside, counts[:, of_pair].astype(np.float64)))
    low, high = np.nanquantile(np.concatenate(drawn), [0.025, 0.975])
    return MembershipAuc(value, float(low), float(high), int(inside.sum()), int((~inside).sum()))


def _check_pairs(pairs: Any) -> Pairs:
    if not isinstance(pairs, tuple) or len(pairs) != 2:
        raise RecsysError(f"{_PLACE}: found a {type(pairs).__name__}, expected pairs: users and items")
    users, items = (np.asarray(codes) for codes in pairs)
    for name, codes in (("users", users), ("items", items)):
        check_array(f"{_PLACE}: {name}", codes, (None,), "iu")
        check_codes(f"{_PLACE}: {name}", codes, 0, np.iinfo(np.int32).max)
    if len(users) != len(items) or not len(users):
        raise RecsysError(f"{_PLACE}: found {len(users)} users and {len(items)} items, expected pairs, at least one")
    return Pairs(users.astype(np.int64), items.astype(np.int64))


def _compute_features(model: Scorer, pairs: Pairs, counts: Doubles) -> Doubles:
    """Return the features of pairs, (n, 4)."""
    users, of_pair = np.unique(pairs.users, return_inverse=True)
    standard, rank = np.empty(len(of_pair)), np.empty(len(of_pair))
    for part in iter_blocks(len(users), _USERS):
        here = np.flatnonzero((of_pair >= part.start) & (of_pair < part.stop))
        scores = np.asarray(model.score(users[part].astype(np.int32)), dtype=np.float64)
        check_codes(f"{_PLACE}: items", pairs.items[here], 0, scores.shape[1])
        rows = of_pair[here] - part.start
        own = scores[rows, pairs.items[here]]
        spread = scores.std(axis=1)
        standard[here] = (own - scores.mean(axis=1)[rows]) / np.where(spread > 0, spread, 1.0)[rows]
        ordered = np.sort(scores, axis=1)
        for user in range(len(scores)):
            mine = here[rows == user]
            first, last = (np.searchsorted(ordered[user], scores[user, pairs.items[mine]], side=s) for s in _SIDES)
            rank[mine] = 0.5 + scores.shape[1] - 0.5 * (first + last)
    popularity = np.log1p(counts[pairs.items])
    return np.column_stack([standard, np.log(rank), popularity, standard * popularity])


_SIDES: tuple[Any, ...] = ("left", "right")


def _fit_logistic(features: Doubles, inside: Bools) -> Doubles:
    """Return weights and offset of a logistic regression with a small ridge, by Newton's method."""
    rows = np.column_stack([features, np.ones(len(features))])
    ridge = _RIDGE * np.eye(rows.shape[1])
    weights = np.zeros(rows.shape[1])
    for _ in range(_STEPS):
        chance = 0.5 * (1.0 + np.tanh(0.5 * (rows @ weights)))
        gradient = rows.T @ (chance - inside) + ridge @ weights
        curvature = (rows * (chance * (1.0 - chance))[:, None]).T @ rows + ridge
        step = np.linalg.solve(curvature, gradient)
        weights = weights - step
        if np.abs(step).max() < 1e-8:
            break
    return np.asarray(weights)


def _compute_auc(odds: Doubles, inside: Bools, weights: Doubles) -> Doubles:
    """Return the area under the ROC curve for each row of weights of the pairs, (D,); NaN where a class is absent."""
    order = np.argsort(odds, kind="stable")
    starts: Longs = np.flatnonzero(np.concatenate([[True], np.diff(odds[order]) > 0]))
    ours = np.add.reduceat(np.where(inside[order], weights[:, order], 0.0), starts, axis=1)
    theirs = np.add.reduceat(np.where(inside[order], 0.0, weights[:, order]), starts, axis=1)
    below = np.cumsum(theirs, axis=1) - 0.5 * theirs
    with np.errstate(invalid="ignore"):
        return np.asarray((ours * below).sum(axis=1) / (ours.sum(axis=1) * theirs.sum(axis=1)))
