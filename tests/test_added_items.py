"""Items that came since a fit: predicted from features, flagged, and all that was there before as it was."""

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from synthetic import make_maps, make_split

import recsys as rs
from recsys.cli import cli
from recsys.control import forget_lists
from recsys.control.topics import read_topic_policy
from recsys.data.new_items import describe_new_items
from recsys.experiments import add_items_to_ranker
from recsys.maths.feature_regression import STRENGTHS, fit_ridge
from recsys.maths.fold_in import solve_user_factors
from recsys.models.factor_model import FittedFactors
from recsys.models.new_items import predict_items
from recsys.rankers import Index, Ranker
from recsys.rankers.indexes import append_to_lists
from recsys.rankers.remakes import Recipe, remake_ranker
from recsys.types import Factors, RecsysError
from recsys.types.arrays import Csr

BLEND = {"relevance": 1.0, "mmr": 0.3, "negative_space": 0.3, "unexplored": 0.2}
ALS = rs.models.ALS(factors=4, iterations=3)
NEW = [
    {"item_id": "n0", "title": "New (1970)", "features": "f1|f2"},
    {"item_id": "n1", "title": "Newer", "features": "f3|f9", "year": 1980},
    {"item_id": "n2", "title": "Newest", "features": "", "year": None},
]


@pytest.fixture(scope="module")
def split():
    return make_split(users=40, seed=4)


@pytest.fixture(scope="module")
def ranker(split):
    return Ranker.fit(ALS.fit(split.train), split, BLEND, maps=make_maps(split), n=60, k=6, scale=None)


@pytest.fixture(scope="module")
def added(ranker):
    return ranker.add_items(NEW)


def fit_plainly(x, y, strength):
    """Return the prediction by the normal equations with a free mean."""
    means, centre = x.mean(axis=0), y.mean(axis=0)
    x = x - means
    weights = np.linalg.solve(x.T @ x + strength * np.eye(x.shape[1]), x.T @ (y - centre))
    return lambda row: centre + (row - means) @ weights


@pytest.mark.parametrize("columns", [3, 30])
def test_the_strength_is_that_of_the_least_error_where_each_row_is_left_out_of_a_fit(columns):
    rng = np.random.default_rng(1)
    x, root = rng.normal(size=(14, columns)), rng.normal(size=(2, 2))
    y = x[:, :2] @ rng.normal(size=(2, 2)) + rng.normal(size=(14, 2))
    found, metric = fit_ridge(x, y, root @ root.T), root @ root.T
    centred = x - x.mean(axis=0)
    squares = np.linalg.svd(centred, compute_uv=False) ** 2
    scale = squares[squares > 1e-10 * squares.max()].mean()

    def leave_out(strength):
        rest = [np.arange(14) != row for row in range(14)]
        errors = np.array([y[row] - fit_plainly(x[rest[row]], y[rest[row]], strength)(x[row]) for row in range(14)])
        return np.einsum("ij,jk,ik->", errors, metric, errors)

    by_strength = {strength: leave_out(strength) for strength in scale * STRENGTHS}
    assert found.strength == pytest.approx(min(by_strength, key=by_strength.get))
    assert found.explained == pytest.approx(1 - min(by_strength.values()) / leave_out(1e15), abs=1e-6)
    np.testing.assert_allclose(found.predict(x[:2] + 1), fit_plainly(x, y, found.strength)(x[:2] + 1), atol=1e-9)


def test_features_that_say_nothing_predict_the_mean():
    x, y = np.tile([[1.0], [-1.0]], (6, 1)), np.repeat([[1.0], [2.0], [4.0]], 4, axis=0)  # halves of equal mean
    found = fit_ridge(x, y)
    assert found.strength == np.inf and found.explained == 0.0
    assert found.predict(x[:1]) == pytest.approx(y.mean(axis=0)[None])
    assert fit_ridge(np.zeros((5, 0)), y[:5]).predict(np.zeros((1, 0))) == pytest.approx(y[:5].mean(axis=0)[None])


def test_factors_are_regressed_on_features_and_years_in_the_metric_of_scores(split, ranker, added):
    liked = np.bincount(split.train.indices, minlength=40) > 0
    years = split.items.years.astype(float)
    known = np.hstack([split.items.features.toarray(), ((years - years.mean()) / years.std())[:, None]])
    new = np.zeros((3, 6))
    new[0, [1, 2]] = new[1, 3] = 1.0
    new[:2, 5] = (np.array([1970, 1980]) - years.mean()) / years.std()
    new[2] = known[liked].mean(axis=0)
    users, items = ranker.model.factors.user_factors.astype(float), ranker.model.factors.item_factors.astype(float)
    expected = fit_ridge(known[liked], items[liked], users.T @ users).predict(new)
    np.testing.assert_allclose(added.model.factors.item_factors[40:], expected, atol=1e-5)
    np.testing.assert_allclose(added.model.factors.item_factors[42], items[liked].mean(axis=0), atol=1e-5)
    told = added.added_items
    assert (told.items, told.unknown, told.undescribed) == (("n0", "n1", "n2"), ("f9",), 1)
    assert any("f9" in sentence for sentence in told.describe())


def test_what_was_there_answers_as_before_to_the_bit(ranker, added):
    for who in ({"user": "u3"}, {"history": ["i1", "i5"]}, {}):
        pools = [one.rank(**who, k=43, now=0) for one in (ranker, added)]
        before, after = (dict(zip(one.items, one.relevance.tolist(), strict=True)) for one in pools)
        assert set(before) == set(after) - {"n0", "n1", "n2"}
        assert all(after[item] == score for item, score in before.items())
    rows = Csr(np.eye(1, 43, 7, dtype=np.float32))
    np.testing.assert_array_equal(
        added.model.fold(rows)[:, :40], ranker.model.fold(Csr((rows.data, rows.indices, rows.indptr), shape=(1, 40)))
    )


def test_new_items_are_there_at_once_and_flagged(added):
    found = added.rank(history=["i1", "n0"], k=40, now=0)
    assert "n1" in found.items and "n0" not in found.items and not found.unknown_history
    said = [note for note in found.notes if "is new: its scores are predicted from its features" in note]
    assert len(said) == 2 and "'n1'" in "".join(said)
    assert not any("is new" in note for note in added.rerank(["i1", "i2"], [1.0, 0.5], now=0).notes)
    assert not np.bincount(added.context.train.indices, minlength=43)[40:].any()


def test_regions_are_those_of_the_nearest_known_item_and_none_without_features(split, ranker, added):
    described = describe_new_items(NEW, split.items)
    for m, taste_map in enumerate(added.context.maps):
        before = ranker.context.maps[m].hard_regions
        np.testing.assert_array_equal(taste_map.hard_regions[:40], before)
        counts = np.bincount(split.train.indices, minlength=40)
        for n in range(2):
            rows = described.known / np.linalg.norm(described.known, axis=1, keepdims=True)
            near = np.round(rows @ described.new[n] / np.linalg.norm(described.new[n]), 9)
            best = max(np.flatnonzero(counts > 0), key=lambda code, near=near: (near[code], counts[code], -code))
            assert taste_map.hard_regions[40 + n] == before[best]
        assert taste_map.hard_regions[42] == -1
    known = {"item_id": split.item_ids.tolist(), "colour": ["red"] * 20 + ["blue"] * 20}
    found = ranker.add_items({"item_id": ["n"], "colour": ["blue"]}, known=known).context.maps
    most = 20 + counts[20:].argmax()  # all of them are as near
    assert [one.hard_regions[40] for one in found] == [one.hard_regions[most] for one in ranker.context.maps]


def test_it_is_a_new_version_that_is_saved_and_updated(ranker, added, tmp_path):
    loaded = Ranker.load(added.save(tmp_path / "ranker"), verify=True)
    assert ranker.name != added.name == loaded.name and loaded.added_items == added.added_items
    assert loaded.rank(user="u3", now=0).items == added.rank(user="u3", now=0).items
    assert loaded.rank(user="u3", now=0).notes == added.rank(user="u3", now=0).notes
    assert loaded.replay(ranker.rank(user="u3", now=0).receipt()).verdict == "other artefact"
    updated = loaded.update([("u3", "n0", 1.0), ("zed", "n1", 1.0)])
    assert updated.last_update.likes == 2 and "3 added items" in updated.last_update.stale[-1]
    assert np.bincount(updated.context.train.indices, minlength=43)[40:].tolist() == [1, 1, 0]
    np.testing.assert_array_equal(updated.model.factors.item_factors, added.model.factors.item_factors)
    expected = added.rank(user="u3", more=["n0"], now=0)
    assert updated.rank(user="u3", now=0).relevance.tolist() == expected.relevance.tolist()
    again = updated.add_items([{"item_id": "n3", "features": "f1", "year": 1960}])
    assert again.added_items.items == ("n0", "n1", "n2", "n3") and again.added_items.added == 1
    assert again.model.factors.predicted.nonzero()[0].tolist() == [40, 41, 42, 43]


@pytest.mark.parametrize("name", ["bpr", "lmf", "most_popular", "random", "ensemble"])
def test_other_models_are_predicted_too(split, name):
    rows, users = split.items.features.toarray(), np.arange(40, dtype=np.int32)
    model = {
        "bpr": rs.models.BPR(factors=3, iterations=5), "lmf": rs.models.LMF(factors=3, iterations=3),
        "most_popular": rs.models.MostPopular(), "random": rs.models.Random(),
        "ensemble": rs.models.Ensemble(["most_popular", {"kind": "als", "factors": 3}]),
    }[name].fit(split.train)  # fmt: skip
    ranker = Ranker.fit(model, split, {"relevance": 1.0}, maps=[], n=60, k=6)
    added = ranker.add_items(NEW)
    if name != "ensemble":  # whose scale per user is over all items
        np.testing.assert_array_equal(added.model.score(users)[:, :40], ranker.model.score(users))
    assert len(added.added_items.predictions) == {"random": 0, "ensemble": 2}.get(name, 1)
    assert "n1" in added.rank(user="u3", k=43, now=0).items
    if name == "most_popular":
        fitted = np.bincount(split.train.indices, minlength=40) > 0
        logs = np.log1p(model.counts.astype(float))[:, None]
        years = split.items.years.astype(float)
        known = np.hstack([rows, ((years - years.mean()) / years.std())[:, None]])[fitted]
        assert added.model.counts[42] == pytest.approx(np.expm1(logs[fitted].mean()), rel=1e-5)
        row = np.array([[0, 1, 1, 0, 0, (1970 - years.mean()) / years.std()]])
        expected = np.expm1(fit_ridge(known, logs[fitted]).predict(row))[0, 0]
        assert added.model.counts[40] == pytest.approx(expected, rel=1e-5)
        updated = added.update([(f"u{n}", "n0", 1.0) for n in range(30)])
        assert updated.model.counts[40] == 30 and updated.model.counts[41] == added.model.counts[41]
        assert "counts exact" in updated.last_update.describe()[1]


def test_a_table_of_known_items_says_what_its_columns_say(split):
    vectors = np.random.default_rng(0).normal(size=(40, 3))
    known = {
        "item_id": [f"i{i}" for i in range(39)], "vector": vectors[:39], "colour": ["red", "blue|red", "blue"] * 13,
        "price": [float(i) if i != 5 else None for i in range(39)],
        "title": ["a film of night" if i < 6 else "other" for i in range(39)],
    }  # fmt: skip
    new = {"item_id": ["n0", "n1"], "vector": [[1.0, 2.0, 3.0], [0.0, 1.0, 0.0]], "colour": ["red", "green"],
           "price": [100.0, None], "title": ["night", "x"], "size": [1, 2]}  # fmt: skip
    found = describe_new_items(new, split.items, known)
    assert (found.columns, found.unknown, found.missing, found.left_out) == (
        ("vector", "colour", "price", "title"), ("green",), 1, ("size",),
    )  # fmt: skip
    assert found.has_row.sum() == 39 and not found.has_row[39]
    centred = vectors[:39] - vectors[:39].mean(axis=0)
    spread = np.sqrt((centred**2).mean())
    np.testing.assert_allclose(found.known[:39, :3], centred / spread)
    np.testing.assert_allclose(found.new[0, :3], ([1.0, 2.0, 3.0] - vectors[:39].mean(axis=0)) / spread)
    assert found.new[:, 3:5].tolist() == [[0.0, 1.0], [0.0, 0.0]]  # blue, red
    prices = np.array([i for i in range(39) if i != 5], float)
    assert found.new[0, 5] == pytest.approx((38 - prices.mean()) / prices.std()) and found.new[1, 5] == 0.0
    assert found.new[0, 6:].sum() == 1.0 and found.known[0, 6:].sum() == 2.0  # film and night; "of" is short


def test_features_that_are_words_of_titles_are_read_from_titles():
    rows = [(user, item, 1.0) for user in range(6) for item in range(6)]
    items = {"item_id": range(6), "title": ["red wine", "red ale", "wine glass", "ale glass", "red cup", "cup"]}
    items["features"] = [title.replace(" ", "|") for title in items["title"]]
    catalogue = rs.read_dataset(rows, items=items).items
    found = describe_new_items({"item_id": ["n"], "title": ["Red Bottle Glass"]}, catalogue)
    assert found.items.feature_names == ("glass", "red")
    np.testing.assert_array_equal(
        found.new[0] > 0, (found.known[1] > 0) & (found.known[4] > 0) | (found.known[2] > 0) & (found.known[3] > 0)
    )


@pytest.mark.parametrize(
    ("rows", "known", "said"),
    [
        ([{"item_id": "i3", "features": "f1"}, {"item_id": "n"}], None, "1 of 2 items are known already, such as 'i3'"),
        ([{"item_id": "n", "features": "f1"}, {"item_id": "n"}], None, "holds the item 'n' twice"),
        ([{"item_id": "n", "features": "f1"}, {"item_id": None}], None, "row 2 has no item_id"),
        ([{"item_id": "n", "year": 1999}], None, "has no column for features, by which the known items are described"),
        ([{"item_id": "n", "features": "f1", "year": "late"}], None, "year: row 1 holds 'late', expected a year from"),
        ([{"item_id": "n", "features": "f1", "year": float("inf")}], None, "year: row 1 holds 'inf', expected a year"),
        ([{"name": "n", "features": "f1"}], None, "no column for item_id"),
        ([{"item_id": "n", "cost": 1.0}], {"item_id": ["i1"], "price": [1.0]}, "no column 'price'|price"),
        ([{"item_id": "n", "price": "dear"}], {"item_id": ["i1"], "price": [1.0]}, "row 1 holds 'dear', expected a fin"),
        ([{"item_id": "n", "price": float("inf")}], {"item_id": ["i1"], "price": [1.0]}, "expected a finite number"),
        ([{"item_id": "n", "v": [1.0]}], {"item_id": ["i1"], "v": [[1.0, 2.0]]}, "1 numbers, expected a vector of 2"),
        ([{"item_id": "n", "v": [1.0, np.nan]}], {"item_id": ["i1"], "v": [[1.0, 2.0]]}, "holds NaN or infinity"),
        ([{"item_id": "n", "c": [1.0]}], {"item_id": ["i1"], "c": ["red"]}, "holds lists of numbers, expected names"),
        ([{"item_id": "n", "c": "red"}], {"item_id": ["x"], "c": ["red"]}, "holds none of the 40 known items"),
        ([{"item_id": "n", "c": "red"}], {"item_id": ["i1"]}, "has no column beside item_id"),
        ([{"item_id": "n", "c": "red"}], {"item_id": ["i1"], "c": ["red"]}, "1 known items are liked and described"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(ranker, rows, known, said):
    with pytest.raises(RecsysError, match=said) as caught:
        ranker.add_items(rows, known=known)
    assert "\n" not in str(caught.value) and "add_items" in str(caught.value)


def test_models_with_weights_between_items_name_those_that_can(split):
    ranker = Ranker.fit(rs.models.EASE().fit(split.train), split, {"relevance": 1.0}, maps=[], n=20, k=6)
    with pytest.raises(RecsysError, match=r"FittedEASE has weights .* expected one of als, bpr"):
        ranker.add_items(NEW)


def test_sensitive_topics_are_refused_and_others_cover_new_items(split, tmp_path):
    path = tmp_path / "topics.toml"
    path.write_text('allow_unknown = true\n[topics.wine]\nsensitive = false\nfeatures = ["f1"]\n\n'
                    '[topics.health]\nitems = ["n1"]\n')  # fmt: skip
    policy = read_topic_policy(path)
    held = replace(split, topics=policy.find_topic_items(split.items))
    ranker = Ranker.fit(ALS.fit(split.train), held, {"relevance": 1.0}, maps=[], n=20, k=6)
    with pytest.raises(RecsysError, match="1 are of a sensitive topic, such as 'n1'"):
        ranker.add_items(NEW)
    found = ranker.add_items(NEW[::2]).topics
    assert found.covers.shape == (2, 42) and found.find_items("wine")[40:].tolist() == [True, False]


def test_a_forget_list_holds_for_a_ranker_with_new_items(ranker, tmp_path):
    path = tmp_path / "forget.jsonl"
    forget_lists.forget(path, user="u3")
    added = ranker.follow_forget_list(path).add_items(NEW[:1])
    assert "u3" not in added.known_users and "n0" in added.known_items and added.forget_state is not None


def test_an_index_has_new_items_in_the_list_with_the_nearest_centre():
    centres = np.array([[0.0, 0.0], [4.0, 0.0]], np.float32)
    lists = Csr((np.ones(3, np.float32), [0, 2, 1], [0, 2, 3]), shape=(2, 3))
    made = append_to_lists(Index(centres, lists, 1, 0.5, 0.9, 1.0, 1.0, 2, 3), np.array([[3.0, 1.0], [1.0, 3.0]]))
    assert [made.lists[[row]].indices.tolist() for row in range(2)] == [[0, 2, 4], [1, 3]]
    assert made.lists.indices.dtype == np.int32


def test_made_anew_after_a_forget_new_items_are_predicted_again(split, ranker, tmp_path):
    path = tmp_path / "forget.jsonl"
    forget_lists.forget(path, user="u3")
    added = ranker.add_items(NEW).update([("u5", "n0", 1.0)]).follow_forget_list(path)

    class Parts:
        def make(self, name, make, is_kept=True):
            return make()

    made = remake_ranker(added, Recipe(settings=ALS, fits_scales=False), Parts(), lambda name: None)
    assert made.added_items.items == ("n1", "n2") and made.model.factors.predicted.nonzero()[0].tolist() == [41, 42]
    assert made.model.factors.item_factors[41].any()


def test_gram_counts_no_item_that_came_later():
    rng = np.random.default_rng(0)
    user, item = rng.normal(size=(5, 3)).astype(np.float32), rng.normal(size=(8, 3)).astype(np.float32)
    told = (user.mean(axis=0), 1.0, 1.0, 1.0, 0.0, 2.0, 0.5)
    whole = Factors(user, item[:6], *told)
    later = Factors(user, item, *told, predicted=np.arange(8) >= 6)
    history = np.eye(1, 8, 2, dtype=np.float32)
    np.testing.assert_array_equal(
        solve_user_factors(later, Csr(history)), solve_user_factors(whole, Csr(history[:, :6]))
    )


def test_prediction_keeps_rows_that_are_not_asked_for_and_weighs_errors_as_scores_do():
    signs, wanted = np.tile([1.0, -1.0], 6)[:, None], np.arange(12) >= 10
    noise = np.repeat([1.0, 2.0, 4.0], 4)[:, None]  # of which the signs say nothing
    items = np.hstack([signs, noise]).astype(np.float32)
    for users, says in (([[1.0, 0.0]], True), ([[0.0, 1.0]], False)):
        factors = Factors(np.array(users, np.float32), items, np.zeros(2, np.float32), 1.0, 1.0, 1.0, 0.0, 1.0, 0.0)
        made, (told,) = predict_items(FittedFactors(factors), signs, ~wanted, wanted)
        np.testing.assert_array_equal(made.factors.item_factors[:10], items[:10])
        found = made.factors.item_factors[10:]
        np.testing.assert_allclose(found[:, 0], [1.0, -1.0] if says else [0.0, 0.0], atol=2e-3)
        assert (told.strength is None) != says and made.factors.predicted.tolist() == wanted.tolist()


def test_the_command_writes_a_new_version_and_says_how_well_features_predict(ranker, tmp_path):
    folder, out = ranker.save(tmp_path / "old"), tmp_path / "new"
    (tmp_path / "items.csv").write_text("sku,genres,year\nn0,f1|f2,1970\nn1,f3,1980\n")
    done = CliRunner().invoke(
        cli, ["add-items", str(folder), str(tmp_path / "items.csv"), "--out", str(out), "--quiet"]
    )
    assert done.exit_code == 0, done.output
    assert "2 items are added, described by features, year" in done.output and Ranker.load(out).name in done.output
    with pytest.raises(RecsysError, match="is the ranker itself"):
        add_items_to_ranker(folder, NEW, folder)
