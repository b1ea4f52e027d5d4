"""Items of sensitive topics are in no slate, no sentence and no table, as if the log did not have their rows."""

import re
from itertools import chain

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import recsys
from recsys import testing
from recsys.control.topics import read_topic_policy
from recsys.rankers import Ranker
from recsys.rankers.explanations import REASONS
from recsys.rankers.records import collect_parts
from recsys.splits import pairs
from recsys.support.serialization import flatten_record
from recsys.testing.leaks import find_difference
from recsys.types import RecsysError

GENRES = ("Ash", "Birch", "Cedar", "Elm")
POLICY = {"topics": {"trees": {"features": ["Cedar"]}, "elms": {"features": ["Elm"], "sensitive": False}}}
SENTENCES = (re.sub(r"\\\{\w+\\\}", r"[^.]+", re.escape(one)) for one in REASONS.values())
TOLD = re.compile(rf"(?:{'|'.join(SENTENCES)})(?: From [^.]+\.)?")
BLEND = {"relevance": 1.0, "mmr": 0.3, "negative_space": 0.3, "long_tail": 0.3, "unexplored": 0.3, "ucb": 0.2}


def make_log(seed: int = 0, users: int = 24, items: int = 20, rows: int = 320) -> pd.DataFrame:
    """A log whose items have titles and genres that appear nowhere else."""
    rng = np.random.default_rng(seed)
    genres = [[name for name in GENRES if rng.random() < 0.35] for _ in range(items)]
    item = rng.integers(0, items, rows)
    return pd.DataFrame(
        {
            "user_id": [f"u{code}" for code in rng.integers(0, users, rows)],
            "item_id": [f"i{code}" for code in item],
            "stars": rng.integers(1, 6, rows),
            "timestamp": 1_300_000_000 + rng.integers(0, 900_000, rows),
            "title": [f"Title{code}x" for code in item],
            "genres": ["|".join(genres[code]) for code in item],
        }
    )


def list_closed(frame: pd.DataFrame, features) -> set[str]:
    """Return the ids of items with one of the features in any of their rows."""
    held = frame["genres"].str.split("|").map(lambda names: bool(set(names) & set(features)))
    return set(frame.loc[held, "item_id"])


def fit_ranker(split, blend=BLEND, **settings) -> Ranker:
    model = recsys.models.ALS(factors=4, seed=0).fit(split.train)
    return Ranker.fit(model, split, blend, k=5, n=min(12, len(split.item_ids)), **settings)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return make_log()


@pytest.fixture(scope="module")
def split(frame):
    policy = read_topic_policy(POLICY)
    return recsys.splits.no_holdout(recsys.read_dataset(frame), positive="stars >= 2", topics=policy)


@pytest.fixture(scope="module")
def ranker(split) -> Ranker:
    return fit_ranker(split)


@pytest.mark.parametrize("kind", ["random", "per_user_time", "leave_last", "global_time", "no_holdout"])
def test_splits_are_those_of_a_log_without_the_rows(frame, kind):
    closed = list_closed(frame, ["Cedar"])
    settings = {"positive": "stars >= 2", "min_item_interactions": 3}
    with_policy = getattr(recsys.splits, kind)(recsys.read_dataset(frame), **settings, topics=read_topic_policy(POLICY))
    rows = ~frame["item_id"].isin(closed)
    without = getattr(recsys.splits, kind)(recsys.read_dataset(frame[rows]), **settings)
    assert closed and not closed.intersection(with_policy.item_ids.tolist())
    for name in ("train", "validation", "test", "train_negatives", "train_times", "user_ids", "items"):
        assert find_difference(getattr(with_policy, name), getattr(without, name), name) is None
    assert with_policy.counts["rows_of_sensitive_topics"] == int((~rows).sum())
    assert f"{int((~rows).sum()):,} rows of items of sensitive topics: left out" in with_policy.notes
    left = frame[rows & frame["item_id"].isin(with_policy.item_ids)]
    expected = [name in list_closed(left, ["Elm"]) for name in with_policy.item_ids.tolist()]
    assert with_policy.topics.find_items("elms").tolist() == expected and any(expected)
    assert not with_policy.topics.find_sensitive_items().any()


def test_a_policy_is_part_of_a_fingerprint_and_none_changes_nothing(frame):
    data = recsys.read_dataset(frame)
    other = {"topics": {"trees": {"features": ["Cedar"]}}}
    policies = [None, read_topic_policy(POLICY), read_topic_policy(other)]
    prints = [recsys.splits.random(data, topics=policy).fingerprint for policy in policies]
    assert len(set(prints)) == 3 and prints[0] == recsys.splits.random(data).fingerprint


def test_what_is_no_policy_or_covers_all_rows_is_one_line(frame):
    data = recsys.read_dataset(frame)
    with pytest.raises(RecsysError, match=r"^topics: found a dict, expected a policy: recsys\.control\.topics\."):
        recsys.splits.random(data, topics=POLICY)
    every = read_topic_policy({"topics": {"t": {"items": sorted(set(frame["item_id"]))}}})
    with pytest.raises(RecsysError, match=r"all 320 rows are of items of sensitive topics, expected others$"):
        recsys.splits.random(data, topics=every)


CONFIG = {
    "filter": {"positive": "stars >= 2", "min_user_interactions": 2},
    "split": {"kind": "per_user_time", "test": 0.3, "validation": 0.2},
    "model": {"kind": "ease"},
    "pool": {"n": 8},
    "slate": {"k": [5]},
    "blends": {"wider": {"relevance": 1.0, "negative_space": 0.3, "novelty": 0.2}},
    "evaluation": {"metrics": ["ndcg", "coverage", "discovery"], "n_bootstrap": 100},
    "control": {"topics": POLICY},
}


def test_a_file_does_not_leak_topics(tmp_path, frame):
    frame.to_csv(tmp_path / "log.csv", index=False)
    testing.check_no_leak({**CONFIG, "data": {"path": str(tmp_path / "log.csv")}})


@pytest.mark.slow
def test_a_table_in_memory_does_not_leak_topics(frame):
    without = {name: value for name, value in CONFIG.items() if name != "control"}
    testing.check_no_leak(without, data=frame, topics=POLICY)


def test_the_leak_test_finds_rows_that_stay(tmp_path, frame, monkeypatch):
    def leak(dataset, policy):
        return dataset, None, 0

    frame.to_csv(tmp_path / "log.csv", index=False)
    monkeypatch.setattr(pairs, "leave_out_topics", leak)
    with pytest.raises(testing.ContractError, match=r"differs|has another|has other"):
        testing.check_no_leak({**CONFIG, "data": {"path": str(tmp_path / "log.csv")}})


def test_a_ranker_keeps_the_policy_and_the_topics_that_users_can_stop(tmp_path, ranker, split):
    loaded = Ranker.load(ranker.save(tmp_path / "ranker"))
    assert loaded.name == ranker.name != fit_ranker(split_without_policy(split)).name
    assert loaded.topics.policy == ranker.topics.policy == read_topic_policy(POLICY).describe()
    assert loaded.topics.digest == read_topic_policy(POLICY).digest
    assert loaded.topics.find_items("elms").tolist() == split.topics.find_items("elms").tolist()
    with pytest.raises(RecsysError, match=r"^unknown topic 'elm': did you mean 'elms'\?"):
        loaded.topics.find_items("elm")


def split_without_policy(split):
    from dataclasses import replace

    return replace(split, topics=None)


def test_a_request_with_closed_items_is_that_without_them(ranker, frame):
    closed = sorted(list_closed(frame, ["Cedar"]))
    open_items = ranker.context.item_ids.tolist()
    history = [open_items[0], closed[0], open_items[3]]
    answer = ranker.rank(history=history)
    plain = ranker.rank(history=[open_items[0], open_items[3]])
    assert answer.items == plain.items and answer.unknown_history == (closed[0],)
    given = [closed[1], *open_items[:6], closed[2]]
    slate = ranker.rerank(given, np.linspace(1, 0, len(given)), user="u1")
    assert not set(slate.items).intersection(closed) and set(slate.unknown_items) == {closed[1], closed[2]}


def test_a_split_with_items_of_sensitive_topics_is_refused(frame, split):
    raw = recsys.splits.no_holdout(recsys.read_dataset(frame), positive="stars >= 2")
    n = len(list_closed(frame, ["Cedar"]).intersection(raw.item_ids.tolist()))
    with pytest.raises(RecsysError, match=rf"^ranker: control: topics: {n} items of the split are of sensitive topics"):
        fit_ranker(raw, control={"topics": POLICY})
    other = {"topics": {"trees": {"features": ["Ash"]}}}
    with pytest.raises(RecsysError, match=r"^ranker: control: topics: the split was made by another policy, expected"):
        fit_ranker(split, control={"topics": other})
    with pytest.raises(RecsysError, match=r"^ranker: control: unknown rule 'topic': did you mean 'topics'\?"):
        fit_ranker(split, control={"topic": POLICY})
    assert fit_ranker(split, control={"topics": POLICY}).topics is split.topics
    harmless = {"topics": {"elms": {"features": ["Elm"], "sensitive": False}}}
    assert fit_ranker(raw, {"relevance": 1.0}, control={"topics": harmless}).topics.find_items("elms").any()


def test_a_saved_ranker_with_items_of_a_sensitive_topic_is_damaged(ranker):
    from dataclasses import replace

    bad = replace(ranker.topics, sensitive=np.ones(2, dtype=bool))
    with pytest.raises(RecsysError, match=r"^topics: some items are of a sensitive topic, expected none$"):
        bad.check_topics(len(ranker.context.item_ids))


def list_texts(ranker: Ranker) -> set[str]:
    """Return every text that a ranker holds, but the operator's policy."""
    parts = collect_parts(
        ranker.model, ranker.context, ranker.available, None, ranker._stored_tables, topics=ranker.topics
    )
    arrays = flatten_record(parts)
    return set(
        chain.from_iterable(
            map(str, array.ravel().tolist())
            for name, array in arrays.items()
            if array.dtype.kind == "U" and name not in ("topics.0.policy", "topics.0.names")
        )
    )


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    features=st.lists(st.sampled_from(GENRES), unique=True, max_size=2),
    n_items=st.integers(0, 4),
    by_tree=st.booleans(),
    objective=st.sampled_from(["mmr", "negative_space", "long_tail", "unexplored", "ucb", "novelty", "noise"]),
)
def test_no_closed_item_is_shown_told_or_held(seed, features, n_items, by_tree, objective):
    frame = make_log(seed, users=14, items=16, rows=150)
    named = [f"i{code}" for code in range(n_items)]
    closed = list_closed(frame, features) | (set(named) & set(frame["item_id"]))
    left = frame[~frame["item_id"].isin(closed)]
    topic = {"features": ["Root"] if by_tree else features, "items": [*named, "never sold"]}
    parents = {"parents": dict.fromkeys(features, "Trunk") | {"Trunk": "Root"}} if by_tree else {}
    policy = read_topic_policy({"topics": {"t": topic}, **parents, "allow_unknown": True})
    asked = {"positive": "stars >= 2"}
    if len(closed) < 2 or left["item_id"].nunique() < 6 or (left["stars"] >= 2).sum() < 20:
        return
    made = recsys.splits.no_holdout(recsys.read_dataset(frame), **asked, topics=policy)
    bare = recsys.splits.no_holdout(recsys.read_dataset(left), **asked)
    one, other = (fit_ranker(part, {"relevance": 1.0, objective: 0.5}) for part in (made, bare))
    secrets = closed | {f"Title{name[1:]}x" for name in closed}
    assert not secrets & list_texts(one)
    tables = [
        flatten_record(collect_parts(r.model, r.context, r.available, None, r._stored_tables)) for r in (one, other)
    ]
    assert find_difference(tables[0], tables[1], "tables") is None
    word = re.compile("|".join(rf"\b{re.escape(secret)}\b" for secret in [*secrets, *features]))
    for user in one.context.user_ids.tolist():
        answers = [r.rank(user=user, more=[one.context.item_ids[0], *closed]) for r in (one, other)]
        assert not closed & set(answers[0].items)
        said = answers[0].explanations()
        assert not any(word.search(text) for text in said)
        assert all(TOLD.fullmatch(text) for text in said)
        assert answers[0].items == answers[1].items and said == answers[1].explanations()
        np.testing.assert_array_equal(answers[0].contributions, answers[1].contributions)
