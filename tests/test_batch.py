"""Batches of requests as Arrow record batches: each slate is that of `rank` or `rerank` alone, to the bit."""

import sys

import numpy as np
import pyarrow as pa
import pytest
from synthetic import make_exposures, make_maps, make_split

import recsys as rs
from recsys.batch import BatchCounts, columns, rank_batches, requests
from recsys.control import forget_lists
from recsys.rankers import Ranker
from recsys.rankers.slate_makers import SlateMaker
from recsys.types import RecsysError

NOW, K = 1_800_000_000, 4


@pytest.fixture(scope="module")
def split():
    return make_split(users=30, seed=4)


@pytest.fixture(scope="module")
def ranker(split):
    model = rs.models.ALS(factors=3, iterations=1).fit(split.train)
    blend = {"relevance": 1.0, "mmr": 0.3, "negative_space": 0.2}
    guards = [rs.guards.at_least(4, features=["f1"]), rs.guards.frequency_cap(1, window_days=7)]
    return Ranker.fit(model, split, blend, maps=make_maps(split), n=15, k=K, temperature=0.2, guards=guards)


def expect(user, answer, contributions=()):
    """Return the rows of an answer."""
    drawn = answer.log_propensity
    return [
        {
            "user": user,
            "item": item,
            "rank": n + 1,
            "score": answer.scores[n].item(),
            "base_rank": answer.base_ranks[n].item(),
            "log_propensity": None if drawn is None else drawn[n].item(),
            "notes": list(answer.notes),
            "policy": answer.policy,
            **{
                f"contribution_{name}": answer.contributions[n, answer.objectives.index(name)].item()
                if name in answer.objectives
                else None
                for name in contributions
            },
        }
        for n, item in enumerate(answer.items)
    ]


def rank_rows(ranker, *batches, **settings):
    ranked = rank_batches(ranker, batches, now=NOW, **settings)
    rows = [row for batch in ranked for row in batch.to_pylist()]
    return rows, ranked.counts


def test_rows_bring_all_that_rank_takes_and_get_its_slates(ranker):
    rows = [
        {"user_id": "u1"},
        {"user_id": "u2", "k": 7},
        {"user_id": "u3", "history": ["i1", "i2"]},
        {"user_id": "u4", "history": ["i3"], "more": ["i5"], "dislikes": ["i9"], "weights": [("mmr", 0.0)]},
        {"user_id": "new", "history": ["i1", "i2", "lost"], "weights": [("relevance", 2.0)]},
        {"user_id": "nobody", "history": []},
        {"user_id": "u5", "shown": [{"item_id": "i7", "datetime": NOW - 60, "dismissed": False}]},
    ]
    lists, shown = pa.list_(pa.string()), {"item_id": pa.string(), "datetime": pa.int64(), "dismissed": pa.bool_()}
    schema = {"user_id": pa.string(), "k": pa.int8(), "history": lists, "more": lists, "dislikes": lists}
    schema |= {"weights": pa.map_(pa.string(), pa.float64()), "shown": pa.list_(pa.struct(list(shown.items())))}
    given = pa.RecordBatch.from_pylist(rows, schema=pa.schema(list(schema.items())))
    names, everywhere = tuple(ranker.blend), {"negative_space": 0.5}
    first = ranker.rank(user="u1", now=NOW, seed=3, weights=everywhere).items[0]
    guards = [rs.guards.exclude(items=[first])]

    def ask(weights=None, **who):
        return ranker.rank(now=NOW, seed=3, weights={**everywhere, **(weights or {})}, guards=guards, **who)

    expected = [
        *expect("u1", ask(user="u1"), names),
        *expect("u2", ask(user="u2", k=7), names),
        *expect("u3", ask(user="u3", more=["i1", "i2"]), names),
        *expect("u4", ask({"mmr": 0.0}, user="u4", more=["i3", "i5"], dislikes=["i9"]), names),
        *expect("new", ask({"relevance": 2.0}, history=["i1", "i2", "lost"]), names),
        *expect("nobody", ask(history=[]), names),
        *expect("u5", ask(user="u5", shown=[("i7", NOW - 60)]), names),
    ]
    found, counts = rank_rows(ranker, given, seed=3, weights=everywhere, guards=guards, contributions=True)
    assert found == expected
    unmet = {row["user"] for row in found if any("at_least is not met" in note for note in row["notes"])}
    told = {"at_least": len(unmet)} if unmet else {}
    assert counts == BatchCounts(7, 7, len(found), without_history=1, unknown_history=1, unmet_guards=told)


@pytest.mark.parametrize(
    "row",
    [
        [{"item": "i1", "time": NOW - 9}, {"item": "i2", "time": NOW - 5}],
        [
            {"timestamp": NOW - 9, "item_id": "i1", "rating": 4.0},
            {"timestamp": NOW - 5, "item_id": "i2", "rating": 5.0},
        ],
        [None, {"a": "i1", "b": NOW - 9}, {"a": "i2", "b": NOW - 5}],
    ],
)
def test_records_of_a_history_are_read_by_their_names(ranker, row):
    given = pa.RecordBatch.from_pydict({"user": ["new"], "history": [row]})
    found, counts = rank_rows(ranker, given)
    nothing = [one for one in row if one is None]
    expected = ranker.rank(history=[*nothing, ("i1", NOW - 9), ("i2", NOW - 5)], now=NOW)
    assert found == expect("new", expected) and counts.unknown_history == len(nothing)


def test_answers_about_unknown_regions_are_counted_as_such(ranker):
    known = ranker.ask(1, user="u2", regions=True).regions[0]
    answers = pa.array([[("region-none", "like")], [(known, "dislike")]], pa.map_(pa.string(), pa.string()))
    given = pa.RecordBatch.from_pydict({"user": ["u1", "u2"], "region_answers": answers})
    found, counts = rank_rows(ranker, given)
    plain = [ranker.rank(user="u1", now=NOW), ranker.rank(user="u2", now=NOW, region_answers={known: "dislike"})]
    assert found == [row for user, answer in zip(("u1", "u2"), plain, strict=True) for row in expect(user, answer)]
    assert (counts.unknown_regions, counts.unknown_history) == (1, 0)
    assert "answers about regions that the ranker does not know, left out: 1" in counts.describe()


def test_candidates_of_a_user_go_on_in_the_next_batch(ranker, split):
    rng, rows, expected = np.random.default_rng(0), [], []
    for user in ("u1", "u2", "new", "u7"):
        items = [*rng.permutation(split.item_ids)[:11].tolist(), f"lost by {user}"]
        scores = rng.normal(size=12).round(1).tolist()
        history = ["i1", "i8"] if user == "new" else None
        rows += [{"user": user, "item": i, "score": s, "history": history} for i, s in zip(items, scores, strict=True)]
        who = {"user": user} if history is None else {"history": history}
        expected += expect(user, ranker.rerank(items, scores, now=NOW, **who))
    whole = pa.RecordBatch.from_pylist(rows)
    found, counts = rank_rows(ranker, *(whole.slice(at, 5) for at in range(0, len(rows), 5)))
    assert found == expected
    assert counts.users == counts.slates == counts.unknown_items == 4


def test_slates_do_not_depend_on_how_rows_are_batched(ranker, split, monkeypatch):
    monkeypatch.setattr(requests, "BLOCK", 500)
    users = pa.RecordBatch.from_pydict({"user": np.tile(split.user_ids, 40)})  # more than two blocks
    whole, counts = rank_rows(ranker, users)
    parts, again = rank_rows(ranker, *(users.slice(at, 7) for at in range(0, users.num_rows, 7)))
    assert whole == parts == [row for u in split.user_ids for row in expect(u, ranker.rank(user=u, now=NOW))]
    assert counts == again and counts.repeated_users == 39 * 30 and counts.slates == 30


def test_what_has_no_slate_is_counted(ranker, tmp_path):
    path = tmp_path / "list"
    forget_lists.forget(path, user="u8")
    obeying = ranker.follow_forget_list(path)
    rows = [
        {"user": "u8", "k": None},
        {"user": "nobody"},
        {"user": "u1"},
        {"user": "u1"},
        {"user": "u2", "k": 0},
        {"user": "u3", "k": 39},
    ]
    found, counts = rank_rows(obeying, pa.RecordBatch.from_pylist(rows))
    assert {row["user"] for row in found} == {"u1", "u3"}
    assert (counts.users, counts.slates, counts.forgotten_users, counts.unknown_users) == (6, 2, 1, 1)
    assert (counts.repeated_users, counts.refused, counts.short_slates) == (1, 1, 1)
    assert counts.refusal == "user 'u2': ranker: k is 0, expected a whole number from 1 to 100000"
    assert "slates with fewer picks than asked for: 1" in counts.describe()
    assert BatchCounts.from_dict(counts.to_dict(), "") + BatchCounts() == counts


def test_no_answer_is_built(ranker, monkeypatch):
    """Rows are made of arrays."""
    users = pa.RecordBatch.from_pydict({"user": ["u1", "u2"]})
    expected, _ = rank_rows(ranker, users)
    ranked = rank_batches(ranker, [users], now=NOW)
    monkeypatch.setattr(SlateMaker, "list_fields", None)
    assert [row for batch in ranked for row in batch.to_pylist()] == expected
    with pytest.raises(TypeError):
        ranker.rank(user="u1", now=NOW)


def test_a_log_of_exposures_holds_for_its_users(ranker, split):
    log = make_exposures(split)
    users = log.user_ids[:6].tolist()
    rows = {u: [] for u in users}
    for n, code in enumerate(log.user):
        dismissed = False if log.dismissed is None else bool(log.dismissed[n])
        rows.get(log.user_ids[code], []).append((log.item_ids[log.item[n]], int(log.datetime[n]), dismissed))
    now = int(log.datetime.max()) + 1
    ranked = rank_batches(ranker, [pa.RecordBatch.from_pydict({"user": users})], shown=log, now=now)
    found = [row for batch in ranked for row in batch.to_pylist()]
    assert found == [row for u in users for row in expect(u, ranker.rank(user=u, shown=rows[u], now=now))]
    assert found != [row for u in users for row in expect(u, ranker.rank(user=u, now=now))]


@pytest.mark.parametrize(
    ("columns", "settings", "message"),
    [
        (
            {"item": ["i1"]},
            {},
            "batch: no column for user: name it, for instance 'user' instead of 'item' in the table",
        ),
        ({"user": ["u1", None]}, {}, "batch: row 2 has no user, expected an id"),
        ({"user": [["u1"]]}, {}, "batch: column 'user' is of type list<"),
        ({"user": [b"u1"]}, {}, "batch: column 'user' is of type binary, expected ids: text or numbers"),
        ({"user": ["u1"], "history": ["i1"]}, {}, "batch: column 'history' is of type string, expected a list"),
        ({"user": ["u1"], "k": [1.5]}, {}, "batch: column 'k' is of type double, expected whole numbers"),
        ({"user": ["u1"], "score": [1.5]}, {}, "batch: has scores and no items"),
        ({"user": ["u1", "u2", "u1"], "item": ["i1"] * 3, "score": [1.0] * 3}, {}, "of user 'u1' come again"),
        ({"user": ["u1"]}, {"k": 0}, "ranker: k is 0, expected"),
        ({"user": ["u1"]}, {"weights": {"mmmr": 1.0}}, "did you mean 'mmr'?"),
    ],
)
def test_bad_batches_are_one_line(ranker, columns, settings, message):
    with pytest.raises(RecsysError) as error:
        rank_rows(ranker, pa.RecordBatch.from_pydict(columns), **settings)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_lacking_extra_is_named(ranker, monkeypatch):
    columns._make_output_schema.cache_clear()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(RecsysError, match=r'rank_batches needs pyarrow: pip install "recsys-negspace\[bench\]"'):
        rank_batches(ranker, [])
