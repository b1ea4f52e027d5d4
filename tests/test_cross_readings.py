"""Curves whose points are picked without the users who judge them, against slow statements and in a world without gain."""

import tomllib

import numpy as np
import pytest
from test_discover import CONFIG

from recsys.configs import parse_config
from recsys.scores import Score, Scores
from recsys.scores.halvings import choose_interval
from recsys.scores.intervals import NO_INTERVAL, bootstrap_sums
from recsys.sweeps.cross_readings import leave_out, read_curves_across_parts
from recsys.sweeps.curve_readings import BASE, read_curves_of_families, trace_curve
from recsys.sweeps.families import build_discover_config, build_family_plan, list_families
from recsys.sweeps.trials import TrialResult

USERS, DRAWS = 400, 200
FAMILY = next(one for one in list_families(False) if one.name == "mmr")


@pytest.fixture(scope="module")
def plan():
    return build_family_plan(build_discover_config(parse_config(tomllib.loads(CONFIG))), 3, "2%", [FAMILY])


class World:
    """Values of every user, (trials, U), of each metric; the first trial is the base."""

    def __init__(self, plan, values, seed=0):
        self.plan, self.values = plan, values
        self.parts = np.array_split(np.random.default_rng(seed).permutation(USERS), plan.user_parts)
        self.judges = ()
        runs = [BASE, *(f"mmr-{number}" for number in range(len(values["ndcg@5"]) - 1))]
        self.runs = dict(zip(runs, range(len(runs)), strict=True))

    def evaluate_blends(self, configs, metrics, users=None):
        mine = np.isin(np.arange(USERS), np.arange(USERS) if users is None else users)
        cells = [self._build_score(run, metric, mine) for run in configs for metric in metrics]
        everybody = np.arange(USERS)
        return Scores(tuple(cells), everybody, everybody.astype(str), 0, DRAWS)

    def _build_score(self, run, metric, mine):
        values = np.where(mine, self.values[metric][self.runs[run]], 0.0)
        n = int(mine.sum())
        influence = (values - np.where(mine, values.sum() / n, 0.0)) / n
        draws = values.sum() / n + bootstrap_sums(influence[None], np.arange(USERS), 0, DRAWS)[0]
        made = choose_interval("users", 1, n, USERS)
        return Score(
            run, metric[:-2], 5, values.sum() / n, NO_INTERVAL, n, "", 1, "users",
            np.where(mine, values, np.nan), values / n, mine / n, draws, *made, {"hits": 1.0},
        )  # fmt: skip

    @property
    def trials(self):
        def average(row, users):
            return {metric: float(table[row, users].mean()) for metric, table in self.values.items()}

        found = [
            TrialResult(
                row - 1, {"blends.mmr.mmr": 0.5}, average(row, slice(None)), average(0, slice(None)), True, 0.0,
                [average(row, part) for part in self.parts], [average(0, part) for part in self.parts],
            )
            for row in self.runs.values() if row
        ]  # fmt: skip
        return {"mmr": found}


def make_world(plan, rng, n_trials, gain=0.0, noise=0.5):
    """Trials lose up to 6 % of accuracy, alike for all users, and gain `gain` on average with noise by user."""
    lost = np.concatenate([[0.0], np.sort(rng.uniform(0.0, 0.06, n_trials))])[:, None]
    flat = np.ones((n_trials + 1, USERS))
    gains = 1.0 + gain * (lost > 0) + noise * rng.standard_normal((n_trials + 1, USERS)) * (lost > 0)
    values = {"ndcg@5": flat * (1.0 - lost), "stratified_recall@5": flat * (1.0 - lost / 2), "discovery@5": gains}
    return World(plan, values)


def test_one_point_is_read_as_if_all_users_had_picked_it(plan):
    world = make_world(plan, np.random.default_rng(1), 1, gain=0.3)
    curves = {"mmr": world.trials["mmr"]}
    whole = read_curves_of_families(plan, curves, {"mmr": None}, world, "validation", True).gains["mmr"]
    stitched = read_curves_across_parts(plan, curves, world, "validation", True).gains["mmr"]
    # the same base and point; a stitched curve goes straight through its places
    assert stitched.value == pytest.approx(whole.value, rel=1e-9)
    assert (stitched.draws - whole.draws).std() < 0.1 * whole.draws.std()  # draws of parts keep the parts' sizes
    assert stitched.lost["ndcg@5"][0] == pytest.approx(whole.lost["ndcg@5"][0], rel=1e-9)


def test_users_are_judged_by_the_curve_of_the_others(plan):
    """Against a slow statement: by user, what the curve of the other parts shows at each place."""
    world = make_world(plan, np.random.default_rng(2), 6)
    found = read_curves_across_parts(plan, world.trials, world, "validation", True).gains["mmr"]
    places = 0.04 * np.arange(1, 9) / 8
    each = {metric: np.zeros((9, USERS)) for metric in world.values}
    for part, users in enumerate(world.parts):
        others = np.setdiff1d(np.arange(USERS), users)
        means = {metric: table[:, others].mean(axis=1) for metric, table in world.values.items()}
        curve = [one.number + 1 for one in trace_curve(plan, [leave_out(one, part) for one in world.trials["mmr"]])]
        lost = [max(1 - means[m][row] / means[m][0] for m in ("ndcg@5", "stratified_recall@5")) for row in curve]
        for metric, table in world.values.items():
            rows = [0, *(row for _, row in sorted(zip(lost, curve, strict=True)))]
            at = np.stack([np.interp(places, [0.0, *sorted(lost)], table[rows, user]) for user in users])
            each[metric][1:, users], each[metric][0, users] = at.T, table[0, users]
    change = {metric: table.mean(axis=1) / table[0].mean() - 1 for metric, table in each.items()}
    assert found.value == pytest.approx(np.interp(0.02, -change["ndcg@5"], change["discovery@5"]), rel=1e-9)


def test_a_trial_without_a_part_has_the_mean_of_the_others(plan):
    trial = make_world(plan, np.random.default_rng(3), 2).trials["mmr"][1]
    left = leave_out(trial, 2)
    kept = [of["discovery@5"] for p, of in enumerate(trial.parts) if p != 2]
    assert left.values["discovery@5"] == pytest.approx(np.mean(kept))
    assert left.base["ndcg@5"] == pytest.approx(1.0)


def test_nothing_is_promised_where_nothing_is_gained(plan):
    """Curves that are read on the users who picked their points promise what luck gave them."""
    rng = np.random.default_rng(4)
    promised, read = [], []
    for _ in range(60):
        world = make_world(plan, rng, 24)
        trials = world.trials
        curves = {"mmr": trace_curve(plan, trials["mmr"])}
        promised.append(read_curves_of_families(plan, curves, {"mmr": None}, world, "validation", True).gains["mmr"].value)  # fmt: skip
        read.append(read_curves_across_parts(plan, trials, world, "validation", True).gains["mmr"].value)
    error = np.std(read, ddof=1) / np.sqrt(len(read))
    assert np.mean(promised) > 5 * error
    assert abs(np.mean(read)) < 3 * error


@pytest.mark.parametrize("bad", [np.nan, 0.0])
def test_a_part_without_accuracy_leaves_nothing_to_read(plan, bad):
    world = make_world(plan, np.random.default_rng(5), 3)
    trials = world.trials["mmr"]
    for one in trials:
        one.base_parts[1]["ndcg@5"] = bad
    assert read_curves_across_parts(plan, {"mmr": trials}, world, "validation", True).gains == {}


def test_a_family_without_trials_has_no_gain(plan):
    world = make_world(plan, np.random.default_rng(6), 2)
    assert read_curves_across_parts(plan, {"mmr": []}, world, "validation", True).gains == {}
