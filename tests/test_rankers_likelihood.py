"""A likelihood in a ranker: the same scores as in a pool, for users known and new, kept, checked and named."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from synthetic import make_split, make_validation_world, reseal_manifest

from recsys.likelihoods import apply_likelihood, fit_likelihood
from recsys.models import ALS
from recsys.rankers import Ranker
from recsys.retrieval.candidates import candidates
from recsys.types import RecsysError, RecsysWarning

BLEND = {"relevance": 1.0, "mmr": 0.3}


@pytest.fixture(scope="module")
def world():
    pool, split, model, maps = make_validation_world()
    price = {"item_id": split.item_ids, "price": np.random.default_rng(0).normal(size=80)}
    return split, model, maps, fit_likelihood(pool, split, n=30, items=price)


@pytest.fixture(scope="module")
def ranker(world):
    split, model, maps, made = world
    return Ranker.fit(model, split, BLEND, maps=maps, n=30, k=8, likelihood=made)


def test_requests_have_the_scores_of_the_pool(world):
    split, model, maps, made = world
    alone = Ranker.fit(model, split, {"relevance": 1.0}, maps=maps, n=30, k=8, likelihood=made)
    base = candidates(model, split, n=30, maps=maps)
    pool = apply_likelihood(base, made)
    assert "price" in made.features
    for u in range(0, 200, 13):
        found = alone.rank(user=f"u{u}")
        assert list(found.items) == split.item_ids[pool.items[u, :8]].tolist()
        np.testing.assert_allclose(found.relevance, pool.scores[u, :8], rtol=1e-4, atol=1e-4)  # scores are folded in
        history = split.item_ids[split.train.indices[split.train.indptr[u] : split.train.indptr[u + 1]]]
        known = alone.rerank(split.item_ids[base.items[u]], base.scores[u], user=f"u{u}")
        new = alone.rerank(split.item_ids[base.items[u]], base.scores[u], history=history[::-1].tolist())
        for other in (known, new):  # somebody new with the same history: the same bits
            assert list(other.items) == split.item_ids[pool.items[u, :8]].tolist()
            assert other.relevance.tolist() == pool.scores[u, :8].tolist()


@pytest.mark.parametrize("blend", [BLEND, {"relevance": 1.0, "unexplored": 0.5}, {"relevance": 1.0, "novelty": 0.2}])
def test_blends_start_from_its_scores(world, blend):
    from recsys.reranking.slates import rerank

    split, model, maps, made = world
    ranker = Ranker.fit(model, split, blend, maps=maps, n=30, k=8, likelihood=made)
    pool = apply_likelihood(candidates(model, split, n=30, maps=maps), made)
    slates = rerank(pool, blend, 8, scale=dict(ranker.scales))
    for u in range(0, 200, 29):
        assert list(ranker.rank(user=f"u{u}").items) == split.item_ids[slates.items[u]].tolist()


def test_scales_are_fitted_on_its_scores(world, ranker):
    split, model, maps, _ = world
    plain = Ranker.fit(model, split, BLEND, maps=maps, n=30, k=8)
    assert plain.scales["relevance"] != ranker.scales["relevance"]
    assert plain.name != ranker.name and plain.likelihood is None


def test_without_history_the_order_is_the_base_s(world, ranker):
    split, *_ = world
    items = split.item_ids[:10].tolist()
    found = Ranker.fit(world[1], split, {"relevance": 1.0}, maps=world[2], n=30, likelihood=world[3]).rerank(
        items, np.linspace(1, 0, 10), k=5
    )
    assert list(found.items) == items[:5]
    assert found.notes == ("The user has no history: the likelihood is not used.",)
    assert found.feature_contributions() == ()
    assert ranker.rank(user="u0").notes == ()


def test_features_are_named_by_what_they_add(world, ranker):
    _, _, _, made = world
    found = ranker.rank(user="u7")
    said = found.feature_contributions()
    assert len(said) == 8
    for one in said:
        amounts = np.abs(list(one.values()))
        assert set(one) == set(made.features.tolist()) and (amounts[:-1] >= amounts[1:]).all()
    difference = sum(said[0].values()) - sum(said[3].values())
    assert difference == pytest.approx(float(found.relevance[0]) - float(found.relevance[3]), abs=1e-3)
    again = pickle.loads(pickle.dumps(found))
    assert again.feature_contributions() == said


def test_it_is_kept(ranker, tmp_path):
    again = Ranker.load(ranker.save(tmp_path / "ranker"), verify=True)
    assert again.name == ranker.name and repr(again.likelihood) == repr(ranker.likelihood)
    copied = pickle.loads(pickle.dumps(ranker))
    for u in (3, 50):
        for other in (again, copied):
            one, two = (each.rank(user=f"u{u}") for each in (ranker, other))
            assert one.items == two.items and (one.relevance == two.relevance).all()


def test_it_is_part_of_the_policy_s_name(world, ranker):
    split, model, maps, made = world
    other = replace(made, coefficients=made.coefficients * 1.01)
    assert Ranker.fit(model, split, BLEND, maps=maps, n=30, k=8, likelihood=other).name != ranker.name


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda a: a * np.nan, "NaN or infinity"),
        (lambda a: a[:-1], "coefficients has shape"),
    ],
)
def test_a_changed_file_is_refused(ranker, tmp_path, change, match):
    folder = ranker.save(tmp_path / "ranker")
    manifest = json.loads((folder / "manifest.json").read_text())
    (path,) = [path for path in folder.rglob("*.npy") if path.stem.endswith("likelihoods.0.coefficients")]
    np.save(path, change(np.load(path)))
    assert manifest["settings"]["name"] == ranker.name
    with pytest.raises(RecsysError, match=r"damaged|expected \[\[21\]"):
        Ranker.load(folder)
    reseal_manifest(folder, named=True)
    with pytest.raises(RecsysError, match=match) as error:
        Ranker.load(folder)
    assert "\n" not in str(error.value)


def test_one_that_cannot_be_used_is_left_out_with_a_note(world, tmp_path):
    split, model, maps, made = world
    worse = replace(made, ndcg=made.base_ndcg - 0.01)
    with pytest.warns(RecsysWarning, match="ranker: likelihood .*: the base's order is kept"):
        ranker = Ranker.fit(model, split, BLEND, maps=maps, n=30, likelihood=worse)
    assert ranker.likelihood is None and "left out" in ranker.about["likelihood"]
    assert "left out" in Ranker.load(ranker.save(tmp_path / "ranker")).about["likelihood"]
    with pytest.warns(RecsysWarning, match="the pool has no own maps, which it was fitted with"):
        assert Ranker.fit(model, split, {"relevance": 1.0}, maps=(), n=30, likelihood=made).likelihood is None


def test_bad_likelihoods_are_one_line(world):
    split, model, maps, made = world
    with pytest.raises(RecsysError, match="likelihood is a str, expected a Likelihood"):
        Ranker.fit(model, split, BLEND, maps=maps, n=30, likelihood="made")
    small = make_split(1, 50, 40)
    with pytest.raises(RecsysError, match="is of 80 items, expected one of these 40"):
        Ranker.fit(ALS(factors=4, iterations=2).fit(small.train), small, BLEND, maps=(), n=20, likelihood=made)
