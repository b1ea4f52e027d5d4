"""Slots for what was bought before: the guard, its candidates, and its runs in a benchmark."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from test_repeats import make_log

import recsys as rs
from recsys import evidence, splits
from recsys.control import forget_lists
from recsys.experiments import bench, export, recommend
from recsys.experiments.folds import FoldPools
from recsys.experiments.repeat_pools import build_or_load_run_pool, order_new_and_repeats
from recsys.maths.repeat_slots import count_repeat_slots, look_up_entries, pick_repeats
from recsys.reranking.guards import exclude, parse_guards, repeat
from recsys.retrieval.fold_contexts import make_half_maps
from recsys.retrieval.repeat_candidates import add_repeats, find_best_repeats
from recsys.types import Fold, Judge, RecsysError
from recsys.types.arrays import Csr
from recsys.types.purchases import Purchases

DAY = 86_400
K = 6


@pytest.fixture(scope="module")
def world():
    """A split with repeats, a model, and what its users may buy again, with durables held back."""
    data = make_log(users=40, items=60, rows=2500)
    view = splits.hold_out_repeats(splits.global_time(data, test=0.2, validation=0.1), data).test_view()
    model = rs.models.EASE(l2=20).fit(view.train, view.side_information)
    gaps = np.where(np.arange(view.shape[1]) % 3 == 0, 30.0, 5.0)
    repeats = evidence.build_repeats(view.train_purchases, median_gaps=gaps, window_days=10.0)
    pool = rs.candidates(model, view, n=20, maps=())
    return view, model, repeats, add_repeats(pool, model, repeats, n=8), pool


class TestBuildRepeats:
    def test_scores_and_shares_are_those_of_a_walk_over_the_rows(self, world):
        view, _, repeats, _, _ = world
        bought = view.train_purchases
        again, counted = np.zeros(bought.n_users), np.zeros(bought.n_users)
        for user in range(bought.n_users):
            seen, first = set(), None
            for row in np.flatnonzero(bought.user == user):
                first = bought.datetime[row] if first is None else first
                counted[user] += bought.datetime[row] > first
                again[user] += bought.item[row] in seen
                seen.add(bought.item[row])
        prior = again.sum() / counted.sum()
        assert repeats.prior_share == pytest.approx(prior)
        rates = again / np.maximum(counted, 1)
        assert ((repeats.shares - prior) * (rates - prior) >= -1e-12).all()  # between the user's own and everybody's
        assert (abs(repeats.shares - prior) <= abs(rates - prior) + 1e-12).all()
        counts = np.zeros(repeats.scores.shape)
        np.add.at(counts, (bought.user, bought.item), 1)
        np.testing.assert_array_equal(np.floor(repeats.scores.toarray()), counts)

    def test_of_equal_counts_the_last_bought_is_first(self):
        bought = Purchases(
            *(np.array(c, np.int32) for c in ([0, 0], [1, 0])), np.array([10, 20]), np.ones(2, np.float32), 1, 2
        )
        scores = evidence.build_repeats(bought).scores.toarray()[0]
        assert scores[0] > scores[1]

    def test_durables_are_held_back_until_their_gap_has_passed(self, world):
        view, _, repeats, _, _ = world
        bought, held = view.train_purchases, repeats.find_held_back().toarray()
        for user in range(0, bought.n_users, 7):
            for item in range(bought.n_items):
                rows = (bought.user == user) & (bought.item == item)
                owned = rows.any() and item % 3 == 0 and bought.datetime[rows].max() + 30 * DAY > repeats.now
                assert held[user, item] == owned
        assert held.any() and not repeats.find_held_back(repeats.now + 31 * DAY).nnz
        due = repeats.find_due()
        assert due.multiply(repeats.find_held_back()).nnz == 0 and due.nnz < repeats.scores.nnz

    def test_probabilities_stand_in_the_place_of_counts_where_something_was_bought(self, world):
        bought = world[0].train_purchases
        chances = Csr(np.full((bought.n_users, bought.n_items), 0.25, np.float32))
        made = evidence.build_repeats(bought, probabilities=chances)
        assert set(made.scores.data.tolist()) == {0.25}
        assert made.scores.nnz == len(np.unique(bought.pairs))

    def test_purchases_after_now_are_refused(self, world):
        bought = world[0].train_purchases
        with pytest.raises(RecsysError, match=r"build_repeats: .* purchases are after now, 1970-01-11"):
            evidence.build_repeats(bought, now=10 * DAY)

    def test_a_user_of_whom_nothing_is_known_has_everybodys_share_and_no_items(self, world):
        repeats = world[2].take_users(np.array([-1, 3]))
        assert repeats.shares.tolist() == [world[2].prior_share, world[2].shares[3]]
        assert not repeats.scores[[0]].nnz
        np.testing.assert_array_equal(repeats.scores.toarray()[1], world[2].scores.toarray()[3])
        np.testing.assert_array_equal(repeats.due_from.toarray()[1], world[2].due_from.toarray()[3])


class TestSlots:
    @pytest.mark.parametrize("share", [None, 0.0, 0.5, 1.0])
    def test_first_slots_show_the_best_due_items_and_others_nothing_that_was_met(self, world, share):
        view, _, repeats, pool, _ = world
        slates = rs.rerank(pool, {"relevance": 1}, K, scale=None, guards=[repeat(share)])
        due, met, held = repeats.find_due().toarray(), view.seen.toarray() > 0, repeats.find_held_back().toarray() > 0
        for user in range(view.shape[0]):
            wanted = int((repeats.shares[user] if share is None else share) * K + 0.5)
            best = sorted(np.flatnonzero(due[user]), key=lambda item: -due[user, item])[:wanted]
            slate = slates.items[user][slates.items[user] >= 0]
            np.testing.assert_allclose(due[user, slate[: len(best)]], due[user, best])
            assert not met[user, slate[len(best) :]].any() and not held[user, slate].any()

    def test_slots_for_what_is_new_have_the_order_of_a_pool_without_what_was_met(self, world):
        _, _, _, pool, plain = world
        none = rs.rerank(pool, {"relevance": 1}, K, scale=None, guards=[repeat(0.0)])
        np.testing.assert_array_equal(none.items, plain.items[:, :K])

    def test_objectives_choose_among_slots_for_what_is_new_alone(self, world):
        _, _, repeats, pool, _ = world
        plain = rs.rerank(pool, {"relevance": 1}, K, guards=[repeat(0.5)])
        other = rs.rerank(pool, {"relevance": 1, "novelty": 3}, K, guards=[repeat(0.5)])
        fixed = np.minimum(np.diff(repeats.find_due().indptr), 3)
        for user, n in enumerate(fixed.tolist()):
            np.testing.assert_array_equal(plain.items[user, :n], other.items[user, :n])
        assert (plain.items[:, 3:] != other.items[:, 3:]).any()

    def test_what_another_guard_excludes_takes_no_slot(self, world):
        view, _, _, pool, _ = world
        plain = rs.rerank(pool, {"relevance": 1}, K, guards=[repeat(0.5)])
        gone = view.item_ids[plain.items[0, 0]]
        slates = rs.rerank(pool, {"relevance": 1}, K, guards=[repeat(0.5), exclude(items=[gone])])
        assert gone not in view.item_ids[slates.items].tolist()

    def test_it_is_named_in_a_config(self):
        (made,) = parse_guards({"repeat": {"share": 0.25}})
        assert made.config_settings == {"repeat": {"share": 0.25}}
        with pytest.raises(RecsysError, match="repeat: share is 2"):
            repeat(2.0)

    def test_a_pool_that_does_not_know_what_was_bought_is_refused(self, world):
        with pytest.raises(RecsysError, match="repeat needs to know what was bought before"):
            rs.rerank(world[4], {"relevance": 1}, K, guards=[repeat()])

    def test_of_other_users_repeats_are_refused(self, world):
        _, model, repeats, _, pool = world
        with pytest.raises(RecsysError, match="add_repeats: repeats are of 39 users and 60 items, expected 40 and 60"):
            add_repeats(pool, model, repeats.take_users(np.arange(39)))


def test_a_pool_with_repeats_holds_both_once_and_best_first(world):
    view, model, repeats, pool, plain = world
    for user in range(view.shape[0]):
        row = pool.items[user][pool.items[user] >= 0]
        best = find_best_repeats(Csr(repeats.find_due()[[user]]), 8)[0]
        assert set(row.tolist()) == set(plain.items[user].tolist()) - {-1} | set(best.tolist()) - {-1}
        assert len(row) == len(set(row.tolist()))
        scores = pool.scores[user, : len(row)]
        assert (np.diff(scores) <= 0).all()
        np.testing.assert_allclose(scores, model.score(np.array([user], np.int32))[0, row], rtol=1e-5)


def test_picks_are_looked_up_in_the_users_own_row():
    scores = sparse.csr_array(np.array([[0, 3.0, 0, 5.0], [2.0, 0, 0, 0]]))
    items = np.array([[1, 3, 2], [3, 0, -1]], np.int32)
    assert look_up_entries(scores, items).tolist() == [[3, 5, 0], [0, 2, 0]]
    assert pick_repeats(scores, items, np.array([1, 2])).tolist() == [[3, -1], [0, -1]]
    assert count_repeat_slots(np.array([0.25, 0.249]), 6).tolist() == [2, 1]


CONFIG = {
    "name": "toy",
    "filter": {"min_user_interactions": 2},
    "split": {"kind": "global_time", "validation": 0.1, "test": 0.2},
    "model": {"kind": "ease", "l2": 20.0},
    "baselines": ["most_popular"],
    "models": {"tifu_knn": {"kind": "tifu_knn", "k": 5}, "top_frequency": {"kind": "top_frequency"}},
    "pool": {"n": 20},
    "slate": {"k": [5]},
    "evidence": {"repeat": {"n": 10}},
    "evaluation": {"metrics": ["precision", "repeat_recall", "explore_recall", "over_advertising"], "n_bootstrap": 100},
    "blends": {"novel": {"relevance": 1.0, "novelty": 0.5, "guards": {"repeat": {}}}},
}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    return bench(CONFIG, data=make_log(users=40, items=60, rows=2500), out=tmp_path_factory.mktemp("runs"), quiet=True)


class TestBench:
    def test_its_runs_stand_beside_their_absence(self, done):
        value = done.summary.set_index(["metric", "run"]).value
        recall, explored = value["repeat_recall"], value["explore_recall"]
        assert recall["ease"] == 0 < recall["repeat"] and recall["novel"] > 0
        assert recall["keep_met"] > 0 and recall["top_frequency"] > 0.2 and recall["tifu_knn"] > 0.2
        assert explored["repeat"] > explored["top_frequency"]

    def test_the_rule_holds_in_every_slate(self, done):
        repeats = done.preparation.repeats
        train = done.preparation.split.train.toarray() > 0
        for run in ("repeat", "novel"):
            slates = done.slates[5][run]
            for user, items in zip(slates.users, slates.items, strict=True):
                items = items[items >= 0]
                met = int(train[user, items].sum())
                assert met <= int(repeats.shares[user] * 5 + 0.5)
                assert train[user, items[:met]].all()  # they stand first

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"evidence": {}}, "repeat needs to know what was bought before, expected"),
            ({"split": {"kind": "per_user_time"}}, "hold_out_repeats: found a split of kind per_user_time"),
            ({"evidence": {"repeat": {"score": "hazards"}}}, "score is 'hazards'"),
            ({"evidence": {"repeat": {"score": "hazard", "share": 0.2}}}, "has share beside score = 'hazard'"),
            (
                {"evidence": {"repeat": {"score": "hazard", "half_life": 3.0}}},
                "has a half_life beside score = 'hazard'",
            ),
        ],
    )
    def test_what_cannot_be_is_one_line(self, changed, message, tmp_path):
        with pytest.raises(RecsysError, match=message):
            bench({**CONFIG, **changed}, data=make_log(), out=tmp_path, quiet=True)


def test_a_fold_that_explores_keeps_what_was_bought_before(done):
    preparation, config = done.preparation, done.preparation.config
    users = np.arange(preparation.split.shape[0])
    fold = Fold(0, users[::2], users[1::2])
    own = make_half_maps(Csr(preparation.split.weighted_train[fold.table_users]))
    wanted = config.pool.model_copy(update={"exploration_share": 0.3})
    whole = build_or_load_run_pool(preparation, config.model, wanted, False, True)[0]
    pool = FoldPools(preparation, 0, Judge(fold, (), own)).get_terms(whole, config.model, wanted, again=True)[0].pool
    best = find_best_repeats(Csr(preparation.repeats.find_due()[pool.users]), config.evidence.repeat.n)
    assert (best >= 0).any()
    for picks, items in zip(best, pool.items, strict=True):
        assert set(picks[picks >= 0]) <= set(items)


def test_slots_of_a_config_hold_what_goes_with_what_was_bought_lately(tmp_path):
    data = make_log(users=40, items=60, rows=2500)
    settings = {"score": "complements", "share": 0.4, "window": 20.0, "min_lift": 1.0, "by": "probability"}
    config = {**CONFIG, "models": {}, "evidence": {"repeat": settings}}
    made = bench(config, data=data, out=tmp_path, quiet=True)
    bought, start = made.preparation.split.train_purchases, made.preparation.split.cuts[-2]
    lifts = evidence.measure_complements(bought, window=20.0)
    about = {"share": 0.4, "window": 20.0, "min_lift": 1.0, "by": "probability"}
    wanted = evidence.build_complements(bought, lifts, now=start, **about).scores.toarray()
    np.testing.assert_allclose(made.preparation.repeats.scores.toarray(), wanted)
    for user, items in zip(made.slates[5]["repeat"].users, made.slates[5]["repeat"].items, strict=True):
        n = min(2, int((wanted[user] > 0).sum()))
        assert set(wanted[user, items[:n]]) == set(np.sort(wanted[user])[::-1][:n])
    assert not (made.preparation.split.train.toarray()[made.slates[5]["repeat"].users[0]] > 0)[
        made.slates[5]["repeat"].items[0]
    ].any()


def test_durables_and_hazards_of_a_config_are_those_of_fitted_repurchases(tmp_path):
    data = make_log(users=40, items=60, rows=1500)
    settings = {"score": "hazard", "hold_back_durables": True, "n": 10}
    short = {**CONFIG["split"], "validation": 0.05, "test": 0.02}  # a window shorter than most gaps
    config = {**CONFIG, "models": {}, "blends": {}, "split": short, "evidence": {"repeat": settings}}
    made = bench(config, data=data, out=tmp_path, quiet=True)
    view = made.preparation.split
    start, end = view.cuts
    model = evidence.fit_repurchases(view.train_purchases, evidence.categorize_items(view.items))
    chances = evidence.predict_repurchases(model, view.train_purchases, start, (end - start) / DAY)
    wanted = evidence.build_repeats(
        view.train_purchases,
        probabilities=chances,
        median_gaps=evidence.measure_median_gaps(model),
        window_days=(end - start) / DAY,
    )
    repeats = made.preparation.repeats
    np.testing.assert_allclose(repeats.scores.toarray(), wanted.scores.toarray())
    np.testing.assert_allclose(repeats.due_from.toarray(), wanted.due_from.toarray())
    value = made.summary.set_index(["metric", "run"]).value["over_advertising"]
    assert value["repeat"] == 0 < value["keep_met"]
    assert repeats.now == start


@pytest.fixture(scope="module")
def ranker(world):
    view, model, repeats, _, _ = world
    return rs.Ranker.fit(model, view, {"relevance": 1}, k=K, n=20, maps=(), repeats=repeats)


class TestRanker:
    def test_its_slates_are_those_of_rerank(self, world, ranker):
        view, model, repeats, _, plain = world
        pool = add_repeats(plain, model, repeats)
        slates = rs.rerank(pool, {"relevance": 1}, K, scale=None, guards=[repeat()])
        for user in range(0, view.shape[0], 5):
            found = ranker.rank(user=view.user_ids[user], now=repeats.now)
            picks = slates.items[user]
            assert list(found.items) == view.item_ids[picks[picks >= 0]].tolist()

    def test_what_is_due_later_is_shown_later(self, world, ranker):
        view, _, repeats, _, _ = world
        held = repeats.find_held_back().toarray() > 0
        shown = [
            {item for u in range(20) for item in ranker.rank(user=view.user_ids[u], k=K, now=now).items
             if held[u, view.item_ids.tolist().index(item)]}
            for now in (repeats.now, repeats.now + 40 * DAY)
        ]  # fmt: skip
        assert not shown[0] and shown[1]

    def test_somebody_new_has_what_is_new_alone(self, world, ranker):
        view = world[0]
        history = view.item_ids[:6].tolist()
        found = ranker.rank(history=history)
        assert len(found.items) == K and not set(found.items) & set(history)

    def test_a_person_can_say_what_is_owned_until_when(self, world, ranker, tmp_path):
        view, now = world[0], world[2].now
        user = view.user_ids[3]
        first = ranker.rank(user=user, now=now).items[0]
        owner = ranker.set_owned(user, {first: now + 10 * DAY})
        assert first not in owner.rank(user=user, now=now).items
        assert first in owner.rank(user=user, now=now + 11 * DAY).items
        assert first in owner.set_owned(user, {first: None}).rank(user=user, now=now).items
        assert ranker.rank(user=user, now=now).items[0] == first
        following = ranker.follow_forget_list(forget_lists.forget(tmp_path / "list", user="nobody").path)
        back = following.forget(user=view.user_ids[4]).set_owned(user, {first: now + DAY}).undo(user=view.user_ids[4])
        assert first not in back.rank(user=user, now=now).items
        assert back.name == ranker.set_owned(user, {first: now + DAY}).name
        loaded = rs.Ranker.load(owner.save(tmp_path / "ranker"))
        assert loaded.name == owner.name != ranker.name
        assert loaded.rank(user=user, now=now).items == owner.rank(user=user, now=now).items

    def test_what_cannot_be_owned_is_one_line(self, world, ranker):
        view, model, _, _, _ = world
        user = view.user_ids[0]
        with pytest.raises(RecsysError, match="ranker: owned items: unknown item 'i999'"):
            ranker.set_owned(user, {"i999": 5})
        with pytest.raises(RecsysError, match="is owned until"):
            ranker.set_owned(user, {view.item_ids[0]: "soon"})
        plain = rs.Ranker.fit(model, view, {"relevance": 1}, k=K, n=20, maps=())
        with pytest.raises(RecsysError, match="ranker: owned items needs to know what was bought before"):
            plain.set_owned(user, {view.item_ids[0]: 5})

    def test_forgotten_rows_call_for_nothing(self, world, ranker, tmp_path):
        view, now = world[0], world[2].now
        user = view.user_ids[3]
        first = ranker.rank(user=user, now=now).items[0]
        (tmp_path / "forget.jsonl").touch()
        after = ranker.follow_forget_list(tmp_path / "forget.jsonl").forget(user=user, item=first)
        code, item = 3, view.item_ids.tolist().index(first)
        assert not after.context.repeats.scores[code, item]
        assert after.context.repeats.shares[code] == world[2].prior_share
        assert after.context.repeats.scores.nnz == world[2].scores.nnz - 1


def test_an_exported_ranker_keeps_slots_for_what_was_bought_before(tmp_path):
    data = make_log(users=40, items=60, rows=2500)
    export({**CONFIG, "models": {}}, tmp_path / "ranker", blend="repeat", quiet=True, data=data)
    ranker = rs.Ranker.load(tmp_path / "ranker")
    repeats, train = ranker.context.repeats, ranker.context.train.toarray() > 0
    assert repeats.now == data.interactions.datetime.max() + 1
    items = ranker.context.item_ids.tolist()
    for user in range(0, 40, 9):
        found = [
            items.index(one) for one in ranker.rank(user=ranker.context.user_ids[user], k=5, now=repeats.now).items
        ]
        wanted = min(int(repeats.shares[user] * 5 + 0.5), repeats.scores[[user]].nnz)
        assert train[user, found].sum() == wanted > 0


def test_recommendations_keep_slots_too(tmp_path):
    import pandas as pd

    data = make_log(users=40, items=60, rows=2500)
    recommend({**CONFIG, "models": {}}, tmp_path / "slates.csv", blend="repeat", quiet=True, data=data)
    log, shown = data.interactions, pd.read_csv(tmp_path / "slates.csv")
    bought = {(log.user_ids[u], log.item_ids[i]) for u, i in zip(log.user.tolist(), log.item.tolist(), strict=True)}
    again = [pair in bought for pair in zip(shown.user_id, shown.item_id, strict=True)]
    assert 0.1 < np.mean(again) < 0.9


def collect_scores(users, items, scores):
    return {
        (int(user), int(item)): score
        for user, row, own in zip(users, items, scores, strict=True)
        for item, score in zip(row, own, strict=True)
        if item >= 0
    }


def test_a_likelihood_orders_what_is_new_as_it_does_without_repeats(tmp_path):
    data = make_log(users=40, items=60, rows=2500)
    config = {**CONFIG, "models": {}, "pool": {"n": 60}, "likelihood": {"n_folds": 2}}
    made = bench(config, data=data, out=tmp_path, quiet=True)
    settings, split, repeats = made.preparation.config, made.preparation.split, made.preparation.repeats
    kept = replace(made.likelihood, base_ndcg=np.float64(0.0))  # as if it beat its base, whatever the log
    about = (made.preparation, settings.model, settings.pool)
    new, both = (build_or_load_run_pool(*about, False, again)[0] for again in (False, True))
    ordered = order_new_and_repeats(new, both, kept)[0]
    alone, every = (rs.apply_likelihood(one, kept) for one in (new, both))
    alone, every, found = (collect_scores(one.users, one.items, one.scores) for one in (alone, every, ordered))
    assert len(found) > len(alone) and any(every[pair] != alone[pair] for pair in alone)
    assert all(found[pair] == alone.get(pair, every[pair]) for pair in found)
    assert (np.diff(ordered.scores, axis=1)[ordered.items[:, 1:] >= 0] <= 0).all()
    train = split.train.toarray() > 0
    for user, items in zip(made.slates[5]["novel"].users, made.slates[5]["novel"].items, strict=True):
        items = items[items >= 0]
        met = int(train[user, items].sum())
        assert met <= int(repeats.shares[user] * 5 + 0.5) and train[user, items[:met]].all()
    served = rs.models.EASE().fit(split.train, split.side_information)
    plain, slots = (
        rs.Ranker.fit(served, split, {"relevance": 1.0}, k=5, n=60, likelihood=kept, repeats=one, scale=None)
        for one in (None, repeats)
    )
    for user in split.user_ids[:3].tolist():
        answer, usual = slots.rank(user=user, k=20, now=repeats.now), plain.rank(user=user, k=60)
        usual = dict(zip(usual.items, usual.relevance, strict=True))
        told = dict(zip(answer.items, answer.relevance, strict=True))
        assert len(told.keys() & usual.keys()) > 5 and told.keys() - usual.keys()
        assert all(told[item] == usual[item] for item in told.keys() & usual.keys())
