"""Contracts that every metric keeps, and each one against a slow statement of its definition."""

import inspect
import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from worlds import make_maps, make_split

from recsys import metrics, seeds
from recsys.maths import communities, cooccurrence_vectors, near_mixes, user_mixes
from recsys.types import Evaluation, PerCatalogue, PerMap, PerUser, Tables, Yardstick

ACCURACY = ("ndcg", "recall", "precision", "hit_rate", "mrr")
BUBBLES = ("discovery", "untouched_share")
TESTED = (*ACCURACY, "serendipity", "discovery", "discovery_own", "discovery_content")


def make_evaluation(seed=0, users=30, items=40, length=8, maps=3, regions=5):
    """Random slates of all lengths from 0 to `length`, some users without history, some without positives."""
    rng = np.random.default_rng(seed)
    split = make_split(seed, users, items)
    quiet, cold = rng.random(users) < 0.2, rng.random(users) < 0.1
    test = sparse.csr_array(split.test.toarray() * ~quiet[:, None])
    train = sparse.csr_array(split.train.toarray() * ~cold[:, None])
    bare = rng.random(items) < 0.2
    features = sparse.csr_array(split.items.features.toarray() * ~bare[:, None])
    split = replace(split, train=train, test=test, items=replace(split.items, features=features))
    slates = np.argsort(rng.random((users, items)) - 0.5 * test.toarray(), axis=1)[:, :length].astype(np.int32)
    slates[np.arange(length) >= rng.integers(0, length + 1, users)[:, None]] = -1
    own, audit, content = (make_maps(split, maps, regions, seed) for seed in (5, 6, 7))
    return Evaluation(slates, Yardstick(split, own, audit, content))


def reordered(evaluation, users):
    """The same evaluation with its users in another order, or only some of them."""
    split = evaluation.yardstick.split
    parts = ("train", "validation", "test", "train_other", "validation_other")
    split = replace(split, user_ids=split.user_ids[users], **{part: getattr(split, part)[users] for part in parts})
    yardstick = replace(evaluation.yardstick, split=split, tables=Tables())
    return Evaluation(evaluation.items[users], yardstick)


def value(answer):
    if isinstance(answer, PerCatalogue):
        shown = answer.shown[answer.shown >= 0]
        return float(answer.statistic(np.bincount(shown, minlength=answer.n_items).astype(float)))
    return np.nanmean(answer.values)


class Slow:
    """Every metric of one user at one k, from sets and loops."""

    def __init__(self, evaluation, user, k):
        yardstick = evaluation.yardstick
        self.split, self.yardstick, self.k = yardstick.split, yardstick, k
        self.slate = [int(i) for i in evaluation.items[user, :k] if i >= 0]
        self.ranked = {int(i): r + 1 for r, i in enumerate(evaluation.items[user, :k]) if i >= 0}
        self.test, self.train = (set(np.flatnonzero(m.toarray()[user])) for m in (self.split.test, self.split.train))
        self.user = user

    def accuracy(self, value):
        return value() if self.test else math.nan

    def ndcg(self):
        gain = sum(1 / math.log2(r + 1) for i, r in self.ranked.items() if i in self.test)
        return self.accuracy(lambda: gain / sum(1 / math.log2(r + 2) for r in range(min(self.k, len(self.test)))))

    def recall(self):
        return self.accuracy(lambda: len(self.test & set(self.slate)) / len(self.test))

    def precision(self):
        return self.accuracy(lambda: len(self.test & set(self.slate)) / self.k)

    def hit_rate(self):
        return self.accuracy(lambda: float(bool(self.test & set(self.slate))))

    def mrr(self):
        return self.accuracy(lambda: max((1 / r for i, r in self.ranked.items() if i in self.test), default=0.0))

    def self_information(self):
        counts = self.split.train.toarray().sum(axis=0)
        bits = [-math.log2(max(counts[i], 1) / max(counts.sum(), 1)) for i in self.slate]
        return sum(bits) / len(bits) if bits else math.nan

    def ild(self, vectors):
        usable = [vectors[i] for i in self.slate if vectors[i].any()]
        far = [1 - a @ b / math.sqrt(a @ a) / math.sqrt(b @ b) for a, b in combinations(usable, 2)]
        return sum(far) / len(far) if far else math.nan

    def ild_features(self):
        return self.ild(self.split.items.features.toarray().astype(float))

    def ild_cooccurrence(self):
        return self.ild(cooccurrence_vectors(self.split.train).astype(float))

    def serendipity(self):
        vectors = cooccurrence_vectors(self.split.train).astype(float)
        if not self.test or not self.train:
            return math.nan
        near = {i: max(0.0, *(vectors[i] @ vectors[j] for j in self.train)) for i in self.test & set(self.slate)}
        return sum(1 - n for n in near.values()) / self.k

    def calibration_kl(self):
        features = self.split.items.features.toarray().astype(float)

        def mix(items):
            known = [features[i] / features[i].sum() for i in items if features[i].any()]
            return sum(known) / len(known) if known else None

        p, q = mix(self.train), mix(self.slate)
        if p is None or q is None:
            return math.nan
        return sum(a * math.log(a / (0.99 * b + 0.01 * a)) for a, b in zip(p, q, strict=True) if a > 0)

    def untouched(self, taste_map, items):
        region = {i: row.argmax() for i, row in enumerate(taste_map.assignment.toarray()) if row.any()}
        met = {region[i] for i in self.train if i in region}
        known = [i for i in items if i in region]
        return [i for i in known if region[i] not in met], known

    def discovery(self, maps="audit_maps"):
        values = []
        for taste_map in getattr(self.yardstick, maps):
            wanted, _ = self.untouched(taste_map, self.test)
            hits = len(set(wanted) & set(self.slate))
            values.append(hits / min(self.k, len(wanted)) if wanted else math.nan)
        return values

    def untouched_share(self, maps="audit_maps"):
        values = []
        for taste_map in getattr(self.yardstick, maps):
            new, known = self.untouched(taste_map, self.slate)
            values.append(len(new) / len(known) if known else math.nan)
        return values

    def deficit(self, maps="audit_maps"):
        values = []
        label = communities(self.split.train, seeds.derive(self.split.seed, "judge"))
        for taste_map in getattr(self.yardstick, maps):
            q = near_mixes(user_mixes(self.split.train, taste_map.assignment), label)[self.user]
            shown = sum((taste_map.assignment.toarray()[i] for i in self.slate), np.zeros(len(q))) / self.k
            values.append(sum(max(0.0, a - e) for a, e in zip(q, shown, strict=True)) / sum(q))
        return values


def slow(name, evaluation, k):
    bare, _, family = name.rpartition("_") if name.endswith(("_own", "_content")) else (name, "", "audit")
    arguments = (f"{family}_maps",) if bare in ("discovery", "untouched_share", "deficit") else ()
    users = range(len(evaluation.items))
    return np.array([getattr(Slow(evaluation, user, k), bare)(*arguments) for user in users], dtype=float).T


PER_USER = [name for name in metrics.__all__ if name not in ("coverage", "gini")]


@pytest.mark.parametrize("name", metrics.__all__)
class TestContract:
    def test_it_is_documented_and_called_with_evaluation_and_k(self, name):
        assert inspect.getdoc(getattr(metrics, name))
        assert list(inspect.signature(getattr(metrics, name)).parameters) == ["evaluation", "k"]

    def test_its_answer_says_what_it_is(self, name):
        evaluation = make_evaluation()
        answer = getattr(metrics, name)(evaluation, 5)
        assert len(answer.convention) > 20 and answer.direction in (-1, 0, 1)
        if isinstance(answer, PerUser):
            assert answer.values.shape == (30,) and answer.values.dtype == np.float64
        elif isinstance(answer, PerMap):
            assert answer.values.shape == (3, 30) and answer.values.dtype == np.float64
        else:
            assert answer.shown.shape == (30, 5) and answer.n_items == 40

    def test_it_changes_nothing_it_is_given(self, name):
        evaluation = make_evaluation()
        split = evaluation.yardstick.split
        arrays = [evaluation.items, split.train.data, split.train.indices, split.test.indices, split.test.indptr]
        before = [array.copy() for array in arrays]
        getattr(metrics, name)(evaluation, 5)
        assert all((a == b).all() for a, b in zip(arrays, before, strict=True))

    @pytest.mark.parametrize("lacking", ["maps", "features", "test", "train", "slates"])
    def test_without_anything_to_stand_on_it_is_nan_and_no_error(self, name, lacking):
        evaluation = make_evaluation()
        split = evaluation.yardstick.split
        none = sparse.csr_array(split.train.shape, dtype=np.float32)
        empty = replace(split.items, features=sparse.csr_array((40, 0), dtype=np.float32), feature_names=())
        changed = {
            "maps": Evaluation(evaluation.items, Yardstick(split)),
            "features": Evaluation(evaluation.items, Yardstick(replace(split, items=empty), *_maps(evaluation))),
            "test": Evaluation(evaluation.items, Yardstick(replace(split, test=none), *_maps(evaluation))),
            "train": Evaluation(evaluation.items, Yardstick(replace(split, train=none), *_maps(evaluation))),
            "slates": Evaluation(np.full((30, 8), -1, dtype=np.int32), evaluation.yardstick),
        }[lacking]
        answer = getattr(metrics, name)(changed, 5)
        undefined = {
            "maps": name.startswith((*BUBBLES, "deficit")),
            "features": name in ("ild_features", "calibration_kl"),
            "test": name in TESTED,
            "train": name in ("calibration_kl", "ild_cooccurrence", "serendipity") or name.startswith("deficit"),
            "slates": name.startswith(("ild", "self", "calibration", "untouched", "gini")),
        }[lacking]
        found = answer.values if isinstance(answer, PerUser | PerMap) else np.array([value(answer)])
        assert np.isnan(found).all() == undefined
        if isinstance(answer, PerMap):
            assert answer.values.shape == (0 if lacking == "maps" else 3, 30)


def _maps(evaluation):
    return evaluation.yardstick.own_maps, evaluation.yardstick.audit_maps, evaluation.yardstick.content_maps


@pytest.mark.parametrize("k", [1, 5, 8, 12])
@pytest.mark.parametrize("name", PER_USER)
def test_it_is_its_definition(name, k):
    evaluation = make_evaluation(seed=k)
    expected = slow(name, evaluation, k)
    assert getattr(metrics, name)(evaluation, k).values == pytest.approx(expected, abs=1e-6, nan_ok=True)
    assert np.nansum(expected) > 0 or (k == 1 and name.startswith("ild"))


@given(seed=st.integers(0, 10**6), users=st.integers(2, 9), items=st.integers(9, 14), k=st.integers(1, 10))
@settings(max_examples=40, deadline=None)
def test_small_worlds(seed, users, items, k):
    evaluation = make_evaluation(seed, users, items, regions=3)
    for name in (*ACCURACY, "self_information", "ild_features", "calibration_kl", *BUBBLES):
        found = getattr(metrics, name)(evaluation, k).values
        assert found == pytest.approx(slow(name, evaluation, k), abs=1e-6, nan_ok=True), name
        top = {"self_information": np.inf, "calibration_kl": math.log(100)}.get(name, 1.0)
        assert np.nanmin(found, initial=0) >= 0 and np.nanmax(found, initial=0) <= top + 1e-9


@given(seed=st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_users_may_come_in_any_order(seed):
    evaluation = make_evaluation(seed % 7)
    order = np.random.default_rng(seed).permutation(30)
    for name in metrics.__all__:
        if name.startswith("deficit"):  # communities are found from a random start
            continue
        before, after = (getattr(metrics, name)(e, 5) for e in (evaluation, reordered(evaluation, order)))
        if isinstance(before, PerCatalogue):
            assert value(after) == pytest.approx(value(before))
        else:
            assert after.values == pytest.approx(before.values[..., order], abs=1e-5, nan_ok=True)


def test_items_and_regions_may_have_other_numbers():
    evaluation = make_evaluation()
    rng = np.random.default_rng(0)
    order = rng.permutation(40)  # new column c holds old item order[c]
    new = np.append(np.argsort(order), -1).astype(np.int32)
    split, y = evaluation.yardstick.split, evaluation.yardstick

    def moved(taste_map):
        columns = rng.permutation(taste_map.assignment.shape[1])
        return replace(taste_map, assignment=sparse.csr_array(taste_map.assignment[order][:, columns]))

    items = replace(split.items, ids=split.items.ids[order], features=split.items.features[order])
    parts = {part: sparse.csr_array(getattr(split, part)[:, order]) for part in ("train", "test")}
    families = ([moved(m) for m in maps] for maps in (y.own_maps, y.audit_maps, y.content_maps))
    other = Evaluation(new[evaluation.items], Yardstick(replace(split, items=items, **parts), *families))
    for name in metrics.__all__:
        before, after = (getattr(metrics, name)(e, 5) for e in (evaluation, other))
        if isinstance(before, PerCatalogue):
            assert value(after) == pytest.approx(value(before))
        elif not name.startswith("deficit"):
            assert after.values == pytest.approx(before.values, abs=1e-5, nan_ok=True), name


def test_users_without_held_out_positives_change_no_accuracy():
    evaluation = make_evaluation()
    tested = np.flatnonzero(np.diff(evaluation.yardstick.split.test.indptr))
    silent = np.setdiff1d(np.arange(30), tested)
    assert len(silent)
    for name in (*ACCURACY, "discovery", "discovery_own", "discovery_content"):
        everybody, only = (getattr(metrics, name)(e, 5) for e in (evaluation, reordered(evaluation, tested)))
        assert value(everybody) == pytest.approx(value(only), rel=1e-12)
        assert np.isnan(everybody.values[..., silent]).all()
        counts = (getattr(answer, "counts", None) for answer in (everybody, only))
        assert next(counts) == next(counts)


def test_an_empty_slate_is_a_miss_and_nothing_else():
    evaluation = make_evaluation()
    items = evaluation.items.copy()
    tested = int(np.flatnonzero(np.diff(evaluation.yardstick.split.test.indptr))[0])
    items[tested] = -1
    emptied = Evaluation(items, evaluation.yardstick)
    for name in ACCURACY:
        assert getattr(metrics, name)(emptied, 5).values[tested] == 0
    for name in ("self_information", "ild_features", "ild_cooccurrence", "calibration_kl"):
        assert np.isnan(getattr(metrics, name)(emptied, 5).values[tested])
    assert metrics.deficit(emptied, 5).values[:, tested] == pytest.approx(1.0)
    assert np.isnan(metrics.untouched_share(emptied, 5).values[:, tested]).all()


@pytest.mark.parametrize("name", metrics.__all__)
def test_missing_slots_are_the_same_as_slots_that_are_not_there(name):
    evaluation = make_evaluation()
    padded = Evaluation(np.pad(evaluation.items, ((0, 0), (0, 4)), constant_values=-1), evaluation.yardstick)
    answers = [getattr(metrics, name)(e, 10) for e in (evaluation, padded)]
    if isinstance(answers[0], PerCatalogue):
        assert value(answers[0]) == value(answers[1])
    else:
        np.testing.assert_array_equal(answers[0].values, answers[1].values)


def test_the_best_slate_is_worth_one():
    split = make_split()
    items = np.full((30, 10), -1, dtype=np.int32)
    for user in range(30):
        positives = split.test.indices[split.test.indptr[user] : split.test.indptr[user + 1]][:10]
        items[user, : len(positives)] = positives
    best = Evaluation(items, Yardstick(split, audit_maps=make_maps(split)))
    for name in ("ndcg", "hit_rate", "mrr", "discovery"):
        assert value(getattr(metrics, name)(best, 10)) == 1.0


def test_discovery_counts_the_users_hits_and_positives_behind_it():
    evaluation = make_evaluation()
    answer = metrics.discovery(evaluation, 5)
    slows = [Slow(evaluation, user, 5) for user in range(30)]
    maps = evaluation.yardstick.audit_maps
    wanted = [[set(s.untouched(m, s.test)[0]) for s in slows] for m in maps]
    assert answer.counts["users"] == pytest.approx(np.mean([sum(bool(w) for w in row) for row in wanted]))
    assert answer.counts["held_out"] == pytest.approx(np.mean([sum(len(w) for w in row) for row in wanted]))
    hits = [sum(len(w & set(s.slate)) for w, s in zip(row, slows, strict=True)) for row in wanted]
    assert answer.counts["hits"] == pytest.approx(np.mean(hits)) and min(hits) > 0


def test_untouched_share_stands_beside_the_share_of_the_held_out():
    evaluation = make_evaluation()
    shares = []
    for taste_map in evaluation.yardstick.audit_maps:
        pairs = [Slow(evaluation, user, 5).untouched(taste_map, Slow(evaluation, user, 5).test) for user in range(30)]
        shares.append(np.mean([len(new) / len(known) for new, known in pairs if known]))
    assert metrics.untouched_share(evaluation, 5).counts["held_out"] == pytest.approx(np.mean(shares))


def test_a_map_that_knows_no_item_defines_nothing():
    evaluation = make_evaluation(maps=1)
    blank = replace(evaluation.yardstick.audit_maps[0], assignment=sparse.csr_array((40, 5), dtype=np.float32))
    unknown = Evaluation(evaluation.items, replace(evaluation.yardstick, audit_maps=(blank,), tables=Tables()))
    for name in (*BUBBLES, "deficit"):
        assert np.isnan(getattr(metrics, name)(unknown, 5).values).all()
