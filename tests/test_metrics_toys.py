"""Two worked examples whose values other libraries and naive restatements of the papers agree on."""

import numpy as np
import pytest
from scipy import sparse

from recsys import metrics
from recsys.maths.binomials import binomial_diversity
from recsys.maths.distributions import deficit
from recsys.maths.vendi_score import vendi
from recsys.types import Evaluation, GroundTruth, Items, PerCatalogue, Split, TasteMap

ITEMS = "abcdefgh"
GENRES = ("comedy", "drama", "horror", "scifi")
OF_ITEM = ["drama", "drama comedy", "comedy", "drama", "horror", "horror scifi", "scifi", "comedy scifi"]


def rows(names):
    matrix = np.zeros((len(names), len(ITEMS)), dtype=np.float32)
    for u, row in enumerate(names):
        matrix[u, [ITEMS.index(name) for name in row]] = 1
    return sparse.csr_array(matrix)


def make_split(train, test, features):
    n_users, n_items = train.shape
    none = sparse.csr_array(train.shape, dtype=np.float32)
    ids = np.array([str(i) for i in range(n_items)])
    items = Items(
        ids=ids,
        titles=ids,
        features=sparse.csr_array(np.asarray(features, dtype=np.float32)),
        feature_names=tuple(str(f) for f in range(np.shape(features)[1])),
        years=np.zeros(n_items, dtype=np.int32),
    )
    users = np.array([str(u) for u in range(n_users)])
    return Split("random", 0, users, items, train, none, test, none, none)


def slates(names, k):
    return np.array([[ITEMS.index(name) for name in row] + [-1] * (k - len(row)) for row in names], dtype=np.int32)


def value(answer):
    if isinstance(answer, PerCatalogue):
        shown = answer.picks[answer.picks >= 0]
        return float(answer.statistic(np.bincount(shown, minlength=answer.n_items).astype(float)))
    return float(np.nanmean(answer.values))


@pytest.fixture
def four_users():
    """The fourth user has no list, and item h is unseen in train."""
    features = [[name in genres.split() for name in GENRES] for genres in OF_ITEM]
    split = make_split(rows(["ab", "ac", "abd", "aef"]), rows(["ce", "b", "hcef", "g"]), features)
    return Evaluation(slates(["che", "dbe", "ceh", ""], 3), GroundTruth(split))


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("ndcg", 0.6377),  # RecTools (divide_by_achievable), ranx and implicit give the same
        ("precision", 0.5),  # RecTools, ranx
        ("recall", 0.6875),  # RecTools, ranx
        ("hit_rate", 0.75),
        ("mrr", (1 + 1 / 2 + 1 + 0) / 4),
        ("ild_features", 0.7643),  # over users with lists
        ("self_information", 3.2108),  # "EFD", unseen as seen once
        ("calibration_kl", 2.4923),  # Steck, alpha = .01, nats
        ("coverage", 0.625),  # RecTools
        ("gini", 0.5139),  # LensKit, irspack
        ("average_precision", 0.5833),  # implicit
        ("epc", 0.3712),  # RankSys, by rank and hits
        ("arp", 0.8889),  # RecTools
        ("calibration_js", 0.5383),
        ("evenness", 1 - 0.5139),
        ("shannon_entropy", 2.1972),  # RankSys, Elliot, Microsoft Recommenders
        ("never_shown", 0.375),
    ],
)
def test_four_users(four_users, metric, expected):
    assert value(getattr(metrics, metric)(four_users, 3)) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("eild_features", 0.4975),  # RankSys
        ("alpha_ndcg", 0.7652),
        ("epc", 0.4949),  # Elliot
        ("serendipity_popularity", 0.1528),  # RecTools
    ],
)
def test_users_with_a_list(four_users, metric, expected):
    """Elsewhere the mean is over these; here the fourth, who has held-out positives, counts 0."""
    values = getattr(metrics, metric)(four_users, 3).values
    assert values[:3].mean() == pytest.approx(expected, abs=5e-5) and values[3] == 0


def test_alpha_ndcg_of_each_user(four_users):
    assert metrics.alpha_ndcg(four_users, 3).values == pytest.approx([0.9197, 0.6309, 0.7449, 0], abs=5e-5)


def test_slates_of_the_documentation_of_rectools():
    test = rows(["ab", "bc", "b", "b"])[:, :4]
    train = rows(["ab", "ab", "a", ""])[:, :4]
    evaluation = Evaluation(slates(["ab", "bc", "c", "bc"], 2), GroundTruth(make_split(train, test, np.ones((4, 1)))))
    assert metrics.serendipity_popularity(evaluation, 1).values.tolist() == [0, 0.25, 0, 0.25]
    assert metrics.serendipity_popularity(evaluation, 2).values.tolist() == [0, 0.5, 0, 0.125]


@pytest.mark.parametrize("metric", ["ild_features", "self_information", "calibration_kl"])
def test_the_user_without_a_list_is_not_averaged(four_users, metric):
    assert np.isnan(getattr(metrics, metric)(four_users, 3).values).tolist() == [False, False, False, True]


@pytest.fixture
def stratified():
    """Users of items a to h in train: 4, 2, 1, 1, 1, 1, 0, 0; the fifth user likes a, b, c and g and is shown b, h, a."""
    split = make_split(rows(["ab", "ac", "abd", "aef", ""]), rows(["", "", "", "", "abcg"]), np.ones((8, 1)))
    return slates(["", "", "", "", "bha"], 3), split


@pytest.mark.parametrize(
    ("exponent", "recall", "ndcg"),
    [  # credits of a, b, c, g
        (0.0, 2 / 4, (1 + 1 / 2) / (1 + 0.6309298 + 1 / 2)),  # 1, 1, 1, 1
        (0.5, 1.2071068 / 3.2071068, 0.9571068 / 1.9844832),  # .5, .7071068, 1, 1
        (1.0, 0.75 / 2.75, 0.625 / 1.8809298),  # .25, .5, 1, 1
    ],
)
def test_a_hit_counts_more_the_fewer_users_its_item_has(stratified, exponent, recall, ndcg):
    evaluation = Evaluation(stratified[0], GroundTruth(stratified[1], popularity_exponent=exponent))
    assert metrics.stratified_recall(evaluation, 3).values[4] == pytest.approx(recall)
    assert metrics.stratified_ndcg(evaluation, 3).values[4] == pytest.approx(ndcg)
    assert f"popularity^-{exponent:g} " in metrics.stratified_recall(evaluation, 3).convention


def test_discovery_by_credit_and_by_thirds_of_popularity(stratified):
    """One map: a, b, g in one region, c to f in another, h in none; the fifth user has touched neither."""
    region = sparse.csr_array(np.array([[1, 0], [1, 0], [0, 1], [0, 1], [0, 1], [0, 1], [1, 0], [0, 0]], np.float32))
    truth = GroundTruth(stratified[1], audit_maps=(TasteMap("by hand", region, "by hand"),))
    evaluation = Evaluation(stratified[0], truth)
    assert metrics.discovery(evaluation, 3).values[0, 4] == pytest.approx(2 / 3)
    assert metrics.stratified_discovery(evaluation, 3).values[0, 4] == pytest.approx(1.2071068 / 2.7071068)
    # of 10 interactions a has 4: the head; b to f stand before the 6.67th: the middle; g and h have none: the tail
    found = {name: getattr(metrics, f"discovery_{name}")(evaluation, 3) for name in ("head", "middle", "tail")}
    assert {name: answer.values[0, 4] for name, answer in found.items()} == {"head": 1.0, "middle": 0.5, "tail": 0.0}
    assert {name: answer.counts["held_out"] for name, answer in found.items()} == {"head": 1, "middle": 2, "tail": 1}


SHARES = np.array([[1, 0, 0], [1, 0, 0], [0.5, 0.5, 0], [1, 0, 0], [0, 1, 0], [0.5, 0, 0.5], [0, 0.5, 0.5], [0, 0, 1]])
VECTORS = [
    [1, 0, 0.2], [0.9, 0.1, 0.1], [0.6, 0.6, 0], [1, 0.1, 0.3], [0, 1, 0.1], [0.6, 0.1, 0.7], [0.1, 0.6, 0.6],
    [0, 0.1, 1],
]  # fmt: skip
OWED, PLAUSIBLE = np.array([0.4, 0.3, 0.3]), np.array([1.0, 0.8, 0.5])
RERANKED = {  # slate: intra-list distance, calibration KL, deficit
    "aehc": (0.6867, 0.1210, 0.0633),  # MMR
    "aebh": (0.7261, 0.0713, 0.0823),  # max-sum dispersion
    "abcd": (0.1373, 0.4945, 0.3671),  # xQuAD
    "cabf": (0.2484, 0.1037, 0.2880),  # PM-2, calibration
    "cabh": (0.5258, 0.1432, 0.2089),  # binomial diversity
    "aehg": (0.6329, 0.3192, 0.1899),  # DPP
    "aceb": (0.4495, 0.3699, 0.1899),  # negative space
    "acgf": (0.4128, 0.0713, 0.0823),  # negative space alone
}


BINOMIAL = {
    "aehc": 0.7130,
    "aebh": 0.9248,
    "abcd": 0.2487,
    "cabf": 0.4570,
    "cabh": 0.7415,
    "aehg": 0.4718,
    "aceb": 0.3481,
    "acgf": 0.3498,
}


def evaluate(features, history):
    """Eight candidates, then as many items as the history has; every user has met all of these."""
    n_items = len(ITEMS) + len(history)
    train = np.zeros((len(RERANKED), n_items), dtype=np.float32)
    train[:, len(ITEMS) :] = 1
    none = sparse.csr_array(train.shape, dtype=np.float32)
    split = make_split(sparse.csr_array(train), none, np.concatenate([np.asarray(features), history]))
    return Evaluation(slates(RERANKED, 4), GroundTruth(split))


def test_reranked_slates_have_their_intra_list_distance():
    found = metrics.ild_features(evaluate(VECTORS, np.zeros((1, 3))), 4).values
    assert found == pytest.approx([ild for ild, _, _ in RERANKED.values()], abs=5e-5)


def test_reranked_slates_have_their_calibration():
    history = np.repeat(np.eye(3), [6, 3, 1], axis=0)  # a profile of .6, .3 and .1
    found = metrics.calibration_kl(evaluate(SHARES > 0, history), 4).values
    assert found == pytest.approx([kl for _, kl, _ in RERANKED.values()], abs=5e-5)


def test_reranked_slates_have_their_deficit():
    exposure = SHARES[slates(RERANKED, 4)].mean(axis=1)
    found = deficit(np.broadcast_to(OWED, exposure.shape), exposure, PLAUSIBLE)
    assert found == pytest.approx([owed for _, _, owed in RERANKED.values()], abs=5e-5)


def test_reranked_slates_have_their_binomial_diversity():
    own, everybody = np.array([0.6, 0.3, 0.1]), np.array([0.5, 0.3, 0.2])
    counts = np.array([(SHARES[row] > 0).sum(axis=0) for row in slates(BINOMIAL, 4)])
    p = np.broadcast_to((own + everybody) / 2, counts.shape)
    assert binomial_diversity(counts, p, 4) == pytest.approx(list(BINOMIAL.values()), abs=5e-5)


def test_slates_have_their_vendi_score_under_squared_cosines():
    vectors = np.array(VECTORS) / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    squared = np.einsum("ia,ib->iab", vectors, vectors).reshape(8, 9)  # their dot product is the squared cosine
    found = vendi(squared[slates(["abcd", "aehg"], 4)], np.array([4, 4]))
    assert found == pytest.approx([1.6285, 3.2732], abs=5e-5)
