"""`recsys simulate`: every policy in every population, each kept as it ends, and tables with intervals over seeds."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tomli_w

from recsys import splits
from recsys.escaping import escape_csv_frame
from recsys.experiments.benchmark import hash_folder_name
from recsys.experiments.pipeline import load_dataset
from recsys.simulation.loop import Trajectory, simulate
from recsys.simulation.measures import count_regions, find_taste
from recsys.simulation.plans import SimulationPlan, read_simulation
from recsys.simulation.records import Log, Population, World
from recsys.simulation.tables import build_difference_table, build_trajectory_table
from recsys.simulation.worlds.fitted_tastes import FittedTastes
from recsys.simulation.worlds.fitting import TasteFit, WorldCheck, fit_tastes
from recsys.support.atomic_files import replace_folder, write_text
from recsys.support.cache import Cache, CacheEntry, describe_environment, get_default_cache_folder, require_disk_space
from recsys.support.config_layers import Layer
from recsys.support.progress import show_progress, track_rounds
from recsys.support.serialization import flatten_record, restore_record
from recsys.support.threads import limit_to_one_blas_thread
from recsys.types.arrays import Ints
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
) -> SimulationRun:
    """Run the simulation that `file` describes, and write its folder, `out/<name>-<hash>`.

    What is finished is kept in the cache, one cell for each policy and seed: a run that was stopped goes on. All
    policies meet the same populations with the same luck, so that differences are paired by seed.

    Raises:
        RecsysError: for whatever is wrong with the file, the data or the folder, and for a fitted world whose logs are
            not like the one that it was fitted to.
    """
    start = time.perf_counter()
    plan = read_simulation(file, overrides=overrides)
    require_disk_space(check_path("out", out), MIN_FREE_BYTES)
    cache = Cache(get_default_cache_folder())
    with show_progress(quiet), limit_to_one_blas_thread():
        world, checks, fingerprint = _make_world(plan, cache, data_dir, quiet)
        runs = _run_all(plan, world, cache, fingerprint)
    trajectories = build_trajectory_table(runs)
    differences = build_difference_table(runs, plan.base)
    folder = Path(out) / f"{plan.settings.name}-{hash_folder_name(plan.digest, fingerprint)}"
    done = SimulationRun(plan, trajectories, differences, checks, folder)
    _write_folder(done, world, runs, describe_environment(plan.settings.seed, fingerprint), time.perf_counter() - start)
    return done


def _make_world(
    plan: SimulationPlan, cache: Cache, data_dir: Path | None, quiet: bool
) -> tuple[World, tuple[WorldCheck, ...], str]:
    """Return the world, the checks of one that is fitted, and the fingerprint of the rows that it is fitted to."""
    if plan.world is not None:
        return plan.world, (), ""
    assert plan.data is not None
    dataset = load_dataset(plan.data, data_dir, quiet)
    of = plan.data.filter
    whole = splits.no_holdout(
        dataset, positive=of.positive, min_user_interactions=of.min_user_interactions,
        min_item_interactions=of.min_item_interactions, sources=of.sources, purposes=of.purposes,
        forget_list=of.forget_list, seed=plan.settings.seed,
    )  # fmt: skip
    fit_keys = {name: value for name, value in plan.fit_settings.items() if name not in _NOT_FITTED}
    fit = _fit_or_load(whole, fit_keys, plan.settings.seed, cache)
    world = fit.check_world(plan.settings.name)
    return replace(world, **{name: plan.fit_settings[name] for name in _NOT_FITTED}), fit.checks, whole.fingerprint


def _fit_or_load(whole: Any, settings: dict[str, Any], seed: int, cache: Cache) -> TasteFit:
    """Return the fitted tastes, from the cache where they are there."""

    def make() -> CacheEntry:
        start = time.perf_counter()
        fit = fit_tastes(whole, **settings, seed=seed)
        arrays = {name: getattr(fit.world, name) for name in _KEPT}
        numbers = [[one.real, one.generated, one.least, one.most] for one in fit.checks]
        told = {"check_names": np.array([one.name for one in fit.checks]), "check_values": np.array(numbers)}
        return CacheEntry({**arrays, **told, "sharpness": np.array(fit.sharpness)}, time.perf_counter() - start)

    arrays = cache.get_or_make("world", [whole.fingerprint, settings, seed], make).arrays
    log_rates, like_logits, regions, groups, group_names = (arrays[name] for name in _KEPT)
    world = FittedTastes(whole, log_rates, like_logits, regions, groups, group_names)
    values = arrays["check_values"].tolist()
    checks = (WorldCheck(str(name), *row) for name, row in zip(arrays["check_names"], values, strict=True))
    return TasteFit(world, float(arrays["sharpness"]), tuple(checks))


_NOT_FITTED = ("behaviour", "group_behaviours", "flips", "arrivals")  # parts of a world that no log tells
_KEPT = ("log_rates", "like_logits", "regions", "groups", "group_names")


def _run_all(plan: SimulationPlan, world: World, cache: Cache, fingerprint: str) -> dict[str, list[Trajectory]]:
    """Return the trajectories of each policy, one for each seed."""
    of = plan.settings
    runs: dict[str, list[Trajectory]] = {name: [] for name in plan.policies}
    with track_rounds("policies and seeds", len(plan.policies) * len(plan.seeds)) as done:
        for seed in plan.seeds:
            for name, policy in plan.policies.items():

                def make(policy: Any = policy, seed: int = seed) -> CacheEntry:
                    start = time.perf_counter()
                    made = simulate(world, policy, rounds=of.rounds, measures=of.measures, seed=seed)
                    return CacheEntry(flatten_record(made), time.perf_counter() - start)

                key = [fingerprint, plan.content["world"], of.policies[name].model_dump(), of.rounds, of.measures, seed,
                       of.seed if plan.world is None else 0, plan.own_code]  # fmt: skip
                cell = cache.get_or_make("simulation", key, make)
                runs[name].append(restore_record(Trajectory, cell.arrays))
                done()
    return runs


def _write_folder(
    done: SimulationRun, world: World, runs: dict[str, list[Trajectory]], around: dict[str, Any], seconds: float
) -> None:
    """Write settings, environment, tables and report in the place of an older folder."""
    from recsys.reports.simulations import SimulationReport, write_simulation_report

    plan = done.plan
    population = world.start(plan.settings.seed)
    person = choose_person(population, runs[plan.base][0])
    report = SimulationReport(
        title=plan.settings.name, base=plan.base, trajectories=done.trajectories, differences=done.differences,
        checks=tuple((str(one), one.holds) for one in done.checks),
        person=tabulate_person(population, {name: of[0] for name, of in runs.items()}, person),
        n_seeds=len(plan.seeds),
    )  # fmt: skip
    with replace_folder(done.folder) as folder:
        write_text(folder / "config.toml", tomli_w.dumps(_drop_none(plan.content)))
        write_text(folder / "environment.json", json.dumps({**around, "seconds": seconds}, indent=2) + "\n")
        escape_csv_frame(done.trajectories).to_csv(folder / "trajectories.csv", index=False)
        escape_csv_frame(done.differences).to_csv(folder / "differences.csv", index=False)
        write_simulation_report(report, folder)


def _drop_none(tables: Any) -> Any:
    """Return tables without keys of None, which TOML cannot say."""
    if isinstance(tables, dict):
        return {key: _drop_none(value) for key, value in tables.items() if value is not None}
    return tables


def choose_person(population: Population, base: Trajectory) -> int:
    """Return the code of a user of the last group whose number of regions under the base is the median."""
    of_group = np.flatnonzero(population.groups == population.groups.max())
    counts = [len(np.unique(population.regions[_list_consumed(base, int(user))])) for user in of_group]
    return int(of_group[np.argsort(counts, kind="stable")[len(counts) // 2]])


def _list_consumed(run: Trajectory, user: int) -> Ints:
    items = run.consumed[:, user].ravel()
    return np.asarray(items[items >= 0])


def tabulate_person(population: Population, runs: dict[str, Trajectory], user: int) -> "pd.DataFrame":
    """Return how many items of each region one user has consumed by some rounds, under each policy.

    Columns policy, round, region, consumed, taste (the region's share of the utility above the user's mean).
    """
    import pandas as pd

    n_regions = int(population.regions.max()) + 1
    taste = find_taste(population, n_regions)[user]
    before = count_regions(Log(population.shape, population.history).met[[user]], population.regions, n_regions)[0]
    rows = []
    for policy, run in runs.items():
        for number in np.unique(np.linspace(0, len(run.consumed), 6).astype(int)):
            items = run.consumed[:number, user].ravel()
            counts = before + np.bincount(population.regions[items[items >= 0]], minlength=n_regions)
            rows += [(policy, int(number), z, int(counts[z]), float(taste[z])) for z in range(n_regions)]
    return pd.DataFrame(rows, columns=["policy", "round", "region", "consumed", "taste"])
