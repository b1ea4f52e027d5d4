"""Stops of topics that an operator named in a policy: in rankers, in data, on the command line, and after a fit."""

import pytest
from test_rankers import run_cli
from test_topics_closed import BLEND, list_closed, make_log

import recsys
from recsys import testing
from recsys.control import forget_lists
from recsys.control.topics import read_topic_policy
from recsys.rankers import Ranker
from recsys.types import RecsysError, RecsysWarning

POLICY = {
    "topics": {
        "sad": {"features": ["Ash"], "items": ["i4"], "sensitive": False},
        "Birch": {"items": ["i2"], "sensitive": False},  # the name of a feature too
        "closed": {"features": ["Elm"]},
    }
}
USER = "u1"


@pytest.fixture(autouse=True)
def _write_to_memory_alone(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda number: None)


@pytest.fixture(scope="module")
def frame():
    return make_log()


@pytest.fixture
def path(tmp_path):
    return forget_lists.forget(tmp_path / "list", user="nobody").path


@pytest.fixture(scope="module")
def split(frame):
    return recsys.splits.no_holdout(recsys.read_dataset(frame), topics=read_topic_policy(POLICY))


@pytest.fixture(scope="module")
def plain(split):
    model = recsys.models.ALS(factors=4, iterations=2).fit(split.train)
    return Ranker.fit(model, split, BLEND, k=5, n=12)


def list_items(ranker, topic):
    """Return the ids of the items of a topic by its definition, item by item."""
    own, items = POLICY["topics"].get(topic, {}), ranker.context.items
    names = {*own.get("features", ()), topic}
    rows = items.features.toarray() != 0
    held = [names & {n for n, there in zip(items.feature_names, row, strict=True) if there} for row in rows]
    return {one for one, found in zip(items.ids.tolist(), held, strict=True) if found or one in own.get("items", ())}


@pytest.mark.parametrize("topic", ["sad", "Birch", "Cedar"])
def test_topics_of_the_policy_and_features_are_stopped(plain, path, topic, tmp_path):
    closed = list_items(plain, topic)
    ranker = plain.follow_forget_list(path)
    assert closed & set(ranker.rank(user=USER, k=12, profile_free=True).items)
    stopped = ranker.stop(USER, topic)
    loaded = Ranker.load(stopped.save(tmp_path / "ranker"))
    for one in (stopped, loaded):
        for asked in ({}, {"profile_free": True}):
            assert not closed & set(one.rank(user=USER, k=12, **asked).items)
        left = one.context.train[[one.known_users[USER]]].indices
        assert not closed & set(one.context.item_ids[left].tolist())
    back = stopped.undo(user=USER, topic=topic)
    assert back.name == ranker.name


def test_a_sensitive_topic_has_nothing_left_to_close(plain, path):
    ranker = plain.follow_forget_list(path)
    assert ranker.stop(USER, "closed").rank(user=USER, now=9).items == ranker.rank(user=USER, now=9).items


def test_an_unknown_topic_is_told_the_nearest_of_both(plain, path, tmp_path, capsys):
    ranker, before = plain.follow_forget_list(path), path.read_bytes()
    place = "ranker: features of its items and topics of its policy: unknown topic"
    for topic, nearest in (("sadd", "sad"), ("Ceder", "Cedar")):
        with pytest.raises(RecsysError, match=f"{place} '{topic}': did you mean '{nearest}'"):
            ranker.stop(USER, topic)
    written = forget_lists.stop(forget_lists.forget(tmp_path / "typo", user="nobody").path, user=USER, topic="sadd")
    with pytest.warns(RecsysWarning, match="ranker: the forget list: unknown topic 'sadd': did you mean 'sad'"):
        plain.follow_forget_list(written.path)
    folder = plain.save(tmp_path / "ranker")
    assert run_cli("forget", "add", path, "--user", USER, "--topic", "sadd", "--ranker", folder) == 2
    assert "unknown topic 'sadd': did you mean 'sad'" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert run_cli("forget", "add", path, "--user", USER, "--topic", "sad", "--ranker", folder) == 0
    assert [line.topic for line in forget_lists.read_forget_list(path).list_holding()] == ["", "sad"]


def test_a_split_leaves_out_rows_of_topics_of_its_policy(frame, path):
    forget_lists.stop(path, user=USER, topic="sad")
    forget_lists.stop(path, user="u2", topic="Birch")
    data = recsys.read_dataset(frame)
    split = recsys.splits.no_holdout(data, topics=read_topic_policy(POLICY), forget_list=path)
    seen = split.seen
    for user, closed in ((USER, list_closed(frame, ["Ash"]) | {"i4"}), ("u2", list_closed(frame, ["Birch"]) | {"i2"})):
        own = set(split.item_ids[seen[[split.user_ids.tolist().index(user)]].indices].tolist())
        gone = list_closed(frame, ["Elm"])
        rows = frame[frame["user_id"] == user]
        assert own == set(rows["item_id"]) - closed - gone and own
    bought = recsys.splits.select_purchases(data, split)
    assert {(u, i) for u, i in zip(bought.user.tolist(), bought.item.tolist(), strict=True)} == set(
        zip(*(codes.tolist() for codes in split.train.nonzero()), strict=True)
    )
    with pytest.warns(RecsysWarning, match=r"the forget list: unknown topic 'sad'.*known: Ash.*nothing is left out"):
        without = recsys.splits.no_holdout(data, forget_list=path)
    row = without.seen[[without.user_ids.tolist().index(USER)]].indices
    assert set(without.item_ids[row].tolist()) == set(frame[frame["user_id"] == USER]["item_id"])


def test_what_is_stopped_by_the_policy_changes_no_answer(frame, path):
    """The rows are deleted from the log, found one by one, and every bit is compared."""
    table = frame.rename(columns={"genres": "features"})
    for user, topic in ((USER, "sad"), ("u2", "Birch"), ("u3", "Cedar")):
        forget_lists.stop(path, user=user, topic=topic)
    testing.check_no_leak(data=table, topics=POLICY, forget_list=path)
