"""The price of a policy of topics: a run beside its absence, on one split."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from test_topics_closed import CONFIG, list_closed, make_log

import recsys
from recsys.configs import parse_config
from recsys.control.topics import read_topic_policy
from recsys.experiments.rule_costs import tabulate_rule_costs
from recsys.experiments.topic_costs import compare_topics, drop_items
from recsys.support.cache import Cache

SMALL = {**CONFIG, "baselines": [], "data": {"in_memory": "table"}}


@pytest.fixture(scope="module")
def frame():
    return make_log(1, users=110, items=24, rows=2000)


@pytest.fixture(scope="module")
def split(found):
    return found.preparation.split


@pytest.fixture(scope="module")
def closed(frame, split):
    return np.isin(split.item_ids, list(list_closed(frame, ["Cedar"])))


@pytest.fixture(scope="module")
def found(frame, tmp_path_factory):
    cache = Cache(tmp_path_factory.mktemp("cache"))
    policy = read_topic_policy(CONFIG["control"]["topics"])
    return compare_topics(parse_config(SMALL), recsys.read_dataset(frame), policy, cache)


def test_sides_share_users_and_held_out_likes_and_one_has_no_closed_item(found, split, closed):
    assert closed.any() and found.rule == "topics" and found.judges
    for with_policy, without in zip(
        (found.with_rule.slates, *found.with_rule.by_fold), (found.without.slates, *found.without.by_fold), strict=True
    ):
        for run, slates in with_policy.items():
            assert slates.shape == without[run].shape == (len(split.user_ids), 5)
            assert not closed[slates[slates >= 0]].any()
            assert closed[without[run]].any()


def test_slates_with_the_policy_are_those_of_a_model_without_the_rows(found, split, closed):
    """The base's slates, made anew: other items are taken out of the matrix by hand."""
    kept = np.flatnonzero(~closed)
    train = sparse.csr_array(split.train[:, kept])
    scores = recsys.models.EASE().fit(train).score(np.arange(train.shape[0], dtype=np.int32)).astype(np.float64)
    met = (split.seen.toarray() != 0)[:, kept]
    scores[met] = -np.inf
    best = np.sort(scores, axis=1)[:, ::-1][:, :5]
    picked = np.searchsorted(kept, np.maximum(found.with_rule.slates["ease"], 0))
    told = np.take_along_axis(scores, picked, axis=1)
    there = (found.with_rule.slates["ease"] >= 0) & np.isfinite(best)
    np.testing.assert_allclose(told[there], best[there], rtol=1e-5)
    assert there.mean() > 0.9


def test_measures_are_those_of_a_slow_reading(found, split, closed):
    table = tabulate_rule_costs([found])
    assert table.run.unique().tolist() == ["ease", "wider"]
    row = table[(table.run == "ease") & (table.measure == "share of slots")].iloc[0]
    picks = [[item for item in slate if item >= 0] for slate in found.without.slates["ease"].tolist()]
    expected = np.mean([np.mean(closed[slate]) for slate in picks])
    assert row.with_rule == 0 and row.without == pytest.approx(expected) == pytest.approx(-row.difference)
    assert row.low <= row.difference <= row.high < 0
    test = split.test.toarray() > 0
    for measure, wanted in (("ndcg", test), ("ndcg of other likes", test & ~closed)):
        row = table[(table.run == "ease") & (table.measure == measure)].iloc[0]
        for side, slates in (("with_rule", found.with_rule.slates["ease"]), ("without", found.without.slates["ease"])):
            assert getattr(row, side) == pytest.approx(compute_ndcg_slowly(slates, wanted), rel=1e-6)


def compute_ndcg_slowly(slates, wanted):
    found = []
    for slate, likes in zip(slates.tolist(), wanted, strict=True):
        if likes.any():
            gain = sum(likes[item] / np.log2(place + 2) for place, item in enumerate(slate) if item >= 0)
            found.append(gain / sum(1 / np.log2(place + 2) for place in range(min(int(likes.sum()), len(slate)))))
    return np.mean(found)


def test_dropping_items_keeps_users_and_names_another_split(split, closed):
    left = drop_items(split, closed, "p")
    assert left.user_ids is split.user_ids and left.fingerprint != split.fingerprint
    assert left.fingerprint != drop_items(split, closed, "q").fingerprint
    np.testing.assert_array_equal(left.train.toarray(), split.train.toarray()[:, ~closed])
    assert "Cedar" in split.items.feature_names and "Cedar" not in left.items.feature_names


@pytest.mark.slow
def test_a_benchmark_writes_what_a_policy_costs_unless_it_may_not_compare(tmp_path, frame):
    content = {name: value for name, value in SMALL.items() if name != "data"}
    data = recsys.read_dataset(frame)
    done = recsys.bench(content, data=data, out=tmp_path, quiet=True)
    written = pd.read_csv(done.folder / "rules.csv", keep_default_na=False)
    assert written.measure.tolist() == done.rule_costs.measure.tolist()
    assert "What each rule cost and prevented" in (done.folder / "report.html").read_text(encoding="utf-8")
    closed = list_closed(frame, ["Cedar"])
    assert not closed & set(pd.read_parquet(done.folder / "slates.parquet").item_id)
    alone = {**content, "control": {**content["control"], "compare": False}}
    other = recsys.bench(alone, data=data, out=tmp_path, quiet=True)
    assert other.rule_costs is None and not (other.folder / "rules.csv").exists()
    again = recsys.bench(done.folder / "config.toml", data=data, out=tmp_path, quiet=True)
    assert again.folder == done.folder


def test_a_policy_in_a_config_is_read_from_its_folder_and_names_the_run(tmp_path):
    (tmp_path / "policy.toml").write_text('[topics.t]\nfeatures = ["War"]\n', encoding="utf-8")
    base = {"data": {"name": "ml-100k"}}
    configs = [
        parse_config({**base, **control}, home=tmp_path)
        for control in (
            {},
            {"control": {"dials": {}}},
            {"control": {"topics": "policy.toml"}},
            {"control": {"topics": {"topics": {"t": {"features": ["War"]}}}}},
        )
    ]
    digests = [config.compute_digest() for config in configs]
    assert digests[2] == digests[3] and len(set(digests)) == 3
    assert configs[2].control.topics == {"topics": {"t": {"features": ["War"]}}}
    assert configs[0].read_topics() is None and configs[2].read_topics().topics[0].name == "t"
    with pytest.raises(recsys.RecsysError, match=r"\[control\] topics: .*gone\.toml: No such file"):
        parse_config({**base, "control": {"topics": "gone.toml"}}, home=tmp_path)
    with pytest.raises(recsys.RecsysError, match=r"topic 't': unknown key 'feature': did you mean 'features'\?"):
        parse_config({**base, "control": {"topics": {"topics": {"t": {"feature": ["War"]}}}}}, home=tmp_path)


def test_a_digest_of_dials_alone_is_what_it_was():
    """The name of a run folder that has [control.dials] and no policy does not follow from the new keys."""
    config = parse_config({"data": {"name": "ml-100k"}, "control": {"dials": {}}})
    bare = replace_control_dump(config)
    assert config.compute_digest() == bare


def replace_control_dump(config):
    import hashlib
    import json

    absent = {name for name in ("likelihood", "shown", "time", "evidence") if getattr(config, name) is None}
    told = config.model_dump(exclude={"name", *absent})
    told["control"] = {"dials": told["control"]["dials"]}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:10]
