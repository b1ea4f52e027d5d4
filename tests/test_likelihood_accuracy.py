"""`benchmarks/likelihood_accuracy.py`: means over seeds, and targets."""

import runpy
from pathlib import Path

import pandas as pd
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
ROWS = (  # dataset, split, seed, kind, used, relative, lower end
    ("lastfm-hetrec", "random", 0, "softmax", 1, 0.04, 0.01),
    ("lastfm-hetrec", "random", 1, "softmax", 1, 0.06, 0.03),
    ("small", "random", 0, "softmax", 0, -0.05, -0.09),
    ("small", "random", 1, "softmax", 1, 0.02, -0.01),
    ("small", "random", 0, "logistic", 1, -0.01, -0.02),
)


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        return runpy.run_path(str(BENCHMARKS / "likelihood_accuracy.py"))


@pytest.fixture
def table(script):
    made = pd.DataFrame(0.0, index=range(len(ROWS)), columns=script["COLUMNS"]).astype(
        {"dataset": object, "split": object}
    )
    made = made.assign(base="als")
    names = ["dataset", "split", "seed", "kind", "used", "ndcg_relative", "ndcg_relative_low"]
    made[names] = pd.DataFrame(ROWS, columns=names)
    return made


def test_means_over_seeds_keep_logs_splits_and_kinds_apart(script, table):
    found = script["average_over_seeds"](table).set_index(["dataset", "kind"])
    assert found["splits"].to_dict() == {
        ("lastfm-hetrec", "softmax"): 2, ("small", "softmax"): 2, ("small", "logistic"): 1,
    }  # fmt: skip
    assert found.loc[("lastfm-hetrec", "softmax"), "ndcg_relative"] == pytest.approx(0.05)
    assert found.loc[("small", "softmax"), "ndcg_relative_low"] == pytest.approx(-0.05)


def test_targets_count_what_is_left_out_as_no_change(script, table):
    found = {(row[0], row[1]): row[2:] for row in script["compare_with_targets"](table)}
    assert found["least change of nDCG@10, where used", "softmax"] == ["0.0100", "0", "yes"]
    assert found["least change of nDCG@10, where used", "logistic"] == ["-0.0100", "0", "no"]
    assert found["change of nDCG@10 on lastfm-hetrec", "softmax"] == ["0.0500", "0.03", "yes"]
    assert found["share of logs and splits with an interval above zero", "softmax"] == ["0.5000", "0.5", "yes"]
    assert found["share of logs and splits with an interval above zero", "logistic"] == ["0.0000", "0.5", "no"]
