"""Weights by age in the context of objectives, in rankers, and in benchmarks, against slow statements."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from synthetic import make_maps, make_split, write_tables

import recsys as rs
from recsys.experiments.exports import export
from recsys.maps import objective_maps
from recsys.models import ALS, ItemKNN
from recsys.objectives import derived_tables, profile_distance, ucb
from recsys.rankers import Ranker
from recsys.reranking.slates import rerank
from recsys.retrieval.candidates import candidates, make_context
from recsys.retrieval.fold_contexts import make_fold_context
from recsys.splits.cross_fitting import make_folds
from recsys.types import RecsysError

DAY = 86_400.0
BLEND = {"relevance": 1.0, "negative_space": 0.5, "mmr": 0.2}


@pytest.fixture(scope="module")
def split():
    return make_split(seed=3, users=40, times=True).with_half_life(150)


@pytest.fixture(scope="module")
def als(split):
    return ALS(factors=4, iterations=2).fit(split.train, split.side_information)


@pytest.fixture(scope="module")
def ranker(split, als):
    return Ranker.fit(als, split, BLEND, maps=make_maps(split), n=15, k=5)


@pytest.fixture(scope="module")
def weights(split):
    return split.time_weights.weights.toarray().astype(np.float64)


def test_tables_of_everybody_count_by_age(split, weights):
    context = make_context(split, maps=make_maps(split))
    np.testing.assert_allclose(derived_tables.get_item_counts(context, "t"), weights.sum(axis=0), rtol=1e-6)
    n = np.maximum(weights.sum(axis=0), 1)
    np.testing.assert_allclose(
        derived_tables.get_self_information(context, "t"), np.log2(weights.sum()) - np.log2(n), rtol=1e-5
    )
    has = split.items.features.toarray() > 0
    shares = (weights @ has).sum(axis=0) / weights.sum()
    np.testing.assert_allclose(derived_tables.get_global_aspect_shares(context, "features", "t"), shares, rtol=1e-5)
    vectors = derived_tables.get_item_vectors(context, "cooccurrence", "t")
    columns = weights / np.linalg.norm(weights, axis=0)
    near = columns.T @ columns  # as many dimensions as users: nothing is left out
    np.testing.assert_allclose(vectors @ vectors.T, near, atol=1e-4)


def test_mixes_of_a_history_count_by_age(split, weights):
    maps = make_maps(split)
    context = make_context(split, maps=maps)
    found = derived_tables.get_map_mixes(context, "t")
    wanted = np.concatenate([weights @ one.assignment.toarray() for one in maps], axis=1)
    starts = np.cumsum([0] + [one.assignment.shape[1] for one in maps])
    for start, stop in pairwise(starts):
        wanted[:, start:stop] /= np.maximum(wanted[:, start:stop].sum(axis=1, keepdims=True), 1e-300)
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    shares = split.items.features.toarray() / np.maximum(split.items.features.toarray().sum(axis=1, keepdims=True), 1)
    wanted = weights @ shares
    wanted /= wanted.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(derived_tables.get_aspect_mixes(context, "features", "t"), wanted, atol=1e-6)
    own = derived_tables.get_aspect_mixes(context, "features", "t", 30.0)  # an objective's own half-life
    plain = make_context(split.with_half_life(None), maps=maps)
    np.testing.assert_array_equal(own, derived_tables.get_aspect_mixes(plain, "features", "t", 30.0))


def test_distance_to_a_profile_counts_by_age(split, als, weights):
    pool = candidates(als, split, n=6, maps=make_maps(split))
    found = profile_distance(pool, 5, space="features").gain
    vectors = derived_tables.get_item_vectors(pool.context, "features", "t").astype(np.float64)
    for user in range(40):
        near = vectors[pool.items[user]] @ vectors.T
        np.testing.assert_allclose(found[user], 1 - near @ weights[user] / weights[user].sum(), atol=1e-6)


def test_doubt_about_a_user_falls_with_recent_evidence(split, als, weights):
    pool = candidates(als, split, n=6, maps=make_maps(split))
    found, factors = ucb(pool, 5).gain, als.factors
    y = factors.item_factors.astype(np.float64)
    for user in range(5):
        matrix = (y.T * (1 + factors.observed_weight * weights[user])) @ y + factors.regularization * np.eye(4)
        spread = np.sqrt(np.einsum("nd,de,ne->n", *(y[pool.items[user]], np.linalg.inv(matrix), y[pool.items[user]])))
        np.testing.assert_allclose(found[user], spread, rtol=1e-4)


def test_own_maps_are_made_of_weighted_positives(split):
    made = make_context(split).maps
    wanted = objective_maps(split.time_weights.weights)
    assert all((a.assignment != b.assignment).nnz == 0 for a, b in zip(made, wanted, strict=True))
    plain = objective_maps(split.train)
    assert any((a.assignment != b.assignment).nnz for a, b in zip(made, plain, strict=True))


def test_folds_keep_the_weights_of_their_users():
    split = make_split(seed=3, users=120, times=True).with_half_life(150)
    fold = make_folds(120, 1, 0)[0]
    made = make_fold_context(make_context(split), fold, maps=make_maps(split))
    there = split.time_weights.weights[fold.table_users].toarray()
    np.testing.assert_allclose(derived_tables.get_item_counts(made, "t"), there.sum(axis=0), rtol=1e-6)
    assert made.need_weighted_train("t") is made.time_weights.weights


def test_times_of_a_history_follow_its_items(split):
    context = make_context(split, maps=())
    dense = split.train_times.toarray()
    for user in range(5):
        items = split.train[[user]].indices
        np.testing.assert_array_equal(context.get_history_times(user), dense[user, items])
    assert make_context(make_split(), maps=()).get_history_times(0) is None


def test_a_request_has_the_slates_of_the_pool(split, als, ranker):
    pool = candidates(als, split, n=15, maps=make_maps(split))
    slates = rerank(pool, BLEND, 5, scale=ranker.scales)
    for user in range(0, 40, 7):
        answer = ranker.rank(user=f"u{user}")
        assert answer.items == tuple(split.item_ids[slates.items[user]])
        np.testing.assert_allclose(answer.contributions, slates.contributions[user], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["als", "item_knn"])
def test_a_dated_history_is_that_of_the_user_who_has_it(split, als, kind):
    model = als if kind == "als" else ItemKNN(k=8).fit(split.train, split.side_information)
    ranker = Ranker.fit(model, split, {"relevance": 1.0}, n=15, k=8)
    row = split.train_times[[4]]
    dated = list(zip(split.item_ids[row.indices].tolist(), row.data.tolist(), strict=True))
    known, found = ranker.rank(user="u4"), ranker.rank(history=dated)
    declined = set(split.item_ids[split.train_negatives[[4]].indices])
    assert [item for item in found.items if item not in declined][:5] == list(known.items)[:5]
    score = dict(zip(known.items, known.relevance.tolist(), strict=True))
    for item, value in zip(found.items, found.relevance.tolist(), strict=True):
        assert item in declined or item not in score or value == pytest.approx(score[item], rel=1e-4)
    undated = ranker.rank(history=[item for item, _ in dated])
    expected = model.fold(split.train[[4]])[0]  # as of now: each counts 1
    wanted = expected[[split.item_ids.tolist().index(item) for item in undated.items]]
    np.testing.assert_allclose(undated.relevance, wanted, rtol=1e-4)
    assert (undated.relevance != found.relevance).any()
    same = ranker.rank(history=[(item, None) for item, _ in dated])
    np.testing.assert_array_equal(same.relevance, undated.relevance)


def test_stored_weights_hold_beside_what_is_liked_since(split, als):
    ranker = Ranker.fit(als, split, {"relevance": 1.0}, n=15, k=8)
    fresh = next(code for code in range(40) if code not in split.seen[[4]].indices)
    history = split.time_weights.weights[[4]].toarray()
    for when, weight in ((None, 1.0), (split.time_weights.now - 150 * DAY, 0.5), (split.time_weights.now + 9e6, 1.0)):
        history[0, fresh] = weight
        scores = als.fold(type(split.train)(history.astype(np.float32)))[0]
        row = split.item_ids[fresh] if when is None else (split.item_ids[fresh], when)
        answer = ranker.rank(user="u4", more=[row])
        wanted = scores[[split.item_ids.tolist().index(item) for item in answer.items]]
        np.testing.assert_allclose(answer.relevance, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("history", "found"),
    [
        ([("i1", "soon")], "ranker: history: datetime is 'soon', expected seconds since 1970"),
        ([("i1", 5, 6)], r"ranker: history: found a row of 3 values, expected an item, or \(item, datetime\)"),
    ],
)
def test_rows_that_cannot_be_read_are_refused(ranker, history, found):
    with pytest.raises(RecsysError, match=found):
        ranker.rank(history=history)


def test_a_saved_ranker_keeps_its_weights(ranker, tmp_path):
    loaded = Ranker.load(ranker.save(tmp_path / "shop"), verify=True)
    assert loaded.name == ranker.name
    assert loaded.context.time_weights.half_life == 150
    for ask in ({"user": "u3"}, {"history": ["i1", "i5"]}, {"history": [("i1", 3 * DAY), ("i5", None)]}):
        np.testing.assert_array_equal(loaded.rank(**ask).contributions, ranker.rank(**ask).contributions)
    entries = {entry.name: entry for entry in loaded.profile("u3").entries}
    assert "counts by its age" in entries["time_weights.0.weights"].meaning


def test_without_a_half_life_a_ranker_stores_what_it_stored(split, tmp_path):
    plain = split.with_half_life(None)
    model = ALS(factors=4, iterations=2).fit(plain.train, plain.side_information)
    folder = Ranker.fit(model, plain, {"relevance": 1.0}, n=15, k=5).save(tmp_path / "shop")
    assert not [path.name for path in folder.iterdir() if path.name.startswith("time_weights")]


def test_weights_of_other_entries_are_refused(split, als):
    context = make_context(split, als, maps=())
    other = replace(split.time_weights, weights=make_split(seed=5, users=40).train)
    with pytest.raises(RecsysError, match="context: time_weights are not those of the entries of train"):
        replace(context, time_weights=other).check_arrays()
    large = replace(split.time_weights, weights=split.time_weights.weights * 2)
    with pytest.raises(RecsysError, match="context: time_weights are not all above 0 and up to 1"):
        replace(context, time_weights=large).check_arrays()


CONFIG = """
[data]
path = "ratings.csv"
items = "items.csv"

[filter]
positive = "rating >= 3"

[split]
kind = "per_user_time"
test = 0.3

[model]
kind = "item_knn"
k = 10

[pool]
n = 20

[slate]
k = [5]

[evaluation]
n_bootstrap = 100
halvings = 0
metrics = ["ndcg"]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("shop")
    write_tables(made)
    return made


def test_a_benchmark_fits_by_age(folder, tmp_path):
    config = folder / "aged.toml"
    config.write_text(CONFIG + "[time]\nhalf_life = 0.02\n")
    aged = rs.bench(config, out=tmp_path, quiet=True)
    config.write_text(CONFIG)
    plain = rs.bench(config, out=tmp_path, quiet=True)
    assert aged.folder.name.rpartition("-")[2] != plain.folder.name.rpartition("-")[2]
    split = rs.splits.per_user_time(
        rs.read_dataset(folder / "ratings.csv", items=folder / "items.csv"), positive="rating >= 3", test=0.3
    ).with_half_life(0.02)
    model = ItemKNN(k=10).fit(split.train, split.side_information)
    wanted = candidates(model, split, n=5)
    np.testing.assert_array_equal(aged.slates[5]["item_knn"].items, wanted.items)
    assert (plain.slates[5]["item_knn"].items != wanted.items).any()
    made = export({**_load(CONFIG, folder), "time": {"half_life": 0.02}}, tmp_path / "ranker", quiet=True)
    assert Ranker.load(made.folder).context.time_weights.half_life == 0.02


def test_a_config_says_what_is_wrong_with_a_half_life(folder, tmp_path):
    for section, found in (
        ({"half_life": 0}, "half_life"),
        ({"half_life": 3, "now": "soon"}, "now is 'soon', expected seconds since 1970, a datetime or an ISO 8601 time"),
        ({"half_lives": 3}, "half_li"),
    ):
        with pytest.raises(RecsysError, match=found):
            rs.bench({**_load(CONFIG, folder), "time": section}, out=tmp_path, quiet=True)
    with pytest.raises(RecsysError, match=r"^\[time\] half_life: now is 1970-01-01T00:00:09 and [\d,]+ training"):
        rs.bench({**_load(CONFIG, folder), "time": {"half_life": 3, "now": 9}}, out=tmp_path, quiet=True)
    (folder / "timeless.csv").write_text(
        "user_id,item_id\n" + "\n".join(f"{u},{u * i % 7}" for u in range(9) for i in range(6))
    )
    tables = _load(CONFIG, folder) | {"data": {"path": str(folder / "timeless.csv")}, "filter": {}}
    tables |= {"split": {"kind": "random"}, "time": {"half_life": 3}, "pool": {"n": 5}}
    with pytest.raises(
        RecsysError, match=r"^\[time\] half_life is 3 and the data has no times, expected a column datetime"
    ):
        rs.bench(tables, out=tmp_path, quiet=True)


def _load(text, folder):
    import tomllib

    tables = tomllib.loads(text)
    tables["data"] = {name: str(folder / path) for name, path in tables["data"].items()}
    return tables
