"""Curves of families on validation: each user is judged by points that were picked without their part of the users.

A curve that is read on the users who picked its points shows more gain than there is, the more so the more trials and
dials a family has. The gain that is read here is that of all users together: no part has a base of its own, which with
few hits would be small by chance.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from recsys.scores import Score, Scores
from recsys.support.progress import show_progress
from recsys.sweeps.curve_readings import BASE, MAX_LOSS, CurveReadings, name_point, trace_curve
from recsys.sweeps.plans import SweepPlan
from recsys.sweeps.tradeoff_curves import compute_gains_at_loss, compute_largest_loss, find_crossings
from recsys.sweeps.trial_evaluator import TrialEvaluator
from recsys.sweeps.trials import TrialResult
from recsys.types.arrays import Doubles

N_PLACES = 8  # of a stitched curve, up to `MAX_LOSS` budgets

Curves = Mapping[str, Sequence[TrialResult]]


@dataclass(eq=False)
class StitchedCurves:
    """Curves that are stitched from those of the parts of the users, at places that are losses on those who picked.

    The users of a part are at a place by the point of their curve that loses as much there, or by a mixture of the two
    points beside it.
    """

    plan: SweepPlan
    sums: dict[tuple[str, str], list[Score]] = field(default_factory=dict)  # of each part, by run and metric

    @property
    def places(self) -> Doubles:
        """The losses, (P,), as shares of the base's value."""
        return self.plan.accuracy_budget * MAX_LOSS * np.arange(1, N_PLACES + 1) / N_PLACES

    def add_part(self, curves: Curves, scores: Scores) -> None:
        """Add the users of a part: their scores at the points of the curves that they had no say in."""
        cells = {(cell.run, f"{cell.metric}@{cell.k}"): cell for cell in scores.cells}
        for metric in self.plan.metrics:
            self.sums.setdefault((BASE, metric), []).append(cells[BASE, metric])
            for name, points in curves.items():
                ordered = sorted(points, key=lambda one: compute_largest_loss(self.plan, one))
                runs = [BASE, *(name_point(name, one) for one in ordered)]
                for number, place in enumerate(self._find_places(ordered)):
                    start = int(place)
                    ends = [cells[run, metric] for run in runs[start : start + 2]]
                    mixed = _add_scores(ends, [1.0 - (place - start), place - start][: len(ends)])
                    self.sums.setdefault((_name_place(name, number), metric), []).append(mixed)

    def _find_places(self, ordered: Sequence[TrialResult]) -> Iterator[float]:
        """Yield where on a curve each loss is first reached; a curve that never loses as much is at its last point."""
        lost = np.array(
            [
                [0.0, *(one.sign * (1.0 - of.values[one.metric] / of.base[one.metric]) for of in ordered)]
                for one in self.plan.accuracies
            ]
        )
        for loss in self.places:
            yield float(find_crossings(lost[:, None], float(loss))[0][0])

    def build_scores(self, like: Scores) -> Scores:
        """Return the scores of all users at every place, and of the base; users and draws are those of `like`."""
        cells = []
        for (run, metric), parts in self.sums.items():
            n = [one.n_users for one in self.sums[BASE, metric]]
            cells.append(replace(_add_scores(parts, np.divide(n, sum(n)).tolist()), run=run, n_users=sum(n)))
        return replace(like, cells=tuple(cells))

    def build_curves(self) -> dict[str, list[TrialResult]]:
        """Return the places of each family as trials that lose there what the users who picked say."""
        base = {one.metric: 1.0 for one in (*self.plan.accuracies, *self.plan.gain_goals)}
        names = dict.fromkeys(run.rpartition("-")[0] for run, _ in self.sums if run != BASE)
        trials = [
            TrialResult(number, {}, base | {one.metric: 1.0 - loss for one in self.plan.accuracies}, base, True, 0.0)
            for number, loss in enumerate(self.places.tolist())
        ]
        return dict.fromkeys(names, trials)


def read_curves_across_parts(
    plan: SweepPlan, trials: Curves, evaluator: TrialEvaluator, split: str, quiet: bool
) -> CurveReadings:
    """Return the readings of all families by curves that are stitched from those of the evaluator's parts of the users.

    There are no gains where the accuracy of some part is not defined or 0: no losses are shares of it then.
    """
    stitched = StitchedCurves(plan)
    all_scores = evaluator.evaluate_blends({BASE: plan.base_config(split)}, plan.metrics)
    users = min((len(judge.fold.judge_users) for judge in evaluator.judges), default=0)
    found = {name: of for name, of in trials.items() if of}
    if not all(_has_values(plan, of, part) for of in found.values() for part in range(len(evaluator.parts))):
        return CurveReadings(all_scores, {}, users)
    with show_progress(quiet) as bars:
        task = bars.add_task(f"curves on {split}", total=len(evaluator.parts))
        for part, members in enumerate(evaluator.parts):
            curves = {name: trace_curve(plan, [leave_out(one, part) for one in of]) for name, of in found.items()}
            configs = {BASE: plan.base_config(split)}
            for method in plan.methods:
                for one in curves.get(method.name, ()):
                    configs[name_point(method.name, one)] = method.trial_config(one.settings, split)
            stitched.add_part(curves, evaluator.evaluate_blends(configs, plan.metrics, members))
            bars.advance(task)
    read = compute_gains_at_loss(plan, stitched.build_curves(), stitched.build_scores(all_scores), BASE)
    gains = {one.method: one for one in read if one.loss == plan.accuracy_budget}
    return CurveReadings(all_scores, gains, users)


def leave_out(trial: TrialResult, part: int) -> TrialResult:
    """Return a trial with the values that it has over the users of all other parts."""
    values, base = (
        {name: float(np.mean([of[name] for p, of in enumerate(parts) if p != part])) for name in parts[0]}
        for parts in (trial.parts, trial.base_parts)
    )
    return replace(trial, values=values, base=base)


def _has_values(plan: SweepPlan, trials: Sequence[TrialResult], part: int) -> bool:
    known = [*trials[0].base_parts[part].values(), *(value for one in trials for value in one.parts[part].values())]
    return bool(np.isfinite(known).all()) and all(trials[0].base_parts[part][one.metric] > 0 for one in plan.accuracies)


def _name_place(family: str, number: int) -> str:
    return f"{family}-{number}"


def _add_scores(scores: Sequence[Score], shares: Sequence[float]) -> Score:
    """Return the sum of scores of the same users, or of parts of them, times shares that add up to 1."""
    parts = {
        name: sum(share * getattr(one, name) for one, share in zip(scores, shares, strict=True))
        for name in ("value", "draws", "user_contributions", "user_weights")
    }
    weights = parts["user_weights"]
    per_user = np.full(len(weights), np.nan)
    np.divide(parts["user_contributions"], weights, out=per_user, where=weights > 0)
    return replace(scores[0], **parts, per_user=per_user)
