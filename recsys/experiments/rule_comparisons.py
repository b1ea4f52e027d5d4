"""Each rule that a benchmark's config turns on, beside its absence."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from recsys.configs import CONTROL_GUARDS, Config, RunSpec
from recsys.experiments.one_offs import measure_near_shares
from recsys.experiments.pipeline import LogFunction, Preparation, change_half_life, leave_out_evidence
from recsys.experiments.rule_sides import (
    RuleComparison,
    RuleMeasure,
    RuleSide,
    build_side,
    divide_slots,
    list_compared_runs,
    measure_slots,
    narrow_preparation,
)
from recsys.maths.exposures import count_exposures, find_limited_pairs
from recsys.types import Guard, RecsysError, Split
from recsys.types.arrays import Anys, Doubles, Ints
from recsys.types.one_offs import OneOffs
from recsys.types.time_weights import SECONDS_PER_DAY, TimeWeights, get_positive_times

BEYOND, REPEATS, STALE = "share of slots beyond the limit", "repeats", "stale share"
NEAR_ONE_OFFS = "share of slots nearest to a one-off"  # of users who have some
OF_GUESTS = "share of guest runs"
CHANGED = "changed slots"  # the share of a slate's items that are not in the other


def iter_rule_comparisons(preparation: Preparation, quiet: bool, log_line: LogFunction) -> Iterator[RuleComparison]:
    """Yield rules of a config, but topics: half-life, one-offs, guest runs, limits on what is shown, fatigue, dials.

    A rule is compared on the runs that it holds for, but controls; all other rules hold on both sides.
    """
    made = narrow_preparation(preparation)
    specs = list_compared_runs(made)
    build = partial(build_side, quiet=quiet, log_line=log_line)
    if made.split.time_decay is not None and (aged := made.split.time_weights) is not None:
        yield _compare_half_life(made, specs, aged, build)
    if (one_offs := made.split.one_offs) is not None:
        yield _compare_one_offs(made, specs, one_offs, build)
    if made.split.guest_runs is not None:
        yield _compare_guest_runs(made, specs, made.split, build)
    for name in CONTROL_GUARDS:
        held = tuple(run for run in specs if _list_guards(made.config, run, name))
        if held:
            yield _compare_guard(made, held, name, build)
    tired = tuple(run for run in specs if "fatigue" in (run.blend or {}))
    if tired:
        yield _compare_fatigue(made, tired, build)
    yield from _iter_dials(made, specs, build)


def refuse_idle_rules(config: Config) -> None:
    """Refuse a rule that holds for no run.

    Raises:
        RecsysError: for a fatigue of [control] where there is no blend.
    """
    is_set = config.control is not None and config.control.fatigue is not None
    if is_set and not any(run.kind == "blend" for run in config.list_runs()):
        raise RecsysError(f"{config.name}: [control] fatigue is set and there is no blend, expected [blends.NAME]")


BuildSide = Callable[[Preparation, tuple[RunSpec, ...]], tuple[RuleSide, Any]]


def _compare_half_life(
    made: Preparation, specs: tuple[RunSpec, ...], aged: TimeWeights, build: BuildSide
) -> RuleComparison:
    (side, judges), (without, _) = build(made, specs), build(change_half_life(made, None), specs)
    shares = _measure_stale_shares(aged, made.split)
    stale = RuleMeasure(STALE, *(dict.fromkeys([spec.name for spec in specs], share) for share in shares))
    return RuleComparison("half_life", made, judges, side, without, (stale,))


def _compare_guest_runs(
    made: Preparation, specs: tuple[RunSpec, ...], split: Split, build: BuildSide
) -> RuleComparison:
    (side, judges), (without, _) = build(made, specs), build(leave_out_evidence(made, "guest_runs"), specs)
    of = [_measure_guest_shares(split, weights) for weights in (split.weighted_train.data, np.ones(split.train.nnz))]
    held = RuleMeasure(OF_GUESTS, *(dict.fromkeys([spec.name for spec in specs], share) for share in of))
    return RuleComparison("guest_runs", made, judges, side, without, (held,))


def _measure_guest_shares(split: Split, weights: Anys) -> Doubles:
    """Return the share of each user's training positives that is a guest run, by weight, NaN without positives."""
    if split.guest_runs is None:
        raise ValueError("the split has no guest runs")
    users = np.repeat(np.arange(split.shape[0]), np.diff(split.train.indptr))
    held, whole = (np.bincount(users, weights * part, split.shape[0]) for part in (split.guest_runs.flags, 1.0))
    return np.where(whole > 0, held / np.where(whole > 0, whole, 1.0), np.nan)


def _measure_stale_shares(aged: TimeWeights, split: Split) -> tuple[Doubles, Doubles]:
    """Return the share of each user's training positives that is older than the half-life, by weight and by number."""
    if split.train_times is None:
        raise ValueError("a split with a half-life has times")
    times = get_positive_times(split.train, split.train_times)
    rows, weights = aged.weights, aged.weights.data.astype(np.float64)
    users = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    old = aged.now - times > aged.half_life * SECONDS_PER_DAY

    def share(values: Doubles) -> Doubles:
        of, whole = (np.bincount(users, values * part, rows.shape[0]) for part in (old, 1.0))
        return np.where(whole > 0, of / np.where(whole > 0, whole, 1.0), np.nan)

    return share(weights), share(np.ones_like(weights))


def _compare_one_offs(
    made: Preparation, specs: tuple[RunSpec, ...], one_offs: OneOffs, build: BuildSide
) -> RuleComparison:
    (side, judges), (without, _) = build(made, specs), build(leave_out_evidence(made, "one_offs"), specs)
    sides = [{run: measure_near_shares(one_offs, items) for run, items in of.slates.items()} for of in (side, without)]
    near = RuleMeasure(NEAR_ONE_OFFS, *sides)
    return RuleComparison("one_offs", made, judges, side, without, (near,))


def _list_guards(config: Config, run: RunSpec, name: str) -> list[Guard]:
    return [guard for guard in config.build_guards(run) if guard.name == name]


def _compare_guard(made: Preparation, held: tuple[RunSpec, ...], name: str, build: BuildSide) -> RuleComparison:
    free, specs = _drop_guard(made.config, name), tuple(replace(run, guards=_drop(run.guards, name)) for run in held)
    (side, judges), (without, _) = build(made, held), build(replace(made, config=free), specs)
    sides = (side, without)
    beyond = [_measure_limits(made, _list_guards(made.config, run, name), run.name, sides) for run in held]
    limits = RuleMeasure(
        BEYOND,
        {run: values for one in beyond for run, values in one.with_rule.items()},
        {run: values for one in beyond for run, values in one.without.items()},
    )
    return RuleComparison(name, made, judges, side, without, (limits, _measure_repeats(made, sides)))


def _drop_guard(config: Config, name: str) -> Config:
    changed: dict[str, Any] = {"guards": _drop(config.guards, name)}
    if config.control is not None:
        changed["control"] = config.control.model_copy(update={name: None})
    return config.model_copy(update=changed)


def _drop(settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key != name}


def _measure_limits(made: Preparation, guards: list[Guard], run: str, sides: tuple[RuleSide, RuleSide]) -> RuleMeasure:
    """Return the share of a run's slots whose item one of the guards excludes."""
    histories, n_items = made.shown, made.split.shape[1]
    if histories is None:
        raise ValueError("a config with limits has a log of exposures")
    limits = [guard.exposure_limit for guard in guards if guard.exposure_limit is not None]
    excluded = [find_limited_pairs(histories, limit, n_items) for limit in limits]

    def mark(items: Ints) -> Anys:
        users, shown = np.arange(len(items))[:, None], np.maximum(items, 0)
        cells: list[Any] = [of[users, shown] for of in excluded]
        return np.asarray(np.any([one.toarray() > 0 for one in cells], axis=0))

    return measure_slots(BEYOND, [RuleSide({run: side.slates[run]}) for side in sides], mark)


def _measure_repeats(made: Preparation, sides: tuple[RuleSide, RuleSide]) -> RuleMeasure:
    """Return the share of slots whose item was shown to the user before, by all of the log."""
    histories, n_items = made.shown, made.split.shape[1]
    if histories is None:
        raise ValueError("a config with limits has a log of exposures")
    return measure_slots(REPEATS, sides, lambda items: count_exposures(histories, items, n_items))


def _compare_fatigue(made: Preparation, tired: tuple[RunSpec, ...], build: BuildSide) -> RuleComparison:
    specs = tuple(replace(run, blend=_drop(run.blend or {}, "fatigue") or {"relevance": 1.0}) for run in tired)
    (side, judges), (without, _) = build(made, tired), build(made, specs)
    return RuleComparison("fatigue", made, judges, side, without, (_measure_repeats(made, (side, without)),))


def _iter_dials(made: Preparation, specs: tuple[RunSpec, ...], build: BuildSide) -> Iterator[RuleComparison]:
    """Yield each end of each dial's range: blends whose weight is multiplied by it, beside the blends themselves."""
    dials = {} if made.config.control is None else made.config.control.dials
    for objective, ends in dials.items():
        blends = tuple(run for run in specs if run.kind == "blend" and objective in (run.blend or {}))
        for factor in sorted({float(end) for end in ends} - {1.0}):
            turned = [turn_dial(run, objective, factor) for run in blends]
            dialled = tuple(run for run in turned if run is not None)
            if not dialled:
                continue
            plain = tuple(run for run, changed in zip(blends, turned, strict=True) if changed is not None)
            (side, judges), (without, _) = build(made, dialled), build(made, plain)
            rule = f"dial of {objective} at {factor:g}"
            yield RuleComparison(rule, made, judges, side, without, (_measure_changes(side, without),))


def turn_dial(run: RunSpec, objective: str, factor: float) -> RunSpec | None:
    """Return a blend whose weight of an objective is multiplied, None where that leaves it no objective."""
    blend = dict(run.blend or {})
    value = blend[objective]
    weight = factor * (value["weight"] if isinstance(value, Mapping) else value)
    changed = {**value, "weight": weight} if isinstance(value, Mapping) else weight
    turned = {**_drop(blend, objective), **({objective: changed} if weight else {})}
    return replace(run, blend={name: turned[name] for name in blend if name in turned}) if turned else None


def _measure_changes(side: RuleSide, without: RuleSide) -> RuleMeasure:
    """Return the share of a dialled slate's items that are not in the slate as configured."""
    changed = {}
    for run, items in side.slates.items():
        there = (items[:, :, None] == without.slates[run][:, None, :]).any(axis=2)
        changed[run] = divide_slots(~there, items)
    return RuleMeasure(CHANGED, changed, {run: np.where(np.isnan(of), np.nan, 0.0) for run, of in changed.items()})
