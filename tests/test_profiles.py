"""What a ranker holds about a user: nothing of the artefact is missing, and each entry says what the files say."""

import json
import re
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from synthetic import make_exposures, make_maps, make_split
from test_rankers import run_cli

import recsys as rs
from recsys.objectives.derived_tables import (
    TABLES,
    TableKey,
    get_expected_exposure,
    get_map_mixes,
    get_sorted_histories,
    get_user_distances,
)
from recsys.rankers import Ranker
from recsys.types import RecsysError, user_rows

USERS = 61  # no other length of the artefact is this, or one more
ACCOUNT_GAP = {"weight": 0.1, "accounts": 20}
BLEND = {"relevance": 1.0, "negative_space": 0.4, "unexplored": 0.2}
OTHER = {
    "relevance": 1.0,
    "negative_space": {"weight": 0.4, "prior_strength": 2.0},
    "calibration": {"weight": 0.2, "aspects": "features"},
    "serendipity": 0.1,
    "account_gap": ACCOUNT_GAP,
}
MODELS = {
    "als": rs.models.ALS(factors=4, iterations=2),
    "bpr": rs.models.BPR(factors=4, iterations=2),
    "lmf": rs.models.LMF(factors=4, iterations=2),
    "ease": rs.models.EASE(),
    "item_knn": rs.models.ItemKNN(k=5),
    "user_knn": rs.models.UserKNN(k=5),
    "most_popular": rs.models.MostPopular(),
    "ensemble": rs.models.Ensemble(["ease", "user_knn", {"kind": "bpr", "factors": 4, "iterations": 2}]),
}


@cache
def make_ranker(model="als", other=False):
    split = make_split(users=USERS, seed=4, times=True)
    fitted = MODELS[model].fit(split.train, split.side_information)
    settings = {"maps": make_maps(split), "n": 20, "k": 5, "shown": make_exposures(split)}
    made = Ranker.fit(fitted, split, OTHER if other else BLEND, **settings)
    made = made.set_user_dials({"u5": {"relevance": 2.0}, "u7": {"relevance": 3.0}}, now=1_000_000_000)
    return made.set_user_dials({"u5": {"relevance": 0.5}}, until=2_000_000_000, now=1_000_000_001)


def find_user_arrays(folder, user):
    """Return the names of the arrays in a folder that have a place for each user, or name one, with their matrices."""
    arrays = {path.name.removesuffix(".npy"): np.load(path) for path in folder.glob("*.npy")}
    told = {
        name
        for name, array in arrays.items()
        if {USERS, USERS + 1} & set(array.shape) or (array.dtype.kind == "U" and (array == user).any())
    }
    groups = {name.rpartition(".")[0] for name in told if name.endswith((".indptr", ".pointers", ".user_ids"))}
    return told | {name for name in arrays if name.rpartition(".")[0] in groups}


def list_unclaimed(folder, profile, user="u5"):
    claimed = {name for entry in profile.entries for name in entry.arrays}
    return sorted(find_user_arrays(folder, user) - claimed)


@pytest.mark.parametrize("model", MODELS)
def test_every_array_with_a_place_for_users_is_in_the_profile(model, tmp_path):
    made = make_ranker(model)
    folder = made.save(tmp_path / "r")
    assert {"train.data", "times.data", "dislikes.data", "exposures.0.times", "user_dials.0.until"} <= (
        find_user_arrays(folder, "u5")
    )
    for ranker in (made, Ranker.load(folder)):
        profile = ranker.profile("u5")
        assert not list_unclaimed(folder, profile)
        everything = [name for entry in profile.entries for name in entry.arrays] + list(profile.other_arrays)
        assert sorted(everything) == sorted(path.name.removesuffix(".npy") for path in folder.glob("*.npy"))


def test_an_array_of_users_that_nobody_marked_is_found(tmp_path, monkeypatch):
    made = make_ranker("bpr")
    folder = made.save(tmp_path / "r")
    np.save(folder / "models.0.mood.npy", np.zeros((3, USERS)))
    assert list_unclaimed(folder, made.profile("u5")) == ["models.0.mood"]
    (folder / "models.0.mood.npy").unlink()
    monkeypatch.setattr(user_rows, "_KEY", "unmarked")
    assert "models.0.user_factors" in list_unclaimed(folder, made.profile("u5"))


def test_tables_that_have_a_row_for_each_user_say_what_it_is():
    for name, table in TABLES.items():
        lengths = {length for shape in (table.saved.shapes if table.saved else ()) for length in shape}
        of_users = table.per_user or table.of_accounts or bool(lengths & {"users", "users or 0", "accounts"})
        assert bool(table.user_row) == of_users, name


def read_matrix_row(folder, name, row):
    data, indices, indptr = (np.load(folder / f"{name}.{part}.npy") for part in ("data", "indices", "indptr"))
    return dict(zip(indices[indptr[row] : indptr[row + 1]], data[indptr[row] : indptr[row + 1]], strict=True))


def get_value(profile, name):
    (entry,) = [entry for entry in profile.entries if entry.name == name]
    return entry.value


@pytest.mark.parametrize("user", [0, 5, USERS - 1])
def test_entries_say_what_the_files_say(user, tmp_path):
    folder = make_ranker("als").save(tmp_path / "r")
    profile = Ranker.load(folder).profile(f"u{user}")
    assert get_value(profile, "user_ids") == profile.user == f"u{user}"
    likes, times = read_matrix_row(folder, "train", user), read_matrix_row(folder, "times", user)
    assert get_value(profile, "train") == [
        {"item": f"i{i}", "title": f"Item {i}", "value": x, "time": f"{np.datetime64(int(times[i]), 's')}Z"}
        for i, x in likes.items()
    ]
    assert get_value(profile, "dislikes") == [
        {"item": f"i{i}", "title": f"Item {i}", "value": x}
        for i, x in read_matrix_row(folder, "dislikes", user).items()
    ]
    factors = np.load(folder / "models.0.factors.user_factors.npy")
    assert np.array_equal(np.float32(get_value(profile, "models.0.factors.user_factors")), factors[user])
    start, stop = list(pairwise(np.load(folder / "exposures.0.pointers.npy")))[user]
    columns = (np.load(folder / f"exposures.0.{name}.npy")[start:stop] for name in ("items", "times", "dismissed"))
    assert get_value(profile, "exposures.0") == [
        {"item": f"i{i}", "title": f"Item {i}", "time": f"{np.datetime64(int(when), 's')}Z", "dismissed": bool(no)}
        for i, when, no in zip(*columns, strict=True)
    ]
    assert stop > start


def test_dials_are_told_with_since_and_until():
    made = make_ranker()
    both = {"objective": "relevance", "since": "2001-09-09T01:46:40Z", "until": None}
    assert get_value(made.profile("u5"), "user_dials.0") == [
        {**both, "factor": 2.0},
        {**both, "factor": 0.5, "since": "2001-09-09T01:46:41Z", "until": "2033-05-18T03:33:20Z"},
    ]
    assert get_value(made.profile("u7"), "user_dials.0") == [{**both, "factor": 3.0}]
    assert get_value(made.profile("u1"), "user_dials.0") == []


@pytest.mark.parametrize("user", [2, 5, 30])
def test_derived_tables_are_told_whether_saved_or_not(user):
    made = make_ranker(other=True)
    table = np.arange(2 * USERS * 15, dtype=np.float32).reshape(2, USERS, 15)
    around = replace(made.context, tables=rs.types.TableCache())
    for key, value in made.context.tables.items():
        around.tables.get(key, lambda value=value: value)
    get_expected_exposure(around, 9.0, 9.0, lambda code, filled: np.copyto(filled, table[:, code]))
    mixes, moments = get_map_mixes(around, "test"), get_user_distances(around, "cooccurrence", 5.0, "test")
    starts, codes = get_sorted_histories(around, "test")
    profile = replace_context(made, around).profile(f"u{user}")
    there = {key: value for key, value in around.tables.items() if isinstance(key, TableKey)}
    assert get_value(profile, "expected_exposure 9.0 9.0") == table[:, user].tolist()
    label = there[TableKey("community_model")][0]
    assert get_value(profile, "community_model") == label[user]
    accounts = there[TableKey("accounts", "20 0")]
    (slates,) = [value for key, value in there.items() if key.name == "account_slates"]
    told = [entry.value for entry in profile.entries if entry.name.startswith("account_slates")]
    if user in accounts:
        best = slates.toarray()[:, accounts.tolist().index(user)]
        assert [row["item"] for row in told[0]] == [f"i{i}" for i in np.flatnonzero(best)]
    else:
        assert told == [] and not any(entry.name.startswith("account_mixes") for entry in profile.entries)
    assert get_value(profile, "map_mixes") == mixes[user].tolist()
    assert get_value(profile, "user_distances cooccurrence 5.0") == [moment[user] for moment in moments]
    mine = [f"i{i}" for i in codes[starts[user] : starts[user + 1]]]
    assert [row["item"] for row in get_value(profile, "sorted_histories")] == mine
    assert [row["item"] for row in get_value(profile, "train")] == mine
    met = around.need_seen("test")[[user]].indices
    assert {row["item"] for row in get_value(profile, "met")} == {f"i{i}" for i in met}


def replace_context(ranker, context):
    made = object.__new__(Ranker)
    vars(made).update(vars(ranker), context=context)
    return made


def test_what_is_not_kept_is_said():
    split = make_split(users=USERS, seed=4)
    ranker = Ranker.fit(MODELS["most_popular"].fit(split.train), split, {"relevance": 1}, n=20, k=5)
    profile = ranker.profile("u5")
    assert any(line.startswith("times of what was liked") for line in profile.not_held)
    assert not any("time" in row for row in get_value(profile, "train"))
    assert any(line.startswith("source and purposes") for line in profile.not_held)
    assert not any(line.startswith("times") for line in make_ranker().profile("u5").not_held)


@dataclass(frozen=True)
class Own:
    """A model of somebody's own, with an array of users."""

    moods: np.ndarray
    factors: None = None

    def score(self, users):
        return self.moods[users] @ np.ones((1, 40), np.float32) * np.arange(40, dtype=np.float32)

    def fold(self, histories):
        return self.score(np.zeros(histories.shape[0], int))


def test_a_model_of_ones_own_is_said_not_to_be_looked_through():
    split = make_split(users=USERS, seed=4)
    ranker = Ranker.fit(Own(np.ones((USERS, 1), np.float32)), split, {"relevance": 1}, n=20, k=5)
    assert any(line.startswith("model Own: none of this library's") for line in ranker.profile("u5").not_held)


def test_a_profile_is_written_whole_as_json(tmp_path):
    profile = make_ranker(other=True).profile("u5")
    assert json.loads(profile.write(tmp_path / "u5.json").read_text()) == profile.to_dict()
    with pytest.raises(RecsysError, match=re.escape("unknown kind of file '.txt', expected .json")):
        profile.write(tmp_path / "u5.txt")


@pytest.mark.parametrize("user", ["u500", None, ""])
def test_an_unknown_user_is_one_line(user):
    with pytest.raises(RecsysError, match="ranker: unknown user") as error:
        make_ranker().profile(user)
    assert "\n" not in str(error.value)
    if user:
        assert "did you mean 'u50'?" in str(error.value)


def test_the_command_prints_or_writes_it(tmp_path, capsys):
    folder = make_ranker().save(tmp_path / "r")
    assert run_cli("profile", folder, "u5") == 0
    assert json.loads(capsys.readouterr().out) == Ranker.load(folder).profile("u5").to_dict()
    assert run_cli("profile", folder, "u5", "--out", tmp_path / "u5.json") == 0
    assert json.loads((tmp_path / "u5.json").read_text())["user"] == "u5"
    for arguments, said in (
        ((folder, "u500"), "unknown user 'u500': did you mean 'u50'?"),
        ((folder, "u5", "--out", tmp_path / "u5.txt"), "expected .json"),
        ((tmp_path / "nowhere", "u5"), "is no saved ranker"),
    ):
        capsys.readouterr()
        assert run_cli("profile", *arguments) == 2
        err = capsys.readouterr().err
        assert said in err and err.count("\n") == 1
