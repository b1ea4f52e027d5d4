"""Segments of users who ignore a region: against a statement by user, under no difference, and where one was made."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats
from test_rankers import run_cli

import recsys as rs
from recsys.data.identifiers import look_up_ids
from recsys.evidence import find_ignored_regions
from recsys.maths.response_segments import compute_lower_tails, count_segments, fit_gamma_poisson
from recsys.testing.synthetic import make_maps, make_split
from recsys.types import Items, TasteMap
from recsys.types.arrays import Csr

USERS, REGIONS, PER_REGION = 600, 6, 40
IGNORED, FACTOR = 2, 0.15  # one user in three takes region 2 so seldom


def make_world(seed: int, share: float = 0.0, shown: int = 60):
    """Return user, item and click of each pair: rates by region, a pace by user, and a share who ignore a region."""
    draw = np.random.default_rng(seed)
    rates, pace = 0.1 * draw.uniform(0.5, 1.5, REGIONS), draw.gamma(2.0, 0.5, USERS)
    ignores = draw.random(USERS) < share
    item = np.stack([draw.choice(REGIONS * PER_REGION, shown, replace=False) for _ in range(USERS)]).ravel()
    user = np.repeat(np.arange(USERS), shown)
    chance = rates[item // PER_REGION] * pace[user]
    chance[ignores[user] & (item // PER_REGION == IGNORED)] *= FACTOR
    return user, item, draw.random(len(user)) < chance, ignores


def find(user, item, clicked, **settings):
    """Return what is found in a log of such pairs."""
    n = REGIONS * PER_REGION
    names = np.array([f"u{i}" for i in range(USERS)]), np.array([f"i{i:03}" for i in range(n)])
    log = rs.Exposures(user, item, np.zeros(len(user), np.int64), *names, clicked=clicked)
    assignment = Csr((np.ones(n, np.float32), (np.arange(n), np.arange(n) // PER_REGION)), shape=(n, REGIONS))
    no_features = sparse.csr_matrix((n, 0), dtype=np.float32)
    items = Items(names[1], np.array([f"Title {i}" for i in range(n)]), Csr(no_features), (), np.zeros(n, np.int32))
    return find_ignored_regions(log, TasteMap("one", assignment, "made up"), names[0], items, **settings), names


def count_slowly(user, region, taken, judged, users, regions):
    """Return what `count_segments` does, user by user."""
    rate = [taken[region == z].mean() if (region == z).any() else 0.0 for z in range(regions)]
    of = [[np.flatnonzero((user == u) & (region == z)) for z in range(regions)] for u in range(users)]
    totals = [taken[user == u].sum() for u in range(users)]
    means = [sum(rate[region[i]] for i in np.flatnonzero(user == u)) for u in range(users)]
    strength = fit_gamma_poisson(np.array(totals, float), np.array(means))
    segment = []
    for u in range(users):
        first = np.flatnonzero((user == u) & ~judged)
        pace = (taken[first].sum() + strength) / (sum(rate[region[i]] for i in first) + strength)
        ratios = []
        for z in range(regions):
            rows = [i for i in of[u][z] if not judged[i]]
            ratios.append((taken[rows].sum() + 1) / (len(rows) * rate[z] * pace + 1))
        segment.append(int(np.argmin(ratios)) if min(ratios) < 1 else -1)
    expected, variance = np.zeros(regions), np.zeros(regions)
    for z in range(regions):
        base, left = np.zeros(users), np.zeros(users)
        for u in range(users):
            rows = [i for i in of[u][z] if judged[i]]
            left[u] = totals[u] - taken[rows].sum()
            base[u] = len(rows) * (left[u] + strength) / (means[u] - len(rows) * rate[z] + strength)
        inside = np.array(segment) == z
        others = [i for u in np.flatnonzero(~inside) for i in of[u][z] if judged[i]]
        mean = base[inside] * (taken[others].sum() / base[~inside].sum())
        expected[z] = mean.sum()
        variance[z] = (mean + mean**2 / (strength + left[inside])).sum() + mean.sum() ** 2 / taken[others].sum()
    return np.array(segment), expected, variance


def test_segments_are_those_of_a_statement_by_user():
    draw = np.random.default_rng(5)
    user, region = draw.integers(0, 40, 900), draw.integers(0, 4, 900)
    pace = draw.gamma(1.0, 1.0, 40)
    taken, judged = draw.random(900) < 0.3 * pace[user].clip(0, 3), draw.random(900) < 0.5
    found = count_segments(user, region, taken, judged, (40, 4))
    segments, expected, variance = count_slowly(user, region, taken, judged, 40, 4)
    np.testing.assert_array_equal(found.segments, segments)
    np.testing.assert_allclose(found.expected, expected, rtol=1e-12)
    np.testing.assert_allclose(found.variance, variance, rtol=1e-12)
    for z in range(4):
        rows = (found.segments[user] == z) & (region == z) & judged
        assert (found.users[z], found.shown[z], found.taken[z]) == (
            (segments == z).sum(),
            rows.sum(),
            taken[rows].sum(),
        )


def test_lower_tails_are_those_of_the_two_distributions():
    taken = np.arange(0.0, 12.0)
    narrow = compute_lower_tails(taken, np.full(12, 6.0), np.full(12, 6.0))
    np.testing.assert_allclose(narrow, stats.poisson.cdf(taken, 6.0))
    wide = compute_lower_tails(taken, np.full(12, 6.0), np.full(12, 15.0))
    np.testing.assert_allclose(wide, stats.nbinom.cdf(taken, 4.0, 0.4))  # mean 4 (1 - .4) / .4 = 6, variance 6 / .4


def test_where_nobody_ignores_a_region_p_values_are_uniform():
    values, named = [], 0
    for seed in range(40):
        user, item, clicked, _ = make_world(seed)
        judged = np.random.default_rng(1_000 + seed).random(len(user)) < 0.5
        counts = count_segments(user, item // PER_REGION, clicked, judged, (USERS, REGIONS))
        enough = counts.expected >= 10
        values += compute_lower_tails(counts.taken[enough], counts.expected[enough], counts.variance[enough]).tolist()
        found, _ = find(user, item, clicked, seed=seed)
        named += any(one.is_ignored for one in found.regions)
    share = np.mean(np.array(values) < 0.1)
    assert len(values) > 150
    assert abs(share - 0.1) < 3 * np.sqrt(0.1 * 0.9 / len(values))
    assert named <= 6  # of 40: at most 5 % are expected


def test_the_segment_that_ignores_a_region_is_found():
    user, item, clicked, ignores = make_world(3, share=1 / 3, shown=120)
    found, (user_ids, _) = find(user, item, clicked)
    worst = found.regions[0]
    assert (worst.region, worst.is_ignored) == (IGNORED, True)
    assert worst.ratio_low < worst.ratio < worst.ratio_high < 1
    assert worst.items[0].startswith("Title ")
    members = found.list_members(IGNORED, user_ids)
    assert len(members) == worst.users
    inside = np.array([ignores[int(name[1:])] for name in members])
    assert inside.mean() > 1.5 * ignores.mean()


def test_pairs_count_once_and_a_seed_gives_the_same():
    user, item, clicked, _ = make_world(3, share=1 / 3)
    twice = np.concatenate([user, user]), np.concatenate([item, item]), np.concatenate([clicked, ~clicked & False])
    once, again = find(user, item, clicked)[0], find(*twice)[0]
    assert once.regions == again.regions
    assert once.pairs == again.pairs == len(user)
    assert find(user, item, clicked, seed=1)[0].regions != once.regions


def test_bad_input_is_one_line():
    user, item, _, _ = make_world(3)
    with pytest.raises(rs.RecsysError, match="expected a column clicked"):
        find(user, item, None)
    with pytest.raises(rs.RecsysError, match="nothing that was clicked"):
        find(user, item, np.zeros(len(user), bool))
    with pytest.raises(rs.RecsysError, match="found a list, expected an Exposures"):
        find_ignored_regions([], None, None, None)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A ranker of a small log with maps, and a table of what was shown to its users."""
    folder = tmp_path_factory.mktemp("ignored")
    split = make_split(users=120, items=60)
    ranker = rs.Ranker.fit(
        rs.models.MostPopular().fit(split.train), split, {"relevance": 1.0, "unexplored": 0.2}, k=5, n=20,
        maps=make_maps(split),
    )  # fmt: skip
    draw = np.random.default_rng(0)
    user, item = np.divmod(draw.permutation(120 * 60)[:4000], 60)
    table = pd.DataFrame(
        {
            "user_id": split.user_ids[user], "item_id": split.item_ids[item], "datetime": 0,
            "clicked": draw.random(4000) < 0.3,
        }
    )  # fmt: skip
    table.to_csv(folder / "shown.csv", index=False)
    table.drop(columns="clicked").to_csv(folder / "unclicked.csv", index=False)
    return ranker.save(folder / "ranker"), folder


def test_the_command_tells_of_segments_and_of_no_user(saved, capsys):
    ranker, folder = saved
    assert run_cli("ignored", ranker, folder / "shown.csv") == 0
    said = capsys.readouterr().out
    assert run_cli("ignored", ranker, folder / "shown.csv", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert f"{told['pairs']:,} pairs of a user and an item" in said
    limits = [f"{one['ratio_low']:.2f} to {one['ratio_high']:.2f}" for one in told["regions"]]
    assert limits
    assert all(one in said for one in limits)
    assert {one["users"] >= 20 for one in told["regions"]} == {True}
    assert "user_segments" not in told


def test_the_command_refuses_other_maps_and_logs(saved, capsys):
    ranker, folder = saved
    name = rs.Ranker.load(ranker).context.maps[0].name
    assert run_cli("ignored", ranker, folder / "shown.csv", "--map", name + "x") == 2
    assert f"did you mean '{name}'" in capsys.readouterr().err
    assert run_cli("ignored", ranker, folder / "unclicked.csv") == 2
    assert "expected a column clicked" in capsys.readouterr().err


def test_items_in_no_region_and_unknown_ids_are_left_out_and_counted():
    n = REGIONS * PER_REGION
    user, item, clicked, _ = make_world(3)
    items = Items(
        np.array([f"i{i:03}" for i in range(n)]), np.array([""] * n), Csr((n, 0), dtype=np.float32), (),
        np.zeros(n, np.int32),
    )  # fmt: skip
    names = np.array([f"u{i}" for i in range(USERS)])
    log = rs.Exposures(user, item, np.zeros(len(user), np.int64), names, items.ids, clicked=clicked)
    rows = np.arange(1, n)  # the first item lies nowhere
    placed = Csr((np.ones(n - 1, np.float32), (rows, rows // PER_REGION)), shape=(n, REGIONS))
    left = find_ignored_regions(log, TasteMap("one", placed, "made up"), names[1:], items)
    outside = int(((item == 0) | (user == 0)).sum())
    assert left.pairs == len(user) - outside > 0
    assert left.notes[0].startswith(f"{outside:,} exposures of unknown users")
    for known in (names[:0], np.array(["nobody"])):
        with pytest.raises(rs.RecsysError, match="no pair of a known user and item"):
            find_ignored_regions(log, TasteMap("one", placed, "made up"), known, items)


def test_names_are_looked_up_among_none_and_none_among_names():
    some, none = np.array(["a", "b"]), np.zeros(0, "U1")
    assert [one.tolist() for one in look_up_ids(some, none)] == [[0, 0], [False, False]]
    assert [one.tolist() for one in look_up_ids(none, some)] == [[], []]
    places, there = look_up_ids(np.array(["b", "c"]), some)
    assert there.tolist() == [True, False]
    assert places[0] == 1
