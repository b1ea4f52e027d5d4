"""Every place that takes a number takes those of Python and NumPy alike, and refuses everything else in one line.

Places are found where they can be: settings of models and objectives by their signatures, those of configs by their
fields. The rest stands in PLACES: a function that gives one value to one place.
"""

import inspect
import math
from dataclasses import fields, replace
from functools import cached_property
from typing import get_args

import numpy as np
import pytest
from synthetic import RandomFactorModel, make_exposures, make_maps, make_split

import recsys
from recsys import configs, maps, models, objectives, splits
from recsys.kernels.inputs import check_term
from recsys.metrics.account_gaps import compute_account_gap_curve
from recsys.metrics.list_comparison import rank_biased_overlap
from recsys.metrics.sampled import draw_negatives
from recsys.rankers.policies import Policy
from recsys.reranking import guards
from recsys.reranking.slates import fit_scales
from recsys.scores.hypothesis_tests import check_margin
from recsys.splits.cross_fitting import make_folds
from recsys.sweeps.plans import SweepSection, _parse_sweep_section
from recsys.types import Evaluation, GroundTruth, RecsysError, Spread

LOG = {"user": np.repeat(range(6), 12), "item": np.tile(range(12), 6), "ts": np.arange(72) * 31 % 72}
RELEVANCE = {"relevance": 1.0}


class World:
    """What places are given beside their value, made when it is first asked for."""

    @cached_property
    def split(self):
        return make_split()

    @cached_property
    def model(self):
        return RandomFactorModel(self.split)

    @cached_property
    def maps(self):
        return make_maps(self.split)

    @cached_property
    def pool(self):
        return recsys.candidates(self.model, self.split, n=12, maps=self.maps, shown=make_exposures(self.split))

    @cached_property
    def evaluation(self):
        return Evaluation(
            recsys.rerank(self.pool, RELEVANCE, 5).items, GroundTruth(self.split, self.maps, self.maps, ())
        )

    @cached_property
    def fitted(self):
        return models.PureSVD(factors=4).fit(self.split.train)

    @cached_property
    def ranker(self):
        return recsys.Ranker.fit(self.fitted, self.split, RELEVANCE, k=5, n=9)

    @cached_property
    def log(self):
        return recsys.data.read_frame(LOG)


W = World()

GOOD = {
    "int": [int, np.int64, np.int32, np.int16, np.array],
    "float": [float, np.float32, np.float64, np.array],
    "flag": [bool, np.bool_, np.array],
}
NO_NUMBER = [math.nan, np.float32("nan"), "1", np.str_("0.5"), True, np.bool_(False), np.array(True), [0.5], 1j, b"1"]
BAD = {
    "int": [*NO_NUMBER, math.inf, 2.5, 3.0, np.float64(3.0), -(2**70) + 0.5],
    "float": [*NO_NUMBER, math.inf, -np.float32("inf"), 10**400],
    "flag": [1, 0, np.int64(1), 1.0, "true", np.str_("yes"), [True], math.nan],
}


def kind_of(value):
    return "flag" if isinstance(value, bool) else "int" if isinstance(value, int) else "float"


def list_objective_places():
    """Yield every setting of every objective, asked for in a blend and called directly."""
    special = {"half_life": ("float", 30.0), "window": ("int", 2), "platt_slope": ("float", 0.5)}
    for name in objectives.__all__:
        for setting, one in [*inspect.signature(getattr(objectives, name)).parameters.items()][2:]:
            if isinstance(one.default, str):
                continue
            kind, value = special.get(setting, (None, one.default))
            curve = {"score_transform": "probability", "platt_slope": 1.0} if setting.startswith("platt") else {}
            direct = {"score_transform": "probability", "platt_slope": 1.0} if curve else {}
            if (
                setting == "half_life"
            ):  # it wants times, which these data do not have: only what is refused is asked for
                value = None
            yield (
                f"blend: {name}: {setting}", setting, kind or kind_of(one.default), value,
                lambda v, n=name, s=setting, c=curve: recsys.rerank(W.pool, {n: {"weight": 1.0, **c, s: v}}, 3),
            )  # fmt: skip
            yield (
                f"{name}({setting})", setting, kind or kind_of(one.default), value,
                lambda v, n=name, s=setting, c=direct: getattr(objectives, n)(W.pool, 3, **{**c, s: v}),
            )  # fmt: skip


def list_model_places():
    special = {"half_life": 3.0, "alpha": 0.5, "regularization": 0.25, "unobserved": 0.1}
    for kind in (getattr(models, name) for name in models.__all__ if name != "Ensemble"):
        for one in fields(kind):
            value = special.get(one.name, one.default) if one.default is None else one.default
            if isinstance(value, int | float):
                yield (
                    f"models.{kind.__name__}({one.name})", one.name, kind_of(value), value,
                    lambda v, k=kind, n=one.name: k(**{n: v}),
                )  # fmt: skip
    yield "models.Ensemble(seed)", "seed", "int", 3, lambda v: models.Ensemble(["random"], seed=v)


def list_config_places():
    """Yield every field of every section that is a number or a flag."""
    sections = {
        "data": configs.DataSection, "filter": configs.FilterSection, "split": configs.SplitSection,
        "pool": configs.PoolSection, "slate": configs.SlateSection, "evaluation": configs.EvaluationSection,
    }  # fmt: skip
    plain = {"data": {"path": "x.csv"}, "model": {"kind": "most_popular"}, "slate": {"k": [2]}}
    for section, kind in sections.items():
        for name, field in kind.model_fields.items():
            if name == "k":
                continue  # a list
            kinds = {"flag": bool, "int": int, "float": float}
            found = [word for word, t in kinds.items() if field.annotation is t or t in get_args(field.annotation)]
            if found:
                value = {"flag": True, "int": 100 if name == "n_bootstrap" else 3}.get(found[0], 0.25)
                yield (
                    f"[{section}] {name}", name, found[0], value,
                    lambda v, s=section, n=name: configs.parse_config({**plain, s: {**plain.get(s, {}), n: v}}),
                )  # fmt: skip
    yield "config: seed", "seed", "int", 3, lambda v: configs.parse_config({**plain, "seed": v})
    yield "[slate] k", "k", "int", 3, lambda v: configs.parse_config({**plain, "slate": {"k": [v]}})
    yield (
        "[blends.x] weights", "mmr", "float", 0.5,
        lambda v: configs.parse_config({**plain, "blends": {"x": {"relevance": 1.0, "mmr": [v]}}}),
    )  # fmt: skip
    yield (
        "[data] events", "view", "float", 0.5,
        lambda v: configs.parse_config({**plain, "data": {"path": "x.csv", "events": {"view": v}}}),
    )  # fmt: skip
    for one in fields(models.BPR):
        if isinstance(one.default, int | float):
            yield (
                f"[model] {one.name}", one.name, kind_of(one.default), one.default,
                lambda v, n=one.name: configs.parse_config({**plain, "model": {"kind": "bpr", n: v}}),
            )  # fmt: skip


def list_split_places():
    for name in (name for name in splits.__all__ if name != "by_source"):  # of a log with sources
        taken = inspect.signature(getattr(splits, name)).parameters
        shares = isinstance(taken["test"].default, float)
        values = {"test": 0.34 if shares else 1, "validation": 0.25 if shares else 1, "seed": 3}
        for setting in ("test", "validation", "min_user_interactions", "min_item_interactions", "seed"):
            yield (
                f"splits.{name}({setting})", setting, "float" if setting in ("test", "validation") and shares else "int",
                values.get(setting, 1), lambda v, n=name, s=setting: getattr(splits, n)(W.log, **{s: v}),
            )  # fmt: skip


def list_ranker_places():
    scores = np.linspace(1, 0, 9)
    for one in fields(Policy):
        if isinstance(one.default, int | float):
            yield (
                f"Policy({one.name})", one.name, kind_of(one.default), one.default,
                lambda v, n=one.name: Policy(**{n: v}),
            )  # fmt: skip
    for setting in ("k", "seed"):
        yield f"Ranker.rank({setting})", setting, "int", 3, lambda v, s=setting: W.ranker.rank(user="u1", **{s: v})
        yield (
            f"Ranker.rerank({setting})", setting, "int", 3,
            lambda v, s=setting: W.ranker.rerank(user="u1", items=list(W.split.item_ids[:9]), scores=scores, **{s: v}),
        )  # fmt: skip
    yield (
        "Ranker.fit(index_recall)", "index_recall", "float", 0.5,
        lambda v: recsys.Ranker.fit(W.fitted, W.split, RELEVANCE, k=3, n=9, index_recall=v),
    )  # fmt: skip
    yield (
        "Ranker.fit(scale)", "relevance", "float", 0.5,
        lambda v: recsys.Ranker.fit(W.fitted, W.split, RELEVANCE, k=3, n=9, scale={"relevance": v}),
    )  # fmt: skip


def list_other_places():
    for setting, kind, value in (
        ("k", "int", 3), ("seed", "int", 3), ("n_threads", "int", 1), ("temperature", "float", 0.5),
        ("epsilon", "float", 0.5),
    ):  # fmt: skip
        yield (
            f"rerank({setting})",
            setting,
            kind,
            value,
            lambda v, s=setting: recsys.rerank(W.pool, RELEVANCE, **{"k": 3, s: v}),
        )
    yield "rerank(weight)", "relevance", "float", 0.5, lambda v: recsys.rerank(W.pool, {"relevance": v}, 3)
    yield (
        "rerank(scale)",
        "relevance",
        "float",
        0.5,
        lambda v: recsys.rerank(W.pool, RELEVANCE, 3, scale={"relevance": v}),
    )
    yield "fit_scales(k)", "k", "int", 3, lambda v: fit_scales(W.pool, RELEVANCE, v)
    for setting, kind, value in (
        ("n", "int", 9), ("seed", "int", 3), ("exploration_share", "float", 0.5), ("exclude_seen", "flag", True)
    ):  # fmt: skip
        yield (
            f"candidates({setting})", setting, kind, value,
            lambda v, s=setting: recsys.candidates(W.model, W.split, **{"n": 9, "maps": W.maps, s: v}),
        )  # fmt: skip
    for setting in ("n", "seed"):
        yield (
            f"Pool.from_frame({setting})", setting, "int", 3,
            lambda v, s=setting: recsys.Pool.from_frame(["a", "a"], ["x", "y"], [1.0, 0.5], **{s: v}),
        )  # fmt: skip
    for setting, value in (("weight", 0.5), ("prior_strength", 2.0), ("least", 0.5)):
        yield (
            f"entropy_weights({setting})", setting, "float", value,
            lambda v, s=setting: recsys.entropy_weights(W.pool, **{s: v}),
        )  # fmt: skip
    yield "at_most(m)", "m", "int", 3, lambda v: guards.at_most(v, features=["f1"])
    yield "at_least(m)", "m", "int", 3, lambda v: guards.at_least(v, features=["f1"])
    yield "pin(slot)", "slot", "int", 3, lambda v: guards.pin(v, "i1")
    yield "audit_maps(seed)", "seed", "int", 3, lambda v: maps.audit_maps(W.split.train[:2], seed=v)
    yield "audit_maps(half)", "half", "int", 1, lambda v: maps.audit_maps(W.split.train[:2], half=v)
    yield "objective_maps(half)", "half", "int", 1, lambda v: maps.objective_maps(W.split.train[:2], half=v)
    yield "draw_negatives(n)", "n", "int", 3, lambda v: draw_negatives(W.split, v, 0)
    yield "draw_negatives(seed)", "seed", "int", 3, lambda v: draw_negatives(W.split, 3, v)
    yield "rank_biased_overlap(p)", "p", "float", 0.5, lambda v: rank_biased_overlap(W.evaluation, W.evaluation, 5, v)
    for setting in ("n_users", "halvings", "seed"):
        yield (
            f"make_folds({setting})", setting, "int", 3,
            lambda v, s=setting: make_folds(**{"n_users": 10, s: v}),
        )  # fmt: skip
    for setting in ("bands", "accounts", "seed"):
        yield (
            f"account_gap_curve({setting})", setting, "int", 3,
            lambda v, s=setting: compute_account_gap_curve(W.evaluation, 5, W.maps[0], **{s: v}),
        )  # fmt: skip
    for setting, value in (("n_bootstrap", 100), ("seed", 3)):
        yield (
            f"evaluate({setting})", setting, "int", value,
            lambda v, s=setting: recsys.evaluate({"base": W.evaluation.items}, W.evaluation.truth, metrics=["recall"], ks=[5], **{"n_bootstrap": 10, s: v}),
        )  # fmt: skip
    yield (
        "evaluate(ks)", "ks: k", "int", 3,
        lambda v: recsys.evaluate({"base": W.evaluation.items}, W.evaluation.truth, metrics=["recall"], ks=[v], n_bootstrap=10),
    )  # fmt: skip
    yield "check_margin", "margin", "float", 0.5, check_margin
    for setting, value in (("empty", 0.5),):
        yield (
            f"Spread({setting})", setting, "float", value,
            lambda v, s=setting: check_term(
                "own:one", Spread(np.eye(4, dtype=np.float32), np.zeros((2, 3), np.int64), **{s: v}), 2, 3, 2
            ),
        )  # fmt: skip
    for name in ("unobserved_weight", "regularization", "nu"):
        yield (
            f"Factors({name})", name, "float", 0.5,
            lambda v, n=name: check_factors(n, v),
        )  # fmt: skip
    for name, field in SweepSection.model_fields.items():
        if field.annotation is int:
            yield f"[sweep] {name}", name, "int", 3, lambda v, n=name: make_sweep_section(n, v)


def check_factors(name, value):
    replace(W.fitted.factors, **{name: value}).check_factors("model", W.split.train.shape)


def make_sweep_section(name, value):
    return _parse_sweep_section({name: value}, {})


PLACES = [
    *list_objective_places(), *list_model_places(), *list_config_places(), *list_split_places(), *list_ranker_places(),
    *list_other_places(),
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES, ids=[place[0] for place in PLACES])
def test_numbers_of_numpy_and_python_are_taken_alike(place):
    _, _, kind, value, give = place
    if value is None:
        pytest.skip("these data cannot use it")
    for make in GOOD[kind]:
        give(make(value))


@pytest.mark.parametrize("place", PLACES, ids=[place[0] for place in PLACES])
def test_what_is_no_number_is_refused_in_one_line(place):
    name, setting, kind, _, give = place
    for bad in BAD[kind]:
        if setting == "half_life" and bad == math.inf and "calibration" in name:
            continue  # by default all of a history counts alike
        with pytest.raises(RecsysError) as error:
            give(bad)
        line = str(error.value)
        assert "\n" not in line
        assert len(line) < 800
        assert setting in line, (bad, line)
        assert "expected" in line or "should be" in line, (bad, line)


def test_places_are_not_few():
    assert len(PLACES) > 200
    assert {kind for _, _, kind, *_ in PLACES} == {"int", "float", "flag"}
