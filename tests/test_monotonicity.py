"""Ends of every knob, by meaning: more weight on an objective does not lower the metric of its family."""

import itertools

import numpy as np
import pytest
from synthetic import RandomFactorModel, make_maps, make_split

from recsys import metrics
from recsys.reranking.slates import rerank
from recsys.retrieval.candidates import candidates
from recsys.types import Evaluation, GroundTruth, PerCatalogue

WEIGHTS = (0.0, 0.3, 1.0, 10.0)
K = 8


@pytest.fixture(scope="module")
def world():
    split = make_split(seed=2, users=150, items=80, features=8)
    maps = make_maps(split, n=4, regions=12)
    return candidates(RandomFactorModel(split), split, n=40, maps=maps), GroundTruth(split, maps, maps, ())


def value(metric, slates, truth):
    answer = getattr(metrics, metric)(Evaluation(slates.items, truth), K)
    assert not isinstance(answer, PerCatalogue)
    return answer.direction, float(np.nanmean(answer.values))


@pytest.mark.parametrize(
    ("objective", "metric"),
    [
        ("novelty", "self_information"),
        ("mmr", "ild_cooccurrence"),
        ("dpp", "ild_cooccurrence"),
        ("ssd", "ild_cooccurrence"),
        ("long_tail", "self_information"),
        ("popularity_discount", "self_information"),
        ("pm2", "calibration_kl"),
        ({"mmr": {"space": "features"}}, "ild_features"),
        ("calibration", "calibration_kl"),
        ("negative_space", "exposure_deficit_own"),
        ("unexplored", "unexplored_share_own"),
    ],
)
def test_more_weight_moves_the_familys_metric_the_right_way(world, objective, metric):
    pool, truth = world
    name, settings = next(iter(objective.items())) if isinstance(objective, dict) else (objective, {})
    seen = []
    for weight in WEIGHTS:
        blend = {"relevance": 1.0, name: {"weight": weight, **settings}}
        direction, found = value(metric, rerank(pool, blend, k=K), truth)
        seen.append(found * (direction or 1))
    assert all(later >= earlier - 1e-9 for earlier, later in itertools.pairwise(seen)), seen
    assert seen[-1] > seen[0]


def test_noise_alone_forgets_the_order_and_a_little_of_it_keeps_the_top(world):
    pool, _ = world
    kept = [
        np.mean([len(set(a) & set(b)) / K for a, b in zip(slates.items, pool.items[:, :K], strict=True)])
        for slates in (rerank(pool, {"relevance": 1.0, "noise": w}, k=K) for w in (0.05, 0.5, 50.0))
    ]
    assert kept[0] > 0.9 > kept[1] > kept[2]
    assert kept[2] == pytest.approx(K / 40, abs=0.05)
