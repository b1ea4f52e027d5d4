"""Published tables: their files, their protocols, their metrics, and the verdict."""

import itertools
import math
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from synthetic import make_split

from recsys import cli, data
from recsys.data import read_frame
from recsys.data.published_splits import read_published_lists, read_published_ratings
from recsys.metrics import sampled
from recsys.metrics.sampled import SampledRanks, draw_negatives, rank_sampled
from recsys.reproductions.protocols import build_setup
from recsys.reproductions.published_settings import FULL_METRICS, Protocol, list_reproductions, read_reproduction
from recsys.reproductions.run import MetricCheck, prepare_setup, reproduce
from recsys.reproductions.setups import widen_catalogue
from recsys.types import Evaluation, GroundTruth, PerUser, RecsysError, SampledNegatives


def write(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / name.replace("__", "-").replace("_", ".")).write_text(text, encoding="utf-8")
    return folder


# Files.


def test_lists_are_read_as_they_are(tmp_path):
    write(tmp_path, train_txt="0 10 2 10\n2 9\n\n1\n", test_txt="0 2\n2 10 11\n")
    split = read_published_lists(tmp_path)
    assert split.user_ids.tolist() == ["0", "1", "2"]
    assert split.item_ids.tolist() == ["2", "9", "10", "11"]
    assert split.train.toarray().tolist() == [[1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0]]
    assert split.test.toarray().tolist() == [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1]]
    assert split.counts["repeated_positives"] == 1 and split.counts["in_both"] == 1
    assert len(split.notes) == 2


def test_ratings_and_negatives_are_read_without_repetition(tmp_path):
    train = "0\t1\t5\t100\n0\t2\t3\t101\n1\t2\t4\t99\n"
    negative = "(0,3)\t1\t4\t4\t3\n(1,1)\t5\t2\n"
    (tmp_path / "x.train.rating").write_text(train, encoding="utf-8")
    (tmp_path / "x.test.rating").write_text("0\t3\t5\t200\n1\t1\t4\t150\n", encoding="utf-8")
    (tmp_path / "x.test.negative").write_text(negative, encoding="utf-8")
    split, negatives = read_published_ratings(tmp_path, "x")
    assert split.item_ids.tolist() == ["1", "2", "3", "4", "5"]
    assert split.train.toarray().tolist() == [[1, 1, 0, 0, 0], [0, 1, 0, 0, 0]]
    assert (negatives.users.tolist(), negatives.items.tolist()) == ([0, 1], [2, 0])
    assert negatives.negative_items.tolist() == [[0, 3], [4, 1]]
    assert (negatives.n_dropped, negatives.source) == (2, "x.test.negative")


@pytest.mark.parametrize(
    ("train", "line"),
    [
        ("0 a\n", "train.txt, line 1: found '0 a', expected whole numbers: a user and its items"),
        ("0 1\n1 -2\n", "train.txt, line 2: found '1 -2', expected whole numbers"),
        ("0\n", "nothing to train on or to test"),
    ],
)
def test_files_of_another_form_are_one_line(tmp_path, train, line):
    write(tmp_path, train_txt=train, test_txt="0 1\n")
    with pytest.raises(RecsysError) as caught:
        read_published_lists(tmp_path)
    assert line in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_file_or_line_is_one_line(tmp_path):
    with pytest.raises(RecsysError, match=r"train.txt: No such file or directory, expected a file with whole numbers"):
        read_published_lists(tmp_path)
    for name, text in {
        "train.rating": "0\t1\t5\t1\n",
        "test.rating": "0\t2\t5\t2\n",
        "test.negative": "(0,1)\t3\n",
    }.items():
        (tmp_path / f"x.{name}").write_text(text, encoding="utf-8")
    with pytest.raises(RecsysError, match=r"no line for \(0,2\), expected one for every held-out pair"):
        read_published_ratings(tmp_path, "x")
    (tmp_path / "x.train.rating").write_text("0 1 5 1\n", encoding="utf-8")
    with pytest.raises(RecsysError, match="line 1: found '0 1 5 1', expected user, item, rating and time"):
        read_published_ratings(tmp_path, "x")


# Sampled ranks.


def test_expected_values_are_those_of_every_order_of_the_ties():
    above, tied = np.array([0, 0, 1, 2, 5]), np.array([0, 3, 2, 4, 0])
    for k in (1, 2, 3, 5, 10):
        hits, gains = [], []
        for a, t in zip(above.tolist(), tied.tolist(), strict=True):
            ranks = [order.index(0) + a + 1 for order in itertools.permutations(range(t + 1))]
            hits.append(np.mean([r <= k for r in ranks]))
            gains.append(np.mean([(r <= k) / math.log2(r + 1) for r in ranks]))
        assert sampled.sampled_hit_rate(SampledRanks(above, tied), k) == pytest.approx(hits)
        assert sampled.sampled_ndcg(SampledRanks(above, tied), k) == pytest.approx(gains)


def test_negatives_are_neither_met_nor_held_out_and_none_is_twice():
    split = make_split()
    negatives = draw_negatives(split, 10, seed=1)
    known = (split.seen + split.test).toarray() != 0
    assert len(negatives.users) == split.test.nnz
    for user, item, against in zip(negatives.users, negatives.items, negatives.negative_items, strict=True):
        assert split.test[user, item] == 1
        assert len(set(against)) == 10 and not known[user, against].any()
    assert (draw_negatives(split, 10, 1).negative_items == negatives.negative_items).all()
    assert (draw_negatives(split, 10, 2).negative_items != negatives.negative_items).any()


def test_every_negative_is_drawn_as_often():
    split = make_split(users=400, items=12)
    free = (split.seen + split.test).toarray() == 0
    tested = np.unique(draw_negatives(split, 1, 0).users)
    drawn, expected = np.zeros(12), np.zeros(12)
    for seed in range(20):
        negatives = draw_negatives(split, 1, seed)
        _, first = np.unique(negatives.users, return_index=True)
        drawn += np.bincount(negatives.negative_items[first, 0], minlength=12)
        expected += (free[tested] / free[tested].sum(axis=1, keepdims=True)).sum(axis=0)
    assert (np.abs(drawn - expected) < 4 * np.sqrt(expected)).all()


def test_too_few_items_to_draw_from_is_one_line():
    with pytest.raises(RecsysError, match=r"negatives: user 'u0' has .* items to draw from, expected 39 or more"):
        draw_negatives(make_split(), 39, 0)


class Table:
    """Scores that are given."""

    factors = None

    def __init__(self, scores):
        self.scores = scores

    def score(self, users):
        return self.scores[users]

    def fold(self, histories):
        return np.asarray(histories @ np.arange(histories.shape[1] ** 2).reshape(histories.shape[1], -1), np.float32)


def test_ranks_among_the_negatives_are_those_of_a_slow_count():
    scores = np.random.default_rng(0).integers(0, 5, (600, 30)).astype(np.float32)
    rng = np.random.default_rng(1)
    users = np.repeat(np.arange(0, 600, 2), 2).astype(np.int32)
    against = rng.integers(-1, 30, (len(users), 7)).astype(np.int32)
    items = rng.integers(0, 30, len(users)).astype(np.int32)
    ranks = rank_sampled(Table(scores), SampledNegatives(users, items, against, "here"))
    for p, (user, item) in enumerate(zip(users, items, strict=True)):
        others = [scores[user, other] for other in against[p] if other >= 0]
        assert ranks.above[p] == sum(other > scores[user, item] for other in others)
        assert ranks.tied[p] == sum(other == scores[user, item] for other in others)


# Metrics in other conventions.


def slow(name, slate, test, k):
    hits = [item in test for item in slate[:k]]
    gain = sum(hit / math.log2(r + 2) for r, hit in enumerate(hits))
    precisions = [sum(hits[: r + 1]) / (r + 1) for r, hit in enumerate(hits) if hit]
    return {
        "ndcg_full_ideal": gain / sum(1 / math.log2(r + 2) for r in range(len(test))),
        "recall_capped": sum(hits) / min(k, len(test)),
        "average_precision": sum(precisions) / min(k, len(test)),
    }[name]


@pytest.mark.parametrize("k", [1, 3, 10, 15])
@pytest.mark.parametrize("name", ["ndcg_full_ideal", "recall_capped", "average_precision"])
def test_a_variant_is_its_definition(name, k):
    split = make_split(users=60)
    rng = np.random.default_rng(k)
    items = np.argsort(rng.random((60, 40)) - 0.4 * split.test.toarray(), axis=1)[:, :12].astype(np.int32)
    items[0] = -1
    answer = FULL_METRICS[name](Evaluation(items, GroundTruth(split)), k)
    assert isinstance(answer, PerUser)
    for user in range(60):
        test = set(split.test[[user]].indices.tolist())
        expected = slow(name, [i for i in items[user].tolist() if i >= 0], test, k) if test else math.nan
        assert answer.values[user] == pytest.approx(expected, nan_ok=True)
    assert np.nanmean(answer.values) > 0


def test_shares_of_the_picks_against_every_pair_of_users():
    split = make_split()
    items = np.argsort(np.random.default_rng(0).random((30, 40)) * np.arange(1, 41), axis=1)[:, :6].astype(np.int32)
    evaluation = Evaluation(items, GroundTruth(split))
    counts = np.bincount(items.ravel(), minlength=40).astype(float)
    p = np.sort(counts / counts.sum())
    common = [len(set(a) & set(b)) / 6 for a, b in itertools.combinations(items.tolist(), 2)]
    expected = {
        "mean_inter_list": 1 - np.mean(common),
        "herfindahl": 1 - sum(share**2 for share in p),
        "gini_diversity": 2 * sum((40 + 1 - j) / 41 * share for j, share in enumerate(p, 1)),
        "shannon_entropy": -sum(share * math.log2(share) for share in p if share),
    }
    for name, value in expected.items():
        answer = FULL_METRICS[name](evaluation, 6)
        assert answer.statistic(counts) == pytest.approx(value), name
        assert answer.statistic(np.stack([counts, counts])) == pytest.approx([value, value])


def test_an_even_catalogue_has_the_largest_entropy_and_evenness():
    even = np.ones(3883)
    evaluation = Evaluation(np.zeros((1, 1), np.int32), GroundTruth(make_split()))
    assert FULL_METRICS["shannon_entropy"](evaluation, 1).statistic(even) == pytest.approx(math.log2(3883))
    assert FULL_METRICS["gini_diversity"](evaluation, 1).statistic(even) == pytest.approx(1.0)


# Protocols.


def log(**columns):
    return read_frame(columns, name="log")


def test_the_last_item_by_each_rule_for_ties():
    users, items = ["a"] * 4 + ["b"] * 4 + ["c"] * 2, [3, 1, 2, 4, 4, 2, 3, 1, 1, 2]
    dataset = log(
        user_id=users,
        item_id=items,
        rating=[1.0, 2, 3, 4, 5, 4, 3, 2, 1, 1],
        timestamp=[5, 9, 9, 1, 7, 7, 8, 8, 1, 2],
    )
    found = {}
    for ties in ("first_appearance", "item_id", "random"):
        trial = build_setup(dataset, Protocol(kind="last_item", ties=ties), 0)
        split = trial.split
        found[ties] = [split.item_ids[row.indices].tolist() for row in split.test]
        assert (trial.fit_positives + split.test).nnz == 10 and trial.fit_positives.nnz == 8
        assert split.validation.nnz == 0
        assert trial.ratings.nnz == 8 and set(trial.ratings.data) <= {1.0, 2, 3, 4, 5}
    # Appearance: 3, 1, 2, 4. A user with two items keeps both.
    assert found["first_appearance"] == [["1"], ["3"], []]
    assert found["item_id"] == [["1"], ["1"], []]
    assert found["random"][0][0] in "12" and found["random"][1][0] in "13"


def test_items_are_filtered_once_and_then_users():
    users = ["a"] * 3 + ["b"] * 3 + ["c"] * 3
    dataset = log(user_id=users, item_id=[1, 2, 3, 1, 2, 3, 1, 8, 9], rating=[1.0] * 9, timestamp=list(range(9)))
    protocol = Protocol(kind="random_pairs", min_item_interactions=2, min_user_interactions=2, test=0.2)
    trial = build_setup(dataset, protocol, 0)
    assert trial.split.user_ids.tolist() == ["a", "b"]  # c loses 8 and 9 first
    assert trial.split.item_ids.tolist() == ["1", "2", "3"]


def synthetic(name="world", users=120, items=150, seed=0):
    rng = np.random.default_rng(seed)
    near = (np.arange(items) % 4 == np.arange(users)[:, None] % 4) / (1 + np.arange(items) / 10)
    user, item = np.nonzero(rng.random((users, items)) < 0.15 + 0.6 * near)
    times = rng.integers(0, 10_000, len(user))
    return read_frame(
        {"user_id": user, "item_id": item, "rating": rng.integers(3, 6, len(user)), "timestamp": times},
        name=name,
    )


def test_a_share_of_all_pairs_whoever_has_them():
    dataset = synthetic()
    trial = build_setup(dataset, Protocol(kind="random_pairs", test=0.25, catalogue=200), 0)
    n = len(dataset.interactions)
    assert trial.split.test.nnz == round(0.25 * n) and trial.fit_positives.nnz == n - trial.split.test.nnz
    assert (trial.fit_positives.multiply(trial.split.test)).nnz == 0
    assert trial.split.shape == (120, 200) and trial.fit_positives.shape == (120, 200) == trial.ratings.shape
    with pytest.raises(RecsysError, match="catalogue is 20, expected at least the 150 of the data"):
        build_setup(dataset, Protocol(kind="random_pairs", catalogue=20), 0)


def test_held_out_users_are_nobody_that_is_fitted_to():
    dataset = synthetic()
    trial = build_setup(dataset, Protocol(kind="held_out_users", held_out=30, test=0.2, positive="rating >= 4"), 0)
    liked = dataset.interactions.weight >= 4
    sizes = np.bincount(dataset.interactions.user[liked], minlength=120)
    assert trial.folds_in and trial.fit_positives.shape[0] == 60 and trial.split.shape[0] == 30
    assert (np.bincount(trial.fit_positives.indices, minlength=trial.fit_positives.shape[1]) > 0).all()
    codes = [dataset.interactions.user_ids.tolist().index(name) for name in trial.split.user_ids.tolist()]
    whole = np.diff(trial.split.train.indptr) + np.diff(trial.split.test.indptr)
    assert (whole <= sizes[codes]).all() and whole.sum() > 0.9 * sizes[codes].sum()
    found = np.diff(trial.split.test.indptr)
    assert (found == np.where(whole >= 5, whole // 5, 0)).all()
    assert (trial.split.train.multiply(trial.split.test)).nnz == 0
    fitted = Table(None)
    users = np.array([3, 0], dtype=np.int32)
    assert (trial.adapt_scorer(fitted).score(users) == fitted.fold(trial.split.train[users])).all()


def test_another_order_of_rows_makes_the_same_trial():
    dataset = synthetic()
    rows = np.random.default_rng(1).permutation(len(dataset.interactions))
    source = dataset.interactions
    moved = read_frame(
        {
            "user_id": source.user_ids[source.user[rows]],
            "item_id": source.item_ids[source.item[rows]],
            "rating": source.weight[rows],
            "timestamp": source.datetime[rows],
        }
    )
    for protocol in (
        Protocol(kind="last_item", ties="random"),
        Protocol(kind="random_pairs"),
        Protocol(kind="held_out_users", held_out=20),
    ):
        before, after = (build_setup(one, protocol, 3) for one in (dataset, moved))
        assert (before.split.test != after.split.test).nnz == 0
        assert (before.fit_positives != after.fit_positives).nnz == 0 and (before.ratings != after.ratings).nnz == 0


def test_a_wider_catalogue_holds_items_that_nobody_has():
    split = make_split()
    wide = widen_catalogue(split, 50)
    assert wide.shape == (30, 50) and wide.items.features.shape == (50, 5)
    assert wide.train[:, 40:].nnz == 0 and (wide.test[:, :40] != split.test).nnz == 0


# Recipes, and whole runs on stand-ins.


def write_lists(folder, split=None):
    split = split or make_split(users=80, items=60)
    for part in ("train", "test"):
        rows = [" ".join(map(str, [u, *row.indices])) for u, row in enumerate(getattr(split, part))]
        (folder / f"{part}.txt").write_text("\n".join(rows) + "\n", encoding="utf-8")


def write_ratings(folder, name):
    dataset = synthetic()
    trial = build_setup(dataset, Protocol(kind="last_item", negatives={"n": 50}), 0)
    (negatives,) = trial.negatives
    lines = [
        f"({u},{i})\t" + "\t".join(map(str, [*a, a[0], i]))
        for u, i, a in zip(negatives.users, negatives.items, negatives.negative_items, strict=True)
    ]
    (folder / f"{name}.test.negative").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for part, matrix in (("train", trial.fit_positives), ("test", trial.split.test)):
        pairs = zip(*matrix.nonzero(), strict=True)
        (folder / f"{name}.{part}.rating").write_text("".join(f"{u}\t{i}\t5\t1\n" for u, i in pairs), encoding="utf-8")


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Return a function that makes the files, or the dataset, of a recipe, and a recipe of the size that fits."""

    def make(name):
        recipe, text = read_reproduction(name), list_reproductions()[name].read_text(encoding="utf-8")
        if recipe.data.format == "lists":
            write_lists(tmp_path)
        elif recipe.data.format == "ratings":
            write_ratings(tmp_path, recipe.data.name)
        else:
            monkeypatch.setattr(data, "load_dataset", lambda name, data_dir=None, quiet=False: synthetic(name))
        text = text.replace("held_out = 10_000", "held_out = 20").replace(
            "min_user_interactions = 20", "min_user_interactions = 5"
        )
        text = re.sub(r"n = 99, draws = 10", "n = 50, draws = 2", text)
        (tmp_path / "small.toml").write_text(text, encoding="utf-8")
        return tmp_path / "small.toml"

    return make


@pytest.mark.parametrize("name", list_reproductions())
def test_every_recipe_runs_on_a_stand_in(name, stand_in, tmp_path):
    done = reproduce(stand_in(name), tmp_path, quiet=True)
    recipe = read_reproduction(name)
    assert len(done.checks) == sum(len(row.published) for row in recipe.models.values())
    for check in done.checks:
        assert math.isfinite(check.ours), check.reason
        assert recipe.models[check.model].published[check.metric] == check.published
    values = {(check.model, check.metric): check.ours for check in done.checks}
    for metric in recipe.metrics:
        base = {model: value for (model, one), value in values.items() if one == metric}
        bare = metric.partition("@")[0]
        if "Random" in base and "EASE^R" in base and ("recall" in bare or "ndcg" in bare or "hit" in bare):
            assert base["EASE^R"] > base["Random"], metric
    assert any("sampled" in note for note in done.notes) == (recipe.protocol.negatives is not None)


def test_the_verdict_is_the_exit_code(stand_in, tmp_path):
    path = stand_in("ml-1m-ncf")
    run = CliRunner().invoke(cli.cli, ["reproduce", str(path), "--data", str(tmp_path), "--quiet"])
    assert run.exit_code == 1 and "fail" in run.output and "values within tolerance" in run.output
    assert "sampled: each positive is ranked among 50 items" in run.output
    text = path.read_text(encoding="utf-8")
    head = text[: text.index("[models.")]
    for check in reproduce(path, tmp_path, quiet=True).checks:
        if check.model == "TopPopular":
            head = re.sub(rf'(?m)^("{check.metric}" = ).*', r"\g<1>0.001", head)
    rows = "\n".join(
        f'"{c.metric}" = {c.ours}' for c in reproduce(path, tmp_path, quiet=True).checks if c.model == "TopPopular"
    )
    path.write_text(
        head + f'[models.TopPopular]\nmodel = {{ kind = "most_popular" }}\n\n[models.TopPopular.published]\n{rows}\n'
    )
    run = CliRunner().invoke(cli.cli, ["reproduce", str(path), "--data", str(tmp_path), "--quiet"])
    assert run.exit_code == 0, run.output
    assert "5 of 5 values within tolerance" in run.output


def test_a_reason_stands_beside_what_fails_and_nowhere_else(stand_in, tmp_path):
    path = stand_in("gowalla-lightgcn")
    text = path.read_text(encoding="utf-8").replace("published = {", 'reason = "measured: because"\npublished = {')
    text = text.replace('kind = "item_knn"', 'kind = "most_popular"').replace(
        ', similarity = "cosine", k = 100, shrink = 0.0', ""
    )
    path.write_text(text, encoding="utf-8")
    run = CliRunner().invoke(cli.cli, ["reproduce", str(path), "--data", str(tmp_path), "--quiet"])
    assert run.output.count("fail") >= 3 and run.output.count("measured: because") == 3  # once a model
    assert MetricCheck("m", "ndcg@10", 0.5, 0.51, math.nan, 0.01).passed
    assert not MetricCheck("m", "ndcg@10", 0.5, 0.5101, math.nan, 0.01).passed
    assert not MetricCheck("m", "ndcg@10", 0.5, math.nan, math.nan, 0.01).passed


def test_a_model_that_cannot_run_fails_with_its_reason(stand_in, tmp_path, monkeypatch):
    path = stand_in("yelp2018-lightgcn")

    def refuse(self, train, side=None):
        raise RecsysError("ease: too large")

    monkeypatch.setattr("recsys.models.ease.EASE.fit", refuse)
    done = reproduce(path, tmp_path, quiet=True)
    assert not done.passed and {check.reason for check in done.checks} == {"not run: ease: too large"}


def test_values_by_hand(tmp_path):
    """Popularity in train: item 1 three times, item 2 twice, item 3 once, items 4 to 6 never."""
    (tmp_path / "x.train.rating").write_text(
        "0\t1\t5\t1\n1\t1\t5\t1\n2\t1\t5\t1\n0\t2\t5\t1\n1\t2\t5\t1\n2\t3\t5\t1\n", encoding="utf-8"
    )
    (tmp_path / "x.test.rating").write_text("0\t3\t5\t2\n1\t4\t5\t2\n2\t2\t5\t2\n", encoding="utf-8")
    (tmp_path / "x.test.negative").write_text("(0,3)\t4\t5\n(1,4)\t3\t5\n(2,2)\t1\t4\t5\n", encoding="utf-8")
    (tmp_path / "x.toml").write_text(
        'title = "t"\nsource = "s"\n[data]\nformat = "ratings"\nname = "x"\n[protocol]\nkind = "as_published"\n'
        'negatives = { n = 2, file = true }\n[tolerance]\n"sampled_hit_rate@2" = 1e-9\n"sampled_ndcg@2" = 1e-9\n'
        '[models.pop]\nmodel = { kind = "most_popular" }\n'
        # Ranks: 1; 2 or 3 with equal chance; 2.
        f'published = {{ "sampled_hit_rate@2" = {2.5 / 3}, "sampled_ndcg@2" = {(1 + 1.5 / math.log2(3)) / 3} }}\n',
        encoding="utf-8",
    )
    assert reproduce(tmp_path / "x.toml", tmp_path, quiet=True).passed


RECIPE = """
title = "t"
source = "s"
data = { format = "lists", name = "x" }
protocol = { kind = "as_published" }
[tolerance]
"recall@20" = 0.01
[models.pop]
model = { kind = "most_popular" }
published = { "recall@20" = 0.1 }
"""


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ('"recall@20" = 0.1 }', '"recal@20" = 0.1 }', "unknown metric 'recal@20': did you mean 'recall@10'?"),
        ('"recall@20" = 0.1 }', '"ndcg@20" = 0.1 }', "ndcg@20 has no tolerance"),
        ("most_popular", "most_populer", "unknown model 'most_populer': did you mean 'most_popular'?"),
        ("as_published", "random_pairs", "data of format 'lists' does not go with 'random_pairs'"),
        ("as_published", "published", "[protocol] kind is 'published': input should be 'as_published'"),
        ('format = "lists"', 'format = "ratings"', "negatives with file = true go with data of format 'ratings'"),
        ('title = "t"', "", "title is missing"),
        ("source", "sauce", "unknown key 'sauce': did you mean 'source'?"),
        (
            'kind = "as_published" }',
            'kind = "as_published", tie = 1 }',
            "[protocol]: unknown key 'tie': did you mean 'ties'?",
        ),
        ('{ kind = "most_popular" }', '{ kind = "ease", l = 3 }', "unknown setting 'l': did you mean 'l2'?"),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path, old, new, line):
    write_lists(tmp_path)
    assert old in RECIPE
    (tmp_path / "r.toml").write_text(RECIPE, encoding="utf-8")
    assert len(reproduce(tmp_path / "r.toml", tmp_path, quiet=True).checks) == 1
    (tmp_path / "r.toml").write_text(RECIPE.replace(old, new), encoding="utf-8")
    with pytest.raises(RecsysError) as caught:
        reproduce(tmp_path / "r.toml", tmp_path, quiet=True)
    assert line in str(caught.value) and "\n" not in str(caught.value)


def test_names_and_folders_that_are_not_there(tmp_path, monkeypatch):
    listed = CliRunner().invoke(cli.cli, ["reproduce"])
    assert listed.exit_code == 0 and all(name in listed.output for name in list_reproductions())
    with pytest.raises(
        RecsysError, match="reproduction ml-100k-dfm: No such file or directory, did you mean 'ml-100k-dmf'"
    ):
        reproduce("ml-100k-dfm")
    monkeypatch.setenv("RECSYS_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(
        RecsysError, match=r"gowalla: no such folder, expected one with train.txt and test.txt .* --data"
    ):
        prepare_setup(read_reproduction("gowalla-lightgcn"))


def test_weights_need_ratings(tmp_path):
    write_lists(tmp_path)
    (tmp_path / "r.toml").write_text(
        RECIPE.replace("[models.pop]", '[models.pop]\nvalues = "ratings"'), encoding="utf-8"
    )
    (check,) = reproduce(tmp_path / "r.toml", tmp_path, quiet=True).checks
    assert check.reason == "not run: [models.pop]: values = 'ratings', and this data has none" and not check.passed
