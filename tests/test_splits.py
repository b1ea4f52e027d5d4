import inspect
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from recsys import splits
from recsys.data import read_frame
from recsys.splits.settings import find_positives
from recsys.support import rng
from recsys.types import Dataset, Interactions, Items, RecsysError

KINDS = ("global_time", "leave_last", "per_user_time", "random")


def dataset(user, item, weight=None, datetime=None, n_users=None, n_items=None) -> Dataset:
    user, item = np.asarray(user, np.int32), np.asarray(item, np.int32)
    user_ids = np.array([f"u{n}" for n in range(n_users or user.max() + 1)])
    item_ids = np.array([f"i{n}" for n in range(n_items or item.max() + 1)])
    weight = np.ones(len(user)) if weight is None else np.asarray(weight)
    features = sparse.csr_array(np.eye(len(item_ids), 3, dtype=np.float32))
    years = 1990 + np.arange(len(item_ids), dtype=np.int32)
    items = Items(item_ids, np.char.add("title ", item_ids), features, ("a", "b", "c"), years)
    time = None if datetime is None else np.asarray(datetime, np.int64)
    log = Interactions(user, item, weight.astype(np.float32), time, user_ids, item_ids)
    return Dataset("toy", log, items, "f" * 64)


def log_of(seed: int, rows: int = 300, moments: int = 40) -> Dataset:
    """A log with ties in time, repeated pairs, and pairs on both sides of the threshold."""
    rng = np.random.default_rng(seed)
    user, item = rng.integers(0, 12, rows), rng.integers(0, 25, rows)
    return dataset(user, item, rng.integers(1, 6, rows), rng.integers(0, moments, rows), 12, 25)


def pairs_of(matrix, split) -> set[tuple[str, str]]:
    rows, columns = matrix.nonzero()
    return {(str(split.user_ids[u]), str(split.item_ids[i])) for u, i in zip(rows, columns, strict=True)}


def parts_of(split) -> tuple[set[tuple[str, str]], ...]:
    matrices = (split.train, split.validation, split.test, split.train_negatives, split.validation_negatives)
    return tuple(pairs_of(matrix, split) for matrix in matrices)


def make(kind: str, data: Dataset, test: float = 0.25, validation: float = 0.2, **others):
    if kind == "leave_last":
        test, validation = 1, 1
    return getattr(splits, kind)(data, test=test, validation=validation, **others)


def slow_core(
    positives: set[tuple[int, int]], min_user_interactions: int, min_item_interactions: int
) -> set[tuple[int, int]]:
    while True:
        users, items = [u for u, _ in positives], [i for _, i in positives]
        kept = {
            (u, i)
            for u, i in positives
            if users.count(u) >= min_user_interactions and items.count(i) >= min_item_interactions
        }
        if kept == positives:
            return kept
        positives = kept


def slow_split(
    data: Dataset,
    kind: str,
    test: float,
    validation: float,
    min_user_interactions: int,
    min_item_interactions: int,
    seed: int,
):
    """The documented rules, pair by pair. Returns train, validation, test and the two sets of others."""
    log = data.interactions
    rows = [tuple(x) for x in zip(log.user.tolist(), log.item.tolist(), log.weight, log.datetime, strict=True)]
    positives = slow_core({(u, i) for u, i, w, _ in rows if w >= 4}, min_user_interactions, min_item_interactions)
    users = {u for u, _ in positives} if min_user_interactions else set(range(len(log.user_ids)))
    items = {i for _, i in positives} if min_item_interactions else set(range(len(log.item_ids)))

    def key(u, i):
        w_t = [(w < 4, t) for v, j, w, t in rows if (u, i) == (v, j)]
        names = rng.derive_seed(0, "user", f"u{u}"), rng.derive_seed(0, "item", f"i{i}")
        number = float(rng.draw_uniforms(seed, "split", np.uint64(names[0]), np.uint64(names[1])))
        return (0 if kind == "random" else int(min(w_t)[1]), number)

    others = {(u, i) for u, i, _, _ in rows if u in users and i in items} - positives
    cuts = {}
    for u in users:
        mine = sorted(key(u, i) for v, i in positives if v == u)
        if kind == "global_time":
            mine = sorted((key(u, i)[0],) for u, i in positives)
        n = len(mine)
        n_test = 1 if kind == "leave_last" else max(1, int(test * n + 0.5))
        n_test = min(n_test, max(n - 1, 0))
        n_validation = min(1 if kind == "leave_last" else int(validation * n + 0.5), max(n - n_test - 1, 0))
        end = [(np.inf,)]
        cuts[u] = [*mine, *end][n - n_test - n_validation], [*mine, *end][n - n_test]

    def part(u, i):
        return sum(key(u, i) >= cut for cut in cuts[u])

    def name(group, number):
        return {(f"u{u}", f"i{i}") for u, i in group if part(u, i) == number}

    return *(name(positives, number) for number in range(3)), name(others, 0), name(others, 1)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=12, deadline=None)
@given(
    st.integers(0, 10**6), st.sampled_from([0.1, 0.25, 0.5]), st.sampled_from([0.15, 0.3]), st.sampled_from([0, 3, 4])
)
def test_agrees_with_the_rules_pair_by_pair(kind, seed, test, validation, least):
    data = log_of(seed)
    filtering = {"min_user_interactions": least, "min_item_interactions": least // 2}
    wanted = slow_split(data, kind, test, validation, least, least // 2, seed)
    if not (wanted[0] and wanted[1] and wanted[2]):
        with pytest.raises(RecsysError):
            make(kind, data, test, validation, positive="rating >= 4", cold_items="keep", seed=seed, **filtering)
        return
    split = make(kind, data, test, validation, positive="rating >= 4", cold_items="keep", seed=seed, **filtering)
    assert parts_of(split) == wanted


@pytest.mark.parametrize("kind", KINDS)
def test_order_of_rows_and_numbering_of_ids_do_not_matter(kind):
    data = log_of(3)
    log, rng = data.interactions, np.random.default_rng(0)
    rows, users, items = rng.permutation(len(log)), rng.permutation(12), rng.permutation(25)
    shuffled = replace(
        log, user=log.user[rows], item=log.item[rows], weight=log.weight[rows], datetime=log.datetime[rows]
    )
    renumbered = replace(
        log,
        user=np.argsort(users).astype(np.int32)[log.user],
        item=np.argsort(items).astype(np.int32)[log.item],
        user_ids=log.user_ids[users],
        item_ids=log.item_ids[items],
    )
    catalogue = replace(data.items, ids=log.item_ids[items])
    ask = {"positive": "rating >= 4", "min_user_interactions": 2, "min_item_interactions": 2, "seed": 5}
    split = make(kind, data, **ask)
    again = make(kind, replace(data, interactions=shuffled), **ask)
    other = make(kind, replace(data, interactions=renumbered, items=catalogue), **ask)
    for name in ("train", "validation", "test", "train_negatives", "validation_negatives"):
        assert (getattr(split, name) != getattr(again, name)).nnz == 0
    assert parts_of(split) == parts_of(other)
    assert dict(split.counts) == dict(again.counts) == dict(other.counts)


@pytest.mark.parametrize("kind", ("leave_last", "per_user_time", "random"))
def test_a_user_is_split_alike_whoever_else_is_there(kind):
    data = log_of(4)
    log = data.interactions
    rows = log.user != 0
    fewer = replace(log, user=log.user[rows], item=log.item[rows], weight=log.weight[rows], datetime=log.datetime[rows])
    whole = parts_of(make(kind, data, positive="rating >= 4", cold_items="keep"))
    part = parts_of(make(kind, replace(data, interactions=fewer), positive="rating >= 4", cold_items="keep"))
    assert tuple({(u, i) for u, i in pairs if u != "u0"} for pairs in whole) == part


@pytest.mark.parametrize("kind", ("leave_last", "per_user_time"))
def test_ties_are_broken_by_the_seed(kind):
    user, item = np.repeat(np.arange(30), 10), np.tile(np.arange(10), 30)
    data = dataset(user, item, datetime=np.zeros(300))
    one, two, three = (make(kind, data, validation=0, seed=s) for s in (0, 0, 1))
    assert parts_of(one) == parts_of(two) != parts_of(three)
    picked = np.asarray(one.test.sum(axis=0)).ravel()
    assert picked.max() < one.test.nnz / 2  # no item wins because it stands first or last in the file


def test_the_core_is_taken_until_it_is_stable():
    # u0..u2 share i0..i2; u3 has i2 and i3, i3 has u3 and u4, u4 only i3: taking u4 takes i3, then u3.
    user, item = [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 4], [0, 1, 2, 0, 1, 2, 0, 1, 2, 2, 3, 3]
    split = splits.random(dataset(user, item), min_user_interactions=2, min_item_interactions=2)
    assert split.user_ids.tolist() == ["u0", "u1", "u2"]
    assert split.item_ids.tolist() == ["i0", "i1", "i2"]
    assert (split.counts["filtered_users"], split.counts["filtered_items"]) == (2, 1)
    assert split.items.titles.tolist() == ["title i0", "title i1", "title i2"]
    assert split.items.years.tolist() == [1990, 1991, 1992]
    assert split.items.features.toarray().tolist() == np.eye(3).tolist()


def test_repeated_positives_count_once_in_the_core_and_at_their_first_time():
    user, item = [0, 0, 0, 0, 1, 1], [0, 0, 1, 2, 0, 1]
    data = dataset(user, item, datetime=[1, 9, 5, 6, 1, 2])
    split = splits.leave_last(data, cold_items="keep")
    assert pairs_of(split.test, split) == {("u0", "i2"), ("u1", "i1")}
    assert split.counts["repeated_positives"] == 1
    assert any("1 rows repeat a pair" in note for note in split.notes)
    with pytest.raises(RecsysError, match="nobody is left"):
        splits.leave_last(data, min_user_interactions=4)


def test_a_pair_on_both_sides_of_the_threshold_is_a_positive_from_its_first_positive_row():
    data = dataset([0, 0, 0, 1, 1], [0, 0, 1, 0, 1], [2, 5, 4, 4, 4], [1, 9, 5, 1, 2])
    split = splits.leave_last(data, positive="rating >= 4", cold_items="keep")
    assert pairs_of(split.test, split) == {("u0", "i0"), ("u1", "i1")}
    assert split.train_negatives.nnz == 0
    assert split.counts["overruled_others"] == 1
    assert any("positive at another time" in note for note in split.notes)


@pytest.mark.parametrize(
    ("n", "test", "validation", "expected"),
    [(1, 0.2, 0.1, (1, 0, 0)), (2, 0.2, 0.1, (1, 0, 1)), (10, 0.2, 0.1, (7, 1, 2)), (10, 0.25, 0.25, (4, 3, 3)),
     (3, 0.5, 0.4, (1, 0, 2)), (4, 0.2, 0.1, (3, 0, 1))],
)  # fmt: skip
@pytest.mark.parametrize("kind", ("per_user_time", "random"))
def test_shares_are_rounded_with_one_for_test_and_one_for_train(kind, n, test, validation, expected):
    user = np.repeat([0, 1], [n, 20])
    data = dataset(user, np.concatenate([np.arange(n), np.arange(20)]), datetime=np.arange(n + 20))
    split = make(kind, data, test, validation, cold_items="keep")
    assert tuple(int(np.diff(m.indptr)[0]) for m in (split.train, split.validation, split.test)) == expected


def test_leave_last_holds_out_the_last_in_time():
    data = dataset([0] * 4 + [1] * 2 + [2], [3, 2, 1, 0, 0, 1, 0], datetime=[40, 10, 30, 20, 7, 8, 1])
    split = splits.leave_last(data, test=1, validation=1, cold_items="keep")
    assert pairs_of(split.test, split) == {("u0", "i3"), ("u1", "i1")}
    assert pairs_of(split.validation, split) == {("u0", "i1")}
    assert (split.counts["users_with_test"], split.counts["users_with_validation"]) == (2, 1)
    assert np.diff(splits.leave_last(data, test=2, cold_items="keep").test.indptr).tolist() == [2, 1, 0]


def test_global_time_looks_into_no_future_and_ties_go_to_the_later_side():
    data = log_of(8, rows=600)
    split = splits.global_time(data, test=0.2, validation=0.2, positive="rating >= 4", cold_items="keep")
    log = data.interactions
    times = {}
    for u, i, w, t in zip(log.user, log.item, log.weight, log.datetime, strict=True):
        if w >= 4:
            times[f"u{u}", f"i{i}"] = min(t, times.get((f"u{u}", f"i{i}"), np.inf))
    train, validation, test = ({times[pair] for pair in part} for part in parts_of(split)[:3])
    assert max(train) < min(validation) <= max(validation) < min(test)
    total = split.counts["positives"]
    tied = sum(t == min(test) for t in times.values())
    assert 0.2 * total - 0.5 <= split.test.nnz < 0.2 * total + 0.5 + tied


def test_global_time_keeps_cold_users_as_rows_and_says_how_many():
    data = dataset([0] * 6 + [1] * 2, [0, 1, 2, 3, 4, 5, 0, 6], datetime=[1, 2, 3, 4, 5, 6, 9, 9])
    split = splits.global_time(data, test=0.25, cold_items="drop")
    assert len(split.user_ids) == 2
    assert pairs_of(split.test, split) == {("u1", "i0")}
    assert split.available_items.tolist() == [True] * 6 + [False]
    for name in ("users_without_train", "new_test_users", "new_test_items", "unseen_test_positives"):
        assert split.counts[name] == 1
    assert any("1 of 1 test users and 1 items of that time are not in train" in note for note in split.notes)


def test_unseen_items_are_dropped_or_kept_and_counted():
    # i2 first appears in u0's validation, i3 in u0's test.
    data = dataset([0] * 4 + [1] * 3, [0, 1, 2, 3, 0, 1, 0], [5, 5, 4.5, 5, 5, 5, 5], [1, 2, 3, 4, 1, 2, 3])
    kept = splits.leave_last(data, test=1, validation=1, positive="rating >= 4", cold_items="keep")
    dropped = splits.leave_last(
        dataset([0] * 4 + [1] * 3, [0, 1, 2, 3, 2, 0, 1], [5, 5, 4.5, 5, 5, 5, 5], [1, 2, 3, 4, 1, 2, 3]),
        test=1, validation=1, positive="rating >= 4", cold_items="drop",
    )  # fmt: skip
    assert kept.counts["unseen_test_positives"] == kept.counts["unseen_validation_positives"] == 1
    assert ("u0", "i3") in pairs_of(kept.test, kept)
    assert pairs_of(dropped.test, dropped) == {("u1", "i1")}
    assert dropped.counts["unseen_test_positives"] == 1
    assert any("1 test positives of items unseen in training: dropped" in note for note in dropped.notes)


def test_a_dropped_validation_positive_is_a_positive_of_the_final_fit():
    data = dataset([0] * 4 + [1] * 3, [0, 1, 3, 2, 2, 0, 1], [5, 5, 4.5, 5, 5, 5, 5], [1, 2, 3, 4, 1, 2, 3])
    split = splits.leave_last(data, test=1, validation=1, positive="rating >= 4", cold_items="drop")
    assert pairs_of(split.validation, split) == {("u1", "i0")}
    assert split.validation_negatives.nnz == 0
    assert split.test_view().train.toarray().tolist() == [[1, 1, 0, 1], [1, 0, 1, 0]]
    assert split.test_view().seen.toarray()[0].tolist() == [1, 1, 0, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_no_pair_is_in_two_places_and_a_weight_of_zero_is_still_met(kind):
    data = log_of(11)
    log = data.interactions
    zero = replace(data, interactions=replace(log, weight=np.where(log.weight < 3, 0, log.weight).astype(np.float32)))
    split = make(kind, zero, positive="rating >= 4")
    together = [split.train, split.validation, split.test, split.train_negatives, split.validation_negatives]
    assert sum(m.nnz for m in together) == sum((m != 0).astype(int) for m in together).nnz
    assert split.train_negatives.data.min() == np.finfo(np.float32).tiny
    assert split.seen.nnz == split.train.nnz + split.train_negatives.nnz
    for matrix in together[:3]:
        assert matrix.dtype == np.float32
        assert set(matrix.data) <= {1}
        assert matrix.has_sorted_indices


def test_others_are_dealt_out_by_the_cuts_of_their_user():
    # Time runs 0..9; positives at even times, others at odd ones. Test is time 8, validation time 6.
    data = dataset([0] * 10 + [1] * 5, [*range(10), 0, 2, 4, 6, 8], [5, 1] * 5 + [5] * 5, [*range(10), *range(5)])
    split = splits.leave_last(data, test=1, validation=1, positive="weight > 1", cold_items="keep")
    assert pairs_of(split.train_negatives, split) == {("u0", "i1"), ("u0", "i3"), ("u0", "i5")}
    assert pairs_of(split.validation_negatives, split) == {("u0", "i7")}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [("rating >= 4", [0, 0, 1, 1]), ("weight>3.7", [0, 0, 1, 1]), ("rating >= 3.7", [0, 1, 1, 1]),
     ("rating == 3.7", [0, 1, 0, 0]), ("rating <= -1e-3", [1, 0, 0, 0]), (" rating < +4. ", [1, 1, 0, 0]),
     ("rating < 1e60", [1, 1, 1, 1]), (None, [1, 1, 1, 1])],
)  # fmt: skip
def test_thresholds(expression, expected):
    weight = np.array([-1, 3.7, 4, 5], dtype=np.float32)
    assert find_positives(weight, expression).tolist() == [bool(x) for x in expected]


BAD = [
    ("per_user_time", {"test": 0.0}, "test is 0.0, expected a share"),
    ("random", {"test": 1}, "test is 1, expected a share"),
    ("random", {"test": float("nan")}, "test is nan"),
    ("random", {"test": "0.2"}, "test is '0.2'"),
    ("random", {"test": True}, "test is True"),
    ("global_time", {"validation": -0.1}, "validation is -0.1"),
    ("global_time", {"test": 0.6, "validation": 0.4}, "leave nothing to train on"),
    ("leave_last", {"test": 0.2}, "leave_last: test is 0.2, expected a whole number from 1 on"),
    ("leave_last", {"test": 0}, "leave_last: test is 0"),
    ("leave_last", {"validation": 2}, "validation is 2, expected a whole number from 0 to 1"),
    ("random", {"min_user_interactions": -1}, "min_user_interactions is -1"),
    ("random", {"min_item_interactions": 1.5}, "min_item_interactions is 1.5"),
    ("random", {"seed": "x"}, "seed is 'x'"),
    ("random", {"cold_items": "kep"}, "did you mean 'keep'"),
    ("random", {"positive": "ratng >= 4"}, "did you mean 'rating'"),
    ("random", {"positive": "rating => 4"}, "expected such as 'rating >= 4'"),
    ("random", {"positive": "rating >= nan"}, "expected such as"),
    ("random", {"positive": "rating >= 4; 1"}, "expected such as"),
    ("random", {"positive": 4}, "found 4, expected such as"),
    ("random", {"positive": "rating >= 6"}, "0 positive pairs in 300 rows, weights from 1 to 5"),
    ("random", {"min_user_interactions": 1000}, "nobody is left"),
]


@pytest.mark.parametrize(("kind", "setting", "message"), BAD)
def test_settings_that_cannot_be_meant_are_one_clear_line(kind, setting, message):
    with pytest.raises(RecsysError) as error:
        getattr(splits, kind)(log_of(0), **setting)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ("global_time", "leave_last", "per_user_time"))
def test_a_split_in_time_needs_time(kind):
    with pytest.raises(RecsysError, match="toy has no datetime"):
        getattr(splits, kind)(dataset([0, 0, 1, 1], [0, 1, 0, 1]))


def test_a_part_that_was_asked_for_is_not_empty():
    one_each = dataset([0, 1, 2], [0, 0, 0], datetime=[1, 2, 3])
    with pytest.raises(RecsysError, match="nobody to test"):
        splits.leave_last(one_each)
    with pytest.raises(RecsysError, match="nobody to validate on"):
        splits.leave_last(dataset([0, 0, 1, 1], [0, 1, 0, 1], datetime=[1, 2, 1, 2]), validation=1, cold_items="keep")
    with pytest.raises(RecsysError, match="nobody to train on"):
        splits.global_time(dataset([0, 0, 1, 1], [0, 1, 0, 1], datetime=[1, 1, 1, 1]))
    with pytest.raises(RecsysError, match="nobody to test"):
        splits.leave_last(dataset([0, 0, 1, 1], [0, 1, 0, 2], datetime=[1, 2, 1, 2]), cold_items="drop")
    with pytest.raises(RecsysError, match="nobody is left"):
        splits.random(dataset(np.array([], int), np.array([], int), n_users=1, n_items=1))


def test_the_log_is_not_changed():
    data = log_of(2)
    before = [np.copy(a) for a in (data.interactions.user, data.interactions.weight, data.interactions.datetime)]
    splits.per_user_time(data, positive="rating >= 4", min_user_interactions=3)
    after = (data.interactions.user, data.interactions.weight, data.interactions.datetime)
    assert all((a == b).all() for a, b in zip(before, after, strict=True))


def test_the_fingerprint_names_data_and_every_setting():
    data = log_of(2)
    base = {
        "test": 0.2,
        "validation": 0.1,
        "positive": None,
        "min_user_interactions": 0,
        "min_item_interactions": 0,
        "cold_items": "keep",
        "seed": 0,
    }
    changes = [{"test": 0.3}, {"validation": 0.2}, {"positive": "rating > 1"}, {"min_user_interactions": 1}, {"min_item_interactions": 1},
               {"cold_items": "drop"}, {"seed": 1}]  # fmt: skip
    prints = [splits.random(data, **{**base, **change}).fingerprint for change in [{}, *changes]]
    prints += [
        splits.per_user_time(data, **base).fingerprint,
        splits.random(replace(data, fingerprint="0"), **base).fingerprint,
    ]
    assert len(set(prints)) == len(prints)
    assert splits.random(data, **base).fingerprint == prints[0]


def test_every_split_says_whether_it_leaks():
    data = log_of(2)
    for kind in KINDS:
        said = [note for note in make(kind, data, positive="rating >= 4").notes if note.startswith(f"{kind}: ")]
        assert len(said) == 1
        assert ("may lie after" in said[0]) == (kind != "global_time")
        assert ("no training data lies after test data" in said[0]) == (kind == "global_time")


@pytest.mark.parametrize(
    ("second", "said"), [(10**11, "5138-11-16 09:46:40"), (-(10**11), "-1199-02-15 14:13:20"), (10**13, "318857-")]
)
def test_a_time_that_no_calendar_of_python_has_is_said_all_the_same(second, said):
    split = splits.global_time(
        dataset([0, 0, 1, 1], [0, 1, 0, 1], datetime=[second - 1, second - 1, second, second]), test=0.5
    )
    assert f"test data, which starts at {said}" in " ".join(split.notes)


@splits.define_split
def every_third(pairs, *, step: int = 3, share: float = 0.5, seed: int = 0):
    """Return every third pair as test; of users in the first share of the ids."""
    return np.where((np.arange(len(pairs.user)) + seed) % step, 0, 2) * (pairs.user < share * len(pairs.user_ids))


class TestOwnSplit:
    def test_it_has_the_filter_and_the_record_of_all_splits(self):
        data = log_of(1)
        split = every_third(data, positive="rating >= 4", cold_items="keep", step=2)
        pairs = np.add(split.train, split.test)
        whole = splits.no_holdout(data, positive="rating >= 4")
        assert (pairs.toarray() == whole.train.toarray()).all() and split.test.nnz and split.train.nnz
        assert split.kind.endswith("test_splits:every_third") and not split.test[6:].nnz and split.test[:6].nnz
        assert every_third(data, min_user_interactions=1000 // 100).counts["filtered_users"] >= 0
        assert every_third.__doc__.startswith("Return every third pair")
        assert list(inspect.signature(every_third).parameters) == [
            "dataset", "step", "share", "positive", "min_user_interactions", "min_item_interactions", "cold_items",
            "sources", "purposes", "topics", "forget_list", "seed",
        ]  # fmt: skip

    def test_its_fingerprint_names_settings_and_parts(self):
        data, seen = log_of(1), set()
        for changed in ({}, {"step": 2}, {"share": 0.6}, {"seed": 1}, {"cold_items": "keep"}):
            seen.add(every_third(data, **changed).fingerprint)
        other = splits.define_split(lambda pairs: (np.arange(len(pairs.user)) % 2) * 2)
        same_name = splits.define_split(lambda pairs: (np.arange(len(pairs.user)) % 3) // 2 * 2)
        seen |= {other(data).fingerprint, same_name(data).fingerprint}
        assert len(seen) == 7 and other(data).kind == same_name(data).kind
        assert every_third(data).fingerprint == every_third(data).fingerprint

    def test_what_leaks_is_measured_where_it_is_not_said(self):
        data = dataset([0, 0, 1, 1], [0, 1, 0, 1], datetime=[1, 2, 4, 3])
        split = splits.define_split(lambda pairs: pairs.item * 2)(data, cold_items="keep")
        assert "1 of 2 test users have training positives later than their first test positive" in split.notes[1]
        timeless = dataset([0, 0, 1, 1], [0, 1, 0, 1])
        split = splits.define_split(lambda pairs: pairs.item * 2)(timeless, cold_items="keep")
        assert "it is unknown whether training data lies after test data" in split.notes[1]
        said = splits.define_split(lambda pairs: splits.PartAssignment(pairs.item * 2, "by item"))
        assert "by item" in said(data, cold_items="keep").notes[1] and not split.has_global_cut

    @pytest.mark.parametrize(
        ("rule", "line"),
        [
            (lambda pairs: np.zeros(3), r"<lambda>: returns an array of shape \(3,\) and type float64, expected whole"),
            (
                lambda pairs: np.full(len(pairs.user), 3),
                "returns parts from 3 to 3, expected 0 train, 1 validation or 2",
            ),
            (lambda pairs: np.zeros(len(pairs.user), int), "leaves nobody to test: [0-9]+ users, cold_items = 'drop'"),
            (lambda pairs: np.full(len(pairs.user), 2), "leaves nobody to train on"),
        ],
    )
    def test_parts_that_cannot_be_are_one_line(self, rule, line):
        with pytest.raises(RecsysError, match=line) as caught:
            splits.define_split(rule)(log_of(0))
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("settings", "line"),
        [
            ({"stp": 2}, "every_third: unknown setting 'stp': did you mean 'step'"),
            ({"step": 2.5}, "every_third: step is 2.5, expected a whole number"),
            ({"share": "all"}, "every_third: share is 'all', expected a finite number"),
        ],
    )
    def test_settings_are_those_of_the_signature(self, settings, line):
        with pytest.raises(RecsysError, match=line):
            every_third(log_of(0), **settings)


def named(names, **more):
    """A log whose weights stand in the last of the columns."""
    users, items = [1, 1, 1, 2, 2, 2], [1, 2, 3, 1, 2, 3]
    return read_frame(dict(zip(names, (users, items, [1, 2, 3, 4, 5, 6]), strict=True)), **more)


@pytest.mark.parametrize(
    ("data", "expression"),
    [
        (named(["user", "item", "stars"]), "stars >= 4"),
        (named(["user", "item", "stars"]), "Stars>=4"),
        (named(["user", "item", "stars"]), "rating >= 4"),
        (named(["user", "item", "stars"]), "weight >= 4"),
        (named(["user", "item", "Star Rating"], columns={"weight": "Star Rating"}), "Star Rating >= 4"),
        (named(["user", "item", "Star Rating"], columns={"weight": "Star Rating"}), "star_rating >= 4"),
        (named(["user", "item", "review/score"], columns={"rating": "review/score"}), "review/score >= 4"),
        (named(["user", "item", "Bewertung (1-5)"], columns={"weight": "Bewertung (1-5)"}), "'Bewertung (1-5)' > 3"),
        (named(["user", "item", "оценка"], columns={"weight": "оценка"}), "Оценка >= 4.0"),
        (named(["user", "item", "qty"]), "qty >= 4"),
        (named(["user", "item", "qty"]), "quantity >= 4"),
        (named(["user:token", "item:token", "rating:float"]), "rating >= 4"),
    ],
)
def test_a_threshold_may_call_the_weight_as_the_table_does(data, expression):
    split = splits.no_holdout(data, positive=expression)
    assert split.train.toarray().tolist() == [[0, 0, 0], [1, 1, 1]]


@pytest.mark.parametrize(
    ("columns", "expression", "message"),
    [
        (
            ["user", "item", "stars"],
            "star >= 4",
            "positive: unknown column 'star': did you mean 'stars'? (known: rating, stars, weight)",
        ),
        (
            ["user", "item", "qty"],
            "user >= 4",
            "positive: unknown column 'user': (known: qty, quantity, rating, weight)",
        ),
        (["user", "item", "rating"], "stars >= 4", "positive: unknown column 'stars': (known: rating, weight)"),
        (["user", "item", "stars"], ">= 4", "positive: found '>= 4', expected such as 'rating >= 4'"),
        (["user", "item", "stars"], "stars > = 4", "positive: found 'stars > = 4', expected such as"),
        (["user", "item", "stars"], "2 < stars < 4", "positive: found '2 < stars < 4', expected such as"),
    ],
)
def test_a_threshold_on_another_column_is_one_line(columns, expression, message):
    with pytest.raises(RecsysError) as error:
        splits.no_holdout(named(columns), positive=expression)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("table", "settings", "expression", "message"),
    [
        (
            {"rating": [1, 2], "plays": [5, 6]},
            {"columns": {"weight": "plays"}},
            "rating >= 4",
            "weights are of column 'plays', expected 'plays'",
        ),
        ({"weight": [1, 2], "rating": [5, 6]}, {}, "rating >= 4", "weights are of column 'weight', expected 'weight'"),
        ({"age": [1, 2]}, {}, "age >= 4", "no column holds weights, expected 'weight'"),
        (
            {"rating": [1, 2], "event": ["a", "b"]},
            {"events": {"a": 1, "b": 4}},
            "rating >= 4",
            "no column holds weights",
        ),
    ],
)
def test_a_threshold_on_a_column_that_holds_no_weights_is_refused(table, settings, expression, message):
    data = read_frame({"user": [1, 1], "item": [1, 2], **table}, **settings)
    with pytest.raises(RecsysError) as error:
        splits.no_holdout(data, positive=expression)
    assert str(error.value).startswith(f"positive: found '{expression.split()[0]}', and {message}")
    assert splits.no_holdout(data, positive="weight >= 1").train.nnz


# --- by source ---


def read_sources() -> Dataset:
    """Users with 10 chosen and 4 random ratings; one pair of user 0 has rows of both sources."""
    rows = [(f"u{u}", f"i{i}", 5, "chosen") for u in range(6) for i in range(10)]
    rows += [(f"u{u}", f"i{(u + i) % 16}", 5, "random") for u in range(6) for i in range(10, 14)]
    rows += [("u0", "i3", 5, "random"), *((f"v{i}", f"i{i}", 5, "chosen") for i in range(10, 16))]
    return read_frame(pd.DataFrame(rows, columns=["user_id", "item_id", "rating", "source"]))


def test_the_test_of_by_source_is_one_source_and_validation_a_share_of_the_others():
    log = read_sources()
    split = splits.by_source(log, validation=0.2, seed=1)
    rows = set(zip(*(of.tolist() for of in split.test.nonzero()), strict=True))
    named = {(str(split.user_ids[u]), str(split.item_ids[i])) for u, i in rows}
    assert named == {
        (f"u{u}", f"i{(u + i) % 16}") for u in range(6) for i in range(10, 14) if (u + i) % 16 > 9
    }  # whoever chose an item knows it: such a pair, and the pair of u0 and i3, is no test
    of = np.array([str(name)[0] == "u" for name in split.user_ids])
    assert np.diff(split.validation.indptr)[of].tolist() == [2] * 6
    assert (np.diff(split.train.indptr)[of] == 8).all() and (np.diff(split.train.indptr)[~of] == 1).all()
    other = splits.by_source(log, test_source="chosen", cold_items="keep")
    assert other.test.nnz > split.test.nnz and other.fingerprint != split.fingerprint


def test_a_source_that_is_not_there_is_refused_in_one_line():
    log = read_sources()
    with pytest.raises(RecsysError, match=r"by_source: .*randm"):
        splits.by_source(log, test_source="randm")
    bare = replace(log, interactions=replace(log.interactions, source=None))
    with pytest.raises(RecsysError, match=r"by_source: .* has no column source"):
        splits.by_source(bare)
    with pytest.raises(RecsysError, match="source"):
        splits.by_source(log, sources=["chosen"])
