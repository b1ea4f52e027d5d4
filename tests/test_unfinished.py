"""Welcome back: what was begun and not finished, its cap in slates, and all that ends it."""

import numpy as np
import pandas as pd
import pytest

import recsys as rs
from recsys.control import forget_lists
from recsys.evidence import build_unfinished
from recsys.reranking import guards
from recsys.types import RecsysError

DAY = 86_400
NOW = 100 * DAY


def make_log(seed=3, users=30, items=20, rows=900):
    rng = np.random.default_rng(seed)
    made = pd.DataFrame(
        {
            "user": [f"u{code}" for code in rng.integers(0, users, rows)],
            "item": [f"i{code}" for code in rng.integers(0, items, rows)],
            "event": rng.choice(["view", "purchase"], rows, p=[0.6, 0.4]),
            "timestamp": rng.integers(1, 100, rows) * DAY + rng.integers(0, DAY, rows),
        }
    )
    made["genres"] = "odd"
    made.loc[made.item.isin([f"i{code}" for code in range(0, items, 2)]), "genres"] = "even"
    return made


def read_log(frame):
    catalogue = frame[["item", "genres"]].drop_duplicates("item")
    log = frame.drop(columns="genres")
    return rs.read_dataset(log, items=catalogue, events={"view": 1, "purchase": 4})


@pytest.fixture(scope="module")
def frame():
    return make_log()


@pytest.fixture(scope="module")
def data(frame):
    return read_log(frame)


@pytest.fixture(scope="module")
def split(data):
    return rs.splits.no_holdout(data, positive="weight >= 4")


@pytest.fixture(scope="module")
def unfinished(data, split):
    return build_unfinished(data, split, "weight < 4", half_life=10, now=NOW + DAY)


@pytest.fixture(scope="module")
def ranker(split, unfinished):
    model = rs.models.ALS(factors=4, iterations=3).fit(split.train)
    limits = [guards.cool_down(days=300)]
    return rs.Ranker.fit(model, split, {"relevance": 1.0}, k=10, n=20, repeats=unfinished, guards=limits)


def find_user(unfinished, n=3):
    return int(np.flatnonzero(np.diff(unfinished.scores.indptr) >= n)[0])


def list_best(unfinished, split, user):
    row = unfinished.scores[[user]]
    order = np.argsort(-row.data, kind="stable")
    return [str(split.item_ids[code]) for code in row.indices[order]]


@pytest.mark.parametrize("max_days", [None, 20])
def test_scores_are_those_of_a_slow_sum(frame, data, split, max_days):
    now = 80 * DAY
    made = build_unfinished(data, split, "weight < 4", half_life=10, max_days=max_days, now=now)
    expected = np.zeros(split.shape)
    early = frame[frame.timestamp < now]
    for (user, item), rows in early.groupby(["user", "item"]):
        ages = (now - rows.timestamp) / DAY
        if (rows.event == "view").all() and not (max_days is not None and ages.min() > max_days):
            at = np.flatnonzero(split.user_ids == user), np.flatnonzero(split.item_ids == item)
            if len(at[0]) and len(at[1]):
                expected[at[0][0], at[1][0]] = (2 ** (-ages / 10)).sum()
    np.testing.assert_allclose(made.scores.toarray(), expected, rtol=1e-5)
    assert 0 < (expected > 0).sum() < early.groupby(["user", "item"]).ngroups and made.now == now


def test_the_moment_is_the_cut_or_the_end_of_the_rows(data, split):
    timed = rs.splits.global_time(data, positive="weight >= 4", test=0.3)
    assert build_unfinished(data, timed, "weight < 4").now == timed.cuts[0]
    assert build_unfinished(data, split, "weight < 4").now == data.interactions.datetime.max() + 1
    with pytest.raises(RecsysError, match=r"per_user_time, whose held-out rows .* expected now="):
        build_unfinished(data, rs.splits.per_user_time(data, positive="weight >= 4", test=0.2), "weight < 4")


def test_the_first_slots_are_what_was_begun_and_no_more_than_the_cap(split, unfinished, ranker):
    user = find_user(unfinished)
    best = list_best(unfinished, split, user)
    slate = ranker.rank(user=str(split.user_ids[user]), now=NOW + DAY).items
    assert list(slate[:2]) == best[:2] and not set(best) & set(slate[2:])
    nobody = ranker.rank(history=[str(split.item_ids[0])]).items
    assert len(nobody) == 10


def test_an_ending_takes_an_item_out_of_its_slot(split, unfinished, ranker, tmp_path):
    user = find_user(unfinished)
    name, now = str(split.user_ids[user]), NOW + DAY
    first, second, third = list_best(unfinished, split, user)[:3]
    forget_lists.forget(tmp_path / "lines.jsonl", user=name, item=first)
    of_topic = split.items.feature_names[split.items.features[[np.flatnonzero(split.item_ids == first)[0]]].indices[0]]
    stopped = ranker.follow_forget_list(forget_lists_path(tmp_path)).stop(name, of_topic).rank(user=name, now=now)
    ends = {
        "finished": ranker.rank(user=name, now=now, more=[first]),
        "disliked": ranker.rank(user=name, now=now, dislikes=[first]),
        "excluded": ranker.rank(user=name, now=now, guards=[guards.exclude(items=[first])]),
        "dismissed": ranker.rank(user=name, now=now, shown={"item": [first], "time": [now - DAY], "dismissed": [True]}),
        "put off": ranker.set_owned(name, {first: now + DAY}).rank(user=name, now=now),
        "forgotten": ranker.follow_forget_list(tmp_path / "lines.jsonl").rank(user=name, now=now),
    }
    for how, answer in ends.items():
        assert list(answer.items[:2]) == [second, third], how
        assert first not in answer.items or how == "forgotten"
    assert first not in stopped.items
    both = ranker.rank_many(users=[name, name], more=[[first], []], dislikes=[[], [first]], now=now)
    assert [answer.items for answer in both] == [ends["finished"].items, ends["disliked"].items]
    again = ranker.rerank([first, second, third], [3.0, 2.0, 1.0], user=name, more=[first], now=now).items
    assert first not in again and list(again[:2]) == [second, third]


def forget_lists_path(folder):
    path = folder / "empty.jsonl"
    forget_lists.forget(path, user="nobody")
    return path


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"begun": "weight >= 1"}, r"positives \(weight >= 4\) satisfy begun, 'weight >= 1', expected"),
        ({"begun": "views < 4"}, "build_unfinished: begun: unknown column 'views'"),
        ({"begun": "weight < 1"}, "no row before .* satisfies 'weight < 1'"),
        ({"begun": None}, "begun is None, expected text"),
        ({"half_life": 0}, "half_life"),
        ({"share": 1.5}, "share"),
        ({"max_days": -1}, "max_days"),
    ],
)
def test_bad_input_is_one_line(data, split, changed, message):
    with pytest.raises(RecsysError, match=message) as error:
        build_unfinished(data, split, **{"begun": "weight < 4", **changed})
    assert "\n" not in str(error.value)
    timeless = rs.read_dataset(pd.DataFrame({"user": ["a", "b"], "item": ["x", "y"], "rating": [1, 5]}))
    with pytest.raises(RecsysError, match="has no times"):
        build_unfinished(timeless, split, "rating < 4")
