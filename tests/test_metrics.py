"""Each metric against a slow statement of its definition; `test_testing.py` has the contract that all of them keep."""

import inspect
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_metrics import (
    ReferenceMetrics,
    compute_catalogue_metric,
    compute_reference_metric,
    has_reference_metric,
    make_evaluation,
)
from scipy import sparse
from synthetic import make_maps, make_split

from recsys import metrics
from recsys.maths import blocks
from recsys.support.rng import derive_seed
from recsys.testing.contract import read_range
from recsys.types import Evaluation, GroundTruth, PerCatalogue, PerMap, PerUser

ACCURACY = (
    "ndcg", "recall", "precision", "hit_rate", "mrr", "average_precision", "rbp", "stratified_recall", "stratified_ndcg",
)  # fmt: skip
BUBBLES = ("discovery", "unexplored_share")
HITS = ("epc", "efd", "epd", "eild_features", "eild_cooccurrence", "alpha_ndcg", "err_ia")
SERENDIPITIES = ("serendipity", "serendipity_ge", "serendipity_popularity", "surprise", "topic_serendipity")
FOUND = (
    "discovery", "discovery_own", "discovery_content", "discovery_head", "discovery_middle", "discovery_tail",
    "discovery_two_witnesses", "stratified_discovery", "out_of_bubble_recall",
)  # fmt: skip
REGRETS = ("slate_regret_features", "slate_regret_cooccurrence")
APART = ("repeat_recall", "explore_recall", "repeat_precision", "explore_precision")
TESTED = (*ACCURACY, *APART, *HITS, *SERENDIPITIES, *FOUND, *REGRETS, "account_gap")
FEATURED = (
    "alpha_ndcg",
    "err_ia",
    "subtopic_recall",
    "cpr",
    "binomial_diversity",
    "topic_serendipity",
    "fragmentation",
)
HISTORY = (
    "ild_cooccurrence", "eild_cooccurrence", "vendi_cooccurrence", "serendipity", "surprise", "topic_serendipity", "epd",
    "popularity_lift", "upd", "err_ia", "cpr", "binomial_diversity", "out_of_bubble_recall", "under_exposure",
    "zero_exposure_share", "slate_regret_cooccurrence", "over_exposure", "under_exposure_near", "over_exposure_near",
    "discovery_head", "discovery_middle",  # without histories all items are in the tail
)  # fmt: skip
SHOWN = (
    "self_information", "arp", "aplt", "aclt", "popularity_lift", "upd", "subtopic_recall", "cpr", "binomial_diversity",
    "gini", "evenness", "shannon_entropy", "effective_catalogue", "herfindahl", "mean_inter_list", "under_exposure",
    "account_gap", "over_exposure", "under_exposure_near", "over_exposure_near", "fragmentation",
    "repeat_share", "over_advertising",
)  # fmt: skip
NEAR = ("under_exposure_near", "over_exposure_near")
COMMUNITIES = (
    "exposure_deficit",
    "exposure_deficit_own",
    "out_of_bubble_recall",
    *NEAR,
)  # these are found from a random start
HOMES = ("recsys.metrics.catalogue", "recsys.metrics.exposure")
CATALOGUE = [name for name in metrics.__all__ if getattr(metrics, name).__module__ in HOMES]


def reordered(evaluation, users):
    """The same evaluation with its users in another order, or only some of them."""
    split = evaluation.truth.split
    parts = ("train", "validation", "test", "train_negatives", "validation_negatives")
    split = replace(split, user_ids=split.user_ids[users], **{part: getattr(split, part)[users] for part in parts})
    shown = evaluation.truth.exposures
    owned = evaluation.truth.repeats
    truth = replace(
        evaluation.truth,
        split=split,
        exposures=shown and shown.take_users(users),
        repeats=owned and owned.take_users(users),
    )
    return Evaluation(evaluation.items[users], truth)


def value(answer):
    if isinstance(answer, PerCatalogue):
        shown = answer.picks[answer.picks >= 0]
        return float(answer.statistic(np.bincount(shown, minlength=answer.n_items).astype(float)))
    return np.nanmean(answer.values)


PER_USER = [name for name in metrics.__all__ if name not in CATALOGUE]
REFERENCED = [name for name in PER_USER if has_reference_metric(name)]


@pytest.mark.parametrize("name", [*REFERENCED, *CATALOGUE])
class TestContract:
    @pytest.mark.parametrize("lacking", ["maps", "features", "test", "train", "slates", "exposures", "repeats"])
    def test_without_anything_to_stand_on_it_is_nan_and_no_error(self, name, lacking):
        evaluation = make_evaluation()
        split = evaluation.truth.split
        none = sparse.csr_array(split.train.shape, dtype=np.float32)
        empty = replace(split.items, features=sparse.csr_array((40, 0), dtype=np.float32), feature_names=())
        changed = {
            "maps": {"objective_maps": (), "audit_maps": (), "content_maps": (), "witness_maps": ()},
            "features": {"split": replace(split, items=empty)},
            "test": {"split": replace(split, test=none)},
            "train": {"split": replace(split, train=none)},
            "slates": {},
            "exposures": {"exposures": None},
            "repeats": {"repeats": None},
        }[lacking]
        items = np.full((30, 8), -1, dtype=np.int32) if lacking == "slates" else evaluation.items
        answer = getattr(metrics, name)(Evaluation(items, replace(evaluation.truth, **changed)), 5)
        undefined = {
            "maps": name in (*FOUND, *COMMUNITIES) or name.startswith(BUBBLES),
            "features": name.endswith("_features") or name.startswith("calibration") or name in FEATURED,
            "test": name in TESTED,
            "train": name in HISTORY or name.startswith(("calibration", "exposure_deficit")),
            "slates": name.startswith(("ild", "vendi", "calibration", "unexplored")) or name in SHOWN,
            "exposures": name == "repeat_share",
            "repeats": name == "over_advertising",
        }[lacking] or name == "repeat_recall"  # these splits hold out no repeats: tests/test_repeats.py has some
        found = answer.values if isinstance(answer, PerUser | PerMap) else np.array([value(answer)])
        assert np.isnan(found).all() == undefined
        if isinstance(answer, PerMap):
            assert answer.values.shape == (0 if lacking == "maps" else 3, 30)


def _maps(evaluation):
    of = evaluation.truth
    return of.objective_maps, of.audit_maps, of.content_maps, of.witness_maps


@pytest.mark.parametrize("name", PER_USER)
def test_its_definition_is_stated_slowly_or_in_a_doctest(name):
    assert name in REFERENCED or ">>>" in inspect.getdoc(getattr(metrics, name))


@pytest.mark.parametrize("k", [1, 5, 8, 12])
@pytest.mark.parametrize("name", REFERENCED)
def test_it_is_its_definition(name, k):
    evaluation = make_evaluation(seed=k)
    expected = compute_reference_metric(name, evaluation, k)
    assert getattr(metrics, name)(evaluation, k).values == pytest.approx(expected, abs=1e-6, nan_ok=True)
    of_repeats = name in ("repeat_recall", "repeat_precision")  # these splits hold out none: tests/test_repeats.py does
    assert np.nansum(abs(expected)) > 0 or of_repeats or (k == 1 and name.startswith(("ild", "eild")))


@pytest.mark.parametrize("k", [1, 5, 8, 12])
@pytest.mark.parametrize("name", CATALOGUE)
def test_of_the_catalogue_it_is_its_definition(name, k):
    evaluation = make_evaluation(seed=k)
    if name in ("under_exposure", "zero_exposure_share", *NEAR):  # and an item that nobody has
        train = evaluation.truth.split.train.toarray()
        train[:, 3] = 0
        evaluation = with_train(evaluation, train)
    answer, expected = getattr(metrics, name)(evaluation, k), compute_catalogue_metric(name, evaluation, k)
    assert value(answer) == pytest.approx(expected) and expected > 0
    shown = np.bincount(answer.picks[answer.picks >= 0], minlength=40).astype(float)
    assert answer.statistic(np.stack([shown, 2 * shown]))[0] == pytest.approx(expected)


def with_train(evaluation, train):
    split = replace(evaluation.truth.split, train=sparse.csr_array(train))
    return Evaluation(evaluation.items, GroundTruth(split, *_maps(evaluation)))


@pytest.mark.parametrize("name", CATALOGUE)
def test_intervals_of_the_catalogue_end_where_its_page_says(name):
    said = read_range(name, getattr(metrics, name), {"k": 5, "U": 30, "I": 40, "inf": math.inf, "e": math.e})
    assert said[1] >= 5 or getattr(metrics, name)(make_evaluation(), 5).value_range == said


@given(seed=st.integers(0, 10**6), users=st.integers(2, 9), items=st.integers(9, 14), k=st.integers(1, 10))
@settings(max_examples=40, deadline=None)
def test_small_worlds(seed, users, items, k):
    evaluation = make_evaluation(seed, users, items, regions=3)
    for name in (*ACCURACY, "self_information", "ild_features", "calibration_kl", *BUBBLES):
        found = getattr(metrics, name)(evaluation, k).values
        assert found == pytest.approx(compute_reference_metric(name, evaluation, k), abs=1e-6, nan_ok=True), name
        top = {"self_information": np.inf, "calibration_kl": math.log(100)}.get(name, 1.0)
        assert np.nanmin(found, initial=0) >= 0 and np.nanmax(found, initial=0) <= top + 1e-9


def test_items_and_regions_may_have_other_numbers():
    evaluation = make_evaluation()
    rng = np.random.default_rng(0)
    order = rng.permutation(40)  # new column c holds old item order[c]
    new = np.append(np.argsort(order), -1).astype(np.int32)
    split = evaluation.truth.split

    def moved(taste_map):
        columns = rng.permutation(taste_map.assignment.shape[1])
        return replace(taste_map, assignment=sparse.csr_array(taste_map.assignment[order][:, columns]))

    of = split.items
    moved_fields = {name: getattr(of, name)[order] for name in ("ids", "titles", "features", "years")}
    items = replace(of, **moved_fields)
    parts = {part: sparse.csr_array(getattr(split, part)[:, order]) for part in ("train", "test", "train_negatives")}
    families = ([moved(m) for m in maps] for maps in _maps(evaluation))
    shown = evaluation.truth.exposures
    codes = new[shown.items]
    rows = np.lexsort((codes, np.repeat(np.arange(len(split.user_ids)), np.diff(shown.pointers))))
    shown = replace(shown, items=codes[rows], times=shown.times[rows], dismissed=shown.dismissed[rows])
    owned = evaluation.truth.repeats
    owned = replace(
        owned, **{name: sparse.csr_array(getattr(owned, name)[:, order]) for name in ("scores", "due_from")}
    )
    truth = GroundTruth(replace(split, items=items, **parts), *families, exposures=shown, repeats=owned)
    other = Evaluation(new[evaluation.items], truth)
    for name in metrics.__all__:
        if name in COMMUNITIES:
            continue
        before, after = (getattr(metrics, name)(e, 5) for e in (evaluation, other))
        if isinstance(before, PerCatalogue):
            assert value(after) == pytest.approx(value(before))
        else:
            assert after.values == pytest.approx(before.values, abs=1e-5, nan_ok=True), name


@pytest.mark.parametrize("name", PER_USER)
def test_users_may_be_taken_a_few_at_a_time(monkeypatch, name):
    whole = getattr(metrics, name)(make_evaluation(), 8).values
    monkeypatch.setattr(blocks.iter_blocks, "__defaults__", (7,))
    monkeypatch.setattr("recsys.metrics.diversity.PAIRS", 4)
    monkeypatch.setattr("recsys.maths.pmi.ITEMS", 3)
    monkeypatch.setattr("recsys.maths.pmi.PAIRS", 5)
    assert getattr(metrics, name)(make_evaluation(), 8).values == pytest.approx(whole, abs=1e-12, nan_ok=True)


def test_users_without_held_out_positives_change_no_accuracy():
    evaluation = make_evaluation()
    tested = np.flatnonzero(np.diff(evaluation.truth.split.test.indptr))
    silent = np.setdiff1d(np.arange(30), tested)
    assert len(silent)
    plain = [name for name in ACCURACY if not name.startswith("stratified")]  # these count the histories of all users
    for name in (*plain, "discovery", "discovery_own", "discovery_content"):
        everybody, only = (getattr(metrics, name)(e, 5) for e in (evaluation, reordered(evaluation, tested)))
        assert value(everybody) == pytest.approx(value(only), rel=1e-12)
        assert np.isnan(everybody.values[..., silent]).all()
        counts = (getattr(answer, "counts", None) for answer in (everybody, only))
        assert next(counts) == next(counts)


def test_an_empty_slate_is_a_miss_and_nothing_else():
    evaluation = make_evaluation()
    items = evaluation.items.copy()
    tested = int(np.flatnonzero(np.diff(evaluation.truth.split.test.indptr))[0])
    items[tested] = -1
    emptied = Evaluation(items, evaluation.truth)
    for name in ACCURACY:
        assert getattr(metrics, name)(emptied, 5).values[tested] == 0
    for name in ("self_information", "ild_features", "ild_cooccurrence", "calibration_kl"):
        assert np.isnan(getattr(metrics, name)(emptied, 5).values[tested])
    assert metrics.exposure_deficit(emptied, 5).values[:, tested] == pytest.approx(1.0)
    assert np.isnan(metrics.unexplored_share(emptied, 5).values[:, tested]).all()


def test_the_best_slate_is_worth_one():
    split = make_split()
    items = np.full((30, 10), -1, dtype=np.int32)
    for user in range(30):
        positives = split.test.indices[split.test.indptr[user] : split.test.indptr[user + 1]][:10]
        items[user, : len(positives)] = positives
    best = Evaluation(items, GroundTruth(split, audit_maps=make_maps(split)))
    for name in ("ndcg", "hit_rate", "mrr", "average_precision", "discovery"):
        assert value(getattr(metrics, name)(best, 10)) == 1.0


@pytest.mark.parametrize("k", [1, 5, 12])
@pytest.mark.parametrize("name", ["recall", "ndcg", "discovery"])
def test_where_every_hit_counts_the_same_credit_changes_no_bit(name, k):
    evaluation = make_evaluation(seed=k)
    alike = Evaluation(evaluation.items, replace(evaluation.truth, popularity_exponent=0.0))
    plain, stratified = getattr(metrics, name), getattr(metrics, f"stratified_{name}")
    assert np.array_equal(stratified(alike, k).values, plain(evaluation, k).values, equal_nan=True)
    assert not np.array_equal(stratified(evaluation, k).values, plain(evaluation, k).values, equal_nan=True)


def test_discovery_counts_the_users_hits_and_positives_behind_it():
    evaluation = make_evaluation()
    answer = metrics.discovery(evaluation, 5)
    slows = [ReferenceMetrics(evaluation, user, 5) for user in range(30)]
    maps = evaluation.truth.audit_maps
    wanted = [[set(s.unexplored(m, s.test)[0]) for s in slows] for m in maps]
    assert answer.counts["users"] == pytest.approx(np.mean([sum(bool(w) for w in row) for row in wanted]))
    assert answer.counts["held_out"] == pytest.approx(np.mean([sum(len(w) for w in row) for row in wanted]))
    hits = [sum(len(w & set(s.slate)) for w, s in zip(row, slows, strict=True)) for row in wanted]
    assert answer.counts["hits"] == pytest.approx(np.mean(hits)) and min(hits) > 0


def test_unexplored_share_stands_beside_the_share_of_the_held_out():
    evaluation = make_evaluation()
    shares = []
    for taste_map in evaluation.truth.audit_maps:
        pairs = [
            ReferenceMetrics(evaluation, user, 5).unexplored(taste_map, ReferenceMetrics(evaluation, user, 5).test)
            for user in range(30)
        ]
        shares.append(np.mean([len(new) / len(known) for new, known in pairs if known]))
    assert metrics.unexplored_share(evaluation, 5).counts["held_out"] == pytest.approx(np.mean(shares))


def test_a_map_that_knows_no_item_defines_nothing():
    evaluation = make_evaluation(maps=1)
    blank = replace(evaluation.truth.audit_maps[0], assignment=sparse.csr_array((40, 5), dtype=np.float32))
    unknown = Evaluation(evaluation.items, replace(evaluation.truth, audit_maps=(blank,)))
    for name in (*BUBBLES, "exposure_deficit"):
        assert np.isnan(getattr(metrics, name)(unknown, 5).values).all()


def test_slates_are_compared_with_the_same_few_others_whoever_comes_first(monkeypatch):
    monkeypatch.setattr("recsys.metrics.fragmentations.MAX_OTHERS", 7)
    evaluation, order = make_evaluation(), np.random.default_rng(0).permutation(30)
    ids = evaluation.truth.split.user_ids
    drawn = sorted(range(30), key=lambda u: derive_seed(0, "others", str(ids[u])))
    others = [u for u in drawn if ReferenceMetrics(evaluation, u, 5).slate_mix(u) is not None][:7]
    expected = np.array([ReferenceMetrics(evaluation, u, 5).fragmentation(others) for u in range(30)])
    assert metrics.fragmentation(evaluation, 5).values == pytest.approx(expected, nan_ok=True)
    turned = metrics.fragmentation(reordered(evaluation, order), 5).values
    assert turned == pytest.approx(expected[order], nan_ok=True)


def test_slates_that_are_all_alike_are_not_fragmented_and_strangers_are_apart():
    evaluation = make_evaluation()
    same = Evaluation(np.tile(np.arange(5, dtype=np.int32), (30, 1)), evaluation.truth)
    assert metrics.fragmentation(same, 5).values == pytest.approx(0, abs=1e-6)
    split = evaluation.truth.split
    own = replace(split.items, features=sparse.csr_array(np.eye(40, dtype=np.float32)))
    apart = Evaluation(np.arange(30, dtype=np.int32)[:, None], GroundTruth(replace(split, items=own)))
    assert metrics.fragmentation(apart, 1).values == pytest.approx(metrics.fragmentation(apart, 1).values[0])
    assert 0.99 < metrics.fragmentation(apart, 1).values[0] < 1


def test_a_copy_of_a_truth_or_an_evaluation_starts_without_tables():
    """Tables are of what a record held when they were made: by other maps, or of other slates, values are others."""
    evaluation = make_evaluation()
    truth, found = evaluation.truth, metrics.discovery(evaluation, 5).values
    others = tuple(reversed(truth.objective_maps))
    copied, built = replace(truth, audit_maps=others), GroundTruth(truth.split, audit_maps=others)
    values = [metrics.discovery(Evaluation(evaluation.items, one), 5).values for one in (copied, built)]
    np.testing.assert_array_equal(*values)
    assert values[0].shape != found.shape or not np.array_equal(values[0], found, equal_nan=True)
    moved = replace(evaluation, items=np.roll(evaluation.items, 1, axis=0))
    again = metrics.ndcg(Evaluation(moved.items, truth), 5).values
    np.testing.assert_array_equal(metrics.ndcg(moved, 5).values, again)
    assert not np.array_equal(again, metrics.ndcg(evaluation, 5).values, equal_nan=True)
