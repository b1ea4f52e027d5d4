"""Questions: what they tell, whom they reach, what they never ask about, and how answers are folded in."""

import itertools
import json

import numpy as np
import pytest
from synthetic import make_maps, make_split, write_tables

import recsys as rs
from recsys.cli import main
from recsys.control import forget_lists
from recsys.evidence import compute_region_deficits, find_questions
from recsys.kernels.reference import pick_greedily
from recsys.maths import elicitation
from recsys.maths.elicitation import (
    compute_expected_information,
    compute_log_popularity_entropy,
    pick_informative_items,
)
from recsys.maths.fold_in import cholesky_factor, compute_prior_variances, gram
from recsys.maths.region_answers import REGION_WEIGHT, REGION_WEIGHT_WITHOUT_LIKES
from recsys.objectives.derived_tables import get_answer_weights, get_familiarity, get_region_names
from recsys.rankers import Ranker
from recsys.rankers.requests import RequestUser, build_user_context
from recsys.reranking import guards
from recsys.types import RecsysError, Volume


@pytest.fixture(scope="module")
def world():
    return make_split(users=60, seed=4)


@pytest.fixture(scope="module")
def ranker(world):
    model = rs.models.ALS(factors=4, iterations=3, disliked=3.0).fit(world.train, world.side_information)
    return Ranker.fit(model, world, {"relevance": 1.0}, maps=make_maps(world), n=25, k=6)


def draw_rows(seed, m=12, d=4):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(m, d)), rng.uniform(0.1, 2.0, m)


@pytest.mark.parametrize("seed", range(3))
def test_information_is_monotone_and_submodular(seed):
    rows, precisions = draw_rows(seed, m=6)

    def value(items):
        return compute_expected_information(rows[list(items)], precisions[list(items)])

    for size in range(5):
        for some in itertools.combinations(range(6), size):
            for more in set(range(6)) - set(some):
                gain = value((*some, more)) - value(some)
                assert gain > 0
                for fewer in itertools.combinations(some, max(size - 1, 0)):
                    assert value((*fewer, more)) - value(fewer) >= gain - 1e-12


def test_information_bounds_the_expectation_over_known_items():
    rows, _ = draw_rows(5, m=5)
    known = np.array([0.2, 0.5, 0.9, 0.1, 0.6])
    mean = 0.0
    for there in itertools.product((False, True), repeat=5):
        chance = np.where(there, known, 1 - known).prod()
        kept = np.flatnonzero(there)
        mean += chance * compute_expected_information(rows[kept], np.full(len(kept), 3.0))
    assert mean < compute_expected_information(rows, 3.0 * known)


@pytest.mark.parametrize("chunk", [2, 512])
@pytest.mark.parametrize("seed", range(4))
def test_greedy_questions_are_those_of_the_slow_statement(seed, chunk, monkeypatch):
    monkeypatch.setattr(elicitation, "CHUNK", chunk)
    items, precisions = draw_rows(seed, m=30)
    precisions[::7] = 0.0
    rng = np.random.default_rng(seed)
    likes = rng.normal(size=(6, 4))
    inverse = np.eye(4) + likes.T @ likes
    lower, bounds = np.linalg.cholesky(inverse), (items**2).sum(axis=1)
    rows = np.linalg.solve(lower, items.T).T
    chosen, gains = [], []
    for _ in range(5):
        value = compute_expected_information(rows[chosen], precisions[chosen])
        more = [
            compute_expected_information(rows[[*chosen, i]], precisions[[*chosen, i]]) - value
            if i not in chosen and precisions[i]
            else -1.0
            for i in range(30)
        ]
        chosen.append(int(np.argmax(more)))
        gains.append(max(more))
    found = pick_informative_items(items.astype(np.float32), lower, precisions, bounds * 1.001, 5)
    assert found.items.tolist() == chosen
    np.testing.assert_allclose(found.gains, gains, rtol=1e-5)


def test_greedy_questions_are_those_of_a_dpp():
    items, precisions = draw_rows(1, m=20)
    scaled = items * np.sqrt(precisions)[:, None]
    term = Volume(scaled.astype(np.float32), np.arange(20)[None], ridge=0.5)
    picked = pick_greedily([term], [1.0], 0, 20, 6)
    bounds = (items**2).sum(axis=1) * 1.001
    found = pick_informative_items(items.astype(np.float32), np.eye(4), precisions, bounds, 6)
    assert found.items.tolist() == picked


def test_no_history_has_a_larger_variance_than_that_of_nobody(world, ranker):
    factors = ranker.model.factors
    common = gram(factors)
    largest = compute_prior_variances(factors, common)
    items = factors.item_factors.astype(np.float64)
    prior = common + factors.regularization * np.eye(4)
    np.testing.assert_allclose(largest, np.einsum("id,de,ie->i", items, np.linalg.inv(prior), items), rtol=1e-6)
    for user in range(10):
        lower = cholesky_factor(factors, common, world.train, user, world.train_negatives)
        assert ((np.linalg.solve(lower, items.T) ** 2).sum(axis=0) <= largest * (1 + 1e-9)).all()


def test_familiarity_is_the_share_of_users_who_met_an_item(world, ranker):
    met = (world.train.toarray() + world.train_negatives.toarray() > 0).sum(axis=0)
    np.testing.assert_allclose(get_familiarity(ranker.context, "test"), (met + 0.5) / 61)


def test_answers_weigh_what_likes_and_dislikes_do(world, ranker):
    factors = ranker.model.factors
    likes, dislikes = ((part.toarray() > 0).sum(axis=0) for part in (world.train, world.train_negatives))
    expected = (factors.target_weight * (likes + 0.5) + 3.0 * (dislikes + 0.5)) / 61
    np.testing.assert_allclose(get_answer_weights(ranker.context, "test"), expected)


def test_log_popularity_entropy():
    found = compute_log_popularity_entropy(np.array([2, 3, 0]), np.array([2, 0, 0]))
    np.testing.assert_allclose(found, [np.log(5) * np.log(2), 0.0, 0.0])


def test_deficits_are_what_nearby_communities_have_more(world, ranker):
    from recsys.objectives.derived_tables import get_own_and_near_mixes

    around = build_user_context(ranker.context, RequestUser(-1, np.array([0, 1, 2], np.int32)))
    own, near = (mix[0] for mix in get_own_and_near_mixes(around))
    expected, start = np.zeros(len(world.item_ids)), 0
    for m in ranker.context.maps:
        z = slice(start, start + m.assignment.shape[1])
        lacking = np.maximum(near[z] - own[z], 0)
        expected += m.assignment.toarray() @ (lacking / max(lacking.max(), 1e-300)) / len(ranker.context.maps)
        start = z.stop
    np.testing.assert_allclose(compute_region_deficits(around), expected, rtol=1e-5)
    assert 0 < expected.max() <= 1
    plain, needy = (find_questions(around, np.ones(len(expected), bool), 40, deficit_weight=w) for w in (0.0, 50.0))
    assert expected[needy.items[:5]].mean() > expected[plain.items[:5]].mean()


def name(world, codes):
    return [str(world.item_ids[code]) for code in codes]


@pytest.mark.parametrize("who", ["known", "history", "nobody"])
def test_what_is_met_or_answered_is_not_asked_again(world, ranker, who):
    asks = {"known": {"user": str(world.user_ids[0])}, "history": {"history": name(world, [0, 1])}, "nobody": {}}[who]
    met = {
        "known": set(name(world, [*world.train[[0]].indices, *world.train_negatives[[0]].indices])),
        "history": set(name(world, [0, 1])),
        "nobody": set(),
    }[who]
    first = ranker.ask(4, **asks)
    assert len(set(first.items)) == 4 and not met & set(first.items)
    assert first.rule == "information" and not first.notes
    assert (np.diff(first.gains) <= 1e-12).all()
    again = ranker.ask(100, **asks, dislikes=first.items[:2], unknown=first.items[2:])
    assert not {*met, *first.items} & set(again.items)
    n_left = int(ranker.available.sum()) - len(met | set(first.items))
    assert len(again.items) == n_left and again.notes


def test_guards_and_stopped_topics_hold_for_questions(world, ranker, tmp_path):
    feature = world.items.feature_names[0]
    of_feature = set(name(world, np.flatnonzero(world.items.features.toarray()[:, 0])))
    assert set(ranker.ask(40).items) & of_feature
    assert not set(ranker.ask(40, guards=[guards.exclude(features=[feature])]).items) & of_feature
    path = tmp_path / "forget.jsonl"
    forget_lists.forget(path, user="nobody")
    user = str(world.user_ids[0])
    stopped = ranker.follow_forget_list(path).stop(user, feature)
    assert not set(stopped.ask(40, user=user).items) & of_feature
    assert set(stopped.ask(40, user=str(world.user_ids[1])).items) & of_feature


def test_a_model_without_factors_asks_by_entropy0(world):
    ranker = Ranker.fit(rs.models.EASE().fit(world.train), world, {"relevance": 1.0}, maps=make_maps(world), n=25, k=6)
    asked = ranker.ask(3, history=name(world, [0]), unknown=["nothing"])
    assert asked.rule == "entropy0" and "no factors" in asked.notes[0] and asked.unknown_items == ("nothing",)
    shares = np.stack([(world.train.toarray() > 0).mean(axis=0), (world.train_negatives.toarray() > 0).mean(axis=0)])
    shares = np.vstack([shares, 1 - shares.sum(axis=0)])
    entropy = -(np.array([[1], [1], [0.5]]) * shares * np.log(np.where(shares > 0, shares, 1))).sum(axis=0) / 2.5
    entropy[0] = -1
    np.testing.assert_allclose(asked.gains, np.sort(entropy)[::-1][:3])


def test_dislikes_are_folded_in_as_the_model_does(world, ranker):
    for user in range(5):
        brought = {
            "history": name(world, world.train[[user]].indices),
            "dislikes": name(world, world.train_negatives[[user]].indices),
        }
        known, new = ranker.rank(user=str(world.user_ids[user])), ranker.rank(**brought)
        np.testing.assert_allclose(new.relevance, known.relevance, rtol=2e-2, atol=2e-3)
    without = ranker.rank(history=brought["history"])
    assert np.abs(without.relevance - new.relevance).max() > 1e-3


def test_dislikes_of_a_known_user_are_added(world, ranker):
    user = str(world.user_ids[3])
    before = ranker.rank(user=user)
    after = ranker.rank(user=user, dislikes=before.items[:2])
    assert not set(before.items[:2]) & set(after.items)
    assert ranker.replay(after.receipt()).differences == ("dislikes",)
    assert ranker.replay(after.receipt(inputs=True)).verdict == "equal"
    assert ranker.replay(after.receipt(), dislikes=before.items[:1]).verdict == "other inputs"
    with pytest.raises(RecsysError, match="is liked and disliked"):
        ranker.rank(history=["i1"], dislikes=["i1"])


def test_a_batch_and_a_why_not_take_dislikes(world, ranker):
    user = str(world.user_ids[3])
    first = ranker.rank(user=user)
    gone = first.items[0]
    plain, changed = ranker.rank_many(users=[user, user], dislikes=[[], [gone]])
    assert plain.items == first.items and changed.items == ranker.rank(user=user, dislikes=[gone]).items
    scored = ranker.rerank_many([first.items] * 2, [first.relevance] * 2, users=[user] * 2, dislikes=[[], [gone]])
    assert scored[1].items == ranker.rerank(first.items, first.relevance, user=user, dislikes=[gone]).items
    assert "declined" in " ".join(ranker.why_not(gone, user=user, dislikes=[gone]).sentences)


def test_bad_questions(ranker):
    with pytest.raises(RecsysError, match="ranker: n"):
        ranker.ask(0)
    with pytest.raises(RecsysError, match="deficit_weight"):
        ranker.ask(1, deficit_weight=-1.0)
    with pytest.raises(RecsysError, match="is none of the 60"):
        ranker.ask(1, user="nobody at all")


def test_ask_command(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_tables(tmp_path)
    log = rs.read_dataset("ratings.csv", items="items.csv")
    split = rs.splits.no_holdout(log, positive="rating >= 4", min_user_interactions=1, min_item_interactions=1)
    model = rs.models.ALS(factors=4, iterations=3).fit(split.train)
    ranker = Ranker.fit(model, split, {"relevance": 1.0}, k=3, n=10)
    ranker.save(tmp_path / "ranker")
    user, answered = str(split.user_ids[0]), ranker.ask(1, user=str(split.user_ids[0])).items[0]
    main(["ask", "ranker", user, "--n", "2", "--unknown", answered])
    shown = capsys.readouterr().out
    expected = ranker.ask(2, user=user, unknown=[answered])
    assert all(title in shown for title in expected.titles) and expected.titles[0].startswith("Film")
    main(["ask", "ranker", "--n", "2", "--json"])
    assert json.loads(capsys.readouterr().out)["items"] == list(ranker.ask(2).items)
    with pytest.raises(SystemExit) as stopped:
        main(["ask", "ranker", "nobody"])
    assert stopped.value.code == 2


def solve_slowly(factors, likes, dislikes, rows, weights, liked):
    """Return the least squares of a user, each term a row of its own."""
    items, d = factors.item_factors.astype(np.float64), factors.item_factors.shape[1]
    ridge = factors.regularization * (len(likes) + factors.unobserved_weight * len(items)) ** factors.nu
    left = [np.sqrt(factors.unobserved_weight) * items, np.sqrt(ridge) * np.eye(d)]
    left += [np.sqrt(factors.observed_weight) * items[likes], np.sqrt(factors.disliked_weight) * items[dislikes]]
    matrix = np.vstack(left).T @ np.vstack(left)
    right = factors.target_weight * items[likes].sum(axis=0) if len(likes) else matrix @ factors.mean_user_factor
    for row, weight, target in zip(rows, weights, liked, strict=True):
        matrix = matrix + weight * np.outer(row, row)
        right = right + weight * target * row
    return np.linalg.solve(matrix, right)


def list_regions(context):
    """Return the mean factor of each region, and the variance within it, region by region."""
    factors = context.factors
    items, d = factors.item_factors.astype(np.float64), factors.item_factors.shape[1]
    a = factors.unobserved_weight
    prior = np.linalg.inv(a * items.T @ items + factors.regularization * (a * len(items)) ** factors.nu * np.eye(d))
    rows, within = [], []
    for one in context.maps:
        for share in one.assignment.toarray().T.astype(np.float64):
            share = share / share.sum()
            rows.append(share @ items)
            within.append(share @ [(y - rows[-1]) @ prior @ (y - rows[-1]) for y in items])
    return np.array(rows), np.array(within)


@pytest.mark.parametrize("likes", [[], [0, 5, 9]])
def test_answers_about_regions_are_rows_of_the_least_squares(world, ranker, likes):
    factors, names = ranker.model.factors, ranker.ask(4, regions=True).regions
    codes = [get_region_names(ranker.context)[1][one] for one in names]
    rows, within = (part[codes] for part in list_regions(ranker.context))
    base = (REGION_WEIGHT if likes else REGION_WEIGHT_WITHOUT_LIKES) * factors.target_weight
    liked = [True, False, True, False]
    x = solve_slowly(factors, likes, [7], rows, base / (1 + base * within), liked)
    told = {one: "like" if yes else "dislike" for one, yes in zip(names, liked, strict=True)}
    brought = {"history": name(world, likes), "dislikes": name(world, [7]), "region_answers": told}
    answer = ranker.rank(**brought)
    scores = factors.item_factors.astype(np.float64) @ x
    np.testing.assert_allclose(answer.relevance, [scores[ranker.known_items[i]] for i in answer.items], rtol=1e-4)
    scores[[*likes, 7]] = -np.inf
    assert set(answer.items) == set(name(world, np.argsort(-scores)[:6]))
    for place, item in enumerate(likes):
        left = solve_slowly(factors, np.delete(likes, place), [7], rows, base / (1 + base * within), liked)
        lost = factors.item_factors[ranker.known_items[answer.items[0]]] @ (x - left)
        found = {one.item: one.influence for one in answer.why(answer.items[0]).history}
        assert found.get(name(world, [item])[0], 0.0) == pytest.approx(max(lost, 0.0), rel=1e-3, abs=1e-6)


def test_a_user_of_one_like_and_regions_is_left_without_likes(world, ranker):
    told = dict.fromkeys(ranker.ask(2, regions=True).regions, "like")
    answer, without = ranker.rank(history=["i0"], region_answers=told), ranker.rank(region_answers=told, k=40)
    reasons = answer.why(answer.items[0]).history
    lost = answer.relevance[0] - dict(zip(without.items, without.relevance, strict=True))[answer.items[0]]
    assert (reasons[0].influence if reasons else 0.0) == pytest.approx(max(lost, 0.0), abs=1e-5)


def test_questions_about_regions_are_the_greedy_maximum(world, ranker):
    asked = ranker.ask(3, regions=True, history=["i1"])
    assert not asked.items and len(set(asked.regions)) == 3 and asked.rule == "information"
    context, factors = ranker.context, ranker.model.factors
    rows, within = list_regions(context)
    base = REGION_WEIGHT * factors.target_weight
    weights = base / (1 + base * within)
    shares = np.concatenate([m.assignment.toarray() for m in context.maps], axis=1)
    train = (world.train.toarray() > 0).astype(float)
    train = train[train.sum(axis=1) > 0]
    own, usual = train @ shares / train.sum(axis=1, keepdims=True), (train @ shares).sum(axis=0) / train.sum()
    chances = (((own > usual) | (own < 0.5 * usual)).sum(axis=0) + 0.5) / (len(train) + 1)
    likes = type(world.train)((np.ones(1, np.float32), ([0], [1])), shape=(1, len(world.item_ids)))
    lower = cholesky_factor(factors, gram(factors), likes, 0)
    solved = np.linalg.solve(lower, rows.T).T
    precisions = weights * chances
    codes = [get_region_names(context)[1][one] for one in asked.regions]
    for place, gain in enumerate(asked.gains):
        value = compute_expected_information(solved[codes[:place]], precisions[codes[:place]])
        all_ = [
            compute_expected_information(solved[[*codes[:place], z]], precisions[[*codes[:place], z]]) - value
            for z in range(len(rows))
            if z not in codes[:place]
        ]
        assert gain == pytest.approx(max(all_), rel=1e-4)
    np.testing.assert_allclose(asked.familiarity, chances[codes])
    for region, title in zip(codes, asked.titles, strict=True):
        members = np.flatnonzero(shares[:, region] > 0)
        known = get_familiarity(context, "test")[members]
        best = members[np.argsort(-known, kind="stable")][:3]
        assert title == " / ".join(str(world.items.titles[i]) or str(world.item_ids[i]) for i in best)


def test_regions_are_not_asked_again_and_follow_guards(world, ranker):
    first = ranker.ask(3, regions=True)
    told = dict(zip(first.regions, ("like", "dislike", "unknown"), strict=True))
    again = ranker.ask(200, regions=True, region_answers=told)
    assert again.regions and again.notes and not set(first.regions) & set(again.regions)
    items = ranker.ask(5, region_answers=told)
    assert items.items and (items.gains < ranker.ask(5).gains).any()
    shares = np.concatenate([m.assignment.toarray() for m in ranker.context.maps], axis=1)
    code = get_region_names(ranker.context)[1][first.regions[0]]
    closed = guards.exclude(items=name(world, np.flatnonzero(shares[:, code])[2:]))
    assert first.regions[0] not in ranker.ask(200, regions=True, guards=[closed]).regions


def test_answers_about_regions_pass_through_batches_receipts_and_whys(world, ranker):
    user, other = (str(one) for one in world.user_ids[:2])
    told = dict.fromkeys(ranker.ask(4, regions=True, user=user).regions, "like")
    plain, answer = ranker.rank(user=user), ranker.rank(user=user, region_answers=told)
    assert answer.relevance.tolist() != plain.relevance.tolist()
    both = ranker.rank_many(users=[user, other], region_answers=[told, None])
    assert both[0].relevance.tolist() == answer.relevance.tolist() and both[1].items == ranker.rank(user=other).items
    assert ranker.rank(user=user, region_answers=told, profile_free=True).items == ranker.rank(profile_free=True).items
    assert ranker.replay(answer.receipt(inputs=True)).verdict == "equal"
    assert ranker.replay(answer.receipt()).differences == ("region_answers",)
    others = dict.fromkeys(told, "dislike")
    assert ranker.replay(answer.receipt(), region_answers=others).verdict == "other inputs"
    why = [one for one in map(answer.why, answer.items) if one.liked_regions]
    assert why and all("a part that you said you like" in " ".join(one.sentences) for one in why)
    missing = next(one for one in name(world, range(40)) if one not in answer.items)
    assert ranker.why_not(missing, user=user, region_answers=told).slate == answer.items
    with pytest.raises(RecsysError, match="expected like, dislike or unknown"):
        ranker.why_not(missing, user=user, region_answers={"region-1": "love"})
    strange = ranker.rank(user=user, region_answers={"region-none": "like"})
    assert strange.items == plain.items and strange.unknown_regions == ("region-none",)
    assert not strange.unknown_history and strange.to_dict()["unknown_regions"] == ["region-none"]
    assert ranker.ask(2, user=user, region_answers={"region-none": "like"}).unknown_regions == ("region-none",)


def test_bad_answers_about_regions(world, ranker):
    with pytest.raises(RecsysError, match="expected like, dislike or unknown"):
        ranker.rank(region_answers={"region-1": "love"})
    with pytest.raises(RecsysError, match="expected a mapping"):
        ranker.rank(region_answers=["region-1"])
    flat = Ranker.fit(rs.models.EASE().fit(world.train), world, {"relevance": 1.0}, maps=make_maps(world), n=25, k=6)
    for asks in (lambda: flat.ask(1, regions=True), lambda: flat.rank(region_answers={})):
        with pytest.raises(RecsysError, match=r"need a model of factors.*found FittedEASE"):
            asks()
