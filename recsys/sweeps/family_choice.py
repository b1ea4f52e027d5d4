"""The choice between families: within one standard error of the best, then the simplest, then the fastest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtri

from recsys.scores.simultaneous import compute_simultaneous_limits
from recsys.sweeps.families import Family
from recsys.sweeps.plans import SweepPlan
from recsys.sweeps.tradeoff_curves import GainAtLoss, compare_with_rivals, compute_largest_loss
from recsys.sweeps.trials import TrialResult
from recsys.types.arrays import Doubles

POWER = 0.8  # with which the smallest gain that could have been shown would have been

Verdict = Literal["level", "behind", "ahead", "unknown"]


@dataclass(frozen=True)
class FamilyVerdict:
    """What is said of one family: whether it gains at all, and how it stands against another one."""

    lower_bound: float  # its gain lies above it, for all families at once; NaN where too few users differ
    detectable: float  # the smallest gain that would have had a bound above 0 with probability `POWER`; NaN as well
    behind: float = np.nan  # by how much the other is ahead, in shares of the base's value
    behind_low: float = np.nan  # limits that hold for all at once
    behind_high: float = np.nan

    @property
    def is_ahead_of_base(self) -> bool:
        """Whether the family gains, surely."""
        return self.lower_bound > 0

    @property
    def stands_against_base(self) -> Verdict:
        """Whether the family is surely ahead of the base, or level."""
        return "unknown" if np.isnan(self.lower_bound) else "ahead" if self.is_ahead_of_base else "level"

    @property
    def stands(self) -> Verdict:
        """Whether the family is surely behind the other, surely ahead of it, or level."""
        if np.isnan(self.behind_low):
            return "unknown"
        return "behind" if self.behind_low > 0 else "ahead" if self.behind_high < 0 else "level"


@dataclass(frozen=True)
class FamilyChoice:
    """The family that was chosen, None for the base's order, and the one that gains most on validation."""

    chosen: Family | None
    best: Family | None  # None where no gain has an error
    near: Sequence[Family]  # within one standard error of the best, which is among them
    verdicts: Mapping[str, FamilyVerdict]  # by name, against the best


def choose_family(families: Sequence[Family], gains: Mapping[str, GainAtLoss]) -> FamilyChoice:
    """Return the choice among `families` by their gains at the accuracy budget, on validation.

    The first by `Family.rank` of those within one standard error of the largest gain (Breiman et al. 1984, section
    3.4.3): errors are those of the difference, over the draws that the curves share. The base is simpler than all, so
    it is kept where the largest gain is within one standard error of zero. Limits that hold for all families at once
    say what is sure, and do not choose: of blends that cost as little, a guess is better than none. A family without a
    gain in `gains`, or whose gain has no interval, is left out. Gains are those of
    `recsys.sweeps.cross_readings.read_curves_across_parts`: where points are picked by the users who judge them, the
    family with the most trials to pick from leads.
    """
    known = [one for one in families if one.name in gains]
    verdicts = judge_gains([gains[one.name] for one in known])
    able = [one for one in known if gains[one.name].has_interval]
    if not able:
        return FamilyChoice(None, None, (), verdicts)
    best = max(able, key=lambda one: gains[one.name].value)
    first = gains[best.name]
    verdicts = add_leads(verdicts, first, [gains[one.name] for one in known])
    near = [best, *(one for one in able if one is not best and _is_near(first, gains[one.name]))]
    if not first.value > compute_error(first.draws):  # nor where the error is not known
        return FamilyChoice(None, best, near, verdicts)
    return FamilyChoice(min(near, key=lambda one: one.rank), best, near, verdicts)


def _is_near(first: GainAtLoss, other: GainAtLoss) -> bool:
    return first.value - other.value <= compute_error(first.draws - other.draws)


def compute_error(draws: Doubles) -> float:
    """Return the standard deviation of the draws that are defined; NaN for fewer than two."""
    known = draws[np.isfinite(draws)]
    return float(known.std(ddof=1)) if len(known) > 1 else float("nan")


def judge_gains(gains: Sequence[GainAtLoss]) -> dict[str, FamilyVerdict]:
    """Return by method whether its gain is surely above 0, for all of them at once."""
    told = [one for one in gains if one.has_interval]
    bounds = {one.method: FamilyVerdict(np.nan, np.nan) for one in gains}
    if told:
        values, drawn = np.array([one.value for one in told]), np.stack([one.draws for one in told])
        lower = compute_simultaneous_limits(values, drawn, sides=1)[0]
        detectable = values - lower + ndtri(POWER) * _compute_errors(drawn)
        for one, *both in zip(told, lower.tolist(), detectable.tolist(), strict=True):
            bounds[one.method] = FamilyVerdict(*both)
    return bounds


def add_leads(
    verdicts: Mapping[str, FamilyVerdict], first: GainAtLoss, gains: Sequence[GainAtLoss]
) -> dict[str, FamilyVerdict]:
    """Return the verdicts with how far `first` is ahead of each of the other gains, for all of them at once."""
    rivals = [one for one in gains if one.method != first.method]
    found = zip(rivals, *(table.tolist() for table in compare_with_rivals(first, rivals)), strict=True)
    leads = {one.method: ends for one, *ends in found}
    return {name: FamilyVerdict(of.lower_bound, of.detectable, *leads.get(name, ())) for name, of in verdicts.items()}


def choose_trial(plan: SweepPlan, trials: Sequence[TrialResult]) -> TrialResult | None:
    """Return the trial of a family with the largest gain on validation of those that keep the budget in all accuracies.

    None where none does: then the family has no blend to be chosen.
    """
    metric = plan.gain_goals[0].metric
    kept = [one for one in trials if compute_largest_loss(plan, one) <= plan.accuracy_budget]
    return max(kept, key=lambda one: one.values[metric], default=None)


def _compute_errors(drawn: Doubles) -> Doubles:
    whole = drawn[:, np.isfinite(drawn).all(axis=0)]
    return np.asarray(whole.std(axis=1, ddof=1)) if whole.shape[1] > 1 else np.full(len(drawn), np.nan)
