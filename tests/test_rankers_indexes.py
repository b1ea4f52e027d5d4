"""Retrieval by an index: what it finds is ranked as exact retrieval ranks it, and how much it finds is what it says."""

import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from synthetic import make_maps, make_split, reseal_manifest

import recsys as rs
from recsys.models.factor_model import FittedFactors
from recsys.rankers import Ranker
from recsys.types import Factors, RecsysError

N = 20
RELEVANCE = {"relevance": 1.0}
BLEND = {"relevance": 1.0, "mmr": 0.2, "negative_space": 0.4}
MODELS = [
    rs.models.ALS(factors=8, regularization=1.0, iterations=3),
    rs.models.IALS(factors=8, iterations=3),
    rs.models.PureSVD(factors=8),
]


def tastes(split, seed=0):
    """Factors in thirty tastes; every fifth item is a copy of its neighbour, so that scores are equal."""
    rng = np.random.default_rng(seed)
    users, items = split.shape
    centres = rng.normal(size=(30, 12))
    user, item = (
        (centres[rng.integers(0, 30, n)] + 0.5 * rng.normal(size=(n, 12))).astype(np.float32) for n in (users, items)
    )
    item[1::5] = item[::5]
    return FittedFactors(Factors(user, item, user.mean(axis=0), 1.0, 3.0, 4.0, 0.0, 2.0, 0.0))


@pytest.fixture(scope="module")
def world():
    """Users with some likes each, under a cut in time: a tenth of the items did not exist before it."""
    split = make_split(users=300, items=600, seed=4)
    there = np.arange(600) % 10 != 3
    rng = np.random.default_rng(1)
    liked, declined = (
        sparse.csr_array((rng.random((300, 600)) < share) * there, dtype=np.float32) for share in (0.03, 0.01)
    )
    declined = sparse.csr_array(declined - declined.multiply(liked))
    declined.eliminate_zeros()
    liked = sparse.lil_array(liked)
    liked[0, 0:600:10] = 1.0  # everything that exists was liked by somebody
    for item in np.flatnonzero(there):
        liked[int(item) % 300, item] = 1.0
    declined = sparse.csr_array(declined.multiply(liked.toarray() == 0), dtype=np.float32)
    declined.eliminate_zeros()
    return rs.Split(
        **{**vars(split), "has_global_cut": True, "train": sparse.csr_array(liked), "train_negatives": declined}
    )


@pytest.fixture(scope="module")
def taste_maps(world):
    return make_maps(world)


@pytest.fixture(scope="module")
def fitted(world):
    return tastes(world)


def make(fitted, world, taste_maps, recall, blend=RELEVANCE, **settings):
    return Ranker.fit(fitted, world, blend, maps=taste_maps, **{"n": N, "k": N, "index_recall": recall, **settings})


@pytest.fixture(scope="module")
def exact(fitted, world, taste_maps):
    return make(fitted, world, taste_maps, 1.0)


@pytest.fixture(scope="module")
def indexed(fitted, world, taste_maps):
    return make(fitted, world, taste_maps, 0.8)


def everybody(world):
    """Requests of known users, of histories, and of nobody in particular."""
    histories = [world.item_ids[np.random.default_rng(n).permutation(600)[: n % 9]].tolist() for n in range(60)]
    return [*({"user": user} for user in world.user_ids), *({"history": history} for history in histories), {}]


def recount(exact, ranker, world):
    """The share of the exact candidates of evenly spaced users that the index finds, one user after the other."""
    users = world.user_ids[:: -(-len(world.user_ids) // 256)]
    pairs = [(set(exact.rank(user=user).items), set(ranker.rank(user=user).items)) for user in users]
    return [len(best & found) / len(best) for best, found in pairs]


def same(one, other):
    arrays = ("scores", "contributions", "relevance", "base_ranks")
    return one.items == other.items and all(np.array_equal(getattr(one, a), getattr(other, a)) for a in arrays)


def probing(ranker, probes):
    return replace(ranker, index=replace(ranker.index, probes=probes))


@pytest.mark.parametrize("recall", [0.9, 0.95, 0.999])
def test_recall_is_what_a_recount_finds_and_no_more_lists_are_looked_at_than_reach_it(
    fitted, world, taste_maps, exact, recall
):
    ranker = make(fitted, world, taste_maps, recall)
    index, shares = ranker.index, recount(exact, ranker, world)
    assert index.recall == pytest.approx(np.mean(shares)) and index.min_recall == pytest.approx(min(shares))
    assert index.target_recall == recall <= index.recall and (index.n, index.users) == (N, 150) and index.probes > 1
    assert np.mean(recount(exact, probing(ranker, index.probes - 1), world)) < recall
    near = np.argsort(-fitted.factors.user_factors[::2] @ index.centres.T, axis=1)[:, : index.probes]
    assert index.scored_share == pytest.approx(np.diff(index.lists.indptr)[near].sum(axis=1).mean() / 600)
    assert str(index) == (
        f"looks at {index.probes} of 49 lists ({index.scored_share:.2%} of the items), finds {index.recall:.1%} of the 20 best "
        f"of exact retrieval (mean of 150 users; {index.min_recall:.1%} for whom it is least)"
    )


def test_what_is_found_has_the_scores_and_the_order_of_exact_retrieval(fitted, world, taste_maps, indexed):
    everything = make(fitted, world, taste_maps, 1.0, n=600, k=600)
    missed = equal = 0
    for asks in everybody(world):
        best, found = everything.rank(**asks), indexed.rank(**asks)
        order = {item: place for place, item in enumerate(best.items)}
        places = [order[item] for item in found.items]
        assert places == sorted(places) and len(places) == N
        assert found.relevance.tolist() == best.relevance[places].tolist()
        missed += places != list(range(N))
        equal += (np.diff(found.relevance) == 0).any()
    assert missed > 50 and equal > 50  # or this tests nothing


@pytest.mark.parametrize("settings", MODELS, ids=lambda settings: type(settings).__name__)
def test_with_every_list_it_is_exact_retrieval_bit_for_bit(world, taste_maps, tmp_path, settings):
    model = settings.fit(world.train, world.side_information)
    model = rs.models.stores.load_model(rs.models.stores.save_model(model, tmp_path / "m"))  # mapped, and read-only
    whole = make(model, world, taste_maps, 1.0, BLEND)
    ranker = make(model, world, taste_maps, 0.5, BLEND)
    assert ranker.scales == whole.scales
    everywhere = probing(ranker, len(ranker.index.centres))
    assert all(same(everywhere.rank(**asks), whole.rank(**asks)) for asks in everybody(world)[::3])
    assert not all(same(probing(ranker, 1).rank(**asks), whole.rank(**asks)) for asks in everybody(world)[::3])


def test_every_item_lies_in_one_list_and_none_is_nearer_to_another_centre(fitted, indexed):
    lists, centres, items = indexed.index.lists, indexed.index.centres, fitted.factors.item_factors
    assert sorted(lists.indices.tolist()) == list(range(600))
    apart = ((items[:, None] - centres) ** 2).sum(axis=2)
    own = np.repeat(np.arange(len(centres)), np.diff(lists.indptr))
    np.testing.assert_allclose(apart[lists.indices, own], apart[lists.indices].min(axis=1), rtol=1e-4)


def test_what_was_met_or_does_not_exist_is_never_shown(world, indexed):
    for code, user in enumerate(world.user_ids):
        shown = [world.item_ids.tolist().index(item) for item in indexed.rank(user=user).items]
        assert world.available_items[shown].all() and not world.seen[[code]].toarray()[0, shown].any()
    history = world.item_ids[:500].tolist()
    assert not {*indexed.rank(history=history).items} & {*history}
    assert not world.available_items.all() and world.train_negatives.nnz


def test_further_lists_are_looked_at_where_too_few_are_left(fitted, world, taste_maps, exact, indexed):
    one = probing(indexed, 1)
    assert np.diff(one.index.lists.indptr).min() < N  # the nearest list alone is not enough for everybody
    assert all(len(one.rank(**asks).items) == N for asks in everybody(world))
    for left in (0, 10, 50):  # all of what is left, of whatever list
        history = world.item_ids[: 600 - left].tolist()
        whole = exact.rank(history=history)
        assert same(one.rank(history=history), whole) or len(whole.items) == N
        assert len(one.rank(history=history).items) == len(whole.items) == min(N, left - left // 10)
    everything = make(fitted, world, taste_maps, 0.5, n=600, k=600)
    assert (everything.index.recall, everything.index.min_recall) == (1.0, 1.0)


def test_met_items_may_stay(fitted, world, taste_maps):
    kept = [make(fitted, world, taste_maps, recall, exclude_seen=False) for recall in (1.0, 0.9)]
    assert np.mean(recount(*kept, world)) == pytest.approx(kept[1].index.recall)
    met = world.item_ids[world.train[[0]].indices]
    assert {*probing(kept[1], 49).rank(user="u0").items} & {*met}


def guarded(world):
    """Guards of a ranker and of its requests: a tenth is closed, another tenth later, of 12 items two are needed."""
    ids = world.item_ids
    rare = dict.fromkeys(ids[[4, 60, 111, 160, 222, 260, 334, 360, 444, 480, 555, 590]], "rare")
    own = [rs.guards.exclude(items=ids[7::10].tolist()), rs.guards.at_least(2, groups=rare)]
    return own, [rs.guards.exclude(items=ids[8::10].tolist()), rs.guards.pin(2, ids[599])], rare


def test_guards_hold_and_with_every_list_are_those_of_exact_retrieval(fitted, world, taste_maps):
    own, asked, rare = guarded(world)
    whole, ranker = (make(fitted, world, taste_maps, recall, BLEND, guards=own) for recall in (1.0, 0.9))
    everywhere, one, gained = probing(ranker, 49), probing(ranker, 1), 0
    for asks in everybody(world)[::3]:
        for guards in ((), asked):
            assert same(everywhere.rank(**asks, guards=guards), whole.rank(**asks, guards=guards))
        free, held = one.rank(**asks), one.rank(**asks, guards=asked)
        assert not {*held.items} & {*world.item_ids[7::10], *world.item_ids[8::10]} and len(held.items) == N
        assert not {*free.items} & {*world.item_ids[7::10]}
        assert min(len({*answer.items} & {*rare}) for answer in (free, held)) >= 2
        if "user" not in asks or not world.seen[[int(asks["user"][1:])], 599].sum():
            assert held.items[1] == "i599" and not held.violations
        near = replace(one, guards=()).rank(**asks)
        gained += len({*near.items} & {*rare}) < 2
    assert gained > 50  # or groups were found anyway


def test_recall_is_of_what_the_own_guards_leave(fitted, world, taste_maps):
    closing = guarded(world)[0][:1]
    whole, ranker = (make(fitted, world, taste_maps, recall, guards=closing) for recall in (1.0, 0.9))
    assert np.mean(recount(whole, ranker, world)) == pytest.approx(ranker.index.recall)
    assert np.mean(recount(whole, probing(ranker, ranker.index.probes - 1), world)) < 0.9


def test_what_is_loaded_answers_bit_for_bit_under_a_name_of_its_own(
    fitted, world, taste_maps, exact, indexed, tmp_path
):
    folder = indexed.save(tmp_path / "r")
    back = Ranker.load(folder, verify=True)
    assert str(back.index) == str(indexed.index) and back.name == indexed.name
    assert all(same(back.rank(**asks), indexed.rank(**asks)) for asks in everybody(world))
    assert len({exact.name, indexed.name, make(fitted, world, taste_maps, 0.95).name}) == 3
    assert make(fitted, world, taste_maps, 0.8).name == indexed.name  # lists come out the same
    assert make(fitted, world, taste_maps, 1).name == exact.name
    assert Ranker.load(exact.save(tmp_path / "exact"), verify=True).index is None


def test_a_damaged_index_is_one_line(indexed, tmp_path):
    folder = indexed.save(tmp_path / "r")
    path = folder / "indexes.0.centres.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    refused(folder, "indexes.0.centres.npy: is damaged: its sha256", verify=True)
    path.write_bytes(whole)
    probes = folder / "indexes.0.probes.npy"
    np.save(probes, np.asarray(500))
    reseal_manifest(folder, named=True)
    refused(folder, "is damaged: the index has 49 centres, 49 lists, 500 of them to look at")
    np.save(probes, np.asarray(indexed.index.probes))
    items = np.load(folder / "indexes.0.lists.indices.npy")
    items[5] = 600
    np.save(folder / "indexes.0.lists.indices.npy", items)
    reseal_manifest(folder, named=True)
    refused(folder, "is damaged: the entries of 'indexes.0.lists' are not those of a matrix of shape [49, 600]")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert {"indexes.0.centres", "indexes.0.lists.indices", "indexes.0.probes"} < {*manifest["arrays"]}


def refused(folder, message, **options):
    with pytest.raises(RecsysError, match=re.escape(message)) as error:
        Ranker.load(folder, **options)
    assert "\n" not in str(error.value)


def test_many_threads_get_what_one_gets(world, fitted, taste_maps, tmp_path):
    ranker = Ranker.load(make(fitted, world, taste_maps, 0.8, BLEND).save(tmp_path / "r"))

    def asked(_):
        return [(answer.items, answer.scores.tolist()) for answer in (ranker.rank(**a) for a in everybody(world)[::4])]

    serial = asked(0)
    with ThreadPoolExecutor(4) as threads:
        assert all(answers == serial for answers in threads.map(asked, range(8)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"index_recall": 0}, "ranker: index_recall is 0, expected a number above 0, at most 1"),
        ({"index_recall": 95}, "ranker: index_recall is 95, expected a number above 0"),
        ({"index_recall": "0.9"}, "ranker: index_recall is '0.9', expected a number"),
        ({"index_recall": True}, "ranker: index_recall is True, expected a number"),
        ({"index_recall": float("nan")}, "ranker: index_recall is nan, expected a number"),
        (
            {"exploration_share": 0.2},
            "ranker: index_recall is 0.9 with exploration_share 0.2, expected one of them: an index keeps no share for other regions",
        ),
        (
            {"model": None, "scale": None},
            "ranker: index_recall is 0.9 with no model, expected a factor model: als, ials or",
        ),
        (
            {"model": rs.models.EASE()},
            "ranker: index_recall is 0.9 with a model without factors (FittedEASE), expected a factor",
        ),
    ],
)
def test_an_index_that_cannot_be_is_one_line(world, taste_maps, fitted, change, message):
    settings = {"model": fitted, "split": world, "blend": BLEND, "maps": taste_maps, "index_recall": 0.9, **change}
    if isinstance(settings["model"], rs.models.EASE):
        settings["model"] = settings["model"].fit(world.train)
    with pytest.raises(RecsysError, match=re.escape(message)) as error:
        Ranker.fit(**settings)
    assert "\n" not in str(error.value)


def test_without_the_extra_it_is_one_line_and_exact_rankers_are_made(fitted, world, taste_maps, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    with pytest.raises(
        RecsysError, match=re.escape('recall below 1 needs sklearn: pip install "recsys-negspace[index]"')
    ):
        make(fitted, world, taste_maps, 0.9)
    assert make(fitted, world, taste_maps, 1.0).index is None
