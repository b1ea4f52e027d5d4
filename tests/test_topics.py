"""Policies of sensitive topics: how they are read, and which items a topic covers."""

from pathlib import Path

import numpy as np
import pytest

from recsys.control.topics import read_topic_policy
from recsys.maths.catalogues import make_items
from recsys.types import RecsysError

FEATURES = {
    0: ["Wine"],
    1: ["Beer"],
    2: ["Bread"],
    3: ["Wine", "Bread"],
    4: ["Health > Mothers > Tests"],
    5: ["Health"],
    6: ["Healthy food"],
    7: [],
}
IDS = [f"i{code}" for code in range(8)]


def make_catalogue():
    return make_items(np.array(IDS), {}, {}, FEATURES)


def find(policy, topic="t"):
    covered = read_topic_policy(policy).find_topic_items(make_catalogue()).find_items(topic)
    return np.flatnonzero(covered).tolist()


@pytest.mark.parametrize(
    ("policy", "covered"),
    [
        ({"topics": {"t": {"features": ["Wine"]}}}, [0, 3]),
        ({"topics": {"t": {"features": "Wine", "items": ["i7", "gone"]}}}, [0, 3, 7]),
        ({"topics": {"t": {"features": ["Alcohol"]}}, "parents": {"Wine": "Alcohol", "Beer": ["Alcohol"]}}, [0, 1, 3]),
        ({"topics": {"t": {"features": ["Top"]}}, "parents": {"Wine": "Mid", "Mid": "Top"}}, [0, 3]),
        ({"topics": {"t": {"features": ["Health"]}}}, [5]),
        ({"topics": {"t": {"features": ["Health"]}}, "separator": ">"}, [4, 5]),
        ({"topics": {"t": {"features": ["Health>Mothers"]}}, "separator": " > "}, [4]),
        ({"topics": {"t": {"features": ["Healing"]}}, "separator": ">", "parents": {"Health": "Healing"}}, [4, 5]),
        ({"topics": {"t": {"features": ["None such"]}}, "allow_unknown": True}, []),
    ],
)
def test_a_topic_covers_features_ids_and_what_is_below(policy, covered):
    assert find(policy) == covered


@pytest.mark.parametrize(
    ("costs", "covered"),
    [((1, 1), [0, 1]), ((1, 3), [0, 1, 2]), ((1, 99), [0, 1, 2, 3]), ((3, 1), [0])],
)
def test_a_threshold_is_where_both_mistakes_cost_the_same(costs, covered):
    scores = {"i0": 0.8, "i1": 0.5, "i2": 0.25, "i3": 0.01, **dict.fromkeys(IDS[4:], 0.0)}
    over, miss = costs
    topic = {"column": "p", "cost_over": over, "cost_miss": miss}
    assert find({"topics": {"t": topic}, "probabilities": {"p": scores}}) == covered
    slow = [code for code, name in enumerate(IDS) if (1 - scores[name]) * over <= scores[name] * miss + 1e-12]
    assert covered == slow


def test_an_item_without_a_probability_is_refused_covered_or_ignored():
    def policy(**more):
        topic = {"column": "p", "cost_over": 1, "cost_miss": 1, **more}
        return {"topics": {"t": topic}, "probabilities": {"p": {"i0": 0.9, "i1": 0.1}}}

    with pytest.raises(RecsysError) as error:
        find(policy())
    assert str(error.value) == (
        "topics: topic 't': 6 items such as 'i2' have no probability in column 'p', expected one of each item, or "
        'unscored = "cover" or "ignore"'
    )
    assert find(policy(unscored="cover")) == [0, 2, 3, 4, 5, 6, 7]
    assert find(policy(unscored="ignore")) == [0]


def write_policy(folder: Path) -> Path:
    (folder / "parents.csv").write_text("child,parent\nWine,Alcohol\nBeer,Alcohol\n", encoding="utf-8")
    rows = [f"{name},{0.9 if name == 'i7' else 0.05}" for name in IDS]
    (folder / "p.csv").write_text("\n".join(["item_id,grief", *rows]), encoding="utf-8")
    path = folder / "policy.toml"
    path.write_text(
        """
        parents = "parents.csv"
        probabilities = "p.csv"
        [topics.alcohol]
        features = ["Alcohol"]
        [topics.grief]
        column = "grief"
        cost_over = 1
        cost_miss = 9
        [topics.bread]
        features = ["Bread"]
        sensitive = false
        """,
        encoding="utf-8",
    )
    return path


def test_a_file_and_its_files_are_read_from_its_folder(tmp_path):
    found = read_topic_policy(write_policy(tmp_path)).find_topic_items(make_catalogue())
    assert found.names.tolist() == ["alcohol", "grief", "bread"]
    assert np.flatnonzero(found.find_sensitive_items()).tolist() == [0, 1, 3, 7]
    assert np.flatnonzero(found.find_items("bread")).tolist() == [2, 3]
    assert np.flatnonzero(found.select_items(np.array([7, 3, 1])).find_items("alcohol")).tolist() == [1, 2]
    with pytest.raises(RecsysError, match=r"^unknown topic 'alcohl': did you mean 'alcohol'\? "):
        found.find_items("alcohl")


def test_a_digest_follows_all_that_decides():
    one = {"topics": {"t": {"features": ["Wine"]}}}
    others = [
        {"topics": {"u": {"features": ["Wine"]}}},
        {"topics": {"t": {"features": ["Beer"]}}},
        {"topics": {"t": {"features": ["Wine"], "sensitive": False}}},
        {**one, "separator": ">"},
        {**one, "allow_unknown": True},
        {**one, "parents": {"Beer": "Wine"}},
    ]
    digests = [read_topic_policy(policy).digest for policy in [one, *others]]
    assert len(set(digests)) == len(digests)
    assert read_topic_policy(dict(one), "elsewhere").digest == digests[0]


BAD = [
    ({"topic": {}}, "topics: unknown key 'topic': did you mean 'topics'?"),
    ({"topics": {}}, "topics: topics is {}, expected a table such as [topics.alcohol]"),
    ({"topics": {"t": {"feature": ["Wine"]}}}, "topics: topic 't': unknown key 'feature': did you mean 'features'?"),
    ({"topics": {"t": {}}}, "topics: topic 't' names nothing, expected features, items or a column of probabilities"),
    ({"topics": {"t": {"features": 3}}}, "topics: topic 't': features is 3, expected a list of names"),
    ({"topics": {"t": {"features": ["Wine"], "sensitive": 1}}}, "topics: topic 't': sensitive is 1, expected"),
    ({"topics": {"t": {"features": ["Wnie"]}}}, "topics: topic 't': unknown feature 'Wnie': did you mean 'Wine'?"),
    (
        {"topics": {"t": {"features": ["Wine", "Wnie"]}}, "parents": {"Beer": "Wine"}},
        "topics: topic 't': unknown feature 'Wnie': did you mean 'Wine'?",
    ),
    (
        {"topics": {"t": {"items": ["x"]}}},
        "topics: topic 't': covers none of 8 items, expected some, or allow_unknown = true",
    ),
    ({"topics": {"t": {"column": "p"}}}, "topics: topic 't': has the column 'p', expected probabilities = "),
    (
        {"topics": {"t": {"column": "q", "cost_over": 1, "cost_miss": 1}}, "probabilities": {"p": {"i0": 0.5}}},
        "topics: topic 't': unknown column 'q'",
    ),
    (
        {"topics": {"t": {"column": "p", "cost_over": 1}}, "probabilities": {"p": {"i0": 0.5}}},
        "topics: topic 't': cost_miss is missing",
    ),
    (
        {"topics": {"t": {"column": "p", "cost_over": 0, "cost_miss": 1}}, "probabilities": {"p": {"i0": 0.5}}},
        "topics: topic 't': cost_over is 0, expected a cost",
    ),
    ({"topics": {"t": {"features": ["Wine"], "cost_over": 1}}}, "topics: topic 't': has cost_over and no column"),
    ({"topics": {"t": {"items": ["i0"]}}, "probabilities": {"p": {"i0": 1.5}}}, "topics: probabilities: item 'i0' is"),
    ({"topics": {"t": {"items": ["i0"]}}, "parents": {"A": "B", "B": "A"}}, "topics: parents: 'A' stands below itself"),
    ({"topics": {"t": {"items": ["i0"]}}, "parents": "gone.csv"}, "topics: parents: gone.csv: No such file"),
    ({"topics": {"t": {"items": ["i0"]}}, "separator": ""}, "topics: separator is '', expected a text such as '>'"),
    (3, "topics: found a int, expected a TOML file, or nested tables"),
    ("gone.toml", "topics: gone.toml: No such file or directory"),
]


@pytest.mark.parametrize(("policy", "said"), BAD)
def test_what_cannot_be_meant_is_one_line(policy, said):
    with pytest.raises(RecsysError) as error:
        find(policy)
    assert str(error.value).startswith(said) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("item_id,p\ni0,much\n", "item 'i0' is 'much', expected a probability from 0 to 1"),
        ("item,p\ni0,0.5\n", "has the columns item, p, expected item_id"),
        ("item_id,p\ni0\n", "line 2 has 1 cells, expected 2"),
        ("item_id,p\ni0,0.1\ni0,0.2\n", "holds the item 'i0' twice, expected each once"),
        ("", "has the columns none, expected item_id"),
    ],
)
def test_a_table_of_probabilities_that_is_wrong_is_one_line(tmp_path, text, said):
    path = tmp_path / "p.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecsysError) as error:
        read_topic_policy({"topics": {"t": {"items": ["i0"]}}, "probabilities": str(path)})
    assert said in str(error.value) and "\n" not in str(error.value)
