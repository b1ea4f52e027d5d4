"""NumPy's numbers are taken wherever Python's are, and become Python's own."""

import json
from dataclasses import asdict, fields
from fractions import Fraction

import numpy as np
import pytest
from synthetic import RandomFactorModel, make_split

import recsys
from recsys import models, splits
from recsys.configs import parse_config
from recsys.rankers.policies import Policy
from recsys.types import RecsysError
from recsys.types.numbers import check_number, convert_to_plain_data, convert_to_python

ROWS = {"user": [1, 1, 1, 2, 2, 2], "item": [1, 2, 3, 1, 2, 3], "rating": [1, 2, 3, 4, 5, 6]}
KINDS = [getattr(models, name) for name in models.__all__ if name != "Ensemble"]
WHOLE = [np.int64, np.int32, np.int16, np.uint8, np.array]


def settings_of(kind):
    return {one.name: one.default for one in fields(kind) if isinstance(one.default, int | float)}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_settings_of_models_are_pythons_own(kind):
    for name, value in settings_of(kind).items():
        for make in [np.bool_] if isinstance(value, bool) else WHOLE if isinstance(value, int) else [np.float64]:
            if make is np.uint8 and value > 255:
                continue
            made = kind(**{name: make(value)})
            assert made == kind(), (name, make)
            assert type(getattr(made, name)) is type(value)
            assert json.dumps(asdict(made)) == json.dumps(asdict(kind()))


def test_settings_inside_a_mean_are_pythons_own():
    made = models.Ensemble([{"kind": "ease", "l2": np.float64(50)}, models.MostPopular(half_life=np.int64(3))])
    assert made == models.Ensemble([{"kind": "ease", "l2": 50.0}, models.MostPopular(half_life=3)])
    assert type(made.models[0].l2) is float


@pytest.mark.parametrize("bad", [np.float64(2.5), np.bool_(True), np.str_("4"), np.array([4]), np.int64(0), np.nan])
def test_what_no_setting_can_be_stays_refused(bad):
    with pytest.raises(RecsysError, match="als: factors is"):
        models.ALS(factors=bad)


@pytest.mark.parametrize("make", WHOLE)
def test_splits_of_equal_settings_are_equal(make):
    data = recsys.data.read_frame(ROWS)
    one = splits.random(data, test=0.34, min_user_interactions=1, min_item_interactions=2, seed=3)
    other = splits.random(
        data, test=np.float64(0.34), min_user_interactions=make(1), min_item_interactions=make(2), seed=make(3)
    )
    assert one.fingerprint == other.fingerprint
    assert type(other.seed) is int
    assert splits.no_holdout(data, seed=make(3)).fingerprint == splits.no_holdout(data, seed=3).fingerprint
    timed = recsys.data.read_frame({**ROWS, "ts": [1, 2, 3, 4, 5, 6]})
    last = splits.leave_last(timed, test=make(1), validation=make(0), cold_items="keep")
    assert last.fingerprint == splits.leave_last(timed, cold_items="keep").fingerprint


@pytest.mark.parametrize(
    "setting", [{"seed": np.bool_(1)}, {"min_user_interactions": np.float64(1.5)}, {"test": np.float32("nan")}]
)
def test_splits_refuse_what_is_no_number(setting):
    with pytest.raises(RecsysError, match=f"{next(iter(setting))} is"):
        splits.random(recsys.data.read_frame(ROWS), **setting)


def test_policies_and_rankers(tmp_path):
    told = {"k": 5, "n": 9, "temperature": 0.5, "epsilon": 0.25, "seed": 3, "exploration_share": 0.5}
    numpys = {name: (np.int64 if isinstance(value, int) else np.float32)(value) for name, value in told.items()}
    assert json.dumps(asdict(Policy(**numpys))) == json.dumps(asdict(Policy(**told)))
    split = make_split()
    model = models.EASE(l2=np.float32(2)).fit(split.train)
    one = recsys.Ranker.fit(model, split, {"relevance": np.float32(1), "noise": {"weight": np.int64(2)}}, **numpys)
    other = recsys.Ranker.fit(model, split, {"relevance": 1.0, "noise": {"weight": 2}}, **told)
    assert one.name == other.name
    assert recsys.Ranker.load(one.save(tmp_path / "ranker")).name == one.name
    assert one.rank(user="u1", k=np.int32(4), seed=np.uint8(7)).items == other.rank(user="u1", k=4, seed=7).items


def test_slates_and_pools():
    split = make_split()
    world = RandomFactorModel(split)
    pool = recsys.candidates(world, split, n=np.int64(10), seed=np.int64(2), exploration_share=np.float32(0.5))
    assert np.array_equal(pool.items, recsys.candidates(world, split, n=10, seed=2, exploration_share=0.5).items)
    numpys = {"temperature": np.float32(0.5), "epsilon": np.float64(0.25), "seed": np.int32(3)}
    blend = {
        "relevance": np.float32(1),
        "xquad": {"weight": np.int64(1)},
        "pm2": {"weight": 1, "focus": np.float32(0.5)},
    }
    one = recsys.rerank(pool, blend, np.int64(5), **numpys)
    plainly = {"relevance": 1.0, "xquad": {"weight": 1.0}, "pm2": {"weight": 1.0, "focus": 0.5}}
    other = recsys.rerank(pool, plainly, 5, temperature=0.5, epsilon=0.25, seed=3)
    assert np.array_equal(one.items, other.items)


def test_configs_of_equal_settings_are_equal(tmp_path):
    told = {"data": {"path": "x.csv"}, "model": {"kind": "ease", "l2": 50.0}, "slate": {"k": [5, 10]}, "seed": 3}
    numpys = {
        "data": {"path": tmp_path / "x.csv"}, "model": {"kind": "ease", "l2": np.float32(50)}, "seed": np.int64(3),
        "slate": {"k": np.array([5, 10])},
        "blends": {"b": {"relevance": np.float64(1), "mmr": np.array([0.5, 1.0])}},
    }  # fmt: skip
    told["blends"] = {"b": {"relevance": 1.0, "mmr": [0.5, 1.0]}}
    one, other = parse_config(numpys, home=tmp_path), parse_config(told, home=tmp_path)
    assert one == other
    assert one.compute_digest() == other.compute_digest()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.1, 1.1, True, np.bool_(0), "0.5", None, [0.5], Fraction(3, 2), 1j])
def test_what_is_no_number_is_one_line(bad):
    with pytest.raises(RecsysError, match=r"^x: y is .*, expected a number from 0 to 1$"):
        check_number("x: y", bad, most=1)


def test_plain_values():
    assert [convert_to_python(value) for value in (np.float32(0.5), np.bool_(True), np.array(3), "a", None)] == [
        0.5,
        True,
        3,
        "a",
        None,
    ]
    assert convert_to_plain_data({"a": (np.int8(1), {"b": np.arange(2)})}) == {"a": [1, {"b": [0, 1]}]}
