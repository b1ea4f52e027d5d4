"""Conventions of other libraries, on the worked example whose values these libraries were seen to give."""

import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from reference_metrics import ReferenceMetrics, make_evaluation
from test_metrics_toys import four_users, make_split, rows, slates, value  # noqa: F401

from recsys.maths import blocks
from recsys.metrics import presets
from recsys.types import Evaluation, GroundTruth, PerUser

VALUES = {
    "ranksys": {
        "NDCG": 0.6377, "Precision": 0.5, "EPC": 0.3712, "EFD": 3.2108, "EILD": 0.4975, "AlphaNDCG": 0.7495,
        "AggregateDiversity": 5, "GiniIndex": 0.4127, "Entropy": 2.1972,
    },
    "rectools": {
        "NDCG": 0.5, "NDCG(divide_by_achievable=True)": 0.6377, "Precision": 0.5, "Recall": 0.6875, "MAP": 0.5208,
        "MAP(divide_by_k=True)": 0.4306, "MeanInvUserFreq": 1.8889, "IntraListDiversity": 2.0, "Serendipity": 0.1528,
        "AvgRecPopularity": 0.8889, "CatalogCoverage": 5, "CatalogCoverage(normalize=True)": 0.625, "HitRate": 0.75,
        "MRR": 0.625, "Precision(r_precision=True)": 0.75,
    },
    "recbole": {"ndcg": 0.6377, "giniindex": 0.5679, "shannonentropy": 0.3046},
    "lenskit": {"NDCG": 0.7039, "Gini": 0.5139},
    "elliot": {"EPC": 0.4949, "Gini": 0.4127, "SEntropy": 2.1972},
    "recommenders": {
        "ndcg_at_k": 0.6377, "precision_at_k": 0.6667, "recall_at_k": 0.9167, "map_at_k": 0.7778, "novelty": 2.4726,
        "catalog_coverage": 0.8333, "distributional_coverage": 2.1972,
    },
}  # fmt: skip
CASES = [(library, name, expected) for library, known in VALUES.items() for name, expected in known.items()]


@pytest.mark.parametrize(("library", "name", "expected"), CASES)
def test_it_gives_the_value_of_that_library(four_users, library, name, expected):  # noqa: F811
    answer = getattr(presets, library)[name](four_users, 3)
    assert value(answer) == pytest.approx(expected, abs=5e-5)
    assert len(answer.convention) > 15
    if isinstance(answer, PerUser):
        assert answer.values.dtype == np.float64 and len(answer.values) == 4


@pytest.mark.parametrize("library", VALUES)
def test_no_preset_is_without_a_known_value(library):
    assert set(getattr(presets, library)) == set(VALUES[library])


@pytest.mark.parametrize("k", [2, 3])
def test_serendipity_of_rectools_is_a_mean_over_what_is_shown(k):
    """Values of RecTools 0.19.0: short slates are not filled up, and users without held-out positives count 0."""
    split = make_split(rows(["ab", "ac", "abd", "aef"]), rows(["ce", "b", "", "g"]), np.ones((8, 1)))
    answer = presets.rectools["Serendipity"](Evaluation(slates(["ch", "db", "ceh", "g"], 3), GroundTruth(split)), k)
    assert answer.values == pytest.approx([0.125, 0, 0, 1])


RANKED = ["gh", "ab", "abcd", "abc"], ["ab", "a", "acd", "abc"], [""] * 4  # slates, test, train
FIRST = ["gh", "ab", "bacd", "ghc"], ["ab", "a", "acd", "abc"], [""] * 4
FREQUENT = ["c", "bc", "ab"], [""] * 3, ["ab", "a", "a"]
POPULAR = ["ab", "cab", "cb"], [""] * 3, ["ab", "ac", "ab"]
APART = ["abc", "ad"], [""] * 2, [""] * 2
DOCUMENTED = [
    ("MAP", RANKED, {1: [0, 1, 1 / 3, 1 / 3], 3: [0, 1, 5 / 9, 1]}),
    ("MAP(divide_by_k=True)", RANKED, {1: [0, 1, 1, 1], 3: [0, 1 / 3, 5 / 9, 1]}),
    ("NDCG", RANKED, {1: [0, 1, 1, 1], 3: [0, 0.46927873, 0.70391809, 1]}),
    ("MRR", FIRST, {1: [0, 1, 0, 0], 3: [0, 1, 1 / 2, 1 / 3]}),
    ("MeanInvUserFreq", FREQUENT, {1: [1.5849625, 1.5849625, 0], 3: [1.5849625, 1.5849625, 0.79248125]}),
    ("AvgRecPopularity", POPULAR, {1: [3, 1, 1], 3: [2.5, 2, 1.5]}),
    ("IntraListDiversity", APART, {1: [0, 0], 2: [1, 0], 3: [4 / 3, 0]}),
]


@pytest.mark.parametrize(("name", "world", "expected"), DOCUMENTED)
def test_it_gives_what_the_documentation_of_rectools_shows(name, world, expected):
    shown, test, train = world
    features = [[0, 0], [0, 1], [1, 1], *[[0, 0]] * 5]
    evaluation = Evaluation(slates(shown, 4), GroundTruth(make_split(rows(train), rows(test), features)))
    for k, values in expected.items():
        assert presets.rectools[name](evaluation, k).values == pytest.approx(values)


def test_what_is_defined_alike_agreed_with_the_packages():
    """The kept results of `benchmarks/agreement.py`: every preset of RecTools is among them."""
    table = pd.read_csv(Path(__file__).parents[1] / "benchmarks" / "results" / "agreement.csv")
    alike = table[table.definition == "same"]
    assert (alike.agrees == "yes").all() and set(table.peer) == {"rectools", "pyversity"}
    assert {f"{name} | presets.rectools['{name}']" for name in presets.rectools} <= set(alike.what)


class Theirs(ReferenceMetrics):
    """What the presets restate, from sets and loops."""

    def gain(self, worth, ideal):
        found = (worth(r) for i, r in self.ranked.items() if i in self.test)
        return self.if_tested(lambda: sum(found) / sum(worth(r) for r in range(1, ideal + 1)))

    def ndcg_ideal_k(self):
        return self.gain(lambda r: 1 / math.log2(r + 1), self.k)

    def ndcg_clipped(self):
        return self.gain(lambda r: 1 / math.log2(max(r, 2)), min(self.k, len(self.test)))

    def average_precision_by_positives(self):
        return self.average_precision() * min(self.k, len(self.test)) / max(len(self.test), 1)

    def average_precision_by_k(self):
        return self.average_precision() * min(self.k, len(self.test)) / self.k

    def shown_mean(self, of_item):
        return sum(of_item(i) for i in self.slate) / len(self.slate) if self.slate else math.nan

    def inverse_user_frequency(self):
        readers = sum(row.any() for row in self.split.train.toarray())
        return self.shown_mean(lambda i: math.log2(readers / max(self.count_positives()[i], 1)))

    def self_information_unseen_zero(self):
        counts = self.count_positives()
        return self.shown_mean(lambda i: -math.log2(counts[i] / counts.sum()) if counts[i] else 0.0)

    def ild_hamming(self):
        far = [len(self.features(i) ^ self.features(j)) for i, j in itertools.combinations(self.slate, 2)]
        return sum(far) / len(far) if far else 0.0 if self.slate else math.nan

    def serendipity_mean_shown(self):
        total = self.serendipity_popularity() * self.k if self.test else 0.0
        return total / len(self.slate) if self.slate else math.nan

    def alpha_ndcg_ideal_k_plus_1(self):
        longer = ReferenceMetrics(self.evaluation, self.user, self.k + 1)
        longer.ranked = self.ranked
        return longer.alpha_ndcg()


OURS = [name for name in vars(Theirs) if name[0] != "_" and hasattr(presets, name)]


@pytest.mark.parametrize("k", [1, 5, 12])
@pytest.mark.parametrize("name", OURS)
def test_it_is_its_definition(monkeypatch, name, k):
    monkeypatch.setattr(blocks.iter_blocks, "__defaults__", (7,))
    evaluation = make_evaluation(seed=k)
    expected = [getattr(Theirs(evaluation, user, k), name)() for user in range(30)]
    found = getattr(presets, name)(evaluation, k)
    assert found.values == pytest.approx(expected, nan_ok=True) and len(OURS) == 9
    listed = np.where((evaluation.get_top_picks(k) >= 0).any(axis=1), found.values, np.nan)
    assert presets.restrict_to_listed(getattr(presets, name), evaluation, k).values == pytest.approx(
        listed, nan_ok=True
    )


@pytest.mark.parametrize(
    "name", ["coverage_of_train_items", "distinct_items", "evenness_n_minus_1", "gini_padded", "entropy_per_item"]
)
def test_a_statistic_is_its_definition(name):
    evaluation = make_evaluation()
    times = np.bincount(evaluation.items[evaluation.items >= 0], minlength=40)
    some, p = np.count_nonzero(times), times[times > 0] / times.sum()
    apart = np.abs(times[:, None] - times).sum() / (2 * times.sum())  # I times the Gini index: mean difference
    expected = {
        "coverage_of_train_items": some / evaluation.truth.split.train.toarray().any(axis=0).sum(),
        "distinct_items": some,
        "evenness_n_minus_1": 1 - apart / 39,
        "gini_padded": (apart + 1) / 41,
        "entropy_per_item": -sum(p * np.log(p)) / some,
    }[name]
    answer = getattr(presets, name)(evaluation, 8)
    assert value(answer) == pytest.approx(expected)
    assert answer.statistic(np.stack([times, times]).astype(float)) == pytest.approx([expected, expected])
