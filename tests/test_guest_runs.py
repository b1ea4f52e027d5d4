"""Guest runs: the scan against all runs one by one, runs that are found, weights, rankers, forgetting, errors."""

from dataclasses import replace

import numpy as np
import pytest

import recsys as rs
from recsys.control import forget_lists
from recsys.data.datasets import read_dataset
from recsys.evidence.guest_runs import find_runs
from recsys.kernels.guest_runs import find_guest_runs
from recsys.metrics.list_comparison import account_purity
from recsys.models import IALS
from recsys.rankers import Ranker
from recsys.rankers.remakes import build_remaining_split
from recsys.splits.wholes import no_holdout
from recsys.types import Evaluation, GroundTruth, RecsysError
from recsys.types.arrays import Csr
from recsys.types.maps import TasteMap

USERS, ITEMS, RUN = 20, 40, 4
SETTINGS = {"shortest": 4, "longest": 6, "share": 0.11, "weight": 0.2}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Users of two tastes like twelve of twenty items each; two have a run of the other taste, one few likes."""
    rng, rows = np.random.default_rng(0), []
    for user in range(USERS):
        taste = user % 2
        liked = (rng.permutation(20)[:12] + 20 * taste).tolist()
        times = [14_400 * (1 + place) for place in range(12)]
        liked, times = (liked[:7], times[:7]) if user == 0 else (liked, times)
        if user in (3, 8):
            liked += (rng.permutation(20)[:RUN] + 20 * (1 - taste)).tolist()
            times += [14_400 * 6 + 600 * (1 + place) for place in range(RUN)]
        rows += [f"u{user:02},i{item:02},{time}\n" for item, time in zip(liked, times, strict=True)]
    path = tmp_path_factory.mktemp("guest_runs") / "log.csv"
    path.write_text("user_id,item_id,datetime\n" + "".join(rows))
    split = no_holdout(read_dataset(path))
    taste = np.array([int(name[1:]) // 20 for name in split.item_ids])
    maps = [TasteMap("tastes", Csr(np.eye(2, dtype=np.float32)[taste]), "made up")]
    return split, maps


@pytest.fixture(scope="module")
def found(world):
    split, maps = world
    return rs.detect_guest_runs(split, maps=maps, **SETTINGS)


@pytest.fixture(scope="module")
def ranker(world, found):
    model = IALS(factors=4, iterations=2).fit(found.train, found.side_information)
    return Ranker.fit(model, found, {"relevance": 1.0}, maps=world[1], n=15, k=5)


def _find_slowly(pointers, items, times, regions, priors, shortest, longest, seconds):
    found = []
    for user in range(len(pointers) - 1):
        own = slice(pointers[user], pointers[user + 1])
        mine, when, best = items[own], times[own], (-np.inf, 0, 0)
        for start in range(len(mine)):
            for end in range(start + shortest, min(start + min(longest, len(mine) // 2), len(mine)) + 1):
                if when[end - 1] - when[start] > seconds:
                    continue
                told = []
                for m, prior in enumerate(priors):
                    z = regions[mine, m]
                    run, rest = z[start:end], np.delete(z, np.arange(start, end))
                    mix = np.bincount(rest[rest >= 0], minlength=len(prior)) + prior
                    told.append((np.log(prior / prior.sum()) - np.log(mix / mix.sum()))[run[run >= 0]].sum())
                score = np.mean(told)
                best = max(best, (score, start, end - start), key=lambda one: one[0])
        found.append(best)
    return zip(*found, strict=True)


def test_the_scan_finds_the_best_of_all_runs():
    rng = np.random.default_rng(1)
    sizes = rng.integers(0, 25, 30)
    pointers = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    items = rng.integers(0, 50, pointers[-1]).astype(np.int32)
    times = np.concatenate([np.sort(rng.integers(0, 60, n)) for n in sizes]).astype(np.float64)
    regions = rng.integers(-1, 5, (50, 3)).astype(np.int32)
    priors = rng.random((3, 5)) * 4 + 0.1
    made = np.empty(30), np.empty(30, np.int64), np.empty(30, np.int64)
    find_guest_runs(pointers, items, times, regions, priors, 3, 7, 20.0, *made)
    expected = [np.array(one) for one in _find_slowly(pointers, items, times, regions, priors, 3, 7, 20.0)]
    np.testing.assert_allclose(made[0], expected[0], rtol=1e-9)
    np.testing.assert_array_equal(made[1:], expected[1:])
    assert np.isinf(made[0]).any()
    assert len(np.unique(made[2])) > 3


def test_a_run_of_another_taste_counts_less_and_nothing_else_does(found):
    runs, names = found.guest_runs, found.user_ids.tolist()
    users = np.repeat(np.arange(USERS), np.diff(found.train.indptr))
    assert {names[user] for user in users[runs.flags]} == {"u03", "u08"}
    assert runs.flags.sum() == 2 * RUN
    tastes = np.array([int(name[1:]) // 20 for name in found.item_ids])[found.train.indices]
    assert all(
        int(names[user][1:]) % 2 != taste for user, taste in zip(users[runs.flags], tastes[runs.flags], strict=True)
    )
    assert set(np.unique(found.weighted_train.data)) == {np.float32(0.2), np.float32(1.0)}
    assert (runs.n_judged, runs.n_short) == (USERS - 1, 1)
    assert found.test_view().guest_runs is None


def test_weights_are_multiplied_with_those_of_age_and_of_one_offs(world, found):
    split, maps = world
    one_offs = rs.detect_one_offs(split.with_half_life(5.0), share=0.1, weight=0.5, maps=maps)
    both = rs.detect_guest_runs(one_offs, maps=maps, **SETTINGS)
    expected = one_offs.weighted_train.data * found.guest_runs.weights
    np.testing.assert_allclose(both.weighted_train.data, expected, rtol=1e-6)


def test_a_ranker_tells_a_run_and_a_user_confirms_it(ranker, found, world, tmp_path):
    user, code = "u03", found.user_ids.tolist().index("u03")
    said = f"{RUN} items of the history from 1970-01-02 count 0.2"
    assert any(note.startswith(said) for note in ranker.rank(user=user).notes)
    told = next(entry.value for entry in ranker.profile(user).entries if entry.name == "guest_runs")
    assert len(told) == RUN
    one = ranker.confirm(user, told[0]["item"])
    assert any(note.startswith(f"{RUN - 1} items") for note in one.rank(user=user).notes)
    whole = one.confirm(user)
    assert not any("somebody else" in note for note in whole.rank(user=user).notes)
    assert set(whole.confirmed) == {(user, row["item"]) for row in told}
    expected = whole.model.fold(Csr(found.train[[code]]))[0]
    np.testing.assert_allclose(whole.model.score(np.array([code]))[0], expected, rtol=1e-4, atol=1e-6)
    assert whole.confirm(user) is whole
    loaded = Ranker.load(whole.save(tmp_path / "ranker"), verify=True)
    assert (loaded.name, loaded.confirmed) == (whole.name, whole.confirmed)
    again = rs.detect_guest_runs(world[0], maps=world[1], confirmed=whole.confirmed, **SETTINGS)
    assert again.weighted_train[[code]].data.min() == 1.0
    np.testing.assert_array_equal(build_remaining_split(one).weighted_train.data, one.context.time_weights.weights.data)


def test_a_forgotten_item_leaves_its_run(ranker, found, tmp_path):
    path = tmp_path / "forget.jsonl"
    forget_lists.forget(path, user="nobody")
    code = found.user_ids.tolist().index("u08")
    item = int(found.guest_runs.find_items(code)[0])
    left = ranker.follow_forget_list(path).forget(user="u08", item=str(found.item_ids[item]))
    assert left.context.guest_runs.find_place(code, item) == -1
    assert len(left.context.guest_runs.find_items(code)) == RUN - 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"share": 0.0}, "guest_runs: share is 0.0, expected a number above 0"),
        ({"shortest": 1}, "guest_runs: shortest is 1, expected"),
        ({"shortest": 5, "longest": 4}, "guest_runs: longest is 4, expected"),
        ({"max_days": 0}, "guest_runs: max_days is 0, expected"),
        ({"maps": []}, "guest_runs: found no maps"),
        ({"confirmed": [("u99", "i00")]}, "guest_runs: confirmed: unknown user 'u99'"),
    ],
)
def test_bad_settings_are_refused_in_one_line(world, settings, said):
    with pytest.raises(RecsysError, match=f"^{said}"):
        rs.detect_guest_runs(world[0], **{"maps": world[1], **settings})


def test_data_without_times_and_scores_of_other_positives_are_refused(world, found):
    split, maps = world
    with pytest.raises(RecsysError, match=r"^guest_runs: the data has no times, expected a column datetime"):
        find_runs(replace(split, train_times=None), maps=maps)
    with pytest.raises(RecsysError, match=r"^here: scores are not those of the entries of train"):
        found.guest_runs.check_held_back("here", Csr(split.train[::-1]))


def test_purity_is_the_share_of_a_slate_that_belongs_to_who_asks(world):
    rng = np.random.default_rng(2)
    shown = np.stack([rng.permutation(ITEMS)[:6] for _ in range(USERS)]).astype(np.int32)
    owned, shown[3, 2:], shown[4] = rng.random((USERS, ITEMS)) < 0.4, -1, -1
    made = account_purity(Evaluation(shown, GroundTruth(world[0], (), (), ())), owned, 4)
    for user in range(USERS):
        slate = [item for item in shown[user, :4].tolist() if item >= 0]
        expected = sum(owned[user, item] for item in slate) / len(slate) if slate else np.nan
        np.testing.assert_equal(made[user], expected)
