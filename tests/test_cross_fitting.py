"""Cross-fitting: nothing of the judge's users is in what is judged, and every user is judged by strangers."""

from dataclasses import fields, replace

import numpy as np
import pytest
from scipy import sparse
from synthetic import RandomFactorModel, make_maps, make_split
from test_contexts import SETTINGS

from recsys import objectives
from recsys.reranking.blends import make_weight_matrix, parse_blend
from recsys.reranking.slates import fit_scales
from recsys.retrieval.candidates import candidates
from recsys.retrieval.fold_contexts import make_fold_context, select_table_users
from recsys.splits.cross_fitting import make_folds
from recsys.types import Context, Fold, Pool, RecsysError

USERS = 120


def perturb(context: Context, users: np.ndarray) -> Context:
    """The same context, in which some users have other likes, dislikes and factors."""
    rng, factors = np.random.default_rng(5), context.factors
    train, dislikes = context.train.toarray(), context.dislikes.toarray()
    train[users] = rng.random((len(users), train.shape[1])) < 0.4
    dislikes[users] = (rng.random((len(users), train.shape[1])) < 0.2) * (1 - train[users])
    moved = factors.user_factors.copy()
    moved[users] += 1.0
    return replace(
        context,
        train=sparse.csr_array(train),
        dislikes=sparse.csr_array(dislikes),
        factors=replace(factors, user_factors=moved),
    )


def make_pools(fold: Fold, judge_is_other: bool, seen: bool = False) -> tuple[Pool, Context]:
    """Candidates of all users in the fold's context (or, seen, in one of everybody), and the context of the tables."""
    split = make_split(users=USERS)
    pool = candidates(RandomFactorModel(split), split, n=12, maps=make_maps(split))
    home = perturb(pool.context, fold.judge_users) if judge_is_other else pool.context
    if seen:
        return replace(pool, context=home), home
    context = make_fold_context(home, fold, maps=home.maps)
    return replace(pool, context=context), context.population


def assert_same_bits(one, other) -> None:
    assert type(one) is type(other)
    if sparse.issparse(one):
        one, other = one.toarray(), other.toarray()
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype and one.tobytes() == other.tobytes()
    elif isinstance(one, tuple | list):
        for a, b in zip(one, other, strict=True):
            assert_same_bits(a, b)
    elif hasattr(one, "__dataclass_fields__"):
        for field in fields(one):
            assert_same_bits(getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, int | float | str | bool | None):
        assert one == other


@pytest.mark.parametrize("n_users", [100, 121, 1000])
def test_halves_are_exchanged_and_hold_everybody_once(n_users):
    folds = make_folds(n_users, halvings=3, seed=4)
    assert [fold.halving for fold in folds] == [0, 0, 1, 1, 2, 2]
    for fold in folds:
        assert np.array_equal(np.sort(np.concatenate([fold.judge_users, fold.table_users])), np.arange(n_users))
        assert abs(len(fold.judge_users) - len(fold.table_users)) <= 1
    for one, other in zip(folds[::2], folds[1::2], strict=True):
        assert np.array_equal(one.judge_users, other.table_users) and np.array_equal(one.table_users, other.judge_users)
    inside = np.array([np.isin(np.arange(n_users), fold.judge_users) for fold in folds[::2]])
    assert 0.3 < (inside[0] == inside[1]).mean() < 0.7  # another halving is another draw


def test_a_halving_does_not_depend_on_how_many_there_are():
    for one, other in zip(make_folds(150, 1, seed=2), make_folds(150, 5, seed=2), strict=False):
        assert_same_bits(one, other)
    assert not np.array_equal(make_folds(150, 1, seed=2)[0].judge_users, make_folds(150, 1, seed=3)[0].judge_users)


def test_few_users_are_not_halved_and_bad_numbers_are_refused():
    assert make_folds(99) == () and make_folds(500, halvings=0) == ()
    with pytest.raises(RecsysError, match="make_folds: halvings is -1"):
        make_folds(500, halvings=-1)


@pytest.mark.parametrize("settings", [{}, SETTINGS], ids=["plain", "set"])
@pytest.mark.parametrize("name", objectives.__all__)
def test_nothing_of_the_judges_users_is_in_what_is_judged(name, settings):
    """With other likes, dislikes and factors of the judge's half, tables and what is said of others keep every bit."""
    if settings and name not in settings:
        pytest.skip("has no other settings here")
    fold = make_folds(USERS, 1)[1]
    (one, tables), (other, changed) = (make_pools(fold, is_other) for is_other in (False, True))
    terms = [
        getattr(objectives, name)(select_table_users(pool, fold), 5, **settings.get(name, {})) for pool in (one, other)
    ]
    assert_same_bits(*terms)
    made, again = dict(tables.tables.items()), dict(changed.tables.items())
    assert set(made) == set(again)
    for key in set(made) - {"laid out"}:
        assert_same_bits(made[key], again[key])


@pytest.mark.parametrize("name", ["mmr", "dpp", "novelty", "serendipity", "profile_distance", "negative_space"])
def test_without_folds_the_judges_users_are_in_what_is_judged(name):
    """The test above can fail: where tables are of everybody, the same change is seen."""
    fold = make_folds(USERS, 1)[1]
    terms = [
        getattr(objectives, name)(select_table_users(make_pools(fold, is_other, seen=True)[0], fold), 5)
        for is_other in (False, True)
    ]
    with pytest.raises(AssertionError):
        assert_same_bits(*terms)


def test_scales_and_weights_by_entropy_know_nothing_of_the_judges_users():
    fold, blend = make_folds(USERS, 1)[0], {"relevance": 1.0, "novelty": {"weight": 0.3, "adapt_to": "entropy"}}
    found = [select_table_users(make_pools(fold, is_other)[0], fold) for is_other in (False, True)]
    assert fit_scales(found[0], {"mmr": 1.0}, 5) == fit_scales(found[1], {"mmr": 1.0}, 5)
    assert_same_bits(*(make_weight_matrix(parse_blend(blend), pool) for pool in found))


def test_own_maps_of_a_fold_are_those_of_its_tables_half():
    fold, split = make_folds(USERS, 1)[0], make_split(users=USERS)
    home = candidates(RandomFactorModel(split), split, n=12).context
    mapped = [make_fold_context(context, fold).maps for context in (home, perturb(home, fold.judge_users))]
    assert len(mapped[0]) > 0
    assert_same_bits(*mapped)
    assert_same_bits(make_fold_context(home, fold).maps, mapped[0])
    moved = make_fold_context(perturb(home, fold.table_users), fold).maps
    assert any((a.assignment != b.assignment).nnz for a, b in zip(mapped[0], moved, strict=False))
    bare = replace(home, train=None)
    with pytest.raises(RecsysError, match="cross-fitting needs each user's history"):
        make_fold_context(bare, fold)
