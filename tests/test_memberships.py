"""Membership inference: the area under the curve by counting pairs, and models whose answer is known."""

import numpy as np
import pytest

from recsys.models import EASE
from recsys.models.forgetting import forget_rows
from recsys.testing import memberships
from recsys.testing.memberships import Pairs, fit_membership_attack, measure_membership
from recsys.types import RecsysError
from recsys.types.arrays import Csr


class Known:
    """A model whose scores are given."""

    factors = None

    def __init__(self, scores):
        self.scores = scores

    def score(self, users):
        return self.scores[users].astype(np.float32)


def deal_pairs(users=120, items=60, seed=0):
    """Return positives in two communities as matrix, and two halves of a third of them: members, others."""
    random = np.random.default_rng(seed)
    near = (np.arange(users)[:, None] % 2) == (np.arange(items) % 2)
    at = np.argwhere(random.random((users, items)) < np.where(near, 0.4, 0.1))
    random.shuffle(at)
    n = len(at) // 6
    members, others, rest = at[:n], at[n : 2 * n], at[2 * n :]
    train = np.zeros((users, items), np.float32)
    train[tuple(members.T)] = train[tuple(rest.T)] = 1.0
    return Csr(train), Pairs(*members.T), Pairs(*others.T)


def test_the_area_is_the_share_of_pairs_in_order():
    random = np.random.default_rng(0)
    for _ in range(20):
        odds, inside = random.integers(0, 6, 30).astype(float), random.random(30) < 0.5
        weights = random.integers(0, 3, (2, 30)).astype(float)
        found = memberships._compute_auc(odds, inside, weights)
        for row, value in zip(weights, found, strict=True):
            pairs = [
                (row[i] * row[j], (odds[i] > odds[j]) + 0.5 * (odds[i] == odds[j]))
                for i in np.flatnonzero(inside)
                for j in np.flatnonzero(~inside)
            ]
            total = sum(weight for weight, _ in pairs)
            assert value == pytest.approx(sum(weight * right for weight, right in pairs) / total)


def test_a_model_that_remembers_is_found_out_and_one_that_never_saw_is_not():
    train, members, others = deal_pairs()
    shadow, known, unknown = deal_pairs(seed=1)
    noise = np.random.default_rng(2).standard_normal((2, *train.shape))
    attack = fit_membership_attack(Known(noise[0] + 2.0 * shadow.toarray()), known, unknown, shadow.sum(axis=0))
    before = measure_membership(attack, [(Known(noise[1] + 2.0 * train.toarray()), members, others)])
    assert before.low > 0.85 and before.low < before.value < before.high
    never = measure_membership(attack, [(Known(noise[1]), members, others)])
    assert never.low < 0.5 < never.high and 0.4 < never.value < 0.6
    assert (never.n_members, never.n_others) == (len(members.users), len(others.users))
    turned = measure_membership(attack, [(Known(noise[1] + 2.0 * train.toarray()), others, members)])
    assert turned.value == pytest.approx(1.0 - before.value)


def test_forgotten_rows_of_ease_look_like_rows_that_it_never_saw():
    train, members, others = deal_pairs(users=400)
    shadow, known, unknown = deal_pairs(users=400, seed=1)
    model = EASE(l2=1.0)
    fitted = model.fit(train)
    attack = fit_membership_attack(model.fit(shadow), known, unknown, shadow.sum(axis=0))
    before = measure_membership(attack, [(fitted, members, others)])
    after = measure_membership(attack, [(forget_rows(fitted, train, *members)[0], members, others)])
    assert before.low > 0.6
    assert after.low < 0.5 < after.high


def test_rows_that_change_places_take_away_what_the_draw_says():
    """Two models without any of the rows, one trial each: 0.5 to the bit, whatever the rows are."""
    train, members, others = deal_pairs()
    scores = np.random.default_rng(3).standard_normal(train.shape)
    scores[members] += 0.5
    attack = fit_membership_attack(Known(scores), members, others, np.ones(60))
    assert measure_membership(attack, [(Known(scores), members, others)]).low > 0.5
    both = measure_membership(attack, [(Known(scores), members, others), (Known(scores), others, members)])
    assert both[:3] == (0.5, 0.5, 0.5) and both.n_members == both.n_others == len(members.users) + len(others.users)
    trace = scores.copy()
    trace[members] += 0.3  # one of them remembers a little
    some = measure_membership(attack, [(Known(trace), members, others), (Known(scores), others, members)])
    assert some.low > 0.5


def test_the_interval_holds_what_it_should():
    """Over logs in which nothing can be told, 95 % intervals hold 0.5 in about 95 %: within three errors of 200 logs."""
    held = 0
    for seed in range(200):
        train, members, others = deal_pairs(users=60, items=30, seed=seed)
        noise = np.random.default_rng(seed).standard_normal((2, *train.shape))
        attack = fit_membership_attack(Known(noise[0]), members, others, np.ones(30))
        found = measure_membership(attack, [(Known(noise[1]), members, others)], n_bootstrap=200, seed=seed)
        held += found.low <= 0.5 <= found.high
    assert 180 <= held <= 199


def test_bad_pairs_are_one_line():
    train, members, others = deal_pairs()
    model, counts = Known(train.toarray()), np.ones(60)
    attack = fit_membership_attack(model, members, others, counts)
    with pytest.raises(RecsysError, match="found no trial"):
        measure_membership(attack, [])
    for pairs in ([1], (members.users, members.items[:3]), ([], []), (["a"], ["b"]), ([0], [60]), ([-1], [0])):
        for ask in (
            lambda pairs=pairs: fit_membership_attack(model, pairs, others, counts),
            lambda pairs=pairs: measure_membership(attack, [(model, members, pairs)]),
        ):
            with pytest.raises(RecsysError, match="membership attack: ") as caught:
                ask()
            assert "\n" not in str(caught.value)
