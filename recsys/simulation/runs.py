"""`recsys simulate`: every policy in every population, each kept as it ends, and tables with intervals over seeds."""

import json
import multiprocessing
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tomli_w

from recsys import splits
from recsys.escaping import escape_csv_frame
from recsys.experiments.benchmark import hash_folder_name
from recsys.experiments.pipeline import load_dataset
from recsys.simulation.limits import FIT_BYTES_PER_PAIR, check_fit, check_slates, check_world_memory
from recsys.simulation.loop import Trajectory, resolve_measure, simulate, start_policy, start_world
from recsys.simulation.measures import count_regions, find_taste
from recsys.simulation.plans import RATED, SimulationPlan, read_simulation
from recsys.simulation.records import Log, Policy, Population, World, start_log
from recsys.simulation.tables import build_difference_table, build_trajectory_table
from recsys.simulation.worlds.accepted_ratings import build_rating_world
from recsys.simulation.worlds.enlarging import compare_people, draw_people
from recsys.simulation.worlds.fitted_tastes import FittedTastes
from recsys.simulation.worlds.fitting import TasteFit, WorldCheck, fit_tastes
from recsys.support.atomic_files import replace_folder, write_text
from recsys.support.cache import Cache, CacheEntry, describe_environment, get_default_cache_folder, require_disk_space
from recsys.support.config_layers import Layer
from recsys.support.jobs import check_jobs, run_beside
from recsys.support.progress import show_progress, track_rounds
from recsys.support.serialization import flatten_record, restore_record
from recsys.support.threads import limit_to_one_blas_thread
from recsys.types import RecsysError
from recsys.types.arrays import Ints
from recsys.types.notebooks import format_count
from recsys.types.paths import check_path

if TYPE_CHECKING:
    import pandas as pd

MIN_FREE_BYTES = 50_000_000  # bytes that must be left on the disk before the work begins


@dataclass(frozen=True, eq=False)
class SimulationRun:
    """The results of a simulation."""

    plan: SimulationPlan
    trajectories: "pd.DataFrame"  # policy, measure, group, round: mean over seeds and its 95 % interval
    differences: "pd.DataFrame"  # policy, measure, group: mean over rounds, and its difference from the base
    checks: tuple[WorldCheck, ...]  # of a fitted world
    folder: Path


def run_simulation(
    file: str | Path,
    *,
    overrides: Sequence[Layer] = (),
    out: str | Path = "runs",
    data_dir: Path | None = None,
    quiet: bool = False,
    jobs: int = 1,
) -> SimulationRun:
    """Run the simulation that `file` describes, and write its folder, `out/<name>-<hash>`.

    What is finished is kept in the cache, one cell for each policy and seed: a run that was stopped goes on. All
    policies meet the same populations with the same luck, so that differences are paired by seed. `jobs` processes of
    this machine share the cells: this one, and forks of it; results are the same however many there are.

    Raises:
        RecsysError: for whatever is wrong with the file, the data or the folder, and for a fitted world whose logs are
            not like the one that it was fitted to.
    """
    start = time.perf_counter()
    plan = read_simulation(file, overrides=overrides)
    check_jobs(jobs, len(plan.policies) * len(plan.seeds), "so many policies and seeds are there")
    require_disk_space(check_path("out", out), MIN_FREE_BYTES)
    with show_progress(quiet), limit_to_one_blas_thread():
        opened = open_world(plan, data_dir, quiet, jobs)
        runs = simulate_all(plan, opened, jobs)
    folder = Path(out) / f"{plan.settings.name}-{hash_folder_name(plan.digest, opened.fingerprint)}"
    return write_simulation(plan, opened, runs, folder, time.perf_counter() - start)


@dataclass(frozen=True, eq=False)
class OpenWorld:
    """The world of a plan, where what is simulated in it is kept."""

    world: World
    checks: tuple[WorldCheck, ...]  # of a fitted one
    fingerprint: str  # of the rows that it is fitted to
    cache: Cache
    about: tuple[Any, ...]  # what tells it from other worlds

    def simulate(self, plan: SimulationPlan, name: str, seed: int) -> Trajectory:
        """Return what one policy of a plan does to one population, from the cache where it is there."""
        of, policy = plan.settings, plan.policies[name]

        def make() -> CacheEntry:
            start = time.perf_counter()
            with _name_place(f"[policies.{name}] seed {seed}:"):
                made = simulate(self.world, policy, rounds=of.rounds, measures=of.measures, seed=seed)
            return CacheEntry(flatten_record(made), time.perf_counter() - start)

        key = [*self.about, of.policies[name].model_dump(), of.rounds, of.measures, seed, plan.own_code]
        return restore_record(Trajectory, self.cache.get_or_make("simulation", key, make).arrays)


def open_world(plan: SimulationPlan, data_dir: Path | None, quiet: bool, jobs: int = 1) -> OpenWorld:
    """Return the world of a plan: one that is fitted comes from the cache where it is there.

    Raises:
        RecsysError: for whatever is wrong with the data, for a fitted world whose logs are not like it, for rounds,
            slates or memory of `jobs` that do not fit the world, and for a policy or measure that lacks something there
            (`check_starts`).
    """
    named = {f"[policies.{name}] policy": policy for name, policy in plan.policies.items()}
    opened = _make_world(plan, named, data_dir, quiet)
    check_fit(opened.world, named, plan.settings.rounds, jobs)
    check_starts(opened.world, plan)
    return opened


def check_starts(world: World, plan: SimulationPlan) -> None:
    """Start every policy and measure of a plan in the first population of a world, and simulate nothing.

    Raises:
        RecsysError: naming the section of a policy that lacks something in this world, or for a measure that does.
    """
    population = start_world(world, plan.settings.seed)
    for name, policy in plan.policies.items():
        with _name_place(f"[policies.{name}]"):
            start_policy(policy, population, plan.settings.seed)
    log = start_log(population)
    for measure in plan.settings.measures:
        resolve_measure(measure)(population, log)


@contextmanager
def _name_place(place: str) -> Iterator[None]:
    """Have errors begin with their place."""
    try:
        yield
    except RecsysError as error:
        raise RecsysError(f"{place} {error}") from None


def _make_world(plan: SimulationPlan, policies: Mapping[str, Policy], data_dir: Path | None, quiet: bool) -> OpenWorld:
    """Return the world of a plan; slates that are too long for a fitted one are refused before the fit."""
    cache = Cache(get_default_cache_folder())
    about = plan.content["world"]
    if plan.world is not None:
        return OpenWorld(plan.world, (), "", cache, (about,))
    assert plan.data is not None
    dataset = load_dataset(plan.data, data_dir, quiet)
    kept = plan.data.filter.model_dump(exclude={"positive"}) | {"seed": plan.settings.seed}
    if plan.settings.world.kind == RATED:
        rated = build_rating_world(dataset, **plan.log_settings, **kept)
        return OpenWorld(rated, (), rated.split.fingerprint, cache, (rated.split.fingerprint, about))
    whole = splits.no_holdout(dataset, positive=plan.data.filter.positive, **kept)
    users, items = whole.shape
    check_slates(policies, items)
    wanted = plan.log_settings["users"] or users
    check_world_memory((max(users, wanted), items), FIT_BYTES_PER_PAIR * max(users, wanted) * items, " to be fitted")
    fit_keys = {name: value for name, value in plan.log_settings.items() if name not in (*_NOT_FITTED, "users")}
    fit = _fit_or_load(whole, fit_keys, plan.settings.seed, cache)
    if plan.log_settings["users"] is not None:
        fit = _enlarge_or_load(fit, wanted, fit_keys, plan.settings.seed, cache)
    world = replace(fit.check_world(plan.settings.name), **{name: plan.log_settings[name] for name in _NOT_FITTED})
    return OpenWorld(world, fit.checks, whole.fingerprint, cache, (whole.fingerprint, plan.settings.seed, about))


def _fit_or_load(whole: Any, settings: dict[str, Any], seed: int, cache: Cache) -> TasteFit:
    """Return the fitted tastes, from the cache where they are there."""

    def make() -> CacheEntry:
        start = time.perf_counter()
        fit = fit_tastes(whole, **settings, seed=seed)
        arrays = {name: getattr(fit.world, name) for name in _KEPT}
        told = {**arrays, **_flatten_checks(fit.checks), "sharpness": np.array(fit.sharpness)}
        return CacheEntry(told, time.perf_counter() - start)

    arrays = cache.get_or_make("world", [whole.fingerprint, settings, seed], make).arrays
    log_rates, like_logits, regions, groups, group_names = (arrays[name] for name in _KEPT)
    world = FittedTastes(whole, log_rates, like_logits, regions, groups, group_names)
    return TasteFit(world, float(arrays["sharpness"]), _restore_checks(arrays))


def _enlarge_or_load(fit: TasteFit, users: int, settings: dict[str, Any], seed: int, cache: Cache) -> TasteFit:
    """Return a fit of so many new people, who are drawn anew, and their checks, from the cache where they are."""

    def make() -> CacheEntry:
        start = time.perf_counter()
        checks = compare_people(fit.world, users, settings.get("factors", 32), seed)
        return CacheEntry(_flatten_checks(checks), time.perf_counter() - start)

    arrays = cache.get_or_make("new people", [fit.world.split.fingerprint, settings, users, seed], make).arrays
    return replace(fit, world=draw_people(fit.world, users, seed), checks=_restore_checks(arrays))


def _flatten_checks(checks: Sequence[WorldCheck]) -> dict[str, Any]:
    numbers = [[one.real, one.generated, one.least, one.most] for one in checks]
    return {"check_names": np.array([one.name for one in checks]), "check_values": np.array(numbers)}


def _restore_checks(arrays: Mapping[str, Any]) -> tuple[WorldCheck, ...]:
    values = arrays["check_values"].tolist()
    return tuple(WorldCheck(str(name), *row) for name, row in zip(arrays["check_names"], values, strict=True))


_NOT_FITTED = ("behaviour", "group_behaviours", "flips", "arrivals")  # parts of a world that no log tells
_KEPT = ("log_rates", "like_logits", "regions", "groups", "group_names")


def simulate_all(plan: SimulationPlan, opened: OpenWorld, jobs: int = 1) -> dict[str, list[Trajectory]]:
    """Return the trajectories of each policy, one for each seed, by `jobs` processes: this one, and forks of it."""
    cells = [(name, seed) for seed in plan.seeds for name in plan.policies]
    with track_rounds("policies and seeds", len(cells)) as done:
        if jobs > 1:
            _simulate_beside(plan, opened, cells, jobs)
        runs: dict[str, list[Trajectory]] = {name: [] for name in plan.policies}
        for name, seed in cells:
            runs[name].append(opened.simulate(plan, name, seed))
            done()
    return runs


def _simulate_beside(plan: SimulationPlan, opened: OpenWorld, cells: Sequence[tuple[str, int]], jobs: int) -> None:
    """Let several processes fill the cache, each taking the next cell; what one of them leaves is the caller's."""
    taken = multiprocessing.get_context("fork").Value("i", 0)

    def work() -> None:
        while True:
            with taken.get_lock():
                place = taken.value
                taken.value += 1
            if place >= len(cells):
                return
            opened.simulate(plan, *cells[place])

    with run_beside(jobs - 1, work) as others:
        work()
        for other in others:
            other.wait()


def write_simulation(
    plan: SimulationPlan, opened: OpenWorld, runs: dict[str, list[Trajectory]], folder: Path, seconds: float
) -> SimulationRun:
    """Write settings, environment, tables and report in the place of an older folder, and return what they say."""
    from recsys.reports.simulations import SimulationReport, write_simulation_report

    trajectories, differences = build_trajectory_table(runs), build_difference_table(runs, plan.base)
    done = SimulationRun(plan, trajectories, differences, opened.checks, folder)
    around = describe_environment(plan.settings.seed, opened.fingerprint)
    population = opened.world.start(plan.settings.seed)
    person = choose_person(population, runs[plan.base][0])
    report = SimulationReport(
        title=plan.settings.name, world=describe_world(plan, population),
        meanings={name: describe_measure(name) for name in plan.settings.measures}, base=plan.base,
        trajectories=done.trajectories, differences=done.differences,
        checks=tuple((str(one), one.holds) for one in done.checks),
        person=tabulate_person(population, {name: of[0] for name, of in runs.items()}, person),
        who=describe_person(plan, population, person), policies=tuple(plan.policies),
        measures=tuple(plan.settings.measures), n_rounds=plan.settings.rounds, n_seeds=len(plan.seeds),
    )  # fmt: skip
    with replace_folder(folder) as temporary:
        write_text(temporary / "config.toml", tomli_w.dumps(drop_none(plan.content)))
        write_text(temporary / "environment.json", json.dumps({**around, "seconds": seconds}, indent=2) + "\n")
        escape_csv_frame(done.trajectories).to_csv(temporary / "trajectories.csv", index=False)
        escape_csv_frame(done.differences).to_csv(temporary / "differences.csv", index=False)
        write_simulation_report(report, temporary)
    return done


def describe_world(plan: SimulationPlan, population: Population) -> str:
    """Return the kind of a world, and how many users and items it has."""
    users, items = population.shape
    return f"World {plan.settings.world.kind}: {format_count(users, 'user')}, {format_count(items, 'item')}"


def describe_measure(name: str) -> str:
    """Return the first sentence of what the class of a measure says of itself, "" where it says nothing."""
    said = " ".join((resolve_measure(name).__doc__ or "").partition("\n\n")[0].split())
    return re.split(r"(?<=\.) ", said)[0]


def drop_none(tables: Any) -> Any:
    """Return tables without keys of None, which TOML cannot say."""
    if isinstance(tables, dict):
        return {key: drop_none(value) for key, value in tables.items() if value is not None}
    return tables


def choose_person(population: Population, base: Trajectory) -> int:
    """Return the code of a user of the last group whose number of regions under the base is the median."""
    of_group = np.flatnonzero(population.groups == population.groups.max())
    counts = [len(np.unique(population.regions[_list_consumed(base, int(user))])) for user in of_group]
    return int(of_group[np.argsort(counts, kind="stable")[len(counts) // 2]])


def describe_person(plan: SimulationPlan, population: Population, user: int) -> str:
    """Return by which rule a user was chosen, and its place among the users of the log."""
    group = str(population.group_names[population.groups[user]])
    of = f"the {int((population.groups == population.groups[user]).sum()):,} users of the group {group}"
    among = of if len(population.group_names) > 1 else f"all {population.shape[0]:,} users"
    return (
        f"The person was chosen by a rule: under {plan.base} and seed {plan.settings.seed}, of {among} the one (place "
        f"{user + 1:,}) in the middle by the number of regions."
    )


def _list_consumed(run: Trajectory, user: int) -> Ints:
    items = run.consumed[:, user].ravel()
    return np.asarray(items[items >= 0])


def tabulate_person(population: Population, runs: dict[str, Trajectory], user: int) -> "pd.DataFrame":
    """Return how many items of each region one user has consumed by some rounds, under each policy.

    Columns policy, round, region, consumed, taste (the region's share of the utility above the user's mean).
    """
    import pandas as pd

    n_regions = int(population.regions.max()) + 1
    taste = find_taste(population.get_utilities(), population.regions, n_regions)[user]
    before = count_regions(Log(population.shape, population.history).met[[user]], population.regions, n_regions)[0]
    rows = []
    for policy, run in runs.items():
        for number in np.unique(np.linspace(0, len(run.consumed), 6).astype(int)):
            items = run.consumed[:number, user].ravel()
            counts = before + np.bincount(population.regions[items[items >= 0]], minlength=n_regions)
            rows += [(policy, int(number), z, int(counts[z]), float(taste[z])) for z in range(n_regions)]
    return pd.DataFrame(rows, columns=["policy", "round", "region", "consumed", "taste"])
