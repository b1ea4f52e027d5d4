"""`benchmarks/discover.py`: what stands in its rows, from hand-made gains."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from recsys.sweeps.families import Family
from recsys.sweeps.family_choice import FamilyChoice, add_leads, judge_gains
from recsys.sweeps.tradeoff_curves import GainAtLoss

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
MEANS = {"mmr": 0.5, "dpp": 0.1}


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        return runpy.run_path(str(BENCHMARKS / "discover.py"))


def make_discovery(chosen):
    """A choice whose MMR gains 50 % on test and whose DPP gains 10 %, each with an error of 10 points."""
    rng = np.random.default_rng(0)
    lost = {f"{metric}@10": (0.02, np.full(2000, 0.02)) for metric in ("ndcg", "stratified_recall")}
    gains = {
        name: GainAtLoss(name, "discovery@10", 0.02, mean, mean, mean + 0.1 * rng.standard_normal(2000), 1.0, 3, True, lost)
        for name, mean in MEANS.items()
    }  # fmt: skip
    families = [Family((name,), {}) for name in MEANS]
    first = next((one for one in families if one.name == chosen), None)
    verdicts = judge_gains(list(gains.values()))
    if first is not None:
        verdicts = add_leads(verdicts, gains[first.name], list(gains.values()))
    results = SimpleNamespace(
        families=families, points=dict.fromkeys(MEANS), test_verdicts=verdicts,
        on_validation=SimpleNamespace(gains=gains), on_test=SimpleNamespace(gains=gains, scores=None),
    )  # fmt: skip
    return SimpleNamespace(results=results, choice=FamilyChoice(first, first, (), verdicts))


def build_rows(script, chosen):
    build = script["build_family_rows"]
    build.__globals__.update(read_seen_gains=lambda *given: {}, read_blend_gains=lambda *given: {})
    rows = build(script["Run"]("small", "random", 0), {"trials": 4}, make_discovery(chosen))
    return {row["method"]: row for row in rows}


def test_a_base_that_was_chosen_is_behind_what_gains(script):
    rows = build_rows(script, None)
    assert (rows["mmr"]["ahead"], rows["dpp"]["ahead"]) == (-0.5, -0.1)
    assert rows["mmr"]["ahead_high"] < 0 < rows["dpp"]["ahead_high"]
    assert rows["mmr"]["ahead_error"] == pytest.approx(0.1, rel=0.1)
    assert (rows["mmr"]["stands"], rows["dpp"]["stands"]) == ("ahead", "level")


def test_a_family_that_was_chosen_is_ahead_by_the_difference_of_gains(script):
    rows = build_rows(script, "mmr")
    assert rows["dpp"]["ahead"] == pytest.approx(0.4) and rows["dpp"]["ahead_low"] > 0
    assert np.isnan(rows["mmr"]["ahead"])
    assert rows["dpp"]["stands"] == "behind"
